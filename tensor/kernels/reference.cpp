// Every kernel as plain loops: the oracle that the other backends are tested against, and the backend of all dtypes
// but float32. Formulas and sums are evaluated in double (integers: in int64_t) and rounded once to the table's
// dtype, so that for float32 an error of a few units in the last place is always the other backend's.
#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstring>
#include <limits>
#include <numeric>
#include <type_traits>
#include <utility>
#include <vector>

#include "tensor/error.h"
#include "tensor/kernels/backends.h"
#include "tensor/kernels/distributions.h"
#include "tensor/kernels/names.h"

namespace gradus::reference {
namespace {

#include "tensor/kernels/cpu/vec_scalar.h"
#include "tensor/kernels/elementwise.h"

// --- what all kernels use ------------------------------------------------------------------------------------------

template <class T>
concept Element = true;
template <class T>
concept Arithmetic = std::is_arithmetic_v<T>;
template <class T>
concept Number = Arithmetic<T> && !std::same_as<T, bool>;
template <class T>
concept Floating = std::floating_point<T>;
template <class T>
concept Multiplied = Number<T> || std::same_as<T, BFloat16>;

// What T is computed in.
template <class T>
using Wide = std::conditional_t<std::integral<T>, int64_t, double>;

template <class T>
Wide<T> widen(T x) {
  if constexpr (std::same_as<T, BFloat16>)
    return float(x);
  else
    return x;
}

// To bool: whether not zero. To an integer: truncated; what int64_t cannot hold becomes its nearest value,
// NaN 0, and uint8_t takes the lowest bits of that.
template <class T, class From>
T convert(From x) {
  if constexpr (std::same_as<T, bool>) {
    return x != 0;
  } else if constexpr (std::integral<T> && std::floating_point<From>) {
    int64_t whole = x >= From(0x1p63) ? INT64_MAX : x < From(-0x1p63) ? INT64_MIN : x != x ? 0 : int64_t(x);
    return T(whole);
  } else if constexpr (std::same_as<T, BFloat16>) {
    return BFloat16(float(x));
  } else {
    return T(x);
  }
}

// Calls f(offset in the first view, offset in the second ...) for every element, in row-major order.
template <class F, class... Rest>
void walk(F f, const View& first, const Rest&... rest) {
  constexpr int count = 1 + sizeof...(Rest);
  const View* views[count] = {&first, &rest...};
  int last = first.ndim - 1;
  int64_t inner = last >= 0 ? first.shape[last] : 1, steps[count] = {};
  for (int k = 0; last >= 0 && k < count; ++k) steps[k] = views[k]->strides[last];
  int64_t rows = inner ? first.numel() / inner : 0, index[8] = {}, at[count] = {};
  for (; rows > 0; --rows) {
    [&]<size_t... k>(std::index_sequence<k...>) {
      for (int64_t i = 0; i < inner; ++i) f(at[k] + i * steps[k]...);
    }
    (std::make_index_sequence<count>());
    for (int d = last - 1; d >= 0; --d) {
      for (int k = 0; k < count; ++k) at[k] += views[k]->strides[d];
      if (++index[d] < first.shape[d]) break;
      for (int k = 0; k < count; ++k) at[k] -= views[k]->strides[d] * index[d];
      index[d] = 0;
    }
  }
}

bool is_contiguous(const View& x) {
  int64_t step = 1;
  for (int d = x.ndim - 1; d >= 0; --d) {
    if (x.shape[d] != 1 && x.strides[d] != step) return false;
    step *= x.shape[d];
  }
  return true;
}

template <class T>
const T* in(const void* data) {
  return static_cast<const T*>(data);
}
template <class T>
T* out(void* data) {
  return static_cast<T*>(data);
}

// weight[i], or 1 where there is none.
template <class T>
double scale_at(const void* weight, int64_t i) {
  return weight ? double(in<T>(weight)[i]) : 1;
}

// --- element-wise --------------------------------------------------------------------------------------------------

constexpr bool suits_integers(Unary op) {
  return op == Unary::affine || op == Unary::abs || op == Unary::sign || op == Unary::square || op == Unary::clamp ||
         op == Unary::relu;
}
constexpr bool suits_integers(Binary op) { return op != Binary::div; }

// The functions of one family, indexed by its enum; null where W has no such operation.
template <class W, class Op, class Function, template <class, Op> class Make>
constexpr auto family() {
  return []<size_t... k>(std::index_sequence<k...>) {
    return std::array<Function, sizeof...(k)>{Make<W, Op(k)>::function()...};
  }
  (std::make_index_sequence<size_t(Op::count_)>());
}

template <class W, auto op, class... Operands>
struct MakeApply {
  static constexpr W (*function())(Operands...) {
    if constexpr (std::integral<W> && !suits_integers(op))
      return nullptr;
    else
      return apply<op, W>;
  }
};
template <class W, Unary op>
using MakeUnary = MakeApply<W, op, W, W, W>;
template <class W, Binary op>
using MakeBinary = MakeApply<W, op, W, W>;
template <class W, Unary op>
struct MakeGrad {
  static constexpr W (*function())(W, W, W, W) {
    if constexpr (!has_grad(op))
      return nullptr;
    else
      return apply_grad<op, W>;
  }
};
template <class W, Compare op>
struct MakeCompare {
  static constexpr bool (*function())(W, W) { return apply<op, W>; }
};

template <Number T>
void unary(Unary op, const View& x, const View& y, double a, double b) {
  using W = Wide<T>;
  static constexpr auto functions = family<W, Unary, W (*)(W, W, W), MakeUnary>();
  auto function = functions[size_t(op)];
  check(function, unary_names[size_t(op)], ": not implemented for ", dtype_of<T>, " on cpu");
  W wide_a = convert<T>(a), wide_b = convert<T>(b);
  walk([&](int64_t i, int64_t o) { y.as<T>()[o] = T(function(x.as<T>()[i], wide_a, wide_b)); }, x, y);
}

template <Floating T>
void unary_grad(Unary op, const View& kept, const View& g, const View& dx, double a, double b) {
  static constexpr auto functions = family<double, Unary, double (*)(double, double, double, double), MakeGrad>();
  auto function = functions[size_t(op)];
  check(function, "unary_grad: not implemented for ", unary_names[size_t(op)]);
  walk([&](int64_t i, int64_t j,
           int64_t o) { dx.as<T>()[o] = T(function(kept.as<T>()[i], g.as<T>()[j], T(a), T(b))); },
       kept, g, dx);
}

template <class T>
requires Arithmetic<T> || std::same_as<T, BFloat16>
void binary(Binary op, const View& a, const View& b, const View& y) {
  using W = Wide<T>;
  static constexpr auto functions = family<W, Binary, W (*)(W, W), MakeBinary>();
  auto function = functions[size_t(op)];
  check(function, binary_names[size_t(op)], ": not implemented for ", dtype_of<T>, " on cpu");
  walk([&](int64_t i, int64_t j,
           int64_t o) { y.as<T>()[o] = convert<T>(function(widen(a.as<T>()[i]), widen(b.as<T>()[j]))); },
       a, b, y);
}

template <Arithmetic T>
void compare(Compare op, const View& a, const View& b, const View& y) {
  using W = Wide<T>;
  static constexpr auto functions = family<W, Compare, bool (*)(W, W), MakeCompare>();
  auto function = functions[size_t(op)];
  walk([&](int64_t i, int64_t j, int64_t o) { y.as<bool>()[o] = function(a.as<T>()[i], b.as<T>()[j]); }, a, b, y);
}

template <Arithmetic T>
void predicate(Predicate op, const View& x, const View& y) {
  walk(
      [&](int64_t i, int64_t o) {
        double v = double(x.as<T>()[i]);
        y.as<bool>()[o] = op == Predicate::isfinite ? apply<Predicate::isfinite>(v)
                          : op == Predicate::isnan  ? apply<Predicate::isnan>(v)
                          : op == Predicate::isinf  ? apply<Predicate::isinf>(v)
                                                    : apply<Predicate::logical_not>(v);
      },
      x, y);
}

template <Element T>
void where(const View& condition, const View& a, const View& b, const View& y) {
  walk([&](int64_t c, int64_t i, int64_t j,
           int64_t o) { y.as<T>()[o] = condition.as<bool>()[c] ? a.as<T>()[i] : b.as<T>()[j]; },
       condition, a, b, y);
}

template <Element T>
void fill(const View& y, double value) {
  T v = convert<T>(value);
  if (is_contiguous(y))
    std::fill_n(y.as<T>(), y.numel(), v);
  else
    walk([&](int64_t o) { y.as<T>()[o] = v; }, y);
}

template <Element T>
void copy(const View& x, const View& y) {
  if (is_contiguous(x) && is_contiguous(y)) {
    std::copy_n(x.as<T>(), x.numel(), y.as<T>());
  } else {
    walk([&](int64_t i, int64_t o) { y.as<T>()[o] = x.as<T>()[i]; }, x, y);
  }
}

template <class From, class To>
void cast_to(const View& x, const View& y) {
  if (is_contiguous(x) && is_contiguous(y)) {
    // What holds a From exactly, and no wider: compilers turn these loops into vector code.
    using Middle = std::conditional_t<sizeof(From) == 1, int, std::conditional_t<sizeof(From) == 2, float, From>>;
    for (int64_t i = 0, n = x.numel(); i < n; ++i) y.as<To>()[i] = convert<To>(Middle(x.as<From>()[i]));
    return;
  }
  walk([&](int64_t i, int64_t o) { y.as<To>()[o] = convert<To>(widen(x.as<From>()[i])); }, x, y);
}

template <Element T>
void cast(const View& x, DType to, const View& y) {
  switch (to) {
    case DType::float32: return cast_to<T, float>(x, y);
    case DType::float64: return cast_to<T, double>(x, y);
    case DType::int64: return cast_to<T, int64_t>(x, y);
    case DType::boolean: return cast_to<T, bool>(x, y);
    case DType::uint8: return cast_to<T, uint8_t>(x, y);
    case DType::bfloat16: return cast_to<T, BFloat16>(x, y);
  }
}

template <Number T>
void arange(void* y, int64_t n, double start, double step) {
  Wide<T> first = convert<Wide<T>>(start), by = convert<Wide<T>>(step);
  for (int64_t i = 0; i < n; ++i) out<T>(y)[i] = T(first + Wide<T>(i) * by);
}

template <Element T>
void triangle(const View& x, const View& y, int64_t diagonal, bool upper) {
  int64_t rows = x.shape[x.ndim - 2], columns = x.shape[x.ndim - 1], at = 0;
  walk(
      [&](int64_t i, int64_t o) {
        int64_t distance = at % columns - at / columns % rows;
        bool keep = upper ? distance >= diagonal : distance <= diagonal;
        y.as<T>()[o] = keep ? x.as<T>()[i] : convert<T>(0.0);
        ++at;
      },
      x, y);
}

// --- random --------------------------------------------------------------------------------------------------------

// randint multiplies the range, at most 2^32, by one word and keeps the upper half (Lemire 2019, without the
// rejection: no number is likelier than another by more than range / 2^32).
template <Arithmetic T>
void random(Random kind, void* y, int64_t n, PhiloxState state, double a, double b) {
  check(Floating<T> || kind == Random::bernoulli || kind == Random::randint,
        "random: ", kind == Random::uniform ? "uniform" : "normal", " is not implemented for ", dtype_of<T>,
        " on cpu");
  PhiloxBlock block{};
  NormalPair pair{};
  one_lane::NormalPair floats{one_lane::Vec(0), one_lane::Vec(0)};
  for (int64_t i = 0; i < n; ++i) {
    if (i % 4 == 0) block = philox(state, uint64_t(i / 4));
    uint32_t word = block.v[i % 4];
    double value = 0;
    switch (kind) {
      case Random::uniform:
        if constexpr (Floating<T>) value = uniform_from(word, T(a), T(b));
        break;
      case Random::normal:  // two words make two numbers
        if constexpr (std::same_as<T, float>) {
          if (i % 2 == 0) floats = one_lane::normal_from({word}, {block.v[i % 4 + 1]});
          value = std::fma(float(b), (i % 2 ? floats.second : floats.first).v, float(a));
        } else {
          if (i % 2 == 0) pair = normal_from(word, block.v[i % 4 + 1]);
          value = a + b * (i % 2 ? pair.second : pair.first);
        }
        break;
      case Random::bernoulli: value = word < threshold(a); break;
      case Random::randint: value = a + double(uint64_t(word) * uint64_t(b - a) >> 32); break;
      case Random::count_: break;
    }
    out<T>(y)[i] = convert<T>(value);
  }
}

template <Floating T>
void dropout(const void* x, void* y, int64_t n, PhiloxState state, double p) {
  uint64_t kept = threshold(1 - p);
  T scale = T(1 / (1 - p));
  PhiloxBlock block{};
  for (int64_t i = 0; i < n; ++i) {
    if (i % 4 == 0) block = philox(state, uint64_t(i / 4));
    out<T>(y)[i] = block.v[i % 4] < kept ? in<T>(x)[i] * scale : T(0);
  }
}

// --- reductions ----------------------------------------------------------------------------------------------------

template <Reduce op, class T>
void reduce_by(const View& x, const View& y) {
  using W = Wide<T>;
  constexpr W start = [] {
    if constexpr (std::integral<T> && op == Reduce::max)
      return W(std::numeric_limits<T>::lowest());
    else if constexpr (std::integral<T> && op == Reduce::min)
      return W(std::numeric_limits<T>::max());
    else
      return W(identity<op>());
  }();
  View kept_x{x.data, 0, {}, {}}, kept_y{y.data, 0, {}, {}}, reduced{x.data, 0, {}, {}};
  auto add = [](View& view, int64_t size, int64_t stride) {
    view.shape[view.ndim] = size;
    view.strides[view.ndim++] = stride;
  };
  for (int d = 0; d < x.ndim; ++d) {
    if (y.strides[d] == 0) {
      add(reduced, x.shape[d], x.strides[d]);
    } else {
      add(kept_x, x.shape[d], x.strides[d]);
      add(kept_y, x.shape[d], y.strides[d]);
    }
  }
  walk(
      [&](int64_t base, int64_t o) {
        W total = start;
        walk([&](int64_t i) { total = absorb<op>(total, W(x.as<T>()[base + i])); }, reduced);
        y.as<T>()[o] = convert<T>(total);
      },
      kept_x, kept_y);
}

template <Arithmetic T>
void reduce(Reduce op, const View& x, const View& y) {
  switch (op) {
    case Reduce::sum: return reduce_by<Reduce::sum, T>(x, y);
    case Reduce::prod: return reduce_by<Reduce::prod, T>(x, y);
    case Reduce::max: return reduce_by<Reduce::max, T>(x, y);
    case Reduce::min: return reduce_by<Reduce::min, T>(x, y);
    case Reduce::sum_squares: return reduce_by<Reduce::sum_squares, T>(x, y);
    case Reduce::count_: return;
  }
}

template <Arithmetic T>
void arg_reduce(ArgReduce op, const void* x, int64_t rows, int64_t n, int64_t* y) {
  for (int64_t r = 0; r < rows; ++r) {
    const T* row = in<T>(x) + r * n;
    int64_t best = 0;
    for (int64_t i = 1; i < n && row[best] == row[best]; ++i) {
      bool better = op == ArgReduce::max ? row[i] > row[best] : row[i] < row[best];
      if (better || row[i] != row[i]) best = i;
    }
    y[r] = best;
  }
}

template <Number T>
void cumsum(const void* x, void* y, int64_t outer, int64_t n, int64_t inner) {
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t j = 0; j < inner; ++j) {
      Wide<T> total = 0;
      for (int64_t i = 0; i < n; ++i) {
        int64_t at = (o * n + i) * inner + j;
        total += in<T>(x)[at];
        out<T>(y)[at] = T(total);
      }
    }
  }
}

