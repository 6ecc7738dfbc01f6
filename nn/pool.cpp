#include "nn/pool.h"

namespace gradus::nn {

namespace {

PoolOptions checked(const char* type, Pair kernel, const std::optional<Pair>& stride_or_none, Pair padding) {
  Pair stride = stride_or_none.value_or(kernel);
  check(kernel.h > 0 && kernel.w > 0 && stride.h > 0 && stride.w > 0, type, ": kernel_size ", repr(kernel),
        " and stride ", repr(stride), " must be positive");
  check(padding.h >= 0 && padding.w >= 0 && 2 * padding.h <= kernel.h && 2 * padding.w <= kernel.w, type,
        ": padding ", repr(padding), " must be at most half of kernel_size ", repr(kernel));
  return {kernel, stride, padding};
}

}  // namespace

MaxPool2d::MaxPool2d(Pair kernel_size, const MaxPool2dOptions& o)
    : options(checked("MaxPool2d", kernel_size, o.stride, o.padding)), relu(o.relu) {}

AvgPool2d::AvgPool2d(Pair kernel_size, const AvgPool2dOptions& o)
    : options(checked("AvgPool2d", kernel_size, o.stride, o.padding)), count_include_pad(o.count_include_pad) {}

AdaptiveAvgPool2d::AdaptiveAvgPool2d(Pair out) : output_size(out) {
  check(out.h > 0 && out.w > 0, "AdaptiveAvgPool2d: output_size ", repr(out), " must be positive");
}

}  // namespace gradus::nn
