// Every float32 kernel of each instruction set against the reference: odd sizes, any strides, empty; the same bits
// for any number of threads; and how a backend is chosen. Products have tests of their own (gemm_test.cpp).
#include "tensor/kernels/table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "tests/errors.h"
#include "tests/isas.h"

namespace gradus {
namespace {

using Ints = std::vector<int64_t>;
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

enum class Order { contiguous, reversed, stepped, flipped, expanded };
using Orders = std::vector<Order>;
const Orders all_orders = {Order::contiguous, Order::reversed, Order::stepped, Order::flipped, Order::expanded};
const Orders output_orders = {Order::contiguous, Order::reversed, Order::stepped};

// Large shapes, which are there for the threads, are tried in the first two orders only.
Orders worth_trying(const Orders& orders, const Ints& shape) {
  int64_t count = 1;
  for (int64_t size : shape) count *= size;
  return count < 5000 ? orders : Orders(orders.begin(), orders.begin() + 2);
}

// A view of `shape` laid out in memory in one of several ways, with the memory.
template <class T>
struct Array {
  using Cell = std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>;  // a vector of bool has no memory to view
  std::vector<Cell> memory;
  View view{};

  Array(const Ints& shape, Order order = Order::contiguous) {
    view.ndim = int(shape.size());
    int64_t step = order == Order::stepped ? 2 : 1, first = 0;
    for (int d = 0; d < view.ndim; ++d) view.shape[d] = shape[size_t(d)];
    for (int i = 0; i < view.ndim; ++i) {
      int d = order == Order::reversed ? i : view.ndim - 1 - i;
      view.strides[d] = step;
      if (order == Order::expanded && d == 0) {
        view.strides[d] = 0;
      } else {
        step *= std::max<int64_t>(view.shape[d], 1);
      }
      if (order == Order::flipped && view.shape[d] > 0) {
        first += view.strides[d] * (view.shape[d] - 1);
        view.strides[d] *= -1;
      }
    }
    memory.resize(size_t(step) + 1);
    view.data = memory.data() + first;
  }
  Array(const Array&) = delete;

  Array& randomise(uint32_t seed, double low = -3, double high = 3) {
    std::mt19937 random(seed);
    for (Cell& x : memory) x = Cell(low + (high - low) * double(random()) / 4294967296.0);
    return *this;
  }
  // In row-major order.
  std::vector<Cell> values() const {
    std::vector<Cell> list;
    for (int64_t i = 0; i < view.numel(); ++i) {
      int64_t at = 0, rest = i;
      for (int d = view.ndim - 1; d >= 0; --d) {
        at += rest % view.shape[d] * view.strides[d];
        rest /= view.shape[d];
      }
      list.push_back(view.as<Cell>()[at]);
    }
    return list;
  }
};

const std::vector<Ints> shapes = {{},         {0},     {1},       {7},        {17},        {1000},
                                  {3, 5},     {4, 33}, {0, 5},    {5, 0},     {2, 3, 4},   {130, 70},
                                  {3, 1, 65}, {70000}, {60, 900}, {9, 8, 16}, {2, 3, 5, 7}};

// Equal up to rounding; both NaN is equal, and so are equal infinities.
::testing::AssertionResult close(const std::vector<float>& y, const std::vector<float>& expected, double tolerance) {
  double scale = 1;
  for (float v : expected) {
    if (std::isfinite(v)) scale = std::max(scale, double(std::abs(v)));
  }
  if (y.size() != expected.size()) return ::testing::AssertionFailure() << "sizes differ";
  for (size_t i = 0; i < y.size(); ++i) {
    bool same = y[i] == expected[i] || (std::isnan(y[i]) && std::isnan(expected[i]));
    if (!same && !(std::abs(double(y[i]) - expected[i]) <= tolerance * scale)) {
      return ::testing::AssertionFailure()
             << "element " << i << " is " << y[i] << ", the reference has " << expected[i];
    }
  }
  return ::testing::AssertionSuccess();
}

class Kernels : public testing::EachIsa {
 protected:
  static KernelTable table() { return kernels(Device::cpu, float32); }
  KernelTable fast{}, plain = reference(table);

