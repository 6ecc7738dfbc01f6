// The mathematics of every element-wise operation, written once for a double, a pack of SIMD lanes or a GPU thread.
//
// V is any type with + - * /, comparisons, a constructor from double, and the functions of cpu/vec_scalar.h;
// those are found beside V. Each backend includes this file inside its own namespace, so that no two
// backends, compiled for different instruction sets, ever share an instantiation.
//
// NaN behaves as in PyTorch: maximum and minimum give NaN if either operand is, clamp and relu keep it, sign
// makes it 0, comparisons are false.

template <class V>
GRADUS_DEVICE inline V maximum(V a, V b) {
  return select(a != a, a, select(a > b, a, b));
}

template <class V>
GRADUS_DEVICE inline V minimum(V a, V b) {
  return select(a != a, a, select(a < b, a, b));
}

// 2 sqrt(2 / pi) (x + 0.044715 x^3): gelu_tanh is x times the sigmoid of it.
template <class V>
GRADUS_DEVICE inline V gelu_tanh_argument(V x) {
  return x * fma(V(1.5957691216057308 * 0.044715), x * x, V(1.5957691216057308));
}

// y = op(x); see Unary for the meaning of a and b.
template <Unary op, class V>
GRADUS_DEVICE inline V apply(V x, V a, V b) {
  if constexpr (op == Unary::affine) return fma(a, x, b);
  if constexpr (op == Unary::abs) return abs(x);
  if constexpr (op == Unary::sign) return select(x > V(0), V(1), select(x < V(0), V(-1), V(0)));
  if constexpr (op == Unary::square) return x * x;
  if constexpr (op == Unary::exp) return exp(x);
  if constexpr (op == Unary::log) return log(x);
  if constexpr (op == Unary::sqrt) return sqrt(x);
  if constexpr (op == Unary::rsqrt) return V(1) / sqrt(x);
  if constexpr (op == Unary::reciprocal) return V(1) / x;
  if constexpr (op == Unary::tanh) return tanh(x);
  if constexpr (op == Unary::sigmoid) return sigmoid(x);
  if constexpr (op == Unary::erf) return erf(x);
  if constexpr (op == Unary::sin) return sin(x);
  if constexpr (op == Unary::cos) return cos(x);
  if constexpr (op == Unary::floor) return floor(x);
  if constexpr (op == Unary::ceil) return ceil(x);
  if constexpr (op == Unary::round) return round(x);
  if constexpr (op == Unary::pow) return pow(x, a);
  if constexpr (op == Unary::clamp) {
    V low = select(x < a, a, x);
    return select(low > b, b, low);
  }
  if constexpr (op == Unary::relu) return select(x <= V(0), V(0), x);
  if constexpr (op == Unary::leaky_relu) return select(x > V(0), x, x * a);
  if constexpr (op == Unary::gelu) return gelu(x);
  if constexpr (op == Unary::gelu_tanh) return gelu_tanh(x);
  if constexpr (op == Unary::silu) return silu(x);
  if constexpr (op == Unary::softplus) return select(a * x > b, x, log1p(exp(a * x)) / a);
  if constexpr (op == Unary::log1p) return log1p(x);
  if constexpr (op == Unary::expm1) return expm1(x);
}

// Whether `apply_grad` knows the op.
GRADUS_DEVICE constexpr bool has_grad(Unary op) {
  return op == Unary::relu || op == Unary::leaky_relu || op == Unary::gelu || op == Unary::gelu_tanh ||
         op == Unary::silu || op == Unary::softplus || op == Unary::abs || op == Unary::clamp || op == Unary::tanh ||
         op == Unary::sigmoid;
}

// g op'(x), given x, or for tanh and sigmoid given y = op(x).
template <Unary op, class V>
GRADUS_DEVICE inline V apply_grad(V kept, V g, V a, V b) {
  if constexpr (op == Unary::relu) return select(kept <= V(0), V(0), g);
  if constexpr (op == Unary::leaky_relu) return select(kept > V(0), g, g * a);
  if constexpr (op == Unary::gelu) return g * gelu_slope(kept);
  if constexpr (op == Unary::gelu_tanh) {
    V s = sigmoid(gelu_tanh_argument(kept));
    V slope = fma(V(3 * 1.5957691216057308 * 0.044715), kept * kept, V(1.5957691216057308));
    return g * s * fma(kept * (V(1) - s), slope, V(1));
  }
  if constexpr (op == Unary::silu) {
    V s = sigmoid(kept);
    return g * s * (V(1) + kept * (V(1) - s));
  }
  if constexpr (op == Unary::softplus) return select(a * kept > b, g, g * sigmoid(a * kept));
  if constexpr (op == Unary::abs) return g * apply<Unary::sign>(kept, a, b);
  if constexpr (op == Unary::clamp) return select(kept > a, select(kept < b, g, V(0)), V(0));
  if constexpr (op == Unary::tanh) return g * (V(1) - kept * kept);
  if constexpr (op == Unary::sigmoid) return g * (V(1) - kept) * kept;
}

