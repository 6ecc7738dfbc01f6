// Element-wise kernels of the device against the reference's, in every layout and dtype.
#include <array>
#include <bit>
#include <limits>
#include <map>
#include <random>
#include <vector>

#include "tensor/kernels/cuda/space.h"
#include "tests/cuda/device.h"
#include "tests/errors.h"

namespace gradus::testing {
namespace {

// How a view of some shape lies in memory.
enum class Form { contiguous, reversed, swapped, stepped, shifted, expanded, row, scalar };
constexpr Form any_form[] = {Form::contiguous, Form::reversed, Form::swapped, Form::stepped,
                             Form::shifted,    Form::expanded, Form::row,     Form::scalar};
constexpr Form output_forms[] = {Form::contiguous, Form::reversed, Form::swapped, Form::stepped, Form::shifted};
const std::vector<Shape> shapes = {{}, {0}, {1}, {7}, {4099}, {3, 5, 16}, {33, 47}, {2, 3, 1, 4, 5, 2}};

// The memory, and in it the view.
struct Array {
  Tensor base;
  Form form;
  Shape shape;
  Tensor view() const {
    const int n = shape.size();
    if (n == 0) return base;
    switch (form) {
      case Form::contiguous: return base;
      case Form::reversed: {
        Dims order;
        for (int d = n; d-- > 0;) order.push_back(d);
        return base.permute(order);
      }
      case Form::swapped: return n > 1 ? base.transpose(-1, -2) : base;
      case Form::stepped: return base.slice(-1, 1, slice_end, 2);
      case Form::shifted: return base.narrow(-1, 1, shape[n - 1]);
      case Form::expanded:
      case Form::row:
      case Form::scalar: return base.expand(shape);
    }
    return base;
  }
};

Shape memory_shape(Form form, Shape shape) {
  const int n = shape.size();
  if (n == 0) return shape;
  if (form == Form::reversed) std::reverse(shape.begin(), shape.end());
  if (form == Form::swapped && n > 1) std::swap(shape[n - 1], shape[n - 2]);
  if (form == Form::stepped) shape[n - 1] = 2 * shape[n - 1] + 1;
  if (form == Form::shifted) ++shape[n - 1];
  if (form == Form::expanded) shape[0] = 1;
  if (form == Form::row) shape[n - 1] = 1;
  if (form == Form::scalar)
    for (int64_t& size : shape) size = 1;
  return shape;
}

// Numbers from -range to range, every now and then one that is none of the usual; the seed 0 makes usual ones alone.
Tensor numbers(const Shape& shape, DType dtype, uint32_t seed, double range = 4) {
  std::mt19937 random(seed);
  constexpr double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  const double special[] = {0.0, -0.0, inf, -inf, nan, 1e-40, -1e-40, 1e30, -1e30, 0.5, 2.5, -1.5, 1, -1, 3};
  std::vector<double> values(size_t(numel(shape)));
  for (double& v : values) {
    v = seed && random() % 16 == 0 && is_floating(dtype) ? special[random() % std::size(special)]
                                                         : range * (double(random()) / 2147483648.0 - 1);
    if (!is_floating(dtype)) v = std::round(v);
  }
  return from_vector(values, shape).to(dtype);
}

// The same array on the host and on the device.
struct Twins {
  Array host, device;
};
Twins twins(Form form, const Shape& shape, DType dtype, uint32_t seed, double range = 4) {
  const Tensor base = numbers(memory_shape(form, shape), dtype, seed, range);
  return {{base, form, shape}, {on_device(base), form, shape}};
}

// How many numbers of its type lie between two: 0 where both are NaN.
template <class Bits, class T>
uint64_t distance(T a, T b) {
  if (a != a || b != b) return a != a && b != b ? 0 : UINT64_MAX;
  const auto place = [](T x) {
    const Bits bits = std::bit_cast<Bits>(x);
    return int64_t(bits < 0 ? std::numeric_limits<Bits>::min() - bits : bits);
  };
  const int64_t p = place(a), q = place(b);
  return p > q ? uint64_t(p) - uint64_t(q) : uint64_t(q) - uint64_t(p);
}
uint64_t steps_between(double a, double b, DType dtype) {
  if (dtype == float64) return distance<int64_t>(a, b);
  const uint64_t steps = distance<int32_t>(float(a), float(b));
  return dtype == bfloat16 && steps != UINT64_MAX ? steps >> 16 : steps;
}

// All of the memory, also what lies between the elements of the view. What denormal numbers give may be zero.
void expect_same(const Twins& y, uint64_t steps, double absolute = 0x1p-126) {
  const std::vector<double> got = on_host(y.device.base).to_vector(), wanted = y.host.base.to_vector();
  const DType dtype = y.host.base.dtype();
  for (size_t i = 0; i < wanted.size(); ++i) {
    const bool same = got[i] == 0 && wanted[i] == 0 ? std::signbit(got[i]) == std::signbit(wanted[i])
                                                    : steps_between(got[i], wanted[i], dtype) <= steps ||
                                                          std::abs(got[i] - wanted[i]) <= absolute;
    ASSERT_TRUE(same) << "element " << i << " of " << to_string(y.host.base.shape()) << ", form " << int(y.host.form)
                      << ": " << got[i] << ", expected " << wanted[i];
  }
}

// The tolerance, in steps: what CUDA's functions allow themselves, and what formulas of several make of it.
uint64_t steps_allowed(Unary op) {
  switch (op) {
    case Unary::gelu_tanh: return 64;
    case Unary::gelu: return 16;
    case Unary::pow:
    case Unary::softplus:
    case Unary::sigmoid:
    case Unary::silu: return 8;
    default: return 4;
  }
}

class Elementwise : public OnDevice {};

// Calls f(twins of the result, twins of the operands...) for every shape, form of the result and of the operands.
template <int operands, class F>
void each_layout(DType from, DType to, const F& f, double range = 4) {
  uint32_t seed = 1;
  for (const Shape& shape : shapes) {
    for (const Form form : any_form) {
      for (const Form output : output_forms) {
        SCOPED_TRACE(to_string(shape) + ", forms " + std::to_string(int(form)) + ", " + std::to_string(int(output)));
        const Twins y = twins(output, shape, to, ++seed), x = twins(form, shape, from, ++seed, range);
        // The others are laid out in turn like the first, as plainly as can be, and like another.
        const Form other = any_form[seed / 2 % std::size(any_form)];
        if constexpr (operands == 1)
          f(y, x);
        else
          f(y, x, twins(other, shape, from, ++seed, range));
        if (::testing::Test::HasFatalFailure()) return;
      }
    }
  }
}

const DType numbers_types[] = {float32, float64, int64, uint8, bfloat16};
const DType all_types[] = {float32, float64, int64, boolean, uint8, bfloat16};

bool suits(Unary op, DType dtype) {
  return is_floating(dtype) || op == Unary::affine || op == Unary::abs || op == Unary::sign || op == Unary::square ||
         op == Unary::clamp || op == Unary::relu;
}

// The reference's table, for bfloat16 that of float32 between conversions.
void reference_unary(Unary op, const Array& x, const Array& y, double a, double b) {
  if (x.base.dtype() != bfloat16)
    return kernels(Device::cpu, x.base.dtype()).unary(op, x.view().raw(), y.view().raw(), a, b);
  const Tensor wide = x.view().to(float32), result = empty(wide.shape());
  kernels(Device::cpu, float32).unary(op, wide.raw(), result.raw(), a, b);
  kernels(Device::cpu, bfloat16).copy(result.to(bfloat16).raw(), y.view().raw());
}

TEST_F(Elementwise, Unary) {
  for (const DType dtype : numbers_types) {
    for (int k = 0; k < int(Unary::count_); ++k) {
      const Unary op = Unary(k);
      if (!suits(op, dtype)) continue;
      SCOPED_TRACE(to_string(dtype) + ", op " + std::to_string(k));
      const double a = op == Unary::clamp ? -1 : 2.3, b = op == Unary::softplus ? 20 : 1.5;
      const uint64_t steps = dtype == bfloat16 ? 1 : is_floating(dtype) ? steps_allowed(op) : 0;
      const auto check_one = [&](const Twins& y, const Twins& x) {
        reference_unary(op, x.host, y.host, a, b);
        device_kernels(dtype).unary(op, x.device.view().raw(), y.device.view().raw(), a, b);
        expect_same(y, steps);
      };
      // Each op in the layouts that differ in its kernels; all layouts with one.
      if (op == Unary::affine) {
        each_layout<1>(dtype, dtype, check_one);
      } else {
        check_one(twins(Form::contiguous, {4099}, dtype, 1), twins(Form::contiguous, {4099}, dtype, 2));
        check_one(twins(Form::contiguous, {24, 32}, dtype, 3), twins(Form::row, {24, 32}, dtype, 4));
        check_one(twins(Form::stepped, {3, 100}, dtype, 5), twins(Form::reversed, {3, 100}, dtype, 6));
      }
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(Elementwise, PowersThatNetworksUse) {
  for (const DType dtype : {float32, bfloat16}) {
    for (const double exponent : {3.0, 2.0, 0.5, -1.0, -0.5, 0.0, 1.0}) {
      SCOPED_TRACE(to_string(dtype) + ", exponent " + std::to_string(exponent));
      const Twins x = twins(Form::contiguous, {301}, dtype, 1), y = twins(Form::contiguous, {301}, dtype, 2);
      reference_unary(Unary::pow, x.host, y.host, exponent, 0);
      device_kernels(dtype).unary(Unary::pow, x.device.base.raw(), y.device.base.raw(), exponent, 0);
      expect_same(y, dtype == float32 ? 4 : 1);
    }
  }
}

TEST_F(Elementwise, UnaryGrad) {
  const Unary ops[] = {Unary::relu,     Unary::leaky_relu, Unary::gelu,  Unary::gelu_tanh, Unary::silu,
                       Unary::softplus, Unary::abs,        Unary::clamp, Unary::tanh,      Unary::sigmoid};
  for (const DType dtype : {float32, float64, bfloat16}) {
    for (const Unary op : ops) {
      SCOPED_TRACE(to_string(dtype) + ", op " + std::to_string(int(op)));
      const double a = op == Unary::clamp ? -1 : 1.3, b = op == Unary::softplus ? 20 : 1.5;
      each_layout<2>(
          dtype, dtype,
          [&](const Twins& dx, const Twins& any, const Twins& other) {
            if (op != Unary::relu && dx.host.shape != Shape{33, 47} && dx.host.shape != Shape{4099}) return;
            // gelu_tanh's formula overflows beyond 1e19, on the CPU too.
            const Twins x = op == Unary::gelu_tanh ? twins(any.host.form, any.host.shape, dtype, 0) : any;
            const Twins g = twins(other.host.form, dx.host.shape, dtype, 0);
            const View there[] = {x.device.view().raw(), g.device.view().raw(), dx.device.view().raw()};
            device_kernels(dtype).unary_grad(op, there[0], there[1], there[2], a, b);
            const Tensor kept = x.host.view().to(float64), from = g.host.view().to(float64),
                         result = empty(kept.shape(), {.dtype = float64});
            kernels(Device::cpu, float64)
                .unary_grad(op, kept.raw(), from.raw(), result.raw(), dtype == float64 ? a : float(a), b);
            kernels(Device::cpu, dtype).copy(result.to(dtype).raw(), dx.host.view().raw());
            // Derivatives pass zero, where the error is that of their terms.
            expect_same(dx, dtype == bfloat16 ? 1 : 16, dtype == float64 ? 1e-13 : 1e-5);
          },
          2);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(Elementwise, Binary) {
  for (const DType dtype : all_types) {
    for (int k = 0; k < int(Binary::count_); ++k) {
      const Binary op = Binary(k);
      if (op == Binary::div && !is_floating(dtype)) continue;
      SCOPED_TRACE(to_string(dtype) + ", op " + std::to_string(k));
      const uint64_t steps = op != Binary::pow   ? 0
                             : dtype == float32  ? 4
                             : dtype == bfloat16 ? 1
                             : dtype == float64  ? 2
                                                 : 0;
      each_layout<2>(dtype, dtype, [&](const Twins& y, const Twins& a, const Twins& b) {
        if (op > Binary::sub && y.host.shape.size() > 2) return;
        kernels(Device::cpu, dtype).binary(op, a.host.view().raw(), b.host.view().raw(), y.host.view().raw());
        device_kernels(dtype).binary(op, a.device.view().raw(), b.device.view().raw(), y.device.view().raw());
        expect_same(y, steps);
      });
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(Elementwise, CompareAndPredicate) {
  for (const DType dtype : all_types) {
    // bfloat16 is compared as the float32 that it stands for.
    const DType by = dtype == bfloat16 ? float32 : dtype;
    for (int k = 0; k < int(Compare::count_); ++k) {
      each_layout<2>(
          dtype, boolean,
          [&](const Twins& y, const Twins& a, const Twins& b) {
            if (k > 1 && y.host.shape.size() > 1) return;
            kernels(Device::cpu, by)
                .compare(Compare(k), a.host.view().to(by).raw(), b.host.view().to(by).raw(), y.host.view().raw());
            device_kernels(dtype).compare(Compare(k), a.device.view().raw(), b.device.view().raw(),
                                          y.device.view().raw());
            expect_same(y, 0);
          },
          1);
    }
    for (int k = 0; k < int(Predicate::count_); ++k) {
      each_layout<1>(dtype, boolean, [&](const Twins& y, const Twins& x) {
        kernels(Device::cpu, by).predicate(Predicate(k), x.host.view().to(by).raw(), y.host.view().raw());
        device_kernels(dtype).predicate(Predicate(k), x.device.view().raw(), y.device.view().raw());
        expect_same(y, 0, 0);
      });
    }
    if (HasFatalFailure()) return;
  }
}

TEST_F(Elementwise, Where) {
  for (const DType dtype : all_types) {
    each_layout<2>(dtype, dtype, [&](const Twins& y, const Twins& a, const Twins& b) {
      for (const Form form : any_form) {
        const Twins condition = twins(form, y.host.shape, boolean, 7, 1);
        kernels(Device::cpu, dtype)
            .where(condition.host.view().raw(), a.host.view().raw(), b.host.view().raw(), y.host.view().raw());
        device_kernels(dtype).where(condition.device.view().raw(), a.device.view().raw(), b.device.view().raw(),
                                    y.device.view().raw());
        expect_same(y, 0, 0);
      }
    });
  }
}

TEST_F(Elementwise, FillAndCopy) {
  for (const DType dtype : all_types) {
    each_layout<1>(dtype, dtype, [&](const Twins& y, const Twins& x) {
      for (const double value : {-2.75, 0.0, 300.0, std::numeric_limits<double>::quiet_NaN(), 1e300}) {
        kernels(Device::cpu, dtype).fill(y.host.view().raw(), value);
        device_kernels(dtype).fill(y.device.view().raw(), value);
        expect_same(y, 0, 0);
      }
      kernels(Device::cpu, dtype).copy(x.host.view().raw(), y.host.view().raw());
      device_kernels(dtype).copy(x.device.view().raw(), y.device.view().raw());
      expect_same(y, 0, 0);
    });
  }
}

// Tiles full and not, by words and by elements, with dimensions around them.
TEST_F(Elementwise, Transposition) {
  for (const DType dtype : {float32, float64, bfloat16, uint8}) {
    for (const Shape& shape :
         std::vector<Shape>{{64, 128}, {70, 45}, {16, 200}, {3, 40, 36}, {132, 260}, {2, 17, 3, 33}}) {
      const int n = shape.size();
      for (int order = 0; order < 3; ++order) {
        for (const Form output : {Form::contiguous, Form::shifted, Form::swapped}) {
          const Tensor from = numbers(shape, dtype, 3), there = on_device(from);
          const auto turn = [&](const Tensor& t) {
            return order == 0   ? t.transpose(0, n - 1)
                   : order == 1 ? t.transpose(n - 2, n - 1)
                                : t.transpose(0, n - 2);
          };
          const Twins y = twins(output, turn(from).shape(), dtype, 4);
          kernels(Device::cpu, dtype).copy(turn(from).raw(), y.host.view().raw());
          device_kernels(dtype).copy(turn(there).raw(), y.device.view().raw());
          expect_same(y, 0, 0);
        }
      }
    }
  }
}

TEST_F(Elementwise, Cast) {
  for (const DType from : all_types) {
    for (const DType to : all_types) {
      SCOPED_TRACE(to_string(from) + " to " + to_string(to));
      each_layout<1>(
          from, to,
          [&, from, to](const Twins& y, const Twins& x) {
            kernels(Device::cpu, from).cast(x.host.view().raw(), to, y.host.view().raw());
            device_kernels(from).cast(x.device.view().raw(), to, y.device.view().raw());
            expect_same(y, 0, 0);
          },
          1000);
      if (HasFatalFailure()) return;
    }
  }
  const std::vector<double> limits = {9.3e18, -9.3e18, 9223372036854774784.0, 1e300, 255.9, 256,
                                      -1,     65537,   3.3895314e38,          1e39};
  for (const DType to : all_types) {
    const Tensor x = from_vector(limits, {10}), there = on_device(x);
    EXPECT_EQ(difference(there.to(to), x.to(to), 0), "") << to_string(to);
    EXPECT_EQ(difference(there.to(float32).to(to), x.to(float32).to(to), 0), "") << to_string(to);
    EXPECT_EQ(difference(there.to(bfloat16).to(to), x.to(bfloat16).to(to), 0), "") << to_string(to);
  }
}

TEST_F(Elementwise, ArangeAndTriangle) {
  for (const DType dtype : numbers_types) {
    for (const int64_t n : {0, 1, 255, 1000}) {
      const Tensor x = zeros({n}, {.dtype = dtype}), there = on_device(x);
      const DType by = dtype == bfloat16 ? float32 : dtype;
      const Tensor expected = zeros({n}, {.dtype = by});
      kernels(Device::cpu, by).arange(pointer(expected), n, -1.75, 0.3);
      device_kernels(dtype).arange(pointer(there), n, -1.75, 0.3);
      EXPECT_EQ(difference(there, expected.to(dtype), 0), "") << to_string(dtype) << n;
    }
  }
  for (const DType dtype : all_types) {
    each_layout<1>(dtype, dtype, [&](const Twins& y, const Twins& x) {
      if (x.host.shape.size() < 2) return;
      for (const int64_t diagonal : {-40, -1, 0, 2}) {
        for (const bool upper : {false, true}) {
          kernels(Device::cpu, dtype).triangle(x.host.view().raw(), y.host.view().raw(), diagonal, upper);
          device_kernels(dtype).triangle(x.device.view().raw(), y.device.view().raw(), diagonal, upper);
          expect_same(y, 0, 0);
        }
      }
    });
  }
}

TEST_F(Elementwise, InPlace) {
  for (const Form form : {Form::contiguous, Form::swapped, Form::shifted}) {
    const Twins x = twins(form, {33, 47}, float32, 1), other = twins(Form::row, {33, 47}, float32, 2);
    for (const Array* side : {&x.host, &x.device}) {
      const View v = side->view().raw();
      const KernelTable& table = kernels(side->base.device(), float32);
      table.unary(Unary::relu, v, v, 0, 0);
      table.binary(Binary::sub, side == &x.host ? other.host.view().raw() : other.device.view().raw(), v, v);
      table.binary(Binary::add, v, v, v);
    }
    expect_same(x, 0);
  }
}

TEST_F(Elementwise, WhatIntegersLack) {
  const Tensor x = on_device(zeros({3}, {.dtype = int64}));
  EXPECT_THROW(device_kernels(int64).unary(Unary::exp, x.raw(), x.raw(), 0, 0), Error);
  EXPECT_THROW(device_kernels(int64).binary(Binary::div, x.raw(), x.raw(), x.raw()), Error);
  EXPECT_THROW(device_kernels(boolean).unary(Unary::abs, x.raw(), x.raw(), 0, 0), Error);
}

TEST(Space, DivisorDivides) {
  std::mt19937 random(1);
  for (uint32_t d : {1u, 2u, 3u, 5u, 7u, 641u, 65535u, 65536u, 1u << 30, (1u << 31) - 1}) {
    const cuda::Divisor divisor(d);
    for (uint32_t n : {0u, 1u, d - 1, d, 2 * d - 1, INT32_MAX - 1u, uint32_t(INT32_MAX)}) {
      if (n > INT32_MAX) continue;
      EXPECT_EQ(divisor.quotient(n), n / d) << n << " / " << d;
    }
    for (int i = 0; i < 1000; ++i) {
      const uint32_t n = uint32_t(random()) >> 1;
      EXPECT_EQ(divisor.quotient(n), n / d) << n << " / " << d;
    }
  }
}

TEST(Space, MergesWhatLiesTogether) {
  const View y{nullptr, 4, {2, 1, 3, 4}, {12, 5, 4, 1}}, x{nullptr, 4, {2, 1, 3, 4}, {0, 0, 0, 1}};
  EXPECT_EQ(cuda::collapse<1>({&y}).ndim, 1);
  const cuda::Space<2> s = cuda::collapse<2>({&y, &x});
  EXPECT_EQ(s.ndim, 2);
  EXPECT_EQ(s.shape[0], 6);
  EXPECT_EQ(s.strides[0][0], 4);
  EXPECT_EQ(s.strides[1][0], 0);
}

// Pieces together are the whole, each within the limit.
TEST(Space, Pieces) {
  const View y{nullptr, 3, {7, 300, 5}, {1500, 5, 1}}, x{nullptr, 3, {7, 300, 5}, {-1, 0, 21}};
  std::map<std::pair<int64_t, int64_t>, int> visits;
  cuda::in_pieces(
      cuda::collapse<2>({&y, &x}),
      [&](const cuda::Space<2>& s) {
        EXPECT_LE(s.numel(), 500);
        for (int64_t i = 0; i < s.numel(); ++i) {
          int64_t rest = i, at[2] = {s.start[0], s.start[1]};
          for (int d = s.ndim; d-- > 0; rest /= s.shape[d])
            for (int k = 0; k < 2; ++k) at[k] += rest % s.shape[d] * s.strides[k][d];
          ++visits[{at[0], at[1]}];
        }
      },
      500);
  EXPECT_EQ(visits.size(), 7 * 300 * 5);
  for (int64_t i = 0; i < 7 * 300 * 5; ++i) EXPECT_EQ((visits[{i, -(i / 1500) + i % 5 * 21}]), 1);
}

}  // namespace
}  // namespace gradus::testing