  void SetUp() override {
    EachIsa::SetUp();
    fast = table();
  }
};

TEST_P(Kernels, Unary) {
  for (const Ints& shape : shapes) {
    for (Order from : worth_trying(all_orders, shape)) {
      for (Order to : worth_trying(output_orders, shape)) {
        Array<float> x(shape, from), y(shape, to), expected(shape, to);
        x.randomise(1);
        for (int op = 0; op < int(Unary::count_); ++op) {
          SCOPED_TRACE("op " + std::to_string(op) + " of " + std::to_string(x.view.numel()));
          fast.unary(Unary(op), x.view, y.view, 0.7, 1.5);
          plain.unary(Unary(op), x.view, expected.view, 0.7, 1.5);
          ASSERT_TRUE(close(y.values(), expected.values(), 1e-6));
        }
      }
    }
  }
}

TEST_P(Kernels, UnarySpecialPowers) {
  Array<float> x({37}), y({37}), expected({37});
  x.randomise(1);
  for (double power : {2.0, 0.5, -1.0, -0.5, 3.0, 0.0, -2.0}) {
    fast.unary(Unary::pow, x.view, y.view, power, 0);
    plain.unary(Unary::pow, x.view, expected.view, power, 0);
    EXPECT_TRUE(close(y.values(), expected.values(), 1e-6)) << power;
  }
}

TEST_P(Kernels, UnaryGrad) {
  for (const Ints& shape : shapes) {
    for (Order from : worth_trying(all_orders, shape)) {
      for (Order to : worth_trying(output_orders, shape)) {
        Array<float> kept(shape, from), g(shape, to), dx(shape, to), expected(shape, to);
        kept.randomise(1);
        g.randomise(2);
        for (Unary op : {Unary::relu, Unary::leaky_relu, Unary::gelu, Unary::gelu_tanh, Unary::silu, Unary::softplus,
                         Unary::abs, Unary::clamp, Unary::tanh, Unary::sigmoid}) {
          fast.unary_grad(op, kept.view, g.view, dx.view, 0.3, 1.5);
          plain.unary_grad(op, kept.view, g.view, expected.view, 0.3, 1.5);
          ASSERT_TRUE(close(dx.values(), expected.values(), 1e-6)) << "op " << int(op);
        }
      }
    }
  }
}

TEST_P(Kernels, BinaryAndCompare) {
  for (const Ints& shape : shapes) {
    for (Order first : worth_trying(all_orders, shape)) {
      for (Order second : worth_trying(all_orders, shape)) {
        Array<float> a(shape, first), b(shape, second), y(shape), expected(shape);
        Array<bool> mask(shape, Order::contiguous), expected_mask(shape, Order::contiguous);
        a.randomise(1, -3, 3);
        b.randomise(2, -3, 3);
        if (a.memory.size() > 3) a.memory[1] = nan;
        if (b.memory.size() > 3) b.memory[2] = nan;
        a.memory[0] = b.memory[0];
        for (int op = 0; op < int(Binary::count_); ++op) {
          fast.binary(Binary(op), a.view, b.view, y.view);
          plain.binary(Binary(op), a.view, b.view, expected.view);
          ASSERT_TRUE(close(y.values(), expected.values(), 1e-6)) << "op " << op;
        }
        for (int op = 0; op < int(Compare::count_); ++op) {
          fast.compare(Compare(op), a.view, b.view, mask.view);
          plain.compare(Compare(op), a.view, b.view, expected_mask.view);
          ASSERT_EQ(mask.values(), expected_mask.values()) << "op " << op;
        }
      }
    }
  }
}

TEST_P(Kernels, ScalarOperands) {  // every stride 0
  for (int64_t n : {1, 5, 16, 100}) {
    Array<float> a({n}), y({n}), expected({n});
    a.randomise(1);
    float constant = 0.37f;
    View scalar{&constant, 1, {n}, {0}};
    for (int op = 0; op < int(Binary::count_); ++op) {
      for (bool left : {false, true}) {
        fast.binary(Binary(op), left ? scalar : a.view, left ? a.view : scalar, y.view);
        plain.binary(Binary(op), left ? scalar : a.view, left ? a.view : scalar, expected.view);
        EXPECT_TRUE(close(y.values(), expected.values(), 1e-6)) << "op " << op;
      }
    }
    fast.binary(Binary::add, scalar, scalar, y.view);
    EXPECT_EQ(y.values(), std::vector<float>(size_t(n), constant + constant));
  }
}

TEST_P(Kernels, PredicateAndWhere) {
  for (const Ints& shape : shapes) {
    for (Order from : worth_trying(all_orders, shape)) {
      for (Order to : worth_trying(output_orders, shape)) {
        Array<float> a(shape, from), b(shape), y(shape, to), expected(shape, to);
        Array<bool> mask(shape, to), expected_mask(shape, to), condition(shape, from);
        a.randomise(1);
        b.randomise(2);
        for (size_t i = 0; i < condition.memory.size(); ++i) condition.memory[i] = i * 7 % 3 == 0;
        if (a.memory.size() > 5) {
          a.memory[1] = nan;
          a.memory[2] = -INFINITY;
          a.memory[3] = 0;
        }
        for (int op = 0; op < int(Predicate::count_); ++op) {
          fast.predicate(Predicate(op), a.view, mask.view);
          plain.predicate(Predicate(op), a.view, expected_mask.view);
          ASSERT_EQ(mask.values(), expected_mask.values()) << "op " << op;
        }
        fast.where(condition.view, a.view, b.view, y.view);
        plain.where(condition.view, a.view, b.view, expected.view);
        ASSERT_TRUE(close(y.values(), expected.values(), 0));
      }
    }
  }
}

TEST_P(Kernels, CopyFillArange) {
  std::vector<Ints> more = shapes;
  more.insert(more.end(), {{100, 3, 100}, {65, 130}, {8, 8}, {64, 64}, {3, 70, 9}});
  for (const Ints& shape : more) {
    for (Order from : worth_trying(all_orders, shape)) {
      for (Order to : worth_trying(output_orders, shape)) {
        Array<float> x(shape, from), y(shape, to);
        x.randomise(3);
        fast.copy(x.view, y.view);
        ASSERT_EQ(x.values(), y.values());
        std::vector<float> before = y.memory;
        fast.fill(y.view, 1.25);
        ASSERT_EQ(y.values(), std::vector<float>(size_t(y.view.numel()), 1.25f));
        // Nothing between the elements of a stepped view, or after them, was touched.
        EXPECT_EQ(y.memory.back(), before.back());
      }
    }
  }
  // Two dimensions of three exchanged, each way.
  for (Ints strides : {Ints{1, 20, 380}, Ints{19, 1, 380}, Ints{380, 1, 20}, Ints{20, 380, 1}}) {
    std::vector<float> memory(19 * 20 * 21 * 4);
    std::iota(memory.begin(), memory.end(), 0.0f);
    View x{memory.data(), 3, {19, 20, 21}, {strides[0], strides[1], strides[2]}};
    Array<float> y({19, 20, 21}), expected({19, 20, 21});
    fast.copy(x, y.view);
    plain.copy(x, expected.view);
    EXPECT_EQ(y.values(), expected.values());
  }
  std::vector<float> y(11), expected(11);
  fast.arange(y.data(), 11, 0.5, -0.1);
  plain.arange(expected.data(), 11, 0.5, -0.1);
  EXPECT_EQ(y, expected);
}

TEST_P(Kernels, Reduce) {
  std::vector<Ints> more = shapes;
  more.insert(more.end(), {{100000},
                           {7, 40000},
                           {40000, 7},
                           {33, 20, 100},
                           {300, 5, 64},
                           {3000, 16},
                           {10000, 1},
                           {1, 10000},
                           {20000, 3}});
  for (const Ints& shape : more) {
    for (Order from : worth_trying(all_orders, shape)) {
      Array<float> x(shape, from);
      x.randomise(4, 0.97, 1.03);                                // a product of many such stays a number
      for (int which = 0; which < 1 << shape.size(); ++which) {  // the dimensions that are reduced
        Ints kept = shape;
        for (size_t d = 0; d < shape.size(); ++d) {
          if (which >> d & 1) kept[d] = 1;
        }
        Array<float> y(kept), expected(kept);
        View to = y.view, expected_to = expected.view;
        for (size_t d = 0; d < shape.size(); ++d) {
          to.shape[d] = expected_to.shape[d] = shape[d];
          if (which >> d & 1) to.strides[d] = expected_to.strides[d] = 0;
        }
        for (int op = 0; op < int(Reduce::count_); ++op) {
          SCOPED_TRACE("op " + std::to_string(op) + " dims " + std::to_string(which) + " order " +
                       std::to_string(int(from)) + " of " + std::to_string(x.view.numel()));
          fast.reduce(Reduce(op), x.view, to);
          plain.reduce(Reduce(op), x.view, expected_to);
          ASSERT_TRUE(close(y.values(), expected.values(), op == int(Reduce::prod) ? 1e-4 : 2e-6));
        }
      }
    }
  }
}

TEST_P(Kernels, ReduceSeesEveryNaN) {
  for (int64_t n : {1, 9, 16, 17, 70, 1000, 40000}) {
    for (int64_t at : {int64_t(0), n / 2, n - 1}) {
      std::vector<float> x(size_t(n), 1.0f);
      x[size_t(at)] = nan;
      float y = 0;
      View from{x.data(), 1, {n}, {1}}, to{&y, 1, {n}, {0}};
      for (int op = 0; op < int(Reduce::count_); ++op) {
        fast.reduce(Reduce(op), from, to);
        EXPECT_TRUE(std::isnan(y)) << "op " << op << " n " << n << " at " << at;
      }
      // and down a column
      std::vector<float> wide(size_t(n) * 3, 1.0f), out(3);
      wide[size_t(at) * 3 + 1] = nan;
      View columns{wide.data(), 2, {n, 3}, {3, 1}}, sums{out.data(), 2, {n, 3}, {0, 1}};
      fast.reduce(Reduce::max, columns, sums);
      EXPECT_EQ(out[0], 1);
      EXPECT_TRUE(std::isnan(out[1]));
    }
  }
}

// --- kernels on rows, by one description each ----------------------------------------------------------------------

// Inputs and outputs of a kernel on bare pointers; `call` runs it. Outputs begin with the values given, which
// a kernel that adds into them needs.
struct RowCase {
  std::string name;
  std::vector<std::vector<float>> inputs, outputs;
  std::function<void(const KernelTable&, const std::vector<std::vector<float>>&, std::vector<std::vector<float>>&)>
      call;
  double tolerance = 2e-6;
};

std::vector<float> numbers(int64_t n, uint32_t seed, double low = -2, double high = 2) {
  Array<float> x({n});
  x.randomise(seed, low, high);
  x.memory.resize(size_t(n));
  return x.memory;
}

std::vector<RowCase> row_cases(int64_t rows, int64_t n) {
  std::vector<RowCase> cases;
  auto x = numbers(rows * n, 1), g = numbers(rows * n, 2), w = numbers(n, 3), b = numbers(n, 4);
  auto y = numbers(rows * n, 5, 0, 0), row = numbers(rows, 6), rstd = numbers(rows, 7, 0.5, 2),
       column = numbers(n, 8);
  auto probabilities = numbers(rows * n, 9, 0, 1);
  using In = const std::vector<std::vector<float>>&;
  using Out = std::vector<std::vector<float>>&;
  cases.push_back({"softmax", {x}, {y}, [=](const KernelTable& k, In in, Out out) {
                     k.softmax(in[0].data(), out[0].data(), rows, n);
                   }});
  cases.push_back({"log_softmax", {x}, {y}, [=](const KernelTable& k, In in, Out out) {
                     k.log_softmax(in[0].data(), out[0].data(), rows, n);
                   }});
  cases.push_back({"softmax_grad",
                   {probabilities, g},
                   {y},
                   [=](const KernelTable& k, In in, Out out) {
                     k.softmax_grad(in[0].data(), in[1].data(), out[0].data(), rows, n);
                   },
                   1e-5});
  cases.push_back({"log_softmax_grad",
                   {x, g},
                   {y},
                   [=](const KernelTable& k, In in, Out out) {
                     k.log_softmax_grad(in[0].data(), in[1].data(), out[0].data(), rows, n);
                   },
                   1e-5});
  Ints targets;
  for (int64_t i = 0; i < rows; ++i) targets.push_back(i % 5 == 3 ? -1 : i * 7 % n);
  for (double smoothing : {0.0, 0.3}) {
    for (bool weighted : {false, true}) {
      CrossEntropy c{rows, n, -1, smoothing};
      auto weight = numbers(n, 16, 0, 2);
      cases.push_back({"cross_entropy", {x, weight}, {row, row}, [=](const KernelTable& k, In in, Out out) {
                         k.cross_entropy(c, in[0].data(), targets.data(), weighted ? in[1].data() : nullptr,
                                         out[0].data(), out[1].data());
                       }});
      cases.push_back({"cross_entropy_grad", {x, weight, rstd, row}, {y}, [=](const KernelTable& k, In in, Out out) {
                         k.cross_entropy_grad(c, in[0].data(), targets.data(), weighted ? in[1].data() : nullptr,
                                              in[2].data(), in[3].data(), out[0].data());
                       }});
    }
  }
  auto ties = x;  // the first of equals counts
  for (int64_t i = 0; i < rows * n; ++i) ties[size_t(i)] = float(int(x[size_t(i)] * 2));
  if (rows > 2) ties[size_t(2 * n + n / 2)] = nan;
  for (ArgReduce op : {ArgReduce::max, ArgReduce::min}) {
    for (const auto& values : {x, ties}) {
      cases.push_back({"arg_reduce",
                       {values},
                       {row},
                       [=](const KernelTable& k, In in, Out out) {
                         Ints found(size_t(rows), -1);
                         k.arg_reduce(op, in[0].data(), rows, n, found.data());
                         std::copy(found.begin(), found.end(), out[0].begin());
                       },
                       0});
    }
  }
  cases.push_back({"cumsum", {x}, {y}, [=](const KernelTable& k, In in, Out out) {
                     k.cumsum(in[0].data(), out[0].data(), 1, rows, n);
                   }});
  cases.push_back({"cumsum", {x}, {y}, [=](const KernelTable& k, In in, Out out) {
                     k.cumsum(in[0].data(), out[0].data(), rows, n, 1);
                   }});
  for (bool affine : {false, true}) {
    cases.push_back({"layer_norm", {x, w, b}, {y, row, row}, [=](const KernelTable& k, In in, Out out) {
                       k.layer_norm(in[0].data(), affine ? in[1].data() : nullptr, affine ? in[2].data() : nullptr,
                                    1e-3, rows, n, out[0].data(), out[1].data(), out[2].data());
                     }});
    cases.push_back(
        {"layer_norm_grad", {x, w, row, rstd, g}, {y, column, column}, [=](const KernelTable& k, In in, Out out) {
           k.layer_norm_grad(in[0].data(), affine ? in[1].data() : nullptr, in[2].data(), in[3].data(), in[4].data(),
                             rows, n, out[0].data(), affine ? out[1].data() : nullptr,
                             affine ? out[2].data() : nullptr);
         }});
    cases.push_back({"rms_norm", {x, w}, {y, row}, [=](const KernelTable& k, In in, Out out) {
                       k.rms_norm(in[0].data(), affine ? in[1].data() : nullptr, 1e-3, rows, n, out[0].data(),
                                  out[1].data());
                     }});
    cases.push_back({"rms_norm_grad", {x, w, rstd, g}, {y, column}, [=](const KernelTable& k, In in, Out out) {
                       k.rms_norm_grad(in[0].data(), affine ? in[1].data() : nullptr, in[2].data(), in[3].data(),
                                       rows, n, out[0].data(), affine ? out[1].data() : nullptr);
                     }});
    // as (batch, channels, inner) = (rows, n, 1) and, for the planes, (rows / 5, 5, n)
    for (bool planes : {false, true}) {
      if (planes && rows % 5) continue;
      int64_t batch = planes ? rows / 5 : rows, channels = planes ? 5 : n, inner = planes ? n : 1;
      auto c = numbers(channels, 10), r = numbers(channels, 11, 0.5, 2);
      cases.push_back({"batch_norm", {x, c, r}, {y, c, c}, [=](const KernelTable& k, In in, Out out) {
                         k.batch_norm(in[0].data(), affine ? in[1].data() : nullptr, affine ? in[2].data() : nullptr,
                                      1e-3, batch, channels, inner, out[0].data(), out[1].data(), out[2].data());
                       }});
      cases.push_back({"batch_norm_grad", {x, c, c, r, g}, {y, c, c}, [=](const KernelTable& k, In in, Out out) {
                         k.batch_norm_grad(in[0].data(), affine ? in[1].data() : nullptr, in[2].data(), in[3].data(),
                                           in[4].data(), batch, channels, inner, out[0].data(),
                                           affine ? out[1].data() : nullptr, affine ? out[2].data() : nullptr);
                       }});
      cases.push_back({"channel_affine", {x, c, r}, {y}, [=](const KernelTable& k, In in, Out out) {
                         k.channel_affine(in[0].data(), in[1].data(), affine ? in[2].data() : nullptr, batch,
                                          channels, inner, out[0].data());
                       }});
    }
  }
  for (double p : {0.0, 0.3, 1.0}) {
    cases.push_back({"dropout",
                     {x},
                     {y},
                     [=](const KernelTable& k, In in, Out out) {
                       k.dropout(in[0].data(), out[0].data(), rows * n, {7, 3}, p);
                     },
                     0});
  }
  // Also where the counter's lower word wraps round.
  for (uint64_t offset : {uint64_t(1) << 33, (uint64_t(1) << 32) - 3}) {
    for (Random kind : {Random::uniform, Random::normal, Random::bernoulli, Random::randint}) {
      cases.push_back({"random",
                       {},
                       {y},
                       [=](const KernelTable& k, In, Out out) {
                         k.random(kind, out[0].data(), rows * n, {7, offset}, 0.25, 3);
                       },
                       0});
    }
  }
  Ints index;  // with repetitions
  for (int64_t i = 0; i < 2 * rows; ++i) index.push_back(i * 7 % rows);
  cases.push_back({"index_select",
                   {x},
                   {numbers(2 * rows * n, 12)},
                   [=](const KernelTable& k, In in, Out out) {
                     k.index_select(in[0].data(), index.data(), out[0].data(), 1, rows, n, 2 * rows);
                   },
                   0});
  cases.push_back({"index_add",
                   {numbers(2 * rows * n, 12)},
                   {x},
                   [=](const KernelTable& k, In in, Out out) {
                     k.index_add(out[0].data(), index.data(), in[0].data(), 1, rows, n, 2 * rows);
                   },
                   0});
  Ints places;
  for (int64_t i = 0; i < rows * n; ++i) places.push_back(i * 5 % n);
  cases.push_back({"scatter_add",
                   {g},
                   {x},
                   [=](const KernelTable& k, In in, Out out) {
                     View y_view{out[0].data(), 2, {rows, n}, {n, 1}};
                     View index_view{const_cast<int64_t*>(places.data()), 2, {rows, n}, {n, 1}};
                     View x_view{const_cast<float*>(in[0].data()), 2, {rows, n}, {n, 1}};
                     k.scatter_add(y_view, index_view, x_view, 1);
                   },
                   0});
  auto state = numbers(rows * n, 13, 0, 1);
  for (bool extra : {false, true}) {
    double decay = extra ? 0.1 : 0, momentum = extra ? 0.9 : 0;
    for (bool first : {false, true}) {
      cases.push_back({"sgd_step", {g}, {x, state}, [=](const KernelTable& k, In in, Out out) {
                         k.sgd_step({0.1, momentum, 0.2, decay, extra && !first, first}, rows * n, out[0].data(),
                                    in[0].data(), extra ? out[1].data() : nullptr);
                       }});
    }
    cases.push_back({"adam_step", {g}, {x, state, state}, [=](const KernelTable& k, In in, Out out) {
                       k.adam_step({0.1, 0.9, 0.99, 1e-8, 0.1, extra, 3}, rows * n, out[0].data(), in[0].data(),
                                   out[1].data(), out[2].data());
                     }});
    auto mean = numbers(rows * n, 14, -0.01, 0.01);
    cases.push_back({"rmsprop_step",
                     {g},
                     {x, numbers(rows * n, 15, 1, 2), mean, state},
                     [=](const KernelTable& k, In in, Out out) {
                       k.rmsprop_step({0.1, 0.9, 1e-8, decay, momentum, extra}, rows * n, out[0].data(), in[0].data(),
                                      out[1].data(), extra ? out[2].data() : nullptr,
                                      extra ? out[3].data() : nullptr);
                     }});
    cases.push_back(
        {"adagrad_step", {g}, {x, state}, [=](const KernelTable& k, In in, Out out) {
           k.adagrad_step({0.1, 0.01, 1e-8, decay, 4}, rows * n, out[0].data(), in[0].data(), out[1].data());
         }});
  }
  return cases;
}

TEST_P(Kernels, Rows) {
  for (auto [rows, n] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {5, 1}, {3, 7}, {10, 16}, {7, 17}, {4, 100}, {300, 65}, {70, 1000}, {2000, 33}, {3, 5000}}) {
    for (const RowCase& c : row_cases(rows, n)) {
      auto y = c.outputs, expected = c.outputs;
      c.call(fast, c.inputs, y);
      c.call(plain, c.inputs, expected);
      for (size_t i = 0; i < y.size(); ++i) {
        EXPECT_TRUE(close(y[i], expected[i], c.tolerance))
            << c.name << ", output " << i << ", rows " << rows << " of " << n;
      }
    }
  }
}

TEST_P(Kernels, SoftmaxOfInfinities) {
  for (int64_t n : {3, 16, 50}) {
    auto x = numbers(n, 1);
    std::vector<float> y(size_t(n), 0), expected(size_t(n), 0);
    for (float special : {-INFINITY, INFINITY, nan}) {
      x[1] = special;
      fast.softmax(x.data(), y.data(), 1, n);
      plain.softmax(x.data(), expected.data(), 1, n);
      EXPECT_TRUE(close(y, expected, 1e-6)) << special;
      fast.log_softmax(x.data(), y.data(), 1, n);
      plain.log_softmax(x.data(), expected.data(), 1, n);
      EXPECT_TRUE(close(y, expected, 1e-6)) << special;
    }
  }
}

// --- threads -------------------------------------------------------------------------------------------------------

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

TEST_P(Kernels, RowsHaveTheSameBitsForAnyNumberOfThreads) {
  for (auto [rows, n] : std::vector<std::pair<int64_t, int64_t>>{{2000, 65}, {55, 4000}, {1, 200000}}) {
    for (const RowCase& c : row_cases(rows, n)) {
      set_num_threads(1);
      auto one = c.outputs;
      c.call(fast, c.inputs, one);
      for (int threads : {2, 4}) {
        set_num_threads(threads);
        auto more = c.outputs;
        c.call(fast, c.inputs, more);
        for (size_t i = 0; i < one.size(); ++i) {
          EXPECT_TRUE(same_bits(one[i], more[i])) << c.name << " output " << i << " with " << threads << " threads";
        }
      }
    }
  }
}

TEST_P(Kernels, ReductionsHaveTheSameBitsForAnyNumberOfThreads) {
  for (const Ints& shape : {Ints{300000}, Ints{5, 70000}, Ints{70000, 5}, Ints{40, 50, 60}, Ints{3000, 300}}) {
    Array<float> x(shape);
    x.randomise(5);
    for (int which = 1; which < 1 << shape.size(); ++which) {
      Ints kept = shape;
      for (size_t d = 0; d < shape.size(); ++d) {
        if (which >> d & 1) kept[d] = 1;
      }
      std::vector<float> one;
      for (int threads : {1, 2, 4}) {
        set_num_threads(threads);
        Array<float> y(kept);
        View to = y.view;
        for (size_t d = 0; d < shape.size(); ++d) {
          to.shape[d] = shape[d];
          if (which >> d & 1) to.strides[d] = 0;
        }
        fast.reduce(Reduce::sum, x.view, to);
        if (threads == 1) one = y.values();
        EXPECT_TRUE(same_bits(one, y.values())) << "dims " << which << " with " << threads << " threads";
      }
    }
  }
}

GRADUS_EACH_ISA(Kernels);

// --- the reference's own promises ----------------------------------------------------------------------------------

TEST(Reference, SaysWhatADtypeLacks) {
  float memory[4] = {};
  View v{memory, 1, {1}, {1}};
  EXPECT_EQ(testing::error_of([&] { kernels(Device::cpu, bfloat16).compare(Compare::lt, v, v, v); }),
            "compare: not implemented for bfloat16 on cpu");
  EXPECT_EQ(testing::error_of([&] { kernels(Device::cpu, int64).softmax(memory, memory, 1, 1); }),
            "softmax: not implemented for int64 on cpu");
  EXPECT_EQ(testing::error_of([&] { kernels(Device::cpu, int64).unary(Unary::exp, v, v, 0, 0); }),
            "exp: not implemented for int64 on cpu");
  EXPECT_EQ(testing::error_of([&] { kernels(Device::cpu, uint8).binary(Binary::div, v, v, v); }),
            "div: not implemented for uint8 on cpu");
}

TEST(Reference, Integers) {
  const KernelTable& k = kernels(Device::cpu, int64);
  int64_t big = (int64_t(1) << 60) + 1;
  Array<int64_t> x({4}), y({4});
  x.memory = {big, -3, 0, 7, 0};
  x.view.data = x.memory.data();
  k.unary(Unary::affine, x.view, y.view, -1, 2);
  EXPECT_EQ(y.values(), Ints({2 - big, 5, 2, -5}));
  k.unary(Unary::sign, x.view, y.view, 0, 0);
  EXPECT_EQ(y.values(), Ints({1, -1, 0, 1}));
  k.unary(Unary::clamp, x.view, y.view, -INFINITY, 5);
  EXPECT_EQ(y.values(), Ints({5, -3, 0, 5}));
  k.binary(Binary::pow, x.view, x.view, y.view);
  EXPECT_EQ(y.values()[3], 823543);
  EXPECT_EQ(y.values()[1], 0);  // (-3)^-3
  int64_t total = 0;
  View to{&total, 1, {4}, {0}};
  k.reduce(Reduce::sum, x.view, to);
  EXPECT_EQ(total, big + 4);
  k.reduce(Reduce::max, x.view, to);
  EXPECT_EQ(total, big);
  k.reduce(Reduce::min, x.view, to);
  EXPECT_EQ(total, -3);
}

TEST(Reference, BoolsCombineAsLogic) {
  const KernelTable& k = kernels(Device::cpu, boolean);
  bool a[] = {false, false, true, true}, b[] = {false, true, false, true}, y[4], one = false;
  View va{a, 1, {4}, {1}}, vb{b, 1, {4}, {1}}, vy{y, 1, {4}, {1}}, to{&one, 1, {4}, {0}};
  k.binary(Binary::minimum, va, vb, vy);
  EXPECT_TRUE(!y[0] && !y[1] && !y[2] && y[3]);
  k.binary(Binary::maximum, va, vb, vy);
  EXPECT_TRUE(!y[0] && y[1] && y[2] && y[3]);
  k.reduce(Reduce::max, va, to);
  EXPECT_TRUE(one);
  k.reduce(Reduce::min, va, to);
  EXPECT_FALSE(one);
  View nothing{a, 1, {0}, {1}}, from_nothing{&one, 1, {0}, {0}};
  k.reduce(Reduce::min, nothing, from_nothing);
  EXPECT_TRUE(one);  // all of none
}

TEST(Reference, Casts) {
  double x[] = {1.9, -1.9, 300, nan, 1e30};
  View from{x, 1, {5}, {1}};
  int64_t whole[5];
  uint8_t bytes[5];
  bool bools[5];
  BFloat16 halves[5];
  const KernelTable& k = kernels(Device::cpu, float64);
  k.cast(from, int64, View{whole, 1, {5}, {1}});
  EXPECT_EQ(Ints(whole, whole + 5), Ints({1, -1, 300, 0, INT64_MAX}));
  k.cast(from, uint8, View{bytes, 1, {5}, {1}});
  EXPECT_EQ(std::vector<int>(bytes, bytes + 4), std::vector<int>({1, 255, 44, 0}));
  k.cast(from, boolean, View{bools, 1, {5}, {1}});
  EXPECT_TRUE(bools[0] && bools[3]);
  k.cast(from, bfloat16, View{halves, 1, {5}, {1}});
  EXPECT_EQ(float(halves[0]), 1.8984375f);
}

// The test vector of counter 0 and key 0 that the authors of Philox publish with their code.
TEST(Reference, PhiloxIsPhilox) {
  PhiloxBlock block = philox({0, 0}, 0);
  EXPECT_EQ(block.v[0], 0x6627e8d5u);
  EXPECT_EQ(block.v[1], 0xe169c58du);
  EXPECT_EQ(block.v[2], 0xbc57ac4cu);
  EXPECT_EQ(block.v[3], 0x9b00dbd8u);
}

TEST(Reference, RandomNumbers) {
  const KernelTable& k = kernels(Device::cpu, float64);
  std::vector<double> y(1 << 16);
  k.random(Random::normal, y.data(), int64_t(y.size()), {42, 0}, 1, 2);
  double mean = 0, squares = 0, fourth = 0;
  for (double v : y) mean += v / double(y.size());
  for (double v : y) {
    double z = (v - 1) / 2;
    squares += z * z / double(y.size());
    fourth += z * z * z * z / double(y.size());
  }
  EXPECT_NEAR(mean, 1, 0.03);
  EXPECT_NEAR(squares, 1, 0.02);
  EXPECT_NEAR(fourth, 3, 0.15);
  k.random(Random::uniform, y.data(), int64_t(y.size()), {42, 0}, -1, 1);
  EXPECT_LT(*std::max_element(y.begin(), y.end()), 1);
  EXPECT_GE(*std::min_element(y.begin(), y.end()), -1);
  std::vector<float> f(1 << 16);
  kernels(Device::cpu, float32).random(Random::uniform, f.data(), int64_t(f.size()), {42, 0}, 1, 1 + 1e-6);
  for (float v : f) ASSERT_TRUE(v >= 1 && v < float(1 + 1e-6));  // rounding must not reach the end
  std::vector<int64_t> n(1 << 12);
  kernels(Device::cpu, int64).random(Random::randint, n.data(), int64_t(n.size()), {42, 0}, -3, 4);
  for (int64_t v = -3; v < 4; ++v) EXPECT_GT(std::count(n.begin(), n.end(), v), 450) << v;
  EXPECT_EQ(*std::max_element(n.begin(), n.end()), 3);
}

// To the last bit what this platform drew when the test was written: a seed must mean the same numbers everywhere.
TEST(Reference, NormalNumbersArePinned) {
  double y[4];
  kernels(Device::cpu, float64).random(Random::normal, y, 4, {42, 0}, 0, 1);
  EXPECT_EQ(y[0], -0x1.f0bcb754e0816p-1);
  EXPECT_EQ(y[1], 0x1.8d59cf78fb981p-3);
  EXPECT_EQ(y[2], -0x1.3c51a414c4135p+0);
  EXPECT_EQ(y[3], 0x1.ec8676a9f918ap+0);
}

// In float32, every instruction set draws the reference's bits, and what the formula gives in double.
TEST(Reference, NormalNumbersAreTheSameEverywhere) {
  constexpr int64_t n = 1 << 20;
  const PhiloxState state{3, 11};
  std::string before = isa();
  std::vector<double> exact(n);
  kernels(Device::cpu, float64).random(Random::normal, exact.data(), n, state, 0, 1);
  std::vector<float> expected(n), y(n);
  set_isa("reference");
  kernels(Device::cpu, float32).random(Random::normal, expected.data(), n, state, 0, 1);
  for (size_t i = 0; i < size_t(n); ++i) {  // near 1, the rounding of u is large beside the logarithm
    double radius = std::hypot(exact[i], exact[i ^ 1]);
    ASSERT_NEAR(expected[i], exact[i], 1e-6 + 0x1p-24 / radius) << i;
  }
  for (const char* name : {"avx2", "avx512", "neon"}) {
    if (!testing::has_isa(name)) continue;
    set_isa(name);
    kernels(Device::cpu, float32).random(Random::normal, y.data(), n, state, 0, 1);
    EXPECT_EQ(std::memcmp(y.data(), expected.data(), n * sizeof(float)), 0) << name;
  }
  set_isa(before.c_str());
}

TEST(Reference, StreamsContinue) {  // element i depends on the seed and offset + i / 4 alone
  const KernelTable& k = kernels(Device::cpu, float32);
  std::vector<float> whole(40000), later(200);
  for (Random kind : {Random::uniform, Random::normal}) {
    k.random(kind, whole.data(), int64_t(whole.size()), {9, 5}, 0, 1);
    k.random(kind, later.data(), int64_t(later.size()), {9, 5 + 5000}, 0, 1);
    EXPECT_TRUE(std::equal(later.begin(), later.end(), whole.begin() + 20000));
  }
}

// --- the choice of a backend ---------------------------------------------------------------------------------------

TEST(Dispatch, RefusesWhatItDoesNotKnowOrHave) {
  std::string before = isa();
  std::string unknown = testing::error_of([] { set_isa("sse9"); });
  EXPECT_NE(unknown.find("'sse9'; the names are reference, avx2, avx512, neon, and this machine has reference"),
            std::string::npos)
      << unknown;
  for (const char* name : {"avx2", "avx512", "neon"}) {
    if (testing::has_isa(name)) continue;
    std::string refusal = testing::error_of([&] { set_isa(name); });
    EXPECT_NE(refusal.find(std::string("this machine cannot run '") + name), std::string::npos) << refusal;
  }
  EXPECT_EQ(isa(), before);
  EXPECT_EQ(testing::error_of([] { kernels(Device::cuda, float32); }), "device cuda is not available in this build");
}

TEST(DispatchDeathTest, AWrongEnvironmentIsAnErrorOnFirstUse) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";  // a process of its own, in which nothing was chosen yet
  auto attempt = [] {
    setenv("GRADUS_ISA", "vax", 1);
    std::fputs(testing::error_of([] { kernels(Device::cpu, int64); }).c_str(), stderr);
    std::exit(3);
  };
  EXPECT_EXIT(attempt(), ::testing::ExitedWithCode(3), "GRADUS_ISA: unknown instruction set 'vax'");
}

}  // namespace
}  // namespace gradus