template <Binary op, class V>
GRADUS_DEVICE inline V apply(V a, V b) {
  if constexpr (op == Binary::add) return a + b;
  if constexpr (op == Binary::sub) return a - b;
  if constexpr (op == Binary::mul) return a * b;
  if constexpr (op == Binary::div) return a / b;
  if constexpr (op == Binary::maximum) return maximum(a, b);
  if constexpr (op == Binary::minimum) return minimum(a, b);
  if constexpr (op == Binary::pow) return pow(a, b);
}

// The result is V's mask type: bool for a scalar.
template <Compare op, class V>
GRADUS_DEVICE inline auto apply(V a, V b) {
  if constexpr (op == Compare::eq) return a == b;
  if constexpr (op == Compare::ne) return a != b;
  if constexpr (op == Compare::lt) return a < b;
  if constexpr (op == Compare::le) return a <= b;
  if constexpr (op == Compare::gt) return a > b;
  if constexpr (op == Compare::ge) return a >= b;
}

template <Predicate op, class V>
GRADUS_DEVICE inline auto apply(V x) {
  if constexpr (op == Predicate::isfinite) return abs(x) < V(__builtin_inf());
  if constexpr (op == Predicate::isnan) return x != x;
  if constexpr (op == Predicate::isinf) return abs(x) == V(__builtin_inf());
  if constexpr (op == Predicate::logical_not) return x == V(0);
}

// What a reduction of nothing gives.
template <Reduce op>
GRADUS_DEVICE constexpr double identity() {
  if constexpr (op == Reduce::prod) return 1;
  if constexpr (op == Reduce::max) return -__builtin_inf();
  if constexpr (op == Reduce::min) return __builtin_inf();
  return 0;
}

// Joins two partial results.
template <Reduce op, class V>
GRADUS_DEVICE inline V combine(V a, V b) {
  if constexpr (op == Reduce::prod)
    return a * b;
  else if constexpr (op == Reduce::max)
    return maximum(a, b);
  else if constexpr (op == Reduce::min)
    return minimum(a, b);
  else
    return a + b;
}

// Takes one more element into a partial result.
template <Reduce op, class V>
GRADUS_DEVICE inline V absorb(V sum, V x) {
  if constexpr (op == Reduce::sum_squares)
    return fma(x, x, sum);
  else
    return combine<op>(sum, x);
}

// --- optimisers: one step on one parameter p with gradient g -------------------------------------------------------
// The updates are PyTorch's; each takes its constants converted once.

template <class V>
struct SgdUpdate {  // Sutskever et al. 2013, section 2, in the form p -= lr (momentum velocity)
  V lr, momentum, taken, weight_decay;
  bool has_momentum, nesterov, first;
  explicit SgdUpdate(const SgdStep& o)
      : lr(o.lr),
        momentum(o.momentum),
        taken(1 - o.dampening),
        weight_decay(o.weight_decay),
        has_momentum(o.momentum != 0),
        nesterov(o.nesterov),
        first(o.first) {}
  GRADUS_DEVICE void operator()(V& p, V g, V& velocity) const {
    g = fma(weight_decay, p, g);
    if (has_momentum) {
      velocity = first ? g : fma(momentum, velocity, taken * g);
      g = nesterov ? fma(momentum, velocity, g) : velocity;
    }
    p = p - lr * g;
  }
};

//! [AdamUpdate]
template <class V>
struct AdamUpdate {  // Kingma and Ba 2015, algorithm 1; decoupled: Loshchilov and Hutter 2019, algorithm 2
  V rate, beta1, rest1, beta2, rest2, eps, root2, decay, shrink;
  explicit AdamUpdate(const AdamStep& o)
      : rate(o.lr / (1 - __builtin_pow(o.beta1, double(o.step)))),
        beta1(o.beta1),
        rest1(1 - o.beta1),
        beta2(o.beta2),
        rest2(1 - o.beta2),
        eps(o.eps),
        root2(1 / __builtin_sqrt(1 - __builtin_pow(o.beta2, double(o.step)))),
        decay(o.decoupled ? 0 : o.weight_decay),
        shrink(o.decoupled ? 1 - o.lr * o.weight_decay : 1) {}
  GRADUS_DEVICE void operator()(V& p, V g, V& m, V& v) const {
    g = fma(decay, p, g);
    m = fma(beta1, m, rest1 * g);
    v = fma(beta2, v, rest2 * g * g);
    p = p * shrink - rate * m / fma(sqrt(v), root2, eps);
  }
};
//! [AdamUpdate]

template <class V>
struct RmspropUpdate {  // Tieleman and Hinton 2012, lecture 6e; centered: Graves 2013, equations 38 to 45
  V lr, alpha, rest, eps, weight_decay, momentum;
  bool has_momentum, centered;
  explicit RmspropUpdate(const RmspropStep& o)
      : lr(o.lr),
        alpha(o.alpha),
        rest(1 - o.alpha),
        eps(o.eps),
        weight_decay(o.weight_decay),
        momentum(o.momentum),
        has_momentum(o.momentum != 0),
        centered(o.centered) {}
  GRADUS_DEVICE void operator()(V& p, V g, V& v, V& mean, V& velocity) const {
    g = fma(weight_decay, p, g);
    v = fma(alpha, v, rest * g * g);
    V spread = v;
    if (centered) {
      mean = fma(alpha, mean, rest * g);
      spread = v - mean * mean;
    }
    V move = g / (sqrt(spread) + eps);
    if (has_momentum) move = velocity = fma(momentum, velocity, move);
    p = p - lr * move;
  }
};

