// The functions users call. Each is defined in autograd/ops/, its gradient rule beside it; names and conventions are
// PyTorch's. Operands broadcast, and differing dtypes are promoted (tensor/dtype.h). A shape that does not fit throws
// Error naming the op and the shapes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "autograd/autograd.h"
#include "tensor/kernels/cell.h"
#include "tensor/random.h"
#include "tensor/tensor.h"

namespace gradus {

// --- arithmetic and comparison (ops/binary.cpp) --------------------------------------------------------------------
Tensor operator+(const Tensor& a, const Tensor& b);
Tensor operator-(const Tensor& a, const Tensor& b);
Tensor operator*(const Tensor& a, const Tensor& b);
Tensor operator/(const Tensor& a, const Tensor& b);
Tensor operator+(const Tensor& a, double b);
Tensor operator-(const Tensor& a, double b);
Tensor operator*(const Tensor& a, double b);
Tensor operator/(const Tensor& a, double b);
Tensor operator+(double a, const Tensor& b);
Tensor operator-(double a, const Tensor& b);
Tensor operator*(double a, const Tensor& b);
Tensor operator/(double a, const Tensor& b);
Tensor operator-(const Tensor& x);
// A temporary on the left that nothing else sees and no graph needs becomes the result: a * b * 2 + c has one buffer.
Tensor operator+(Tensor&& a, const Tensor& b);
Tensor operator-(Tensor&& a, const Tensor& b);
Tensor operator*(Tensor&& a, const Tensor& b);
Tensor operator/(Tensor&& a, const Tensor& b);
Tensor operator+(Tensor&& a, double b);
Tensor operator-(Tensor&& a, double b);
Tensor operator*(Tensor&& a, double b);
Tensor operator-(Tensor&& x);
Tensor maximum(const Tensor& a, const Tensor& b);  // NaN if either is; where equal each gets half the gradient
Tensor minimum(const Tensor& a, const Tensor& b);
Tensor pow(const Tensor& base, const Tensor& exponent);
Tensor pow(const Tensor& base, double exponent);

Tensor operator==(const Tensor& a, const Tensor& b);  // comparisons give bool tensors
Tensor operator!=(const Tensor& a, const Tensor& b);
Tensor operator<(const Tensor& a, const Tensor& b);
Tensor operator<=(const Tensor& a, const Tensor& b);
Tensor operator>(const Tensor& a, const Tensor& b);
Tensor operator>=(const Tensor& a, const Tensor& b);
Tensor operator==(const Tensor& a, double b);
Tensor operator!=(const Tensor& a, double b);
Tensor operator<(const Tensor& a, double b);
Tensor operator<=(const Tensor& a, double b);
Tensor operator>(const Tensor& a, double b);
Tensor operator>=(const Tensor& a, double b);
Tensor logical_and(const Tensor& a, const Tensor& b);  // of bool tensors
Tensor logical_or(const Tensor& a, const Tensor& b);
Tensor logical_not(const Tensor& x);
Tensor isfinite(const Tensor& x);
Tensor isnan(const Tensor& x);
Tensor isinf(const Tensor& x);
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);
// |a - b| <= atol + rtol |b| everywhere; false if the shapes differ or (unless equal_nan) anything is NaN.
bool allclose(const Tensor& a, const Tensor& b, double rtol = 1e-5, double atol = 1e-8, bool equal_nan = false);
bool equal(const Tensor& a, const Tensor& b);  // same shape, dtype and elements

// --- functions of one tensor (ops/unary.cpp) -----------------------------------------------------------------------
Tensor abs(const Tensor& x);
Tensor sign(const Tensor& x);
Tensor square(const Tensor& x);
Tensor exp(const Tensor& x);
Tensor expm1(const Tensor& x);
Tensor log(const Tensor& x);
Tensor log1p(const Tensor& x);
Tensor sqrt(const Tensor& x);
Tensor rsqrt(const Tensor& x);
Tensor reciprocal(const Tensor& x);
Tensor tanh(const Tensor& x);
Tensor sigmoid(const Tensor& x);
Tensor erf(const Tensor& x);
Tensor sin(const Tensor& x);
Tensor cos(const Tensor& x);
Tensor floor(const Tensor& x);
Tensor ceil(const Tensor& x);
Tensor round(const Tensor& x);                           // half to even
Tensor clamp(const Tensor& x, double low, double high);  // either may be infinite; gradient 0 at both
Tensor relu(const Tensor& x);                            // gradient 0 at 0
Tensor relu(Tensor&& x);                                 // in x's own memory, where nothing else sees or keeps that
Tensor leaky_relu(const Tensor& x, double negative_slope = 0.01);
Tensor gelu(const Tensor& x, const std::string& approximate = "none");  // or "tanh"
Tensor silu(const Tensor& x);
Tensor softplus(const Tensor& x, double beta = 1, double threshold = 20);

