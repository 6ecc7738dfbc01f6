#include "autograd/ops/common.h"

namespace gradus {

namespace {

int64_t windows(int64_t size, int64_t kernel, int64_t stride, int64_t padding) {
  return size + 2 * padding < kernel ? 0 : (size + 2 * padding - kernel) / stride + 1;
}

Pool2d plan(const char* op, const Tensor& x, const PoolOptions& o) {
  check_computable(op, x);
  check(x.dim() == 3 || x.dim() == 4, op, ": input must be (batch, channels, height, width) or (channels, height, ",
        "width), got ", x.shape());
  Pair stride = o.stride.value_or(o.kernel);
  check(o.kernel.h > 0 && o.kernel.w > 0, op, ": kernel must be positive, got ", o.kernel);
  check(stride.h > 0 && stride.w > 0, op, ": stride must be positive, got ", stride);
  check(o.padding.h >= 0 && 2 * o.padding.h <= o.kernel.h && o.padding.w >= 0 && 2 * o.padding.w <= o.kernel.w, op,
        ": padding ", o.padding, " must be at most half of kernel ", o.kernel);
  Pool2d p{};
  p.height = x.size(-2), p.width = x.size(-1);
  p.planes = x.dim() == 4 ? x.size(0) * x.size(1) : x.size(0);
  p.kernel_h = o.kernel.h, p.kernel_w = o.kernel.w;
  p.stride_h = stride.h, p.stride_w = stride.w;
  p.pad_h = o.padding.h, p.pad_w = o.padding.w;
  p.out_h = windows(p.height, p.kernel_h, p.stride_h, p.pad_h);
  p.out_w = windows(p.width, p.kernel_w, p.stride_w, p.pad_w);
  check(p.out_h > 0 && p.out_w > 0, op, ": input ", x.shape(), " with padding ", o.padding,
        " is smaller than the kernel ", o.kernel);
  return p;
}

Shape with_plane(Shape shape, int64_t height, int64_t width) {
  shape[shape.size() - 2] = height;
  shape[shape.size() - 1] = width;
  return shape;
}

Tensor average_grad(const Pool2d& p, const Tensor& g);

// Averaging and its gradient are linear, and each is the other's gradient.
Tensor average(const Pool2d& p, const Tensor& x) {
  Tensor y = empty(with_plane(x.shape(), p.out_h, p.out_w), x.options());
  if (y.numel()) kernels(x).avg_pool2d(p, data_of(plain(x)), data_of(y));
  return record("avg_pool2d", {x}, y, Keep::none,
                [p](const Tensor& g, const Kept&) { return grads(average_grad(p, g)); });
}

Tensor average_grad(const Pool2d& p, const Tensor& g) {
  Tensor dx = empty(with_plane(g.shape(), p.height, p.width), g.options());
  if (dx.numel()) kernels(g).avg_pool2d_grad(p, data_of(plain(g)), data_of(dx));
  return record("avg_pool2d_grad", {g}, dx, Keep::none,
                [p](const Tensor& h, const Kept&) { return grads(average(p, h)); });
}

// The largest of each window of x, and in which places of the planes they are, if that is wanted.
void find_largest(const Pool2d& p, const Tensor& x, const Tensor& largest, const Tensor& places) {
  if (largest.numel()) kernels(x).max_pool2d(p, data_of(x), data_of(largest), static_cast<int64_t*>(data_of(places)));
}
Tensor empty_places(const Pool2d& p, const Tensor& like) {
  return empty({p.planes, p.out_h * p.out_w}, {.dtype = int64, .device = like.device()});
}

}  // namespace

Tensor max_pool2d(const Tensor& x, const PoolOptions& options, bool relu) {
  Pool2d p = plan("max_pool2d", x, options);
  p.relu = relu;
  Shape shape = with_plane(x.shape(), p.out_h, p.out_w);
  // Where the largest are is found again: the input is mostly kept anyhow, by the operation that it comes from. Of its
  // rounded elements others would be the largest; then places are kept, which take no more.
  const bool keep_places = keeps_in_bfloat16() && any_requires_grad({x});
  Tensor y = empty(shape, x.options()), kept_places = keep_places ? empty_places(p, x) : Tensor();
  find_largest(p, plain(x), y, kept_places);
  auto rule = [p, shape = x.shape()](const Tensor& g, const Kept& k) {
    Tensor places = k.extra(), largest;
    if (places.defined()) {
      largest = k.output().detach();
    } else if (grad_enabled()) {
      largest = empty(g.shape(), g.options()), places = empty_places(p, g);
      find_largest(p, plain(k.input(0)), largest, places);
    } else {
      Tensor from = plain(k.input(0)), dx = empty(shape, g.options());
      if (dx.numel()) kernels(g).max_pool2d_grad(p, data_of(from), data_of(plain(g)), data_of(dx));
      return grads(dx);
    }
    Tensor planes = zeros({p.planes, p.height * p.width}, g.options());
    Tensor share = p.relu ? g.masked_fill(largest <= 0.0, 0) : g;
    return grads(planes.scatter_add(1, places, share.reshape(places.shape())).reshape(shape));
  };
  return record("max_pool2d", {x}, y, keep_places ? Keep::output : Keep::inputs, rule, {kept_places});
}

Tensor avg_pool2d(const Tensor& x, const PoolOptions& options, bool count_include_pad) {
  Pool2d p = plan("avg_pool2d", x, options);
  p.count_include_pad = count_include_pad;
  return average(p, x);
}

Tensor adaptive_avg_pool2d(const Tensor& x, Pair out) {
  check(out.h > 0 && out.w > 0, "adaptive_avg_pool2d: output size must be positive, got ", out);
  Pool2d p = plan("adaptive_avg_pool2d", x, {.kernel = 1});
  p.adaptive = true;
  p.out_h = out.h, p.out_w = out.w;
  return average(p, x);
}

}  // namespace gradus