template <Arithmetic T>
void sort(const void* x, int64_t rows, int64_t n, bool descending, void* values, int64_t* indices) {
  auto less = [](T a, T b) { return b != b ? a == a : a < b; };  // NaN counts as the largest
  for (int64_t r = 0; r < rows; ++r) {
    const T* row = in<T>(x) + r * n;
    int64_t* order = indices + r * n;
    std::iota(order, order + n, int64_t(0));
    std::stable_sort(order, order + n,
                     [&](int64_t i, int64_t j) { return descending ? less(row[j], row[i]) : less(row[i], row[j]); });
    for (int64_t i = 0; i < n; ++i) out<T>(values)[r * n + i] = row[order[i]];
  }
}

// --- rows ----------------------------------------------------------------------------------------------------------

template <Floating T>
double row_max(const T* x, int64_t n) {
  double largest = identity<Reduce::max>();
  for (int64_t i = 0; i < n; ++i) largest = maximum(largest, double(x[i]));
  return largest;
}

template <Floating T>
void softmax(const void* x, void* y, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r) {
    const T* row = in<T>(x) + r * n;
    double largest = row_max(row, n), total = 0;
    for (int64_t i = 0; i < n; ++i) total += exp(row[i] - largest);
    for (int64_t i = 0; i < n; ++i) out<T>(y)[r * n + i] = T(exp(row[i] - largest) / total);
  }
}

