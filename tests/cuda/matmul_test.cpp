// Products of matrices on the device against the reference in float64: every way to cut c into tiles, all orientations,
// sizes that are no multiple of anything, and what is done to the sums.
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tensor/kernels/cuda/precision.h"
#include "tensor/kernels/cuda/runtime.h"
#include "tests/cuda/device.h"

namespace gradus {
namespace {

using cuda::MatmulPrecision;
using testing::device_kernels;
using testing::on_device;
using testing::on_host;

enum class Residual { none, other, in_place };

struct Case {
  int64_t m, n, k, batch = 1;
  bool a_turned = false, b_turned = false;  // stored as (k, m) and (n, k)
  bool a_shared = false, b_shared = false;  // one matrix for the whole batch
  int64_t gap = 0;                          // elements between rows, in a, b and c
  int64_t shift = 0;                        // elements before the first
  double alpha = 1;
  Residual residual = Residual::none;
  bool bias = false;
  Activation activation = Activation::none;
};

std::ostream& operator<<(std::ostream& to, const Case& c) {
  return to << c.batch << " x (" << c.m << ", " << c.k << ") (" << c.k << ", " << c.n << "), turned " << c.a_turned
            << c.b_turned << ", shared " << c.a_shared << c.b_shared << ", gap " << c.gap << ", shift " << c.shift
            << ", alpha " << c.alpha << ", residual " << int(c.residual) << ", bias " << c.bias << ", activation "
            << int(c.activation);
}

// Unit roundoff of what a dtype's results are rounded to, and of what its factors were rounded to on the way.
double roundoff(DType dtype) { return dtype == bfloat16 ? 0x1p-8 : dtype == float32 ? 0x1p-24 : 0x1p-53; }

// Matrices as one run of numbers: `count` of (rows, columns), `shift` elements before the first, `gap` between rows.
struct Matrices {
  Tensor numbers;
  int64_t shift, count, rows, columns, gap;
  bool turned;

  View view() const {
    const int64_t row = columns + gap, matrix = count > 1 ? rows * row : 0;
    View v{static_cast<char*>(numbers.raw().data) + shift * int64_t(gradus::size_of(numbers.dtype())), 3, {}, {}};
    v.strides[0] = matrix, v.strides[1] = turned ? 1 : row, v.strides[2] = turned ? row : 1;
    return v;
  }
  Matrices with(const Tensor& other) const {
    Matrices m = *this;
    m.numbers = other;
    return m;
  }
};

class CudaMatmul : public testing::OnDevice {
 protected:
  void TearDown() override {
    cuda::force_matmul_tiling(-1);
    cuda::set_matmul_precision(MatmulPrecision::highest);
  }

  // Between rows is NaN: whatever takes that for an element shows. Numbers are such as the dtype has.
  Matrices random(DType dtype, int64_t count, int64_t rows, int64_t columns, bool turned, const Case& c) {
    if (turned) std::swap(rows, columns);
    std::vector<double> v(size_t(c.shift + count * rows * (columns + c.gap)));
    for (size_t i = 0; i < v.size(); ++i) {
      const int64_t at = int64_t(i) - c.shift;
      const bool between = at < 0 || at % (columns + c.gap) >= columns;
      const double whole = double(random_() % 9) - (dtype == uint8 ? 0 : 4);
      v[i] = is_floating(dtype) ? between ? NAN : normal_(random_) : between ? 99 : whole;
    }
    return {from_vector(v, {int64_t(v.size())}).to(dtype), c.shift, count, rows, columns, c.gap, turned};
  }

  static View shaped(View v, int64_t batch, int64_t rows, int64_t columns) {
    v.shape[0] = batch, v.shape[1] = rows, v.shape[2] = columns;
    return v;
  }