template <class V>
struct AdagradUpdate {  // Duchi, Hazan and Singer 2011
  V rate, eps, weight_decay;
  explicit AdagradUpdate(const AdagradStep& o)
      : rate(o.lr / (1 + double(o.step - 1) * o.lr_decay)), eps(o.eps), weight_decay(o.weight_decay) {}
  GRADUS_DEVICE void operator()(V& p, V g, V& sum) const {
    g = fma(weight_decay, p, g);
    sum = fma(g, g, sum);
    p = p - rate * g / (sqrt(sum) + eps);
  }
};

// --- recurrent cells -----------------------------------------------------------------------------------------------

// What goes from step to step, of one hidden unit; only an LSTM has c.
template <class V>
struct CellState {
  V h, c;
};

// One step: Elman 1990; Cho et al. 2014, equations 5-8, the reset gate applied after the product as PyTorch does;
// Hochreiter and Schmidhuber 1997 with forget gates. x and a: what the input and the state before, each with its bias,
// give every gate. kept: kept_of(cell) numbers for cell_grad.
template <Cell cell, class V>
GRADUS_DEVICE inline CellState<V> cell_step(const V* x, const V* a, CellState<V> before, V* kept) {
  if constexpr (cell == Cell::lstm) {
    const V in = sigmoid(x[0] + a[0]), forget = sigmoid(x[1] + a[1]), fresh = tanh(x[2] + a[2]);
    const V out = sigmoid(x[3] + a[3]), c = fma(forget, before.c, in * fresh);
    kept[0] = in, kept[1] = forget, kept[2] = fresh, kept[3] = out, kept[4] = before.c;
    return {out * tanh(c), c};
  } else if constexpr (cell == Cell::gru) {
    const V reset = sigmoid(x[0] + a[0]), update = sigmoid(x[1] + a[1]), fresh = tanh(fma(reset, a[2], x[2]));
    kept[0] = reset, kept[1] = update, kept[2] = fresh, kept[3] = a[2];
    return {fma(update, before.h - fresh, fresh), before.c};
  } else {
    constexpr Unary function = cell == Cell::rnn_relu ? Unary::relu : Unary::tanh;
    kept[0] = apply<function>(x[0] + a[0], V(0), V(0));
    return {kept[0], before.c};
  }
}

// The gradients dx and da of x and a, given that of the state after; gives what reaches the state before by itself,
// not through a.
template <Cell cell, class V>
GRADUS_DEVICE inline CellState<V> cell_grad(const V* kept, V h_before, CellState<V> g, V* dx, V* da) {
  const auto through = [](V y, V dy) { return apply_grad<Unary::sigmoid>(y, dy, V(0), V(0)); };
  const auto through_tanh = [](V y, V dy) { return apply_grad<Unary::tanh>(y, dy, V(0), V(0)); };
  CellState<V> before{V(0), V(0)};
  if constexpr (cell == Cell::lstm) {
    const V in = kept[0], forget = kept[1], fresh = kept[2], out = kept[3];
    const V y = tanh(fma(forget, kept[4], in * fresh)), dc = g.c + through_tanh(y, g.h * out);
    dx[0] = through(in, dc * fresh);
    dx[1] = through(forget, dc * kept[4]);
    dx[2] = through_tanh(fresh, dc * in);
    dx[3] = through(out, g.h * y);
    before.c = dc * forget;
  } else if constexpr (cell == Cell::gru) {
    const V reset = kept[0], update = kept[1], fresh = kept[2];
    dx[2] = through_tanh(fresh, g.h * (V(1) - update));
    dx[1] = through(update, g.h * (h_before - fresh));
    dx[0] = through(reset, dx[2] * kept[3]);
    before.h = g.h * update;
  } else {
    constexpr Unary function = cell == Cell::rnn_relu ? Unary::relu : Unary::tanh;
    dx[0] = apply_grad<function>(kept[0], g.h, V(0), V(0));
  }
  for (int i = 0; i < gates_of(cell); ++i) da[i] = dx[i];
  if constexpr (cell == Cell::gru) da[2] = dx[2] * kept[0];
  return before;
}

// Calls f.operator()<cell>().
template <class F>
inline void for_cell(Cell cell, const F& f) {
  if (cell == Cell::rnn_tanh) f.template operator()<Cell::rnn_tanh>();
  if (cell == Cell::rnn_relu) f.template operator()<Cell::rnn_relu>();
  if (cell == Cell::gru) f.template operator()<Cell::gru>();
  if (cell == Cell::lstm) f.template operator()<Cell::lstm>();
}