template <Floating T>
void softmax_grad(const void* y, const void* g, void* dx, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r) {
    const T *yr = in<T>(y) + r * n, *gr = in<T>(g) + r * n;
    double dot = 0;
    for (int64_t i = 0; i < n; ++i) dot += double(yr[i]) * gr[i];
    for (int64_t i = 0; i < n; ++i) out<T>(dx)[r * n + i] = T(yr[i] * (gr[i] - dot));
  }
}

template <Floating T>
void log_softmax(const void* x, void* y, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r) {
    const T* row = in<T>(x) + r * n;
    double largest = row_max(row, n), total = 0;
    for (int64_t i = 0; i < n; ++i) total += exp(row[i] - largest);
    for (int64_t i = 0; i < n; ++i) out<T>(y)[r * n + i] = T(row[i] - largest - log(total));
  }
}

template <Floating T>
void log_softmax_grad(const void* y, const void* g, void* dx, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r) {
    const T *yr = in<T>(y) + r * n, *gr = in<T>(g) + r * n;
    double total = 0;
    for (int64_t i = 0; i < n; ++i) total += gr[i];
    for (int64_t i = 0; i < n; ++i) out<T>(dx)[r * n + i] = T(gr[i] - exp(double(yr[i])) * total);
  }
}

// The shares q_c of the classes in the loss of a row.
template <Floating T>
double share(const CrossEntropy& c, const void* weight, int64_t target, int64_t at) {
  double even = c.label_smoothing / double(c.classes);
  return scale_at<T>(weight, at) * (at == target ? 1 - c.label_smoothing + even : even);
}