// --- joining, padding, making (ops/shape.cpp) ----------------------------------------------------------------------
Tensor cat(const std::vector<Tensor>& parts, int64_t d = 0);
Tensor stack(const std::vector<Tensor>& parts, int64_t d = 0);
// `amounts` as PyTorch's: before and after of the last dimension, then of the one before it, ...; may be negative.
Tensor pad(const Tensor& x, const Dims& amounts, double value = 0);
Tensor one_hot(const Tensor& index, int64_t classes);  // (...) int64 to (..., classes) int64

// --- products (ops/matmul.cpp) -------------------------------------------------------------------------------------
// Products of bfloat16 are summed in float32 and rounded once, and so are their gradients.
// (..., m, k) x (..., k, n), batch dimensions broadcast; a vector counts as a row on the left, a column on the right.
Tensor matmul(const Tensor& a, const Tensor& b);
// input + a b, in one pass: (m, n) or what broadcasts to it, (m, k), (k, n).
Tensor addmm(const Tensor& input, const Tensor& a, const Tensor& b);
Tensor dot(const Tensor& a, const Tensor& b);    // (n), (n)
Tensor outer(const Tensor& a, const Tensor& b);  // (m), (n) to (m, n)
// "bij,bjk->bik": letters name dimensions; without "->" the output has those that occur once, in order.
Tensor einsum(const std::string& equation, const std::vector<Tensor>& operands);
// x weight^T + bias: (..., in), (out, in), (out) or undefined.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {});
// Whether `linear` keeps a second copy of a leaf's weights, as products read them, from their second use until they
// change (in place, or data() was asked for). It takes memory, saves time and changes no bit. On at first.
void set_keep_packed_weights(bool on);

// --- softmax and random (ops/softmax.cpp, ops/dropout.cpp) ---------------------------------------------------------
Tensor softmax(const Tensor& x, int64_t d);
Tensor log_softmax(const Tensor& x, int64_t d);
// Each element is zero with probability p, else divided by 1 - p; the identity unless `training`.
Tensor dropout(const Tensor& x, double p, bool training = true);
Tensor embedding(const Tensor& index, const Tensor& weight,
                 std::optional<int64_t> padding_idx = {});  // (...), (n, d)

// --- attention (ops/attention.cpp) ---------------------------------------------------------------------------------
// Which keys each query may attend to: bool tensors that broadcast to (..., query, key), true where it may (keep) or
// may not (drop). There are two types because both conventions are in use, and a model that is given the wrong one
// trains, looking at exactly what it should not.
struct DropMask {
  Tensor dropped;
  explicit DropMask(const Tensor& mask);  // throws Error unless bool
};
struct KeepMask {
  Tensor kept;
  explicit KeepMask(const Tensor& mask);  // throws Error unless bool
  KeepMask(const DropMask& mask);
};
KeepMask operator&(const KeepMask& a, const KeepMask& b);  // what both keep
// (queries, keys): each query sees the keys up to its own place, the queries being the last of the keys.
KeepMask causal_mask(int64_t queries, int64_t keys, Device device = Device::cpu);
// (queries, keys): each query sees the keys at most `before` places before its own and `after` behind it.
KeepMask window_mask(int64_t queries, int64_t keys, int64_t before, int64_t after, Device device = Device::cpu);
// (batch, 1, 1, keys): each sample's first lengths[i] keys. lengths (batch), int64.
KeepMask padding_mask(const Tensor& lengths, int64_t keys);