  // `factor_error`: what each factor may be wrong by, relatively, before it is multiplied.
  void check(DType dtype, const Case& c, double factor_error = 0) {
    SCOPED_TRACE(::testing::Message() << to_string(dtype) << ": " << c);
    const Matrices a = random(dtype, c.a_shared ? 1 : c.batch, c.m, c.k, c.a_turned, c);
    const Matrices b = random(dtype, c.b_shared ? 1 : c.batch, c.k, c.n, c.b_turned, c);
    const Matrices before = random(dtype, c.batch, c.m, c.n, false, c);
    const Matrices residual = random(dtype, c.batch, c.m, c.n, false, c);
    const Tensor bias = random(dtype, 1, 1, c.n, false, {0, 0, 0}).numbers;

    const auto run = [&](const KernelTable& table, const Matrices& left, const Matrices& right, const Matrices& to,
                         const Matrices& added, const Tensor& row, double alpha, Activation activation) {
      Matmul m{.a = shaped(left.view(), c.batch, c.m, c.k),
               .b = shaped(right.view(), c.batch, c.k, c.n),
               .c = shaped(to.view(), c.batch, c.m, c.n),
               .alpha = alpha,
               .bias = c.bias ? row.raw().data : nullptr,
               .activation = activation};
      if (c.residual == Residual::other) m.residual = added.view().data;
      if (c.residual == Residual::in_place) m.residual = m.c.data;
      table.matmul(m);
    };
    const Matrices computed = before.with(on_device(before.numbers));
    run(device_kernels(dtype), a.with(on_device(a.numbers)), b.with(on_device(b.numbers)), computed,
        residual.with(on_device(residual.numbers)), on_device(bias), c.alpha, c.activation);
    cuda::synchronize();
    const std::vector<double> x = on_host(computed.numbers).to(float64).to_vector();

    const DType exact = is_floating(dtype) ? float64 : dtype;
    const auto wide = [&](const Tensor& t) { return t.to(exact).clone(); };
    const Matrices expected = before.with(wide(before.numbers));
    run(kernels(Device::cpu, exact), a.with(wide(a.numbers)), b.with(wide(b.numbers)), expected,
        residual.with(wide(residual.numbers)), wide(bias), c.alpha, c.activation);
    if (!is_floating(dtype)) {
      ASSERT_EQ(x, expected.numbers.to(float64).to_vector());
      return;
    }
    const auto size_of = [&](const Tensor& t) { return abs(wide(t)); };
    const Matrices magnitude = before.with(size_of(before.numbers));
    run(kernels(Device::cpu, exact), a.with(size_of(a.numbers)), b.with(size_of(b.numbers)), magnitude,
        residual.with(size_of(residual.numbers)), size_of(bias), std::abs(c.alpha), Activation::none);
    const std::vector<double> y = expected.numbers.to_vector(), size = magnitude.numbers.to_vector();
    // A sum of k products and what follows it rounds k + 3 times, in float for bfloat16; then there is the activation,
    // whose slope is 1.13 at most and which is itself off by a few units in the last place; and bfloat16 rounds again.
    const double sum = double(c.k + 3) * roundoff(dtype == bfloat16 ? float32 : dtype) + 2.1 * factor_error;
    const bool active = c.activation == Activation::gelu || c.activation == Activation::gelu_tanh;
    for (size_t i = 0; i < x.size(); ++i) {
      const double allowed = (active ? 1.2 : 1.0) * sum * size[i] + (active ? 8 : 0) * 0x1p-24 * std::abs(y[i]) +
                             (dtype == bfloat16 ? 0x1p-8 * std::abs(y[i]) : 0);
      const bool same = std::isnan(y[i]) ? std::isnan(x[i]) : std::abs(x[i] - y[i]) <= allowed;
      ASSERT_TRUE(same) << "element " << i << " is " << x[i] << ", expected " << y[i] << " within " << allowed;
    }
  }