//! [cross_entropy]
template <Floating T>
void cross_entropy(const CrossEntropy& c, const void* x, const int64_t* target, const void* weight, void* loss,
                   void* log_sum) {
  for (int64_t r = 0; r < c.rows; ++r) {
    const T* row = in<T>(x) + r * c.classes;
    double largest = row_max(row, c.classes), total = 0, sum = 0;
    for (int64_t i = 0; i < c.classes; ++i) total += exp(row[i] - largest);
    for (int64_t i = 0; i < c.classes; ++i) {
      double q = share<T>(c, weight, target[r], i);
      if (q != 0) sum += q * (largest + log(total) - row[i]);
    }
    out<T>(loss)[r] = target[r] == c.ignore_index ? T(0) : T(sum);
    out<T>(log_sum)[r] = T(largest + log(total));
  }
}
//! [cross_entropy]

//! [cross_entropy_grad]
template <Floating T>
void cross_entropy_grad(const CrossEntropy& c, const void* x, const int64_t* target, const void* weight,
                        const void* log_sum, const void* g, void* dx) {
  for (int64_t r = 0; r < c.rows; ++r) {
    const T* row = in<T>(x) + r * c.classes;
    double total = 0;
    for (int64_t i = 0; i < c.classes; ++i) total += share<T>(c, weight, target[r], i);
    for (int64_t i = 0; i < c.classes; ++i) {
      double p = exp(row[i] - double(in<T>(log_sum)[r])), q = share<T>(c, weight, target[r], i);
      out<T>(dx)[r * c.classes + i] = target[r] == c.ignore_index ? T(0) : T(in<T>(g)[r] * (p * total - q));
    }
  }
}
//! [cross_entropy_grad]

