// Normalisations. Each has a fused gradient, and the same gradient composed of differentiable ops for when it
// is to be differentiated again.
#include <cmath>

#include "autograd/ops/common.h"

namespace gradus {

namespace {

// x with the mean of zero and variance of one over `dims`, and 1 / sqrt(variance + eps).
struct Normalized {
  Tensor x, rstd;
};
Normalized normalize(const Tensor& x, const Dims& dims, double eps) {
  Tensor centred = x - x.mean(dims, true);
  Tensor rstd = rsqrt((centred * centred).mean(dims, true) + eps);
  return {centred * rstd, rstd};
}

// The gradient of `normalize`, given that of its result.
Tensor normalize_grad(const Normalized& y, const Tensor& g, const Dims& dims) {
  return y.rstd * (g - g.mean(dims, true) - y.x * (g * y.x).mean(dims, true));
}

Tensor empty_if(bool wanted, const Tensor& like) { return wanted ? empty_like(like) : Tensor(); }

void check_affine(const char* op, const char* name, const Tensor& t, const Shape& shape) {
  check(!t.defined() || t.shape() == shape, op, ": ", name, " ", t.defined() ? t.shape() : Shape{},
        " does not fit, expected ", shape);
}

Tensor plain_if(const Tensor& x) { return x.defined() ? plain(x) : x; }

}  // namespace

Tensor layer_norm(const Tensor& input, const Shape& normalized_shape, const Tensor& weight, const Tensor& bias,
                  double eps) {
  const Tensor x = widened(input);
  const char* op = "layer_norm";
  check_computable(op, x);
  int kept_dims = x.dim() - normalized_shape.size();
  check(kept_dims >= 0 && !normalized_shape.empty() &&
            Shape(std::span(x.shape().begin() + kept_dims, x.shape().end())) == normalized_shape,
        op, ": input ", x.shape(), " does not end in the normalised shape ", normalized_shape);
  check_affine(op, "weight", weight, normalized_shape);
  check_affine(op, "bias", bias, normalized_shape);
  Tensor w = match(op, weight, x), b = match(op, bias, x);
  int64_t n = numel(normalized_shape), rows = n ? x.numel() / n : 0;
  Tensor y = empty_like(x), mean = empty({rows}, statistics_options(x)), rstd = empty({rows}, statistics_options(x));
  if (y.numel())
    kernels(x).layer_norm(data_of(plain(x)), data_of(plain_if(w)), data_of(plain_if(b)), eps, rows, n, data_of(y),
                          data_of(mean), data_of(rstd));
  auto rule = [=, shape = x.shape()](const Tensor& g, const Kept& k) {
    Tensor in = k.input(0), scale = k.input(1), dx, dw, db;
    if (grad_enabled() || g.numel() == 0) {
      Tensor g2 = g.reshape({rows, n});
      Normalized unit = normalize(in.reshape({rows, n}), {1}, eps);
      Tensor scaled = scale.defined() ? g2 * scale.reshape({n}) : g2;
      if (k.needs(0)) dx = normalize_grad(unit, scaled, {1}).reshape(shape);
      if (k.needs(1)) dw = (g2 * unit.x).sum({0}).reshape(normalized_shape);
      if (k.needs(2)) db = g2.sum({0}).reshape(normalized_shape);
    } else {
      Tensor like = empty(normalized_shape, g.options());
      dx = empty_like(in), dw = empty_if(k.needs(1), like), db = empty_if(k.needs(2), like);
      kernels(g).layer_norm_grad(data_of(plain(in)), data_of(plain_if(scale)), data_of(k.extra(0)),
                                 data_of(k.extra(1)), data_of(plain(g)), rows, n, data_of(dx), data_of(dw),
                                 data_of(db));
    }
    return grads(dx, dw, db);
  };
  return record(op, {x, w, b}, y, Keep::inputs, rule, {mean, rstd});
}

Tensor rms_norm(const Tensor& input, const Tensor& weight, double eps) {
  const Tensor x = widened(input);
  const char* op = "rms_norm";
  check_computable(op, x);
  check(x.dim() > 0, op, ": input needs at least one dimension");
  int64_t n = x.size(-1), rows = n ? x.numel() / n : 0;
  check_affine(op, "weight", weight, {n});
  Tensor w = match(op, weight, x);
  Tensor y = empty_like(x), rstd = empty({rows}, statistics_options(x));
  if (y.numel())
    kernels(x).rms_norm(data_of(plain(x)), data_of(plain_if(w)), eps, rows, n, data_of(y), data_of(rstd));
  auto rule = [=, shape = x.shape()](const Tensor& g, const Kept& k) {
    Tensor in = k.input(0), scale = k.input(1), dx, dw;
    if (grad_enabled() || g.numel() == 0) {
      Tensor g2 = g.reshape({rows, n}), x2 = in.reshape({rows, n});
      Tensor r = rsqrt((x2 * x2).mean({1}, true) + eps), unit = x2 * r;
      Tensor scaled = scale.defined() ? g2 * scale : g2;
      if (k.needs(0)) dx = (r * (scaled - unit * (scaled * unit).mean({1}, true))).reshape(shape);
      if (k.needs(1)) dw = (g2 * unit).sum({0});
    } else {
      dx = empty_like(in), dw = k.needs(1) ? empty({n}, g.options()) : Tensor();
      kernels(g).rms_norm_grad(data_of(plain(in)), data_of(plain_if(scale)), data_of(k.extra(0)), data_of(plain(g)),
                               rows, n, data_of(dx), data_of(dw));
    }
    return grads(dx, dw);
  };
  return record(op, {x, w}, y, Keep::inputs, rule, {rstd});
}

Tensor group_norm(const Tensor& x, int64_t groups, const Tensor& weight, const Tensor& bias, double eps) {
  const char* op = "group_norm";
  check(x.dim() >= 2, op, ": input must be (batch, channels, ...), got ", x.shape());
  int64_t batch = x.size(0), channels = x.size(1);
  check(groups > 0 && channels % groups == 0, op, ": ", groups, " groups do not divide the ", channels,
        " channels of input ", x.shape());
  check_affine(op, "weight", weight, {channels});
  check_affine(op, "bias", bias, {channels});
  int64_t rows = batch * groups, n = rows ? x.numel() / rows : 0;
  Tensor y = layer_norm(x.reshape({rows, n}), {n}, {}, {}, eps).reshape(x.shape());
  Shape per_channel = Dims::filled(x.dim(), 1);
  per_channel[1] = channels;
  if (weight.defined()) y = y * weight.reshape(per_channel);
  if (bias.defined()) y = y + bias.reshape(per_channel);
  return y;
}

namespace {

// scale_c x + shift_c for the channels c of x (batch, channels, ...), in one pass and outside any graph.
Tensor channel_affine(const Tensor& x, const Tensor& scale, const Tensor& shift) {
  Tensor y = empty(x.shape(), x.options()), from = plain(x);
  int64_t batch = x.size(0), channels = x.size(1);
  if (y.numel())
    kernels(x).channel_affine(data_of(from), data_of(plain(scale)), data_of(plain_if(shift)), batch, channels,
                              x.numel() / (batch * channels), data_of(y));
  return y;
}

// (x - mean) rstd weight + bias with statistics that are given, which have no gradient.
Tensor normalize_by(const Tensor& mean, const Tensor& var, const Tensor& x, const Tensor& weight, const Tensor& bias,
                    double eps) {
  Tensor y;
  {
    NoGrad guard;
    Tensor scale = rsqrt(var + eps);
    if (weight.defined()) scale = scale * weight;
    Tensor shift = -mean * scale;
    y = channel_affine(x, scale, bias.defined() ? shift + bias : shift);
  }
  auto rule = [eps](const Tensor& g, const Kept& k) {
    Tensor in = k.input(0), w = k.input(1), dx, dw, db;
    Dims others;
    for (int d = 0; d < in.dim(); ++d)
      if (d != 1) others.push_back(d);
    Shape per_channel = Dims::filled(in.dim(), 1);
    per_channel[1] = in.size(1);
    Tensor rstd = rsqrt(k.extra(1) + eps), scale = w.defined() ? rstd * w : rstd;
    if (k.needs(0)) dx = grad_enabled() ? g * scale.reshape(per_channel) : channel_affine(g, scale, {});
    if (k.needs(1)) dw = (g * (in - k.extra(0).reshape(per_channel))).sum(others) * rstd;
    if (k.needs(2)) db = g.sum(others);
    return grads(dx, dw, db);
  };
  return record("batch_norm", {x, weight, bias}, y, Keep::inputs, rule, {mean, var});
}

}  // namespace

Tensor batch_norm(const Tensor& x, const Tensor& running_mean, const Tensor& running_var, const Tensor& weight,
                  const Tensor& bias, bool training, double momentum, double eps) {
  const char* op = "batch_norm";
  check_computable(op, x);
  check(x.dim() >= 2, op, ": input must be (batch, channels, ...), got ", x.shape());
  int64_t batch = x.size(0), channels = x.size(1), inner = 1;
  for (int d = 2; d < x.dim(); ++d) inner *= x.size(d);
  check_affine(op, "running_mean", running_mean, {channels});
  check_affine(op, "running_var", running_var, {channels});
  check_affine(op, "weight", weight, {channels});
  check_affine(op, "bias", bias, {channels});
  Tensor w = match(op, weight, x), b = match(op, bias, x);
  if (!training) {
    check(running_mean.defined() && running_var.defined(), op, ": needs running statistics when not training");
    return normalize_by(match(op, running_mean, x), match(op, running_var, x), x, w, b, eps);
  }
  int64_t count = batch * inner;
  check(count != 1, op, ": training needs more than one value per channel, got input ", x.shape());
  Tensor y = empty_like(x), mean = empty({channels}, statistics_options(x)),
         rstd = empty({channels}, statistics_options(x));
  if (y.numel()) {
    kernels(x).batch_norm(data_of(plain(x)), data_of(plain_if(w)), data_of(plain_if(b)), eps, batch, channels, inner,
                          data_of(y), data_of(mean), data_of(rstd));
    NoGrad guard;
    if (running_mean.defined()) Tensor(running_mean).mul_(1 - momentum).add_(mean, momentum);
    if (running_var.defined()) {
      // The kernel gives 1 / sqrt(variance + eps); rounding must not make a variance of zero negative.
      Tensor var = clamp(1.0 / (rstd * rstd) - eps, 0, INFINITY);
      Tensor(running_var).mul_(1 - momentum).add_(var, momentum * double(count) / double(count - 1));
    }
  }
  auto rule = [=, shape = x.shape()](const Tensor& g, const Kept& k) {
    Tensor in = k.input(0), scale = k.input(1), dx, dw, db;
    if (grad_enabled() || g.numel() == 0) {
      Shape cube{batch, channels, inner};
      Tensor g3 = g.reshape(cube);
      Normalized unit = normalize(in.reshape(cube), {0, 2}, eps);
      Tensor scaled = scale.defined() ? g3 * scale.reshape({channels, 1}) : g3;
      if (k.needs(0)) dx = normalize_grad(unit, scaled, {0, 2}).reshape(shape);
      if (k.needs(1)) dw = (g3 * unit.x).sum({0, 2});
      if (k.needs(2)) db = g3.sum({0, 2});
    } else {
      Tensor like = empty({channels}, g.options());
      dx = empty_like(in), dw = empty_if(k.needs(1), like), db = empty_if(k.needs(2), like);
      kernels(g).batch_norm_grad(data_of(plain(in)), data_of(plain_if(scale)), data_of(k.extra(0)),
                                 data_of(k.extra(1)), data_of(plain(g)), batch, channels, inner, data_of(dx),
                                 data_of(dw), data_of(db));
    }
    return grads(dx, dw, db);
  };
  return record(op, {x, w, b}, y, Keep::inputs, rule, {mean, rstd});
}

}  // namespace gradus
