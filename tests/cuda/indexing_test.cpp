// Reading and adding by index on the device, against the reference. Most numbers are small and whole, whose sums are
// exact in any order, so that results must be equal.
#include <random>
#include <vector>

#include "tensor/kernels/cuda/runtime.h"
#include "tests/cuda/device.h"
#include "tests/errors.h"

namespace gradus {
namespace {

using testing::device_kernels;
using testing::difference;
using testing::on_device;
using testing::on_host;
using testing::pointer;

class CudaIndexing : public testing::OnDevice {
 protected:
  std::mt19937 random_{1};

  Tensor whole(const Shape& shape, DType dtype, int below = 7) {
    std::vector<double> v(size_t(numel(shape)));
    for (double& x : v)
      x = double(random_() % unsigned(below)) - (dtype == uint8 || dtype == boolean ? 0 : below / 2);
    return from_vector(v, shape).to(dtype);
  }
  Tensor indices(const Shape& shape, int64_t n) {
    std::vector<int64_t> v(static_cast<size_t>(numel(shape)));
    for (int64_t& i : v) i = int64_t(random_() % uint64_t(n));
    return from_vector(v, shape);
  }
  static const KernelTable& reference(DType dtype) { return kernels(Device::cpu, dtype); }

  // y with x added to it by the index, on the host by the reference in float64.
  static Tensor added(const Tensor& y, const Tensor& index, const Tensor& x, int64_t outer, int64_t n,
                      int64_t inner) {
    Tensor sums = y.to(float64).contiguous(), wide = x.to(float64).contiguous();
    sums = sums + zeros_like(sums);  // a copy
    reference(float64).index_add(pointer(sums), index.data<int64_t>(), pointer(wide), outer, n, inner, index.numel());
    return sums.to(y.dtype());
  }
  static Tensor added_on_device(const Tensor& y, const Tensor& index, const Tensor& x, int64_t outer, int64_t n,
                                int64_t inner) {
    Tensor to = on_device(y), at = on_device(index), from = on_device(x);
    device_kernels(y.dtype()).index_add(pointer(to), static_cast<int64_t*>(pointer(at)), pointer(from), outer, n,
                                        inner, index.numel());
    cuda::synchronize();
    return on_host(to);
  }
};

constexpr DType every_type[] = {float32, float64, int64, boolean, uint8, bfloat16};
constexpr DType summed_types[] = {float32, float64, int64, uint8, bfloat16};

TEST_F(CudaIndexing, GatherEqualsReferenceForAnyStrides) {
  for (DType dtype : every_type) {
    for (int dim = 0; dim < 3; ++dim) {
      Dims order{2, 0, 1};
      Shape source{5, 4, 7}, chosen{5, 4, 7};
      chosen[dim] = 9;
      const int64_t n = source[dim];
      // Views of one storage order, on the host and on the device alike.
      Tensor x = whole({7, 5, 4}, dtype), index = indices({chosen[2], chosen[0], chosen[1]}, n);
      Tensor y = whole({chosen[0], chosen[2], chosen[1]}, dtype);
      Tensor dx = on_device(x), di = on_device(index), dy = on_device(y);
      auto views = [&](const Tensor& a, const Tensor& b, const Tensor& c, const KernelTable& table) {
        table.gather(a.permute({1, 2, 0}).raw(), b.permute({1, 2, 0}).raw(), c.permute({0, 2, 1}).raw(), dim);
      };
      views(x, index, y, reference(dtype));
      views(dx, di, dy, device_kernels(dtype));
      cuda::synchronize();
      EXPECT_EQ(difference(dy, y, 0), "") << to_string(dtype) << " along " << dim;
    }
  }
}

TEST_F(CudaIndexing, SelectsRowsOfEverySizeAndType) {
  for (DType dtype : every_type) {
    for (int64_t inner : {1, 3, 4, 8, 33}) {
      const int64_t outer = 3, n = 6, count = 11;
      Tensor x = whole({outer, n, inner}, dtype), index = indices({count}, n);
      Tensor y = whole({outer, count, inner}, dtype), dy = on_device(y), dx = on_device(x), di = on_device(index);
      reference(dtype).index_select(pointer(x), index.data<int64_t>(), pointer(y), outer, n, inner, count);
      device_kernels(dtype).index_select(pointer(dx), static_cast<int64_t*>(pointer(di)), pointer(dy), outer, n,
                                         inner, count);
      cuda::synchronize();
      EXPECT_EQ(difference(dy, y, 0), "") << to_string(dtype) << ", rows of " << inner;
    }
  }
}

TEST_F(CudaIndexing, AddsRowsOfEverySizeAndType) {
  for (DType dtype : summed_types) {
    for (int64_t inner : {1, 3, 16, 24}) {
      for (int64_t outer : {1, 3}) {
        const int64_t n = 9, count = 40;
        Tensor y = whole({outer, n, inner}, dtype), x = whole({outer, count, inner}, dtype),
               index = indices({count}, n);
        EXPECT_EQ(difference(added_on_device(y, index, x, outer, n, inner), added(y, index, x, outer, n, inner), 0),
                  "")
            << to_string(dtype) << ", " << outer << " times rows of " << inner;
      }
    }
  }
}

// Runs of equal indices that are cut into parts: within a stretch, up to its end, across many, and over all.
TEST_F(CudaIndexing, AddsLongRuns) {
  for (int64_t n : {1, 2, 5, 40}) {
    for (int64_t count : {63, 64, 65, 128, 1000}) {
      Tensor y = whole({n, 4}, float32), x = whole({count, 4}, float32), index = indices({count}, n);
      EXPECT_EQ(difference(added_on_device(y, index, x, 1, n, 4), added(y, index, x, 1, n, 4), 0), "")
          << count << " into " << n;
    }
  }
}

// Three digits of eight bits to sort by, and several tiles.
TEST_F(CudaIndexing, SortsManyAndLargeIndices) {
  const int64_t n = 70000, count = 3001;
  Tensor y = zeros({n}), x = whole({count}, float32), index = indices({count}, n);
  for (int64_t i = 0; i < count; i += 7) index.data<int64_t>()[i] = 69999 - i % 5;
  EXPECT_EQ(difference(added_on_device(y, index, x, 1, n, 1), added(y, index, x, 1, n, 1), 0), "");
}

// Within a stretch a destination adds its sources in the order of the index, as the reference does: equal bits for
// numbers whose sums depend on the order.
TEST_F(CudaIndexing, AddsInTheOrderOfTheIndex) {
  const int64_t n = 7, count = 60, inner = 5;
  std::vector<float> numbers(size_t(count * inner));
  for (float& v : numbers) v = float(random_()) / 1e9f;
  Tensor x = from_vector(numbers, {count, inner}), y = zeros({n, inner}), index = indices({count}, n);
  Tensor first = added_on_device(y, index, x, 1, n, inner);
  reference(float32).index_add(pointer(y), index.data<int64_t>(), pointer(x), 1, n, inner, count);
  EXPECT_EQ(first.to_vector(), y.to_vector());
}

// 300 ones added one by one in bfloat16 would stop at 256.
TEST_F(CudaIndexing, AddsBfloat16InFloat) {
  Tensor y = zeros({2, 8}).to(bfloat16), x = ones({300, 8}).to(bfloat16), index = indices({300}, 1);
  Tensor sums = added_on_device(y, index, x, 1, 2, 8);
  EXPECT_EQ(sums.to(float32).to_vector()[0], 300);
  EXPECT_EQ(sums.to(float32).to_vector()[8], 0);
  Tensor to = on_device(zeros({2}).to(bfloat16)), at = on_device(index), from = on_device(ones({300}).to(bfloat16));
  device_kernels(bfloat16).scatter_add(to.raw(), at.raw(), from.raw(), 0);
  cuda::synchronize();
  EXPECT_EQ(on_host(to).to(float32).to_vector(), (std::vector<double>{300, 0}));
}

TEST_F(CudaIndexing, ScattersForAnyStrides) {
  for (DType dtype : {float32, float64, int64, uint8}) {
    for (int dim = 0; dim < 3; ++dim) {
      Shape into{6, 5, 8}, from{6, 5, 8};
      into[dim] = 3, from[dim] = 70;
      Tensor y = whole({into[2], into[0], into[1]}, dtype), x = whole({from[1], from[0], from[2]}, dtype);
      Tensor index = indices({from[0], from[2], from[1]}, 3);
      Tensor dy = on_device(y), dx = on_device(x), di = on_device(index);
      auto scatter = [&](const Tensor& a, const Tensor& b, const Tensor& c, const KernelTable& table) {
        table.scatter_add(a.permute({1, 2, 0}).raw(), b.permute({0, 2, 1}).raw(), c.permute({1, 0, 2}).raw(), dim);
      };
      scatter(y, index, x, reference(dtype));
      scatter(dy, di, dx, device_kernels(dtype));
      cuda::synchronize();
      EXPECT_EQ(difference(dy, y, 0), "") << to_string(dtype) << " along " << dim;
    }
  }
}

// So many lines that each has a thread of its own.
TEST_F(CudaIndexing, ScattersManyLines) {
  for (DType dtype : {float32, uint8}) {
    Tensor y = whole({3, 17000}, dtype), x = whole({2, 17000}, dtype), index = indices({2, 17000}, 3);
    Tensor dy = on_device(y), dx = on_device(x), di = on_device(index);
    reference(dtype).scatter_add(y.raw(), index.raw(), x.raw(), 0);
    device_kernels(dtype).scatter_add(dy.raw(), di.raw(), dx.raw(), 0);
    cuda::synchronize();
    EXPECT_EQ(difference(dy, y, 0), "") << to_string(dtype);
  }
}

TEST_F(CudaIndexing, TakesNothing) {
  Tensor none = from_vector(std::vector<int64_t>{}, {0}), y = ones({3, 4});
  EXPECT_EQ(difference(added_on_device(y, none, zeros({0, 4}), 1, 3, 4), y, 0), "");
  Tensor to = on_device(y), at = on_device(none.reshape({0, 4})), from = on_device(zeros({0, 4}));
  device_kernels(float32).scatter_add(to.raw(), at.raw(), from.raw(), 0);
  device_kernels(float32).gather(to.raw(), at.raw(), from.raw(), 0);
  device_kernels(float32).index_select(pointer(to), nullptr, pointer(from), 1, 3, 4, 0);
  cuda::synchronize();
  EXPECT_EQ(difference(to, y, 0), "");
}

// What is out of range is neither read nor written, and the next wait for the device says so.
TEST_F(CudaIndexing, ReportsIndicesOutOfRange) {
  for (int64_t wrong : {int64_t(-1), int64_t(3), INT64_MAX, INT64_MIN}) {
    Tensor at = on_device(from_vector(std::vector<int64_t>{1, wrong, 2}, {3}));
    const int64_t* index = static_cast<const int64_t*>(pointer(at));
    Tensor x = on_device(tensor({1.0, 2.0, 3.0})), y = on_device(tensor({9.0, 9.0, 9.0}));
    const std::string said = ": index " + std::to_string(wrong) + " is out of range for 3";
    auto results = [&](auto run, const char* op) {
      y = on_device(tensor({9.0, 9.0, 9.0}));
      run();
      EXPECT_EQ(testing::error_of([] { return cuda::synchronize(), 0; }), op + said);
      return on_host(y).to_vector();
    };
    const KernelTable& table = device_kernels(float32);
    using Numbers = std::vector<double>;
    EXPECT_EQ(results([&] { table.gather(x.raw(), at.raw(), y.raw(), 0); }, "gather"), (Numbers{2, 0, 3}));
    EXPECT_EQ(results([&] { table.index_select(pointer(x), index, pointer(y), 1, 3, 1, 3); }, "index_select"),
              (Numbers{2, 0, 3}));
    EXPECT_EQ(results([&] { table.scatter_add(y.raw(), at.raw(), x.raw(), 0); }, "scatter_add"),
              (Numbers{9, 10, 12}));
    EXPECT_EQ(results([&] { table.index_add(pointer(y), index, pointer(x), 1, 3, 1, 3); }, "index_add"),
              (Numbers{9, 10, 12}));
  }
}

}  // namespace
}  // namespace gradus