template <Floating T>
void layer_norm(const void* x, const void* weight, const void* bias, double eps, int64_t rows, int64_t n, void* y,
                void* mean, void* rstd) {
  for (int64_t r = 0; r < rows; ++r) {
    const T* row = in<T>(x) + r * n;
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; ++i) sum += row[i];
    double mu = sum / double(n);
    for (int64_t i = 0; i < n; ++i) squares += (row[i] - mu) * (row[i] - mu);
    double scale = 1 / sqrt(squares / double(n) + eps);
    for (int64_t i = 0; i < n; ++i) {
      double shift = bias ? double(in<T>(bias)[i]) : 0;
      out<T>(y)[r * n + i] = T((row[i] - mu) * scale * scale_at<T>(weight, i) + shift);
    }
    out<T>(mean)[r] = T(mu);
    out<T>(rstd)[r] = T(scale);
  }
}

template <Floating T>
void layer_norm_grad(const void* x, const void* weight, const void* mean, const void* rstd, const void* g,
                     int64_t rows, int64_t n, void* dx, void* dw, void* db) {
  std::vector<double> sum_w(size_t(n), 0), sum_b(size_t(n), 0);
  for (int64_t r = 0; r < rows; ++r) {
    const T *xr = in<T>(x) + r * n, *gr = in<T>(g) + r * n;
    double mu = in<T>(mean)[r], scale = in<T>(rstd)[r], sum = 0, dot = 0;
    for (int64_t i = 0; i < n; ++i) {
      double normal = (xr[i] - mu) * scale, gi = gr[i] * scale_at<T>(weight, i);
      sum += gi;
      dot += gi * normal;
      sum_w[size_t(i)] += gr[i] * normal;
      sum_b[size_t(i)] += gr[i];
    }
    for (int64_t i = 0; i < n; ++i) {
      double normal = (xr[i] - mu) * scale, gi = gr[i] * scale_at<T>(weight, i);
      out<T>(dx)[r * n + i] = T(scale * (gi - (sum + normal * dot) / double(n)));
    }
  }
  for (int64_t i = 0; dw && i < n; ++i) out<T>(dw)[i] = T(sum_w[size_t(i)]);
  for (int64_t i = 0; db && i < n; ++i) out<T>(db)[i] = T(sum_b[size_t(i)]);
}

template <Floating T>
void rms_norm(const void* x, const void* weight, double eps, int64_t rows, int64_t n, void* y, void* rstd) {
  for (int64_t r = 0; r < rows; ++r) {
    const T* row = in<T>(x) + r * n;
    double squares = 0;
    for (int64_t i = 0; i < n; ++i) squares += double(row[i]) * row[i];
    double scale = 1 / sqrt(squares / double(n) + eps);
    for (int64_t i = 0; i < n; ++i) out<T>(y)[r * n + i] = T(row[i] * scale * scale_at<T>(weight, i));
    out<T>(rstd)[r] = T(scale);
  }
}

template <Floating T>
void rms_norm_grad(const void* x, const void* weight, const void* rstd, const void* g, int64_t rows, int64_t n,
                   void* dx, void* dw) {
  std::vector<double> sum_w(size_t(n), 0);
  for (int64_t r = 0; r < rows; ++r) {
    const T *xr = in<T>(x) + r * n, *gr = in<T>(g) + r * n;
    double scale = in<T>(rstd)[r], dot = 0;
    for (int64_t i = 0; i < n; ++i) {
      dot += gr[i] * scale_at<T>(weight, i) * xr[i] * scale;
      sum_w[size_t(i)] += double(gr[i]) * xr[i] * scale;
    }
    for (int64_t i = 0; i < n; ++i) {
      double gi = gr[i] * scale_at<T>(weight, i);
      out<T>(dx)[r * n + i] = T(scale * (gi - xr[i] * scale * dot / double(n)));
    }
  }
  for (int64_t i = 0; dw && i < n; ++i) out<T>(dw)[i] = T(sum_w[size_t(i)]);
}

// Calls f(offset) for every element of channel c.
template <class F>
void walk_channel(int64_t batch, int64_t channels, int64_t inner, int64_t c, F f) {
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t j = 0; j < inner; ++j) f((b * channels + c) * inner + j);
  }
}

template <Floating T>
void batch_norm(const void* x, const void* weight, const void* bias, double eps, int64_t batch, int64_t channels,
                int64_t inner, void* y, void* mean, void* rstd) {
  for (int64_t c = 0; c < channels; ++c) {
    double sum = 0, squares = 0, count = double(batch * inner);
    walk_channel(batch, channels, inner, c, [&](int64_t i) { sum += in<T>(x)[i]; });
    double mu = sum / count;
    walk_channel(batch, channels, inner, c, [&](int64_t i) { squares += (in<T>(x)[i] - mu) * (in<T>(x)[i] - mu); });
    double scale = 1 / sqrt(squares / count + eps), shift = bias ? double(in<T>(bias)[c]) : 0;
    walk_channel(batch, channels, inner, c,
                 [&](int64_t i) { out<T>(y)[i] = T((in<T>(x)[i] - mu) * scale * scale_at<T>(weight, c) + shift); });
    out<T>(mean)[c] = T(mu);
    out<T>(rstd)[c] = T(scale);
  }
}

