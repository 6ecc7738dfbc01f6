// Reductions, the place of the largest, running sums and sorting on the device against the reference.
#include <functional>
#include <limits>
#include <random>
#include <vector>

#include "tests/cuda/device.h"

namespace gradus {
namespace {

using testing::device_kernels;
using testing::difference;
using testing::on_device;
using testing::on_host;
using testing::pointer;

constexpr double infinity = std::numeric_limits<double>::infinity();

class CudaReduce : public testing::OnDevice {
 protected:
  // Whole numbers from -4 to 4, or 0 to 8 for bytes, of which there are equals; in wild ones now and then NaN and
  // infinities.
  Tensor whole(const Shape& shape, DType dtype, bool wild = false) {
    std::vector<double> v(size_t(numel(shape)), 0);
    for (double& x : v) {
      x = double(random_() % 9) - (dtype == uint8 || dtype == boolean ? 0 : 4);
      if (wild && is_floating(dtype) && random_() % 50 == 0)
        x = random_() % 2 ? NAN : random_() % 2 ? infinity : -infinity;
    }
    return from_vector(v, shape).to(dtype);
  }
  Tensor normal(const Shape& shape, double mean = 0) {
    std::normal_distribution<double> numbers(mean, 1);
    std::vector<double> v(size_t(numel(shape)), 0);
    for (double& x : v) x = numbers(random_);
    return from_vector(v, shape);
  }

  // x and the same on the device reduced over `dims`, x in float64 or as it is by the reference.
  std::string reduced(Reduce op, const Tensor& x, const Tensor& there, const std::vector<int>& dims, double allowed) {
    const DType dtype = x.dtype(), exact = is_floating(dtype) ? float64 : dtype;
    Shape kept = x.shape();
    for (int d : dims) kept[d] = 1;
    const Tensor expected = zeros(kept, {.dtype = exact}), y = on_device(zeros(kept, {.dtype = dtype}));
    const auto run = [&](const KernelTable& table, const Tensor& from, const Tensor& into) {
      View to = into.raw();
      for (int d : dims) to.shape[d] = x.shape()[d], to.strides[d] = 0;
      table.reduce(op, from.raw(), to);
    };
    run(kernels(Device::cpu, exact), x.to(exact), expected);
    run(device_kernels(dtype), there, y);
    return difference(y, expected, allowed);
  }
  std::string reduced(Reduce op, const Tensor& x, const std::vector<int>& dims, double allowed) {
    return reduced(op, x, on_device(x), dims, allowed);
  }

