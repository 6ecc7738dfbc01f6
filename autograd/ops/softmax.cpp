#include "autograd/ops/common.h"

namespace gradus {

namespace {

using RowKernel = void (*)(const void* x, void* y, int64_t rows, int64_t n);
using RowGradKernel = void (*)(const void* y, const void* g, void* dx, int64_t rows, int64_t n);

Tensor along_last(RowKernel kernel, const Tensor& x) {
  Tensor y = empty_like(x);
  int64_t n = x.dim() ? x.size(-1) : 1;
  if (y.numel()) kernel(plain(x).raw().data, y.raw().data, y.numel() / n, n);
  return y;
}

Tensor fused_grad(RowGradKernel kernel, const Tensor& y, const Tensor& g) {
  Tensor dx = empty_like(y);
  int64_t n = y.dim() ? y.size(-1) : 1;
  if (y.numel()) kernel(y.raw().data, plain(g).raw().data, dx.raw().data, y.numel() / n, n);
  return dx;
}

}  // namespace

Tensor softmax(const Tensor& input, int64_t d) {
  const Tensor x = widened(input);
  check_computable("softmax", x);
  int dim = wrap_dim("softmax", d, x.dim());
  if (dim < x.dim() - 1) return softmax(x.transpose(dim, -1), -1).transpose(dim, -1);
  Tensor y = along_last(kernels(x).softmax, x);
  return record("softmax", {x}, y, Keep::output, [](const Tensor& g, const Kept& k) {
    Tensor p = k.output();
    if (!grad_enabled()) return grads(fused_grad(kernels(p).softmax_grad, p, g));
    return grads(p * (g - (p * g).sum({-1}, true)));
  });
}

Tensor log_softmax(const Tensor& input, int64_t d) {
  const Tensor x = widened(input);
  check_computable("log_softmax", x);
  int dim = wrap_dim("log_softmax", d, x.dim());
  if (dim < x.dim() - 1) return log_softmax(x.transpose(dim, -1), -1).transpose(dim, -1);
  Tensor y = along_last(kernels(x).log_softmax, x);
  return record("log_softmax", {x}, y, Keep::output, [](const Tensor& g, const Kept& k) {
    Tensor log_p = k.output();
    if (!grad_enabled()) return grads(fused_grad(kernels(log_p).log_softmax_grad, log_p, g));
    return grads(g - exp(log_p) * g.sum({-1}, true));
  });
}

}  // namespace gradus