// softmax over the last dimension among the keys that are kept; a row that keeps none is zero, and so is its gradient.
Tensor masked_softmax(const Tensor& scores, const KeepMask& keep);

struct AttentionOptions {
  std::optional<KeepMask> keep = {};
  bool is_causal = false;            // keeps what causal_mask(queries, keys) does besides, without making it
  Tensor bias = {};                  // added to the scores; broadcasts to (..., query, key)
  std::optional<double> scale = {};  // of the scores: 1 / sqrt(d) unless given
  double dropout = 0;                // of the weights; the caller sets 0 when evaluating
};
struct Attended {
  Tensor output;   // (..., query, d_value)
  Tensor weights;  // (..., query, key), after dropout
};
// softmax(scale q k^T + bias) v: Vaswani et al. 2017, section 3.2.1. query (..., queries, d), key (..., keys, d), value
// (..., keys, d_value). Where key and value have fewer heads (dimension -3), each serves as many heads of the query in
// turn: Ainslie et al. 2023. Memory is linear in the lengths, forward and backward, unless the bias requires grad.
Tensor scaled_dot_product_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                                    const AttentionOptions& options = {});
// The same, with the weights; its gradient can be differentiated again, which the one above refuses.
Attended attend(const Tensor& query, const Tensor& key, const Tensor& value, const AttentionOptions& options = {});

// Rotates each pair (x[i], x[i + d/2]) of the last dimension by position * base^(-2i/d), so that products of two such
// vectors depend on how far apart they are: Su et al. 2021, section 3.2. x (..., places, d), d even; the first place is
// `first`.
Tensor rotary(const Tensor& x, int64_t first = 0, double base = 10000);
// (heads, queries, keys): minus the distance times a slope of each head, 2^(-8 h / heads): Press, Smith and Lewis 2022.
Tensor alibi_bias(int64_t heads, int64_t queries, int64_t keys, Device device = Device::cpu);

// A sample from softmax(logits) along the last dimension that has a gradient: softmax((logits + Gumbel noise) / tau);
// `hard` makes it one-hot and passes the gradient straight through: Jang, Gu and Poole 2017.
Tensor gumbel_softmax(const Tensor& logits, double tau = 1, bool hard = false, Generator* generator = nullptr);

// --- recurrence (ops/recurrent.cpp, ops/additive.cpp) ---------------------------------------------------------------
struct RecurrentSteps {
  Tensor output;  // (batch, time, hidden): h after each step, zero where the sequence has ended
  Tensor h, c;    // (batch, hidden): after each sequence's last step; c of an LSTM's cells, otherwise undefined
};
// The steps of a recurrent layer. inputs (batch, time, gates * hidden): W_ih x + b_ih of all steps, which `linear`
// makes of them in one go; weight (gates * hidden, hidden) and bias (gates * hidden), which may be undefined, W_hh and
// b_hh in PyTorch's order of gates; h0 and, of an LSTM, c0 (batch, hidden). lengths (batch) int64 or undefined: how
// long each sequence is; beyond that its state stays. `reverse` reads from the end. Cannot be differentiated twice.
RecurrentSteps recurrent(Cell cell, const Tensor& inputs, const Tensor& weight, const Tensor& bias, const Tensor& h0,
                         const Tensor& c0 = {}, const Tensor& lengths = {}, bool reverse = false);

// v . tanh(query + key) for every pair: (batch, queries, keys) from query (batch, queries, n), key (batch, keys, n) and
// v (n). Bahdanau, Cho and Bengio 2015, appendix A.1.2.
Tensor additive_scores(const Tensor& query, const Tensor& key, const Tensor& v);

