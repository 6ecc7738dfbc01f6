// The contract of a backend: every kernel's signature. There is one table per device and dtype.
//
// Unless it says otherwise, a kernel takes views of the table's dtype.
//  - Element-wise, copy and reduce kernels accept any strides; all views have the same shape (the op expands).
//  - `matmul` accepts any strides, provided each matrix has unit stride in one of its two dimensions.
//  - Kernels that take bare pointers require contiguous data.
// Outputs never overlap inputs, except that an element-wise output may be exactly one of its inputs.
// What is kept of rows for their gradient (mean, rstd, log_sum) and losses are float32 in bfloat16's table.
// Indices were checked by the op; on a GPU kernels look at them. Kernels do not throw, but on a GPU for want of memory
// or where one cannot be started.
#pragma once

#include <cstdint>

#include "tensor/device.h"
#include "tensor/dtype.h"
#include "tensor/kernels/cell.h"
#include "tensor/kernels/philox.h"
#include "tensor/kernels/view.h"

namespace gradus {

// Lists that read better as laid out by hand.
// clang-format off

// y = op(x); `a` and `b` are the op's constants.
enum class Unary {
  affine,      // a x + b
  abs, sign, square, exp, log, sqrt, rsqrt, reciprocal, tanh, sigmoid, erf, sin, cos,
  floor, ceil, round,  // round: half to even
  pow,         // x^a
  clamp,       // min(max(x, a), b); NaN stays NaN
  relu,
  leaky_relu,  // slope a below zero
  gelu,        // x Phi(x), Phi the normal distribution function
  gelu_tanh,   // its approximation by tanh (Hendrycks and Gimpel 2016, section 2)
  silu,        // x sigmoid(x)
  softplus,    // log(1 + exp(a x)) / a, and x itself where a x > b
  log1p, expm1,
  count_
};
// Which unary ops have a derivative in `unary_grad`, and what of them it is given.
//   x: leaky_relu, gelu, gelu_tanh, silu, softplus, abs, clamp    y: tanh, sigmoid    either: relu
enum class Binary { add, sub, mul, div, maximum, minimum, pow, count_ };
enum class Compare { eq, ne, lt, le, gt, ge, count_ };
enum class Predicate { isfinite, isnan, isinf, logical_not, count_ };
enum class Reduce { sum, prod, max, min, sum_squares, count_ };  // max and min: NaN if any element is
enum class ArgReduce { max, min, count_ };
enum class Random { uniform, normal, bernoulli, randint, count_ };
enum class Activation { none, relu, gelu, gelu_tanh };

struct Matmul {
  View a, b, c;              // (batch, m, k), (batch, k, n), (batch, m, n); c has unit stride along n
  double alpha = 1;          // c = alpha a b ...
  const void* residual = nullptr;            // ... + this, laid out as c, which it may be
  const void* bias = nullptr;                // ... + bias (n), in every row
  Activation activation = Activation::none;  // ... and this of it all
  const void* packed_b = nullptr;            // what `pack` made of b, which all of the batch shares, or null
};

// How many elements a packed (k, n) matrix takes.
static constexpr int64_t packed_size(int64_t k, int64_t n) { return k * (n + 31); }

// Images are (batch, channels, height, width). Weights are (out_channels, in_channels / groups, kernel_h, kernel_w).
struct Conv2d {
  int64_t batch, in_channels, height, width, out_channels, kernel_h, kernel_w, out_h, out_w;
  int64_t stride_h = 1, stride_w = 1, pad_h = 0, pad_w = 0, dilation_h = 1, dilation_w = 1, groups = 1;
};

struct Pool2d {
  int64_t planes, height, width, out_h, out_w;  // planes = batch * channels
  int64_t kernel_h, kernel_w, stride_h, stride_w, pad_h = 0, pad_w = 0;
  bool count_include_pad = true;  // avg: divide by the whole window, padding counted
  bool adaptive = false;          // avg: window i spans floor(i H/out) .. ceil((i+1) H/out); kernel and stride unused
  bool relu = false;              // max: of relu(x)
};

// Rows of scores for `classes` classes, one target each. With q_c = [c is the target] (1 - label_smoothing) +
// label_smoothing / classes, times the weight of class c where there are weights, a row's loss is
// - sum_c q_c log p_c (Szegedy et al. 2016, section 7). A row whose target is ignore_index has loss 0 and gradient 0.
struct CrossEntropy {
  int64_t rows, classes;
  int64_t ignore_index = -100;
  double label_smoothing = 0;
};

// A recurrent layer that reads sequences, given what the inputs make of its gates. h and c go from step to step; a
// sequence that has ended keeps them and puts out zeros.
struct Recurrence {
  Cell cell;
  int64_t batch, time, hidden;
  bool reverse;              // from a sequence's last step to its first
  const int64_t* lengths;    // (batch), at most `time`; null: all are `time`
  const void* x = nullptr;   // (batch, time, gates_of(cell) * hidden): W_ih x + b_ih
  const void* w = nullptr;   // W_hh: (gates_of(cell) * hidden, hidden)
  const void *packed_w = nullptr, *bias = nullptr;  // what `pack` made of w's transpose, or null; b_hh, or null
  const void *h0 = nullptr, *c0 = nullptr;          // (batch, hidden); c0, c: of an LSTM, else null
  void *y = nullptr, *h = nullptr, *c = nullptr;    // (batch, time, hidden): each step's h; (batch, hidden): the last
  // For the gradient, or both null: (batch, time, hidden), h before each step; (batch, time, kept_of(cell) * hidden).
  void *before = nullptr, *kept = nullptr;
};

// Scaled dot-product attention: output = dropout(softmax(scale q k^T + bias)) v for each sample and head, the softmax
// being over the keys that a query may see. A query that sees none has output 0 and gradients 0. Of all views but
// `keep` and `bias` the last dimension has unit stride.
struct Attention {
  View q, k, v;           // (batch, heads, queries, d), (batch, kv_heads, keys, d), (batch, kv_heads, keys, d_value)
  View output;            // (batch, heads, queries, d_value); kv_heads divides heads, and each serves as many in turn
  void* log_sum;          // (batch, heads, queries): log of the sum of exp(score), infinity where no key is seen
  View keep{}, bias{};    // (batch, heads, queries, keys), keep of bool, any strides; or no data
  bool causal = false;    // query i sees the keys up to i + keys - queries only, keys >= queries
  double scale = 1;
  double dropout = 0;     // of the weights, below 1: as the kernel `dropout` does with all of them, (batch, heads,
  PhiloxState state = {};  // queries, keys)
};

struct SgdStep { double lr, momentum, dampening, weight_decay; bool nesterov, first; };
struct AdamStep { double lr, beta1, beta2, eps, weight_decay; bool decoupled; int64_t step; };  // step counts from 1
struct RmspropStep { double lr, alpha, eps, weight_decay, momentum; bool centered; };
struct AdagradStep { double lr, lr_decay, eps, weight_decay; int64_t step; };

// Name, result and arguments of every kernel.
#define GRADUS_KERNELS(K)                                                                                         \
  /* element-wise, any strides */                                                                                 \
  K(unary, (Unary op, const View& x, const View& y, double a, double b))                                          \
  K(unary_grad, (Unary op, const View& kept, const View& g, const View& dx, double a, double b)) /* g op'(kept) */ \
  K(binary, (Binary op, const View& a, const View& b, const View& y))                                             \
  K(compare, (Compare op, const View& a, const View& b, const View& y)) /* y: bool; false for NaN, ne true */      \
  K(predicate, (Predicate op, const View& x, const View& y))            /* y: bool */                              \
  K(where, (const View& condition, const View& a, const View& b, const View& y)) /* condition: bool */             \
  K(fill, (const View& y, double value))                                                                          \
  K(copy, (const View& x, const View& y))                                                                         \
  K(cast, (const View& x, DType to, const View& y)) /* y of dtype `to`; float to integer truncates */             \
  /* y[i] = start + i step, contiguous */                                                                         \
  K(arange, (void* y, int64_t n, double start, double step))                                                      \
  /* keeps x where column - row <= diagonal (lower) or >= diagonal (upper) in the last two dims, else 0 */        \
  K(triangle, (const View& x, const View& y, int64_t diagonal, bool upper))                                       \
  /* random: element i depends on (seed, offset + i / 4, i % 4) only */                                           \
  K(random, (Random kind, void* y, int64_t n, PhiloxState state, double a, double b))                             \
  K(dropout, (const void* x, void* y, int64_t n, PhiloxState state, double p)) /* x keep / (1 - p) */              \
  /* reductions: y has x's shape, with stride 0 in the dimensions that are reduced */                             \
  K(reduce, (Reduce op, const View& x, const View& y))                                                            \
  K(arg_reduce, (ArgReduce op, const void* x, int64_t rows, int64_t n, int64_t* y)) /* first of equals; NaN wins */ \
  K(cumsum, (const void* x, void* y, int64_t outer, int64_t n, int64_t inner))                                    \
  K(sort, (const void* x, int64_t rows, int64_t n, bool descending, void* values, int64_t* indices)) /* stable */  \
  /* rows of n: softmax(x), and dx from y and g */                                                                \
  K(softmax, (const void* x, void* y, int64_t rows, int64_t n))                                                   \
  K(softmax_grad, (const void* y, const void* g, void* dx, int64_t rows, int64_t n))                              \
  K(log_softmax, (const void* x, void* y, int64_t rows, int64_t n))                                               \
  K(log_softmax_grad, (const void* y, const void* g, void* dx, int64_t rows, int64_t n))                          \
  /* p = softmax of rows of x; weight (classes) may be null; loss, log_sum = log(sum of exp(x)) and g: (rows) */   \
  K(cross_entropy, (const CrossEntropy& c, const void* x, const int64_t* target, const void* weight, void* loss,  \
                    void* log_sum))                                                                               \
  K(cross_entropy_grad, (const CrossEntropy& c, const void* x, const int64_t* target, const void* weight,         \
                         const void* log_sum, const void* g, void* dx))                                           \
  /* normalisation; weight and bias may be null, and so may the gradients dw and db */                            \
  K(layer_norm, (const void* x, const void* weight, const void* bias, double eps, int64_t rows, int64_t n,        \
                 void* y, void* mean, void* rstd)) /* mean, rstd: (rows) */                                       \
  K(layer_norm_grad, (const void* x, const void* weight, const void* mean, const void* rstd, const void* g,       \
                      int64_t rows, int64_t n, void* dx, void* dw, void* db))                                     \
  K(rms_norm, (const void* x, const void* weight, double eps, int64_t rows, int64_t n, void* y, void* rstd))      \
  K(rms_norm_grad, (const void* x, const void* weight, const void* rstd, const void* g, int64_t rows, int64_t n,  \
                    void* dx, void* dw))                                                                          \
  K(batch_norm, (const void* x, const void* weight, const void* bias, double eps, int64_t batch, int64_t channels, \
                 int64_t inner, void* y, void* mean, void* rstd)) /* over batch and inner; mean, rstd: (channels) */ \
  K(batch_norm_grad, (const void* x, const void* weight, const void* mean, const void* rstd, const void* g,       \
                      int64_t batch, int64_t channels, int64_t inner, void* dx, void* dw, void* db))              \
  /* y = scale_c x + shift_c for each channel of (batch, channels, inner); shift may be null */                    \
  K(channel_affine, (const void* x, const void* scale, const void* shift, int64_t batch, int64_t channels,        \
                     int64_t inner, void* y))                                                                     \
  /* indexing; index int64 */                                                                                     \
  K(gather, (const View& x, const View& index, const View& y, int dim))           /* shapes of index and y */      \
  K(scatter_add, (const View& y, const View& index, const View& x, int dim))      /* shapes of index and x */      \
  K(index_select, (const void* x, const int64_t* index, void* y, int64_t outer, int64_t n, int64_t inner,         \
                   int64_t count)) /* (outer, n, inner) to (outer, count, inner) */                               \
  K(index_add, (void* y, const int64_t* index, const void* x, int64_t outer, int64_t n, int64_t inner,            \
                int64_t count)) /* the other way round, in the order of the index */                              \
  /* products */                                                                                                  \
  K(matmul, (const Matmul& m)) /* packed_b changes no bit of the result, only the time it takes */                 \
  /* b (1, k, n) as a product wants it, for many to use; b itself must stay as it is meanwhile */                  \
  K(pack, (const View& b, void* packed))                                                                          \
  /* the same with packed_b, always from its panels: sooner where rows are few, and rounded differently there */   \
  K(matmul_packed, (const Matmul& m))                                                                             \
  /* y[b, i, j] = v . tanh(q[b, i] + k[b, j]); q (batch, queries, n), k (batch, keys, n), v (n), y and g (batch,   */ \
  /* queries, keys), dq, dk and dv as q, k and v */                                                               \
  K(additive_scores, (const void* q, const void* k, const void* v, int64_t batch, int64_t queries, int64_t keys,  \
                      int64_t n, void* y))                                                                        \
  K(additive_scores_grad, (const void* q, const void* k, const void* v, const void* g, int64_t batch,             \
                           int64_t queries, int64_t keys, int64_t n, void* dq, void* dk, void* dv))               \
  K(recurrent, (const Recurrence& r))                                                                             \
  /* from the gradients of y, h and c; da: of W_hh h + b_hh, (batch, time, gates_of(cell) * hidden), which is dx */ \
  /* itself but for a GRU. The gradient of W_hh is then da^T before. */                                           \
  K(recurrent_grad, (const Recurrence& r, const void* gy, const void* gh, const void* gc, void* dx, void* da,     \
                     void* dh0, void* dc0))                                                                       \
  K(attention, (const Attention& a))                                                                              \
  /* g is laid out as output, which was computed before, and so was log_sum */                                    \
  K(attention_grad, (const Attention& a, const View& g, const View& dq, const View& dk, const View& dv))          \
  K(conv2d, (const Conv2d& c, const void* x, const void* w, const void* bias, void* y)) /* bias may be null */     \
  K(conv2d_grad_input, (const Conv2d& c, const void* g, const void* w, void* dx))                                 \
  K(conv2d_grad_weight, (const Conv2d& c, const void* x, const void* g, void* dw))                                \
  K(max_pool2d, (const Pool2d& p, const void* x, void* y, int64_t* argmax)) /* in the plane, or null; NaN wins */  \
  K(max_pool2d_grad, (const Pool2d& p, const void* x, const void* g, void* dx))                                   \
  K(avg_pool2d, (const Pool2d& p, const void* x, void* y))                                                        \
  K(avg_pool2d_grad, (const Pool2d& p, const void* g, void* dx))                                                  \
  /* one step of an optimiser on n parameters; s: state of n each, null where unused */                           \
  K(sgd_step, (const SgdStep& o, int64_t n, void* p, const void* g, void* momentum))                              \
  K(adam_step, (const AdamStep& o, int64_t n, void* p, const void* g, void* m, void* v))                          \
  K(rmsprop_step, (const RmspropStep& o, int64_t n, void* p, const void* g, void* v, void* mean, void* momentum)) \
  K(adagrad_step, (const AdagradStep& o, int64_t n, void* p, const void* g, void* sum))

// clang-format on

struct KernelTable {
#define GRADUS_DECLARE(name, arguments) void(*name) arguments;
  GRADUS_KERNELS(GRADUS_DECLARE)
#undef GRADUS_DECLARE
};

// The kernels for tensors of this dtype on this device, of the backend that was chosen (see dispatch.cpp).
const KernelTable& kernels(Device device, DType dtype);

// "reference", "avx2", "avx512" or "neon": the backend in use for float32 on the CPU. Chosen at start-up as the
// best this machine has; GRADUS_ISA in the environment or set_isa forces one, and throws Error where it cannot run.
const char* isa();
void set_isa(const char* name);

}  // namespace gradus