template <Floating T>
void batch_norm_grad(const void* x, const void* weight, const void* mean, const void* rstd, const void* g,
                     int64_t batch, int64_t channels, int64_t inner, void* dx, void* dw, void* db) {
  for (int64_t c = 0; c < channels; ++c) {
    double mu = in<T>(mean)[c], scale = in<T>(rstd)[c], sum = 0, dot = 0, count = double(batch * inner);
    walk_channel(batch, channels, inner, c, [&](int64_t i) {
      sum += in<T>(g)[i];
      dot += in<T>(g)[i] * (in<T>(x)[i] - mu) * scale;
    });
    walk_channel(batch, channels, inner, c, [&](int64_t i) {
      double normal = (in<T>(x)[i] - mu) * scale;
      out<T>(dx)[i] = T(scale_at<T>(weight, c) * scale * (in<T>(g)[i] - (sum + normal * dot) / count));
    });
    if (dw) out<T>(dw)[c] = T(dot);
    if (db) out<T>(db)[c] = T(sum);
  }
}

template <Floating T>
void channel_affine(const void* x, const void* scale, const void* shift, int64_t batch, int64_t channels,
                    int64_t inner, void* y) {
  for (int64_t c = 0; c < channels; ++c) {
    double factor = in<T>(scale)[c], offset = shift ? double(in<T>(shift)[c]) : 0;
    walk_channel(batch, channels, inner, c,
                 [&](int64_t i) { out<T>(y)[i] = T(double(in<T>(x)[i]) * factor + offset); });
  }
}

// --- indexing ------------------------------------------------------------------------------------------------------

// `x` with the shape of `index`, and its stride along `dim` set aside: f(offset in x, in index, in y).
template <class F>
void walk_indexed(const View& x, const View& index, const View& y, int dim, F f) {
  View along = x;
  along.strides[dim] = 0;
  walk([&](int64_t j, int64_t i, int64_t o) { f(i + index.as<int64_t>()[j] * x.strides[dim], o); }, index, along, y);
}

template <Element T>
void gather(const View& x, const View& index, const View& y, int dim) {
  walk_indexed(x, index, y, dim, [&](int64_t i, int64_t o) { y.as<T>()[o] = x.as<T>()[i]; });
}

template <Number T>
void scatter_add(const View& y, const View& index, const View& x, int dim) {
  walk_indexed(y, index, x, dim, [&](int64_t o, int64_t i) { y.as<T>()[o] = T(y.as<T>()[o] + x.as<T>()[i]); });
}

template <Element T>
void index_select(const void* x, const int64_t* index, void* y, int64_t outer, int64_t n, int64_t inner,
                  int64_t count) {
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t k = 0; k < count; ++k) {
      std::copy_n(in<T>(x) + (o * n + index[k]) * inner, inner, out<T>(y) + (o * count + k) * inner);
    }
  }
}

template <Number T>
void index_add(void* y, const int64_t* index, const void* x, int64_t outer, int64_t n, int64_t inner, int64_t count) {
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t k = 0; k < count; ++k) {
      T* to = out<T>(y) + (o * n + index[k]) * inner;
      const T* from = in<T>(x) + (o * count + k) * inner;
      for (int64_t j = 0; j < inner; ++j) to[j] = T(to[j] + from[j]);
    }
  }
}

// --- products ------------------------------------------------------------------------------------------------------

double activate(Activation activation, double x) {
  switch (activation) {
    case Activation::relu: return apply<Unary::relu>(x, 0.0, 0.0);
    case Activation::gelu: return apply<Unary::gelu>(x, 0.0, 0.0);
    case Activation::gelu_tanh: return apply<Unary::gelu_tanh>(x, 0.0, 0.0);
    case Activation::none: break;
  }
  return x;
}

template <Multiplied T>
void matmul(const Matmul& m) {
  const View &a = m.a, &b = m.b, &c = m.c;
  int64_t rows = c.shape[1], columns = c.shape[2], depth = a.shape[2];
  std::vector<Wide<T>> sums(size_t(columns), 0);
  for (int64_t p = 0; p < c.shape[0]; ++p) {
    for (int64_t i = 0; i < rows; ++i) {
      std::fill(sums.begin(), sums.end(), 0);
      for (int64_t k = 0; k < depth; ++k) {
        Wide<T> factor = widen(a.as<T>()[p * a.strides[0] + i * a.strides[1] + k * a.strides[2]]);
        const T* row = b.as<T>() + p * b.strides[0] + k * b.strides[1];
        for (int64_t j = 0; j < columns; ++j) sums[size_t(j)] += factor * widen(row[j * b.strides[2]]);
      }
      T* to = c.as<T>() + p * c.strides[0] + i * c.strides[1];
      for (int64_t j = 0; j < columns; ++j) {
        Wide<T> value = Wide<T>(m.alpha) * sums[size_t(j)];
        if (m.residual) value += widen(in<T>(m.residual)[to - c.as<T>() + j]);
        if (m.bias) value += widen(in<T>(m.bias)[j]);
        to[j] = convert<T>(m.activation == Activation::none ? value : Wide<T>(activate(m.activation, double(value))));
      }
    }
  }
}

