#include "autograd/ops/common.h"

namespace gradus {

namespace {

Tensor reduced(const Tensor& losses, Reduction reduction) {
  if (reduction == Reduction::none) return losses;
  return reduction == Reduction::sum ? losses.sum() : losses.mean();
}

// Losses of two equal shapes: broadcasting (n) against (n, 1) would quietly compare every pair.
void check_pair(const char* op, Tensor& x, Tensor& target) {
  check(x.shape() == target.shape(), op, ": input ", x.shape(), " and target ", target.shape(),
        " must have the same shape");
  promote_both(op, x, target);
}

// log(1 + exp(x)), exact to rounding for every x.
Tensor log_one_plus_exp(const Tensor& x) {
  Tensor y;
  {
    NoGrad guard;
    y = relu(x) + log1p(exp(-abs(x)));
  }
  return record("softplus", {x}, y, Keep::inputs,
                [](const Tensor& g, const Kept& k) { return grads(g * sigmoid(k.input())); });
}

// Cross-entropy from log probabilities (batch, classes, ...).
Tensor class_loss(const char* op, const Tensor& log_p, const Tensor& target, const CrossEntropyOptions& o) {
  int64_t classes = log_p.size(1);
  Shape expected = log_p.shape();
  expected.erase(1);
  check(target.shape() == expected, op, ": input ", log_p.shape(), " expects target ", expected, ", got ",
        target.shape());
  check(o.label_smoothing >= 0 && o.label_smoothing <= 1, op, ": label_smoothing must be between 0 and 1, got ",
        o.label_smoothing);
  check(!o.weight.defined() || o.weight.shape() == Shape{classes}, op, ": weight ",
        o.weight.defined() ? o.weight.shape() : Shape{}, " does not fit ", classes, " classes");
  check_indices(op, target, classes, "classes", o.ignore_index);
  Tensor weight = match(op, o.weight, log_p);

  Tensor ignored = target == double(o.ignore_index);
  Tensor chosen = target.masked_fill(ignored, 0);
  Tensor losses = -log_p.gather(1, chosen.unsqueeze(1)).squeeze(1);
  Tensor weights =
      weight.defined() ? weight.index_select(0, chosen.flatten()).reshape(expected) : ones(expected, log_p.options());
  weights = weights.masked_fill(ignored, 0);
  if (weight.defined()) losses = losses * weights;
  if (o.label_smoothing > 0) {
    // The target's share is 1 - smoothing, and smoothing is spread evenly over all classes: Szegedy et al. 2016, 7.
    Shape per_class = Dims::filled(log_p.dim(), 1);
    per_class[1] = classes;
    Tensor all = weight.defined() ? log_p * weight.reshape(per_class) : log_p;
    losses = losses * (1 - o.label_smoothing) - all.sum({1}) * (o.label_smoothing / double(classes));
  }
  losses = losses.masked_fill(ignored, 0);
  if (o.reduction == Reduction::mean) return losses.sum() / weights.sum();
  return reduced(losses, o.reduction);
}

void check_scores(const char* op, const Tensor& x) {
  check_computable(op, x);
  check(x.dim() >= 2, op, ": input must be (batch, classes) or (batch, classes, ...), got ", x.shape());
}

}  // namespace

Tensor cross_entropy(const Tensor& logits, const Tensor& target, const CrossEntropyOptions& options) {
  check_scores("cross_entropy", logits);
  return class_loss("cross_entropy", log_softmax(logits, 1), target, options);
}

Tensor nll_loss(const Tensor& log_probabilities, const Tensor& target, const CrossEntropyOptions& options) {
  check_scores("nll_loss", log_probabilities);
  check(options.label_smoothing == 0, "nll_loss: has no label_smoothing; cross_entropy has");
  return class_loss("nll_loss", log_probabilities, target, options);
}

Tensor mse_loss(const Tensor& input, const Tensor& target, Reduction reduction) {
  Tensor x = input, t = target;
  check_pair("mse_loss", x, t);
  return reduced(square(x - t), reduction);
}

Tensor l1_loss(const Tensor& input, const Tensor& target, Reduction reduction) {
  Tensor x = input, t = target;
  check_pair("l1_loss", x, t);
  return reduced(abs(x - t), reduction);
}

Tensor smooth_l1_loss(const Tensor& input, const Tensor& target, double beta, Reduction reduction) {
  check(beta >= 0, "smooth_l1_loss: beta must not be negative, got ", beta);
  if (beta == 0) return l1_loss(input, target, reduction);
  Tensor x = input, t = target;
  check_pair("smooth_l1_loss", x, t);
  Tensor d = x - t, distance = abs(d);
  return reduced(where(distance < beta, square(d) * (0.5 / beta), distance - 0.5 * beta), reduction);
}

Tensor binary_cross_entropy_with_logits(const Tensor& logits, const Tensor& target, const Tensor& weight,
                                        const Tensor& pos_weight, Reduction reduction) {
  const char* op = "binary_cross_entropy_with_logits";
  Tensor x = logits, t = target;
  check_pair(op, x, t);
  // Both terms are positive, so nothing cancels: -log(sigmoid(x)) = log(1 + exp(-x)).
  Tensor positive = t * log_one_plus_exp(-x);
  if (pos_weight.defined()) positive = positive * match(op, pos_weight, x);
  Tensor losses = positive + (1.0 - t) * log_one_plus_exp(x);
  if (weight.defined()) losses = losses * match(op, weight, x);
  return reduced(losses, reduction);
}

Tensor kl_div(const Tensor& input, const Tensor& target, Reduction reduction, bool log_target, bool batch_mean) {
  Tensor x = input, t = target, losses;
  check_pair("kl_div", x, t);
  if (log_target) {
    losses = exp(t) * (t - x);
  } else {
    Tensor none = t == 0.0;  // there p log p is 0, its limit
    losses = t * (log(t.masked_fill(none, 1)) - x);
  }
  if (!batch_mean) return reduced(losses, reduction);
  check(x.dim() > 0, "kl_div: batch_mean needs a batch dimension");
  return losses.sum() / double(x.size(0));
}

}  // namespace gradus
