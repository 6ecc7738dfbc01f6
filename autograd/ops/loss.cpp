#include <algorithm>

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

void check_classes(const char* op, const Tensor& x, const Tensor& target, const CrossEntropyOptions& o) {
  check_computable(op, x);
  check(x.dim() >= 2, op, ": input must be (batch, classes) or (batch, classes, ...), got ", x.shape());
  int64_t classes = x.size(1);
  Shape expected = x.shape();
  expected.erase(1);
  check(target.shape() == expected, op, ": input ", x.shape(), " expects target ", expected, ", got ",
        target.shape());
  check(o.label_smoothing >= 0 && o.label_smoothing <= 1, op, ": label_smoothing must be between 0 and 1, got ",
        o.label_smoothing);
  check(!o.weight.defined() || o.weight.shape() == Shape{classes}, op, ": weight ",
        o.weight.defined() ? o.weight.shape() : Shape{}, " does not fit ", classes, " classes");
  check_indices(op, x.device(), target, classes, "classes", o.ignore_index);
}

// The weight of each target's class, 0 where the target is ignored.
Tensor weights_of(const Tensor& weight, const Tensor& target, int64_t ignore_index, TensorOptions options) {
  Tensor ignored = target == double(ignore_index);
  if (!weight.defined()) return ones(target.shape(), options).masked_fill(ignored, 0);
  Tensor chosen = target.masked_fill(ignored, 0).flatten();
  return weight.index_select(0, chosen).reshape(target.shape()).masked_fill(ignored, 0);
}

// How much each class counts in the loss of each row, (rows, classes): q of CrossEntropy in tensor/kernels/table.h.
Tensor shares(const CrossEntropy& c, const Tensor& target, const Tensor& weight, TensorOptions options) {
  Tensor classes = arange(0, double(c.classes), 1, {.dtype = int64, .device = options.device});
  Tensor q = (classes == target.unsqueeze(1)).to(options.dtype) * (1 - c.label_smoothing) +
             c.label_smoothing / double(c.classes);
  if (weight.defined()) q = q * weight;
  return q.masked_fill((target == double(c.ignore_index)).unsqueeze(1), 0);
}

//! [row_losses]
// The losses of rows of logits (rows, classes). Neither they nor their gradient ever write a probability down.
Tensor row_losses(const Tensor& x, const Tensor& target, const Tensor& weight, const CrossEntropy& c) {
  Tensor in = plain(x), loss = empty({c.rows}, statistics_options(x)),
         log_sum = empty({c.rows}, statistics_options(x));
  const KernelTable& k = kernels(x);
  k.cross_entropy(c, data_of(in), indices_of(target), data_of(weight), data_of(loss), data_of(log_sum));
  auto rule = [c](const Tensor& g, const Kept& kept) {
    Tensor logits = kept.input(), at = kept.extra(0), w = kept.extra(1);
    if (grad_enabled()) {  // shares sum(q) p - q, for when the gradient is differentiated too
      Tensor q = shares(c, at, w, logits.options());
      return grads(g.unsqueeze(1) * (softmax(logits, 1) * q.sum({1}, true) - q));
    }
    Tensor dx = empty(logits.shape(), logits.options()), from = plain(logits), of_loss = plain(g);
    kernels(logits).cross_entropy_grad(c, data_of(from), indices_of(at), data_of(w), data_of(kept.extra(2)),
                                       data_of(of_loss), data_of(dx));
    return grads(dx);
  };
  const KeepInBfloat16 whole(false);  // the rule's exponentials would magnify what rounding takes
  return record("cross_entropy", {x}, loss, Keep::inputs, rule, {target, weight, log_sum});
}
//! [row_losses]

}  // namespace

Tensor cross_entropy(const Tensor& input, const Tensor& target, const CrossEntropyOptions& o) {
  const Tensor logits = input.device() == Device::cpu ? widened(input) : input;  // there a kernel reads bfloat16
  const char* op = "cross_entropy";
  check_classes(op, logits, target, o);
  check(!o.weight.defined() || !o.weight.requires_grad(), op, ": weight has no gradient; pass weight.detach()");
  int64_t classes = logits.size(1);
  // Classes last: (batch, ..., classes), as rows.
  Tensor x = logits;
  for (int d = 1; d + 1 < logits.dim(); ++d) x = x.transpose(d, d + 1);
  if (logits.dim() > 2) x = x.reshape({target.numel(), classes});
  Tensor weight = match(op, o.weight, logits), at = plain(target).reshape({target.numel()});
  if (weight.defined()) weight = plain(weight);
  CrossEntropy c{target.numel(), classes, o.ignore_index, o.label_smoothing};
  Tensor losses = row_losses(x, at, weight, c);
  if (o.reduction == Reduction::none) return losses.reshape(target.shape());
  if (o.reduction == Reduction::sum) return losses.sum();
  if (weight.defined()) return losses.sum() / weights_of(weight, at, o.ignore_index, losses.options()).sum();
  if (at.device() != Device::cpu) return losses.sum() / (at != double(o.ignore_index)).to(losses.dtype()).sum();
  const int64_t* values = at.data<int64_t>();
  return losses.sum() / double(c.rows - std::count(values, values + c.rows, o.ignore_index));
}

Tensor nll_loss(const Tensor& log_p, const Tensor& target, const CrossEntropyOptions& o) {
  const char* op = "nll_loss";
  check_classes(op, log_p, target, o);
  check(o.label_smoothing == 0, op, ": has no label_smoothing; cross_entropy has");
  Tensor weight = match(op, o.weight, log_p);
  Tensor weights = weights_of(weight, target, o.ignore_index, log_p.options());
  Tensor ignored = target == double(o.ignore_index), chosen = target.masked_fill(ignored, 0);
  Tensor losses = -log_p.gather(1, chosen.unsqueeze(1)).squeeze(1);
  if (weight.defined()) losses = losses * weights;
  losses = losses.masked_fill(ignored, 0);
  if (o.reduction == Reduction::mean) return losses.sum() / weights.sum();
  return reduced(losses, o.reduction);
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
