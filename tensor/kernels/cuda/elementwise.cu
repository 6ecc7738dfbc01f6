// Element-wise arithmetic: unary, unary_grad, binary, compare and predicate.
#include "tensor/error.h"
#include "tensor/kernels/cuda/scalar.h"
#include "tensor/kernels/cuda/strided.h"
#include "tensor/kernels/names.h"

namespace gradus::cuda {
namespace {

template <class T>
constexpr DType dtype_name = dtype_of<T>;
template <>
constexpr DType dtype_name<bf16> = bfloat16;

template <class T>
constexpr bool is_fast = std::is_same_v<T, float> || std::is_same_v<T, bf16>;

constexpr bool suits_integers(Unary op) {
  return op == Unary::affine || op == Unary::abs || op == Unary::sign || op == Unary::square || op == Unary::clamp ||
         op == Unary::relu;
}
constexpr bool suits_integers(Binary op) { return op != Binary::div; }
template <class T, class Op>
constexpr bool suits(Op op) {
  return !std::is_integral_v<T> || suits_integers(op);
}

// Calls f.operator()<op>(), on the device and on the host.
template <class Op, int k = 0, class F>
__device__ inline auto choose(Op op, const F& f) {
  if constexpr (k + 1 == int(Op::count_))
    return f.template operator()<Op(k)>();
  else
    return op == Op(k) ? f.template operator()<Op(k)>() : choose<Op, k + 1>(op, f);
}
template <class Op, class F>
void choose_on_host(Op op, const F& f) {
  [&]<size_t... k>(std::index_sequence<k...>) { (void(op == Op(k) && (f.template operator()<Op(k)>(), true)), ...); }
  (std::make_index_sequence<size_t(Op::count_)>());
}

// Every operation in one function, for what need not be as fast as can be: one kernel serves them all.
template <class V>
[[gnu::noinline]] __device__ V any_unary(Unary op, V x, V a, V b) {
  return choose(op, [&]<Unary k>() -> V {
    if constexpr (suits<V>(k))
      return apply<k>(x, a, b);
    else
      return x;
  });
}
template <class V>
[[gnu::noinline]] __device__ V any_unary_grad(Unary op, V kept, V g, V a, V b) {
  return choose(op, [&]<Unary k>() -> V {
    if constexpr (has_grad(k))
      return apply_grad<k>(kept, g, a, b);
    else
      return g;
  });
}
template <class V>
[[gnu::noinline]] __device__ V any_power(V a, V b) {
  return pow(a, b);
}

template <class T, Unary op>
struct UnaryOf {
  Compute<T> a, b;
  __device__ T operator()(T x) const { return convert<T>(apply<op>(widen(x), a, b)); }
};
template <class T>
struct Cube {
  __device__ T operator()(T x) const { return convert<T>(widen(x) * widen(x) * widen(x)); }
};
// x^0.5 and x^-0.5, which unlike sqrt and rsqrt take -0 as 0 and -infinity as infinity.
template <class T, Unary op>
struct HalfPower {
  __device__ T operator()(T x) const {
    const Compute<T> v = widen(x), infinity = __builtin_inf();
    return convert<T>(apply<op>(select(v == -infinity, infinity, v + 0), v, v));
  }
};
template <class T>
struct AnyUnary {
  Unary op;
  Compute<T> a, b;
  __device__ T operator()(T x) const { return convert<T>(any_unary(op, widen(x), a, b)); }
};

template <class T, Unary op>
struct GradOf {
  Compute<T> a, b;
  __device__ T operator()(T kept, T g) const { return convert<T>(apply_grad<op>(widen(kept), widen(g), a, b)); }
};
template <class T>
struct AnyGrad {
  Unary op;
  Compute<T> a, b;
  __device__ T operator()(T kept, T g) const { return convert<T>(any_unary_grad(op, widen(kept), widen(g), a, b)); }
};

template <class T, Binary op>
struct BinaryOf {
  __device__ T operator()(T a, T b) const { return convert<T>(apply<op>(widen(a), widen(b))); }
};
template <class T>
struct AnyBinary {
  Binary op;
  __device__ T operator()(T a, T b) const {
    using V = Compute<T>;
    const V u = widen(a), v = widen(b);
    return convert<T>(choose(op, [&]<Binary k>() -> V {
      if constexpr (k == Binary::pow)
        return any_power(u, v);
      else if constexpr (suits<V>(k))
        return apply<k>(u, v);
      else
        return u;
    }));
  }
};

template <class T>
struct AnyCompare {
  Compare op;
  __device__ bool operator()(T a, T b) const {
    const auto u = widen(a), v = widen(b);
    return choose(op, [&]<Compare k>() -> bool { return apply<k>(u, v); });
  }
};

template <class T>
struct AnyPredicate {
  Predicate op;
  __device__ bool operator()(T x) const {
    using V =
        std::conditional_t<std::is_same_v<T, double>, double, float>;  // a whole number stays what it is: finite
    const V v = V(widen(x));
    return choose(op, [&]<Predicate k>() -> bool { return apply<k>(v); });
  }
};

// The constants as elements of T, but not rounded to bfloat16.
template <class T>
Compute<T> constant(double x) {
  if constexpr (std::is_same_v<T, bf16>)
    return float(x);
  else
    return widen(convert<T>(x));
}

template <class T>
void unary(Unary op, const View& x, const View& y, double a, double b) {
  check(suits<T>(op), unary_names[size_t(op)], ": not implemented for ", dtype_name<T>, " on cuda");
  const AnyUnary<T> general{op, constant<T>(a), constant<T>(b)};
  if constexpr (is_fast<T>) {
    // The powers that networks use, without the general formula.
    if (op == Unary::pow && a == 2) return unary<T>(Unary::square, x, y, 0, 0);
    if (op == Unary::pow && a == -1) return unary<T>(Unary::reciprocal, x, y, 0, 0);
    if (op == Unary::pow && a == 3) return map_any<T, T>(Cube<T>{}, y, x);
    if (op == Unary::pow && a == 0.5) return map_any<T, T>(HalfPower<T, Unary::sqrt>{}, y, x);
    if (op == Unary::pow && a == -0.5) return map_any<T, T>(HalfPower<T, Unary::rsqrt>{}, y, x);
    choose_on_host(op, [&]<Unary k>() { map<T, T>(UnaryOf<T, k>{general.a, general.b}, general, y, x); });
  } else {
    map_any<T, T>(general, y, x);
  }
}

template <class T>
void unary_grad(Unary op, const View& kept, const View& g, const View& dx, double a, double b) {
  check(has_grad(op), "unary_grad: not implemented for ", unary_names[size_t(op)]);
  const AnyGrad<T> general{op, constant<T>(a), constant<T>(b)};
  if constexpr (is_fast<T>) {
    choose_on_host(op, [&]<Unary k>() {
      if constexpr (has_grad(k)) map<T, T, T>(GradOf<T, k>{general.a, general.b}, general, dx, kept, g);
    });
  } else {
    map_any<T, T, T>(general, dx, kept, g);
  }
}

template <class T>
void binary(Binary op, const View& a, const View& b, const View& y) {
  check(suits<T>(op), binary_names[size_t(op)], ": not implemented for ", dtype_name<T>, " on cuda");
  if constexpr (is_fast<T>) {
    choose_on_host(op, [&]<Binary k>() { map<T, T, T>(BinaryOf<T, k>{}, AnyBinary<T>{op}, y, a, b); });
  } else {
    map_any<T, T, T>(AnyBinary<T>{op}, y, a, b);
  }
}

template <class T>
void compare(Compare op, const View& a, const View& b, const View& y) {
  map_any<bool, T, T>(AnyCompare<T>{op}, y, a, b);
}

template <class T>
void predicate(Predicate op, const View& x, const View& y) {
  map_any<bool, T>(AnyPredicate<T>{op}, y, x);
}

template <class T>
void fill_for(KernelTable& table) {
  if constexpr (!std::is_same_v<T, bool>) table.unary = unary<T>;
  if constexpr (!std::is_integral_v<T>) table.unary_grad = unary_grad<T>;
  table.binary = binary<T>;
  table.compare = compare<T>;
  table.predicate = predicate<T>;
}

}  // namespace

void fill_elementwise(KernelTable& table, DType dtype) {
  switch (dtype) {
    case DType::float32: fill_for<float>(table); break;
    case DType::float64: fill_for<double>(table); break;
    case DType::int64: fill_for<int64_t>(table); break;
    case DType::boolean: fill_for<bool>(table); break;
    case DType::uint8: fill_for<uint8_t>(table); break;
    case DType::bfloat16: fill_for<bf16>(table); break;
  }
  fill_copies(table, dtype);
}

}  // namespace gradus::cuda
