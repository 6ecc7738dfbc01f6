// Changes in place. They are never recorded: on a tensor that requires grad they throw unless recording is off.
#include "autograd/ops/common.h"

namespace gradus {
namespace {

void expect_fits(const char* name, const Tensor& x, const Tensor& other) {
  check(broadcast_shapes(name, x.shape(), other.shape()) == x.shape(), name, ": ", other.shape(),
        " does not broadcast to ", x.shape());
}

// this = this op other, with `other` converted and broadcast to this.
void change(const char* name, Binary op, const Tensor& x, const Tensor& other) {
  check(!any_requires_grad({other}), name,
        ": the other tensor requires grad, and in-place changes are not recorded; ",
        "use NoGrad, or the function that returns a new tensor");
  expect_fits(name, x, other);
  check_together(name, x, other);
  begin_inplace(name, x);
  NoGrad guard;
  Tensor operand = other.to(x.dtype()).expand(x.shape());
  bool same_place = operand.layout().offset == x.layout().offset && operand.strides() == x.strides();
  if (operand.storage() == x.storage() && !same_place) operand = operand.clone();
  kernels(x).binary(op, x.raw(), operand.raw(), x.raw());
}

}  // namespace

Tensor& Tensor::copy_(const Tensor& source) {
  check(!any_requires_grad({source}), "copy_: the source requires grad, and in-place changes are not recorded; ",
        "use NoGrad, or the function that returns a new tensor");
  expect_fits("copy_", *this, source);
  begin_inplace("copy_", *this);
  NoGrad guard;
  Tensor from = source.to(dtype()).to(device()).expand(shape());
  if (from.storage() == storage_) from = from.clone();
  kernels(*this).copy(from.raw(), raw());
  return *this;
}

Tensor& Tensor::fill_(double value) {
  begin_inplace("fill_", *this);
  kernels(*this).fill(raw(), value);
  return *this;
}

Tensor& Tensor::add_(const Tensor& other, double alpha) {
  if (alpha == 1) {
    change("add_", Binary::add, *this, other);
  } else {
    check(!any_requires_grad({other}), "add_: the other tensor requires grad, and in-place changes are not recorded");
    change("add_", Binary::add, *this, other.detach() * alpha);
  }
  return *this;
}

static void affine_(const char* op, const Tensor& x, double scale, double shift) {
  begin_inplace(op, x);
  kernels(x).unary(Unary::affine, x.raw(), x.raw(), scale, shift);
}

Tensor& Tensor::add_(double value) {
  affine_("add_", *this, 1, value);
  return *this;
}

Tensor& Tensor::mul_(double factor) {
  affine_("mul_", *this, factor, 0);
  return *this;
}

Tensor& Tensor::mul_(const Tensor& other) {
  change("mul_", Binary::mul, *this, other);
  return *this;
}

Tensor& Tensor::div_(const Tensor& other) {
  change("div_", Binary::div, *this, other);
  return *this;
}

}  // namespace gradus