// b is read where it lies.
template <Multiplied T>
void pack(const View&, void*) {}
template <Multiplied T>
void matmul_packed(const Matmul& m) {
  matmul<T>(m);
}

// Calls f(offset in x, offset in w, offset in y) for every product that makes up a convolution: each element
// of y is the sum of x w over its calls.
template <class F>
void walk_conv(const Conv2d& c, F f) {
  int64_t in_group = c.in_channels / c.groups, out_group = c.out_channels / c.groups;
  for (int64_t b = 0; b < c.batch; ++b) {
    for (int64_t o = 0; o < c.out_channels; ++o) {
      for (int64_t k = 0; k < in_group; ++k) {
        int64_t plane = b * c.in_channels + o / out_group * in_group + k;
        for (int64_t kh = 0; kh < c.kernel_h; ++kh) {
          for (int64_t kw = 0; kw < c.kernel_w; ++kw) {
            int64_t w = ((o * in_group + k) * c.kernel_h + kh) * c.kernel_w + kw;
            for (int64_t i = 0; i < c.out_h; ++i) {
              int64_t row = i * c.stride_h - c.pad_h + kh * c.dilation_h;
              if (row < 0 || row >= c.height) continue;
              for (int64_t j = 0; j < c.out_w; ++j) {
                int64_t column = j * c.stride_w - c.pad_w + kw * c.dilation_w;
                if (column < 0 || column >= c.width) continue;
                f((plane * c.height + row) * c.width + column, w,
                  ((b * c.out_channels + o) * c.out_h + i) * c.out_w + j);
              }
            }
          }
        }
      }
    }
  }
}

template <class T>
void store(const std::vector<double>& sums, void* y) {
  for (size_t i = 0; i < sums.size(); ++i) out<T>(y)[i] = T(sums[i]);
}

template <Floating T>
void conv2d(const Conv2d& c, const void* x, const void* w, const void* bias, void* y) {
  int64_t plane = c.out_h * c.out_w;
  std::vector<double> sums(size_t(c.batch * c.out_channels * plane), 0);
  for (size_t i = 0; bias && i < sums.size(); ++i) sums[i] = in<T>(bias)[int64_t(i) / plane % c.out_channels];
  walk_conv(c, [&](int64_t i, int64_t k, int64_t o) { sums[size_t(o)] += double(in<T>(x)[i]) * in<T>(w)[k]; });
  store<T>(sums, y);
}

template <Floating T>
void conv2d_grad_input(const Conv2d& c, const void* g, const void* w, void* dx) {
  std::vector<double> sums(size_t(c.batch * c.in_channels * c.height * c.width), 0);
  walk_conv(c, [&](int64_t i, int64_t k, int64_t o) { sums[size_t(i)] += double(in<T>(g)[o]) * in<T>(w)[k]; });
  store<T>(sums, dx);
}

template <Floating T>
void conv2d_grad_weight(const Conv2d& c, const void* x, const void* g, void* dw) {
  std::vector<double> sums(size_t(c.out_channels * (c.in_channels / c.groups) * c.kernel_h * c.kernel_w), 0);
  walk_conv(c, [&](int64_t i, int64_t k, int64_t o) { sums[size_t(k)] += double(in<T>(x)[i]) * in<T>(g)[o]; });
  store<T>(sums, dw);
}

// Where a pooling window begins and ends in the plane, cut off at its edges, and what an average divides by.
struct Window {
  int64_t top, bottom, left, right;
  double size;
};

Window window_at(const Pool2d& p, int64_t i, int64_t j) {
  if (p.adaptive) {
    Window w{i * p.height / p.out_h, ((i + 1) * p.height + p.out_h - 1) / p.out_h, j * p.width / p.out_w,
             ((j + 1) * p.width + p.out_w - 1) / p.out_w, 0};
    w.size = double((w.bottom - w.top) * (w.right - w.left));
    return w;
  }
  int64_t top = i * p.stride_h - p.pad_h, left = j * p.stride_w - p.pad_w;
  int64_t bottom = std::min(top + p.kernel_h, p.height + p.pad_h),
          right = std::min(left + p.kernel_w, p.width + p.pad_w);
  Window w{std::max<int64_t>(top, 0), std::min(bottom, p.height), std::max<int64_t>(left, 0),
           std::min(right, p.width), 0};
  w.size = double(p.count_include_pad ? (bottom - top) * (right - left) : (w.bottom - w.top) * (w.right - w.left));
  return w;
}

// Calls f(offset of the plane in x, window, offset in y) for every output.
template <class F>
void walk_windows(const Pool2d& p, F f) {
  for (int64_t n = 0; n < p.planes; ++n) {
    for (int64_t i = 0; i < p.out_h; ++i) {
      for (int64_t j = 0; j < p.out_w; ++j) {
        f(n * p.height * p.width, window_at(p, i, j), (n * p.out_h + i) * p.out_w + j);
      }
    }
  }
}