  // All orientations; edges on every side; alone and in a batch; with all that an epilogue can do.
  void check_all(DType dtype, int64_t m, int64_t n, int64_t k, double factor_error = 0) {
    for (int turned = 0; turned < 4; ++turned) {
      const bool a_turned = turned % 2, b_turned = turned / 2;
      check(dtype, {.m = m, .n = n, .k = k, .a_turned = a_turned, .b_turned = b_turned}, factor_error);
      check(dtype,
            {.m = m - 3,
             .n = n - 5,
             .k = k - 7,
             .batch = 2,
             .a_turned = a_turned,
             .b_turned = b_turned,
             .b_shared = turned == 1,
             .gap = 3,
             .shift = 1,
             .alpha = 0.7,
             .residual = Residual::in_place,
             .bias = true,
             .activation = Activation::gelu},
            factor_error);
      check(dtype,
            {.m = m - 1,
             .n = n + 4,
             .k = k + 8,
             .a_turned = a_turned,
             .b_turned = b_turned,
             .gap = 8 + 8 * turned,
             .shift = 8,
             .residual = Residual::other,
             .activation = Activation::relu},
            factor_error);
    }
  }

  std::mt19937 random_{1};
  std::normal_distribution<double> normal_;
};

TEST_F(CudaMatmul, EveryType) {
  for (DType dtype : {float64, float32, bfloat16, int64, uint8}) {
    for (Activation activation : {Activation::none, Activation::relu, Activation::gelu, Activation::gelu_tanh})
      check(dtype, {.m = 37, .n = 45, .k = 29, .alpha = 2, .bias = true, .activation = activation});
    for (int turned = 0; turned < 4; ++turned)
      check(dtype, {.m = 70,
                    .n = 69,
                    .k = 33,
                    .batch = 2,
                    .a_turned = turned % 2 == 1,
                    .b_turned = turned > 1,
                    .a_shared = turned == 2,
                    .gap = 2,
                    .residual = Residual::other});
  }
}

TEST_F(CudaMatmul, Float32InTilesOfEveryKind) {
  for (int kind = 0; kind < 3; ++kind) {
    cuda::force_matmul_tiling(kind);
    check_all(float32, 132, 264, 40);
  }
  cuda::force_matmul_tiling(2, 3);
  check_all(float32, 68, 72, 136);
}

TEST_F(CudaMatmul, Bfloat16InTilesOfEveryKind) {
  for (int kind = 0; kind < 3; ++kind) {
    cuda::force_matmul_tiling(kind);
    check_all(bfloat16, 132, 264, 200);
  }
  cuda::force_matmul_tiling(2, 3);
  check_all(bfloat16, 68, 72, 520);
}

TEST_F(CudaMatmul, Tf32InTilesOfEveryKind) {
  cuda::set_matmul_precision(MatmulPrecision::high);
  for (int kind = 0; kind < 2; ++kind) {
    cuda::force_matmul_tiling(kind);
    check_all(float32, 132, 136, 104, 0x1p-11);
  }
  cuda::force_matmul_tiling(1, 3);
  check_all(float32, 68, 72, 264, 0x1p-11);
  check(float32, {.m = 40, .n = 40, .k = 1}, 0x1p-11);  // to the nearest: errors of single products cannot cancel
}

TEST_F(CudaMatmul, EverySizeNearATile) {
  for (DType dtype : {float32, bfloat16}) {
    for (int64_t size : {9, 15, 16, 17, 31, 33, 63, 64, 65}) {
      check(dtype, {.m = size, .n = 20, .k = 24});
      check(dtype, {.m = 20, .n = size, .k = 24, .b_turned = true});
      check(dtype, {.m = 20, .n = 24, .k = size, .a_turned = true});
    }
  }
}

TEST_F(CudaMatmul, NothingAndOne) {
  for (DType dtype : {float32, float64, bfloat16}) {
    check(dtype, {.m = 1, .n = 1, .k = 1});
    check(dtype, {.m = 5, .n = 12, .k = 0, .residual = Residual::other, .bias = true});
    check(dtype, {.m = 0, .n = 12, .k = 3});
    check(dtype, {.m = 3, .n = 0, .k = 3});
    check(dtype, {.m = 3, .n = 4, .k = 3, .batch = 0});
    check(dtype, {.m = 70, .n = 1, .k = 70});
    check(dtype, {.m = 70, .n = 70, .k = 1, .a_turned = true});
  }
}

// The other factor is read in rows or columns of either orientation, and the depth may be cut.
TEST_F(CudaMatmul, OneThinFactor) {
  for (DType dtype : {float32, bfloat16}) {
    for (int64_t thin : {1, 2, 3, 5, 8}) {
      for (int turned = 0; turned < 4; ++turned) {
        Case c{.m = thin, .n = 90, .k = 133, .batch = 2, .a_turned = turned % 2 == 1, .b_turned = turned > 1};
        c.alpha = 0.6, c.residual = Residual::in_place, c.bias = true, c.activation = Activation::relu;
        for (int64_t gap : {0, 3}) {
          c.gap = gap;  // 3: rows of 16 bytes each, but for b as it is stored unless turned
          check(dtype, c);
        }
        std::swap(c.m, c.n);
        c.gap = 3;
        check(dtype, c);
        c.n = thin, c.m = 88, c.k = 296, c.batch = 1, c.gap = 0, c.a_shared = true;
        check(dtype, c);
      }
      check(dtype, {.m = thin, .n = 1040, .k = 700});
      check(dtype, {.m = 1040, .n = thin, .k = 700, .a_turned = true});
      check(dtype, {.m = thin, .n = 72, .k = 4104, .b_turned = true});
    }
  }
}

TEST_F(CudaMatmul, ManySmallMatrices) {
  for (DType dtype : {float32, bfloat16}) {
    check(dtype, {.m = 16, .n = 16, .k = 16, .batch = 33});
    check(dtype, {.m = 20, .n = 8, .k = 5, .batch = 17, .a_turned = true, .a_shared = true, .alpha = 0.5});
  }
}

TEST_F(CudaMatmul, NaNAndInfinityGoThrough) {
  const float infinity = std::numeric_limits<float>::infinity(), device_nan = std::bit_cast<float>(0x7fffffffu);
  for (MatmulPrecision precision : {MatmulPrecision::highest, MatmulPrecision::high}) {
    cuda::set_matmul_precision(precision);
    for (DType dtype : {float32, bfloat16}) {
      const auto matrix = [&](float first) {
        std::vector<float> v(64 * 64, 1);
        v[0] = first;
        return on_device(from_vector(v, {64, 64}).to(dtype));
      };
      for (float first : {device_nan, infinity, -infinity}) {
        Tensor a = matrix(first), b = matrix(1), c = matrix(0);
        View views[] = {a.raw(), b.raw(), c.raw()};
        for (View& v : views) v = {v.data, 3, {1, 64, 64}, {0, 64, 1}};
        device_kernels(dtype).matmul({.a = views[0], .b = views[1], .c = views[2]});
        const std::vector<double> x = on_host(c).to(float64).to_vector();
        EXPECT_TRUE(std::isnan(first) ? std::isnan(x[5]) : x[5] == first) << x[5];
        EXPECT_EQ(x[64], 64);
      }
    }
  }
}

TEST_F(CudaMatmul, SameBitsEachTime) {
  for (DType dtype : {float32, bfloat16}) {
    cuda::force_matmul_tiling(0, 4);
    const Matrices a = random(dtype, 1, 50, 300, false, {}), b = random(dtype, 1, 300, 60, false, {});
    std::vector<double> first;
    for (int run = 0; run < 3; ++run) {
      Tensor x = on_device(a.numbers), y = on_device(b.numbers), c = on_device(zeros({50 * 60}).to(dtype));
      device_kernels(dtype).matmul({.a = shaped(a.with(x).view(), 1, 50, 300),
                                    .b = shaped(b.with(y).view(), 1, 300, 60),
                                    .c = {c.raw().data, 3, {1, 50, 60}, {0, 60, 1}}});
      const std::vector<double> bits = on_host(c).to(float64).to_vector();
      if (run == 0) first = bits;
      EXPECT_EQ(bits, first);
    }
  }
}

}  // namespace
}  // namespace gradus