// --- convolution and pooling (ops/conv.cpp, ops/pool.cpp) ----------------------------------------------------------
// Pairs are (height, width).
struct Pair {
  int64_t h, w;
  Pair(int64_t both) : h(both), w(both) {}
  Pair(int64_t height, int64_t width) : h(height), w(width) {}
};
struct ConvOptions {
  Pair stride = 1, padding = 0, dilation = 1;
  int64_t groups = 1;
};
// x (batch, in, h, w), weight (out, in / groups, kernel_h, kernel_w), bias (out) or undefined. How it is computed is
// chosen by the sizes, so that the last bits for an image may depend on how many others are in the batch.
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {}, const ConvOptions& options = {});
// x (batch, in, length), weight (out, in / groups, kernel); of the pairs only .w is used.
Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias = {}, const ConvOptions& options = {});
// The gradient of conv2d with respect to its input, as a layer: weight (in, out / groups, kernel_h, kernel_w).
Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                        const ConvOptions& options = {}, Pair output_padding = 0);
struct PoolOptions {
  Pair kernel;
  std::optional<Pair> stride = {};  // the kernel's size unless given
  Pair padding = 0;
};
// With `relu`, max_pool2d(relu(x)), in one pass: relu(x) is neither made nor kept.
Tensor max_pool2d(const Tensor& x, const PoolOptions& options, bool relu = false);
Tensor avg_pool2d(const Tensor& x, const PoolOptions& options, bool count_include_pad = true);
Tensor adaptive_avg_pool2d(const Tensor& x, Pair out);

// --- normalisation (ops/norm.cpp): weight and bias may be undefined ------------------------------------------------
// Over the last dimensions, whose shape is that of weight and bias: Ba, Kiros and Hinton 2016.
Tensor layer_norm(const Tensor& x, const Shape& normalized_shape, const Tensor& weight = {}, const Tensor& bias = {},
                  double eps = 1e-5);
// x / sqrt(mean(x^2) + eps) * weight over the last dimension: Zhang and Sennrich 2019.
Tensor rms_norm(const Tensor& x, const Tensor& weight = {}, double eps = 1e-6);
// Over groups of channels and all places, for each sample: Wu and He 2018. x (batch, channels, ...).
Tensor group_norm(const Tensor& x, int64_t groups, const Tensor& weight = {}, const Tensor& bias = {},
                  double eps = 1e-5);
// Ioffe and Szegedy 2015. x (batch, channels, ...). When training, uses the batch's mean and biased variance, and
// moves the running ones (if defined) towards them by `momentum`, the variance unbiased; else uses the running ones.
Tensor batch_norm(const Tensor& x, const Tensor& running_mean, const Tensor& running_var, const Tensor& weight,
                  const Tensor& bias, bool training, double momentum = 0.1, double eps = 1e-5);

// --- losses (ops/loss.cpp) -----------------------------------------------------------------------------------------
enum class Reduction { none, mean, sum };
struct CrossEntropyOptions {
  Tensor weight = {};           // (classes)
  int64_t ignore_index = -100;  // targets that do not count
  double label_smoothing = 0;
  Reduction reduction = Reduction::mean;  // weighted by the targets' weights; NaN where nothing counts, as PyTorch
};
// logits (batch, classes) or (batch, classes, ...), target int64 (batch) or (batch, ...).
Tensor cross_entropy(const Tensor& logits, const Tensor& target, const CrossEntropyOptions& options = {});
// The same from log probabilities; label_smoothing must be 0.
Tensor nll_loss(const Tensor& log_probabilities, const Tensor& target, const CrossEntropyOptions& options = {});
Tensor mse_loss(const Tensor& x, const Tensor& target, Reduction reduction = Reduction::mean);
Tensor l1_loss(const Tensor& x, const Tensor& target, Reduction reduction = Reduction::mean);
// 0.5 d^2 / beta where |d| < beta, else |d| - beta / 2.
Tensor smooth_l1_loss(const Tensor& x, const Tensor& target, double beta = 1, Reduction reduction = Reduction::mean);
Tensor binary_cross_entropy_with_logits(const Tensor& logits, const Tensor& target, const Tensor& weight = {},
                                        const Tensor& pos_weight = {}, Reduction reduction = Reduction::mean);
// target (log target - x), x being log probabilities; `mean` divides by the number of elements, `batch_mean` by the
// batch.
Tensor kl_div(const Tensor& x, const Tensor& target, Reduction reduction = Reduction::mean, bool log_target = false,
              bool batch_mean = false);

// --- counting ------------------------------------------------------------------------------------------------------
// Multiply-adds of matrix products and convolutions run by this thread since it started, counted as two each.
int64_t& flops_counted();

}  // namespace gradus