// The place of the largest element of the window in its plane; NaN wins.
template <Floating T>
int64_t largest_in(const Pool2d& p, const Window& w, const T* plane) {
  int64_t best = w.top * p.width + w.left;
  for (int64_t h = w.top; h < w.bottom; ++h) {
    for (int64_t v = w.left; v < w.right; ++v) {
      int64_t at = h * p.width + v;
      if (plane[best] == plane[best] && (plane[at] > plane[best] || plane[at] != plane[at])) best = at;
    }
  }
  return best;
}

template <Floating T>
void max_pool2d(const Pool2d& p, const void* x, void* y, int64_t* argmax) {
  walk_windows(p, [&](int64_t plane, const Window& w, int64_t o) {
    int64_t best = largest_in(p, w, in<T>(x) + plane);
    const T largest = in<T>(x)[plane + best];
    out<T>(y)[o] = p.relu ? apply<Unary::relu>(largest, T(0), T(0)) : largest;
    if (argmax) argmax[o] = best;
  });
}

template <Floating T>
void max_pool2d_grad(const Pool2d& p, const void* x, const void* g, void* dx) {
  std::vector<double> sums(size_t(p.planes * p.height * p.width), 0);
  walk_windows(p, [&](int64_t plane, const Window& w, int64_t o) {
    const int64_t best = plane + largest_in(p, w, in<T>(x) + plane);
    if (!(p.relu && in<T>(x)[best] <= 0)) sums[size_t(best)] += in<T>(g)[o];
  });
  store<T>(sums, dx);
}

template <Floating T>
void avg_pool2d(const Pool2d& p, const void* x, void* y) {
  walk_windows(p, [&](int64_t plane, const Window& w, int64_t o) {
    double total = 0;
    for (int64_t h = w.top; h < w.bottom; ++h) {
      for (int64_t v = w.left; v < w.right; ++v) total += in<T>(x)[plane + h * p.width + v];
    }
    out<T>(y)[o] = T(total / w.size);
  });
}

template <Floating T>
void avg_pool2d_grad(const Pool2d& p, const void* g, void* dx) {
  std::vector<double> sums(size_t(p.planes * p.height * p.width), 0);
  walk_windows(p, [&](int64_t plane, const Window& w, int64_t o) {
    for (int64_t h = w.top; h < w.bottom; ++h) {
      for (int64_t v = w.left; v < w.right; ++v) sums[size_t(plane + h * p.width + v)] += in<T>(g)[o] / w.size;
    }
  });
  store<T>(sums, dx);
}

// --- optimisers ----------------------------------------------------------------------------------------------------

// Runs `update` on element i of the parameter, the gradient and each state; a null state is a scratch zero.
template <class T, class Update, class... States>
void step(const Update& update, int64_t n, void* p, const void* g, States*... states) {
  for (int64_t i = 0; i < n; ++i) {
    double parameter = out<T>(p)[i];
    double values[] = {states ? double(out<T>(states)[i]) : 0 ...};
    [&]<size_t... k>(std::index_sequence<k...>) {
      update(parameter, double(in<T>(g)[i]), values[k]...);
      ((states ? void(out<T>(states)[i] = T(values[k])) : void()), ...);
    }
    (std::index_sequence_for<States...>());
    out<T>(p)[i] = T(parameter);
  }
}

template <Floating T>
void sgd_step(const SgdStep& o, int64_t n, void* p, const void* g, void* momentum) {
  step<T>(SgdUpdate<double>(o), n, p, g, momentum);
}
template <Floating T>
void adam_step(const AdamStep& o, int64_t n, void* p, const void* g, void* m, void* v) {
  step<T>(AdamUpdate<double>(o), n, p, g, m, v);
}
template <Floating T>
void rmsprop_step(const RmspropStep& o, int64_t n, void* p, const void* g, void* v, void* mean, void* momentum) {
  step<T>(RmspropUpdate<double>(o), n, p, g, v, mean, momentum);
}
template <Floating T>
void adagrad_step(const AdagradStep& o, int64_t n, void* p, const void* g, void* sum) {
  step<T>(AdagradUpdate<double>(o), n, p, g, sum);
}

// --- the table -----------------------------------------------------------------------------------------------------

// Stands in the table where a kernel above does not admit T; the arguments follow from the entry's type.
template <Kernel kernel, class T, class... Arguments>
void missing(Arguments...) {
  fail({kernel_names[kernel], ": not implemented for ", dtype_of<T>, " on cpu"});
}

template <class T>
void fill_for(KernelTable& table) {
#define GRADUS_ENTRY(name, arguments)                                   \
  if constexpr (requires { static_cast<void(*) arguments>(&name<T>); }) \
    table.name = &name<T>;                                              \
  else                                                                  \
    table.name = &missing<kernel_##name, T>;
  GRADUS_KERNELS(GRADUS_ENTRY)
#undef GRADUS_ENTRY
}

}  // namespace

void fill_table(KernelTable& table, DType dtype) {
  switch (dtype) {
    case DType::float32: return fill_for<float>(table);
    case DType::float64: return fill_for<double>(table);
    case DType::int64: return fill_for<int64_t>(table);
    case DType::boolean: return fill_for<bool>(table);
    case DType::uint8: return fill_for<uint8_t>(table);
    case DType::bfloat16: return fill_for<BFloat16>(table);
  }
}

}  // namespace gradus::reference