  std::mt19937 random_{1};
};

struct Case {
  Shape shape;
  std::vector<int> dims;
};
// Rows, columns, everything, some of several dimensions, nothing; odd sizes, whole packs, and more than one part.
const std::vector<Case> cases = {{{7}, {0}},
                                 {{1}, {0}},
                                 {{0}, {0}},
                                 {{3, 0}, {0}},
                                 {{3, 0}, {1}},
                                 {{5, 9}, {1}},
                                 {{5, 9}, {0}},
                                 {{33, 64}, {1}},
                                 {{64, 36}, {0}},
                                 {{3, 2000}, {1}},
                                 {{2000, 3}, {0}},
                                 {{700, 40}, {0}},
                                 {{700, 41}, {0}},
                                 {{2, 20000}, {1}},
                                 {{40000}, {0}},
                                 {{100, 4}, {1}},
                                 {{9, 8, 7}, {1}},
                                 {{9, 8, 7}, {0, 2}},
                                 {{6, 10, 64}, {0, 2}},
                                 {{6, 10, 64}, {1}},
                                 {{4, 5, 6, 7}, {0, 3}},
                                 {{4, 5, 6, 7}, {1, 2}},
                                 {{20, 30}, {0, 1}},
                                 {{3, 1, 5}, {1}},
                                 {{12, 30}, {}}};

TEST_F(CudaReduce, EqualsTheReference) {
  int combination = 0;
  for (const Case& c : cases) {
    for (const DType dtype : {float32, float64, bfloat16, int64, boolean, uint8}) {
      for (const Reduce op : {Reduce::sum, Reduce::prod, Reduce::max, Reduce::min, Reduce::sum_squares}) {
        if (dtype != float32 && combination++ % 3 != 0) continue;  // of the others a third of all
        Tensor x = whole(c.shape, dtype);
        if (op == Reduce::prod && dtype != boolean)  // 1 and -1
          x = ((x.to(float32) > 0.0).to(float32) * 2.0 - 1.0).to(dtype);
        // Sums of whole numbers are exact in float32; bfloat16 rounds them once.
        EXPECT_EQ(reduced(op, x, c.dims, dtype == bfloat16 ? 0x1p-8 : 0), "")
            << to_string(c.shape) << " op " << int(op) << " " << to_string(dtype);
      }
    }
  }
}

TEST_F(CudaReduce, TakesAnyStrides) {
  const Tensor x = normal({6, 8, 10, 12}).to(float32);
  using Make = std::function<Tensor(const Tensor&)>;
  const std::vector<Make> views = {
      [](const Tensor& t) { return t.permute({3, 1, 0, 2}); },
      [](const Tensor& t) { return t.permute({0, 3, 2, 1}); },
      [](const Tensor& t) { return t.transpose(0, 3); },
      [](const Tensor& t) { return t.narrow(3, 1, 7); },
      [](const Tensor& t) { return t.narrow(1, 2, 3); },
      [](const Tensor& t) { return t.select(2, 3); },
  };
  const Tensor moved = on_device(x);
  for (const auto& view : views) {
    for (const std::vector<int>& dims : {std::vector<int>{0}, {1}, {2}, {0, 2}, {0, 1, 2}})
      EXPECT_EQ(reduced(Reduce::sum, view(x), view(moved), dims, 2e-6), "") << to_string(view(x).shape());
  }
  // The last dimension backwards, the one before it expanded.
  const Tensor wide = x.to(float64), expected = zeros({6, 1, 10, 12}, {.dtype = float64});
  const Tensor y = on_device(expected.to(float32));
  View from = moved.raw(), host = wide.raw(), to = y.raw(), right = expected.raw();
  for (View* v : {&from, &host}) {
    const int64_t size = v == &from ? 4 : 8;
    v->data = static_cast<char*>(v->data) + 11 * size;
    v->strides[3] = -1;
    v->strides[2] = 0;
  }
  for (View* v : {&to, &right}) v->shape[1] = 8, v->strides[1] = 0;
  device_kernels(float32).reduce(Reduce::sum, from, to);
  kernels(Device::cpu, float64).reduce(Reduce::sum, host, right);
  EXPECT_EQ(difference(y, expected, 2e-6), "");
}

TEST_F(CudaReduce, NanWins) {
  for (const DType dtype : {float32, float64, bfloat16}) {
    for (const Case& c : {Case{{40, 30}, {0}}, {{40, 30}, {1}}, {{6000}, {0}}, {{3, 5000}, {1}}}) {
      for (const Reduce op : {Reduce::max, Reduce::min, Reduce::sum})
        EXPECT_EQ(reduced(op, whole(c.shape, dtype, true), c.dims, 0x1p-8), "") << to_string(c.shape) << int(op);
    }
  }
}

// A sum in float32, one number after the other, would lose half a million here.
TEST_F(CudaReduce, LongSumsKeepTheirDigits) {
  const int64_t n = int64_t(1) << 20;
  const Tensor x = normal({n}, 1).to(float32);
  EXPECT_EQ(reduced(Reduce::sum, x, {0}, 1e-6), "");
  EXPECT_EQ(reduced(Reduce::sum_squares, x, {0}, 1e-6), "");
  EXPECT_EQ(reduced(Reduce::sum, x.reshape({n / 16, 16}), {0}, 2e-6), "");
}

TEST_F(CudaReduce, PlacesOfTheLargestAreTheFirst) {
  struct Size {
    int64_t rows, n;
  };
  for (const Size& s : {Size{1, 1}, {0, 3}, {7, 5}, {9, 33}, {3, 1024}, {5, 1025}, {2, 9001}, {1, 40000}}) {
    for (const DType dtype : {float32, float64, bfloat16, int64, boolean, uint8}) {
      for (const bool wild : {false, true}) {
        const Tensor x = whole({s.rows, s.n}, dtype, wild), there = on_device(x);
        const Tensor host = dtype == bfloat16 ? x.to(float32) : x;
        for (const ArgReduce op : {ArgReduce::max, ArgReduce::min}) {
          const Tensor expected = zeros({s.rows}, {.dtype = int64}), y = on_device(expected);
          kernels(Device::cpu, host.dtype()).arg_reduce(op, pointer(host), s.rows, s.n, expected.data<int64_t>());
          device_kernels(dtype).arg_reduce(op, pointer(there), s.rows, s.n, static_cast<int64_t*>(pointer(y)));
          EXPECT_EQ(difference(y, expected, 0), "") << s.rows << " x " << s.n << " " << to_string(dtype);
        }
      }
    }
  }
}

TEST_F(CudaReduce, RunningSumsEqualTheReference) {
  struct Size {
    int64_t outer, n, inner;
  };
  for (const Size& s : {Size{1, 1, 1},
                        {3, 7, 1},
                        {0, 4, 2},
                        {2, 0, 3},
                        {5, 33, 1},
                        {2, 2048, 1},
                        {3, 2049, 1},
                        {2, 300, 3},
                        {1, 40001, 1},
                        {1, 9000, 2},
                        {1, 40, 2000}}) {
    const Shape shape{s.outer, s.n, s.inner};
    for (const DType dtype : {float32, float64, int64, uint8}) {
      const DType exact = is_floating(dtype) ? float64 : dtype;
      const Tensor x = is_floating(dtype) ? normal(shape).to(dtype) : whole(shape, dtype);
      const Tensor host = x.to(exact), expected = zeros(shape, {.dtype = exact});
      const Tensor there = on_device(x), y = on_device(zeros(shape, {.dtype = dtype}));
      kernels(Device::cpu, exact).cumsum(pointer(host), pointer(expected), s.outer, s.n, s.inner);
      device_kernels(dtype).cumsum(pointer(there), pointer(y), s.outer, s.n, s.inner);
      EXPECT_EQ(difference(y, expected,
                           dtype == float32   ? 2e-6
                           : dtype == float64 ? 1e-13
                                              : 0),
                "")
          << s.outer << " x " << s.n << " x " << s.inner << " " << to_string(dtype);
    }
  }
}

TEST_F(CudaReduce, SortingIsStable) {
  struct Size {
    int64_t rows, n;
  };
  for (const Size& s :
       {Size{1, 1}, {7, 2}, {5, 3}, {300, 10}, {3, 64}, {2, 1000}, {2, 1024}, {3, 1025}, {2, 2048}, {1, 5000}}) {
    for (const DType dtype : {float32, float64, int64, boolean, uint8}) {
      const Tensor x = whole({s.rows, s.n}, dtype, true), there = on_device(x);
      for (const bool descending : {false, true}) {
        const Tensor values = zeros(x.shape(), {.dtype = dtype}), indices = zeros(x.shape(), {.dtype = int64});
        const Tensor device_values = on_device(values), device_indices = on_device(indices);
        kernels(Device::cpu, dtype)
            .sort(pointer(x), s.rows, s.n, descending, pointer(values), indices.data<int64_t>());
        device_kernels(dtype).sort(pointer(there), s.rows, s.n, descending, pointer(device_values),
                                   static_cast<int64_t*>(pointer(device_indices)));
        EXPECT_EQ(difference(device_values, values, 0), "") << s.rows << " x " << s.n << " " << to_string(dtype);
        EXPECT_EQ(difference(device_indices, indices, 0), "") << s.rows << " x " << s.n << " " << to_string(dtype);
      }
    }
  }
}

}  // namespace
}  // namespace gradus
