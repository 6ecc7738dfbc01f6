#include "nn/residual.h"

#include <algorithm>

#include "nn/init.h"

namespace gradus::nn {

Conv2d he_conv2d(int64_t in_channels, int64_t out_channels, int64_t kernel, int64_t stride) {
  Conv2d conv(in_channels, out_channels, kernel, {.stride = stride, .padding = kernel / 2, .bias = false});
  kaiming_normal_(conv.weight, {.mode = FanMode::fan_out, .nonlinearity = Nonlinearity::relu});
  return conv;
}

ResidualBlock::ResidualBlock(int64_t in_channels, int64_t width, const ResidualOptions& o) : options_(o) {
  struct Layer {
    int64_t out, kernel, stride;
  };
  const int64_t out = out_channels(o.kind, width);
  const std::vector<Layer> basic = {{width, 3, o.stride}, {width, 3, 1}};
  const std::vector<Layer> bottleneck = {{width, 1, 1}, {width, 3, o.stride}, {out, 1, 1}};
  int64_t channels = in_channels;
  for (const Layer& layer : o.kind == BlockKind::basic ? basic : bottleneck) {
    convs_.append(he_conv2d(channels, layer.out, layer.kernel, layer.stride));
    norms_.append(BatchNorm2d(o.preactivation ? channels : layer.out));
    channels = layer.out;
  }
  if (o.stride != 1 || in_channels != out) {
    downsample_.append(he_conv2d(in_channels, out, 1, o.stride));
    if (!o.preactivation) downsample_.append(BatchNorm2d(out));
  }
  check(o.reduction > 0, type(), ": reduction ", o.reduction, " must be positive");
  const int64_t squeezed = std::max<int64_t>(out / o.reduction, 1);
  if (o.attention == BlockAttention::se) se_.emplace(out, squeezed);
  if (o.attention == BlockAttention::cbam) cbam_.emplace(out, squeezed);
}

//! [forward]
Tensor ResidualBlock::operator()(const Tensor& x, Tensor* map) const {
  Call call(*this);
  const bool pre = options_.preactivation;
  Tensor y = pre ? relu(norms_[0](x)) : x;
  const Tensor shortcut = pre && (downsample_.size() || options_.activate_shortcut) ? y : x;
  for (int64_t i = 0; i < convs_.size(); ++i) {
    if (i > 0) y = relu(pre ? norms_[i](y) : std::move(y));
    y = convs_[i](y);
    if (!pre) y = norms_[i](y);
  }
  if (se_) y = (*se_)(y);
  if (cbam_) y = (*cbam_)(y, map);
  y = std::move(y) + (downsample_.size() ? downsample_(shortcut) : shortcut);
  return call(pre ? y : relu(std::move(y)));
}
//! [forward]

void ResidualBlock::visit(Visitor& v) {
  for (int64_t i = 0; i < convs_.size(); ++i) {
    v("conv" + std::to_string(i + 1), convs_[i]);
    v("bn" + std::to_string(i + 1), norms_[i]);
  }
  if (downsample_.size()) v("downsample", downsample_);
  if (se_) v("se", *se_);
  if (cbam_) v("cbam", *cbam_);
}

}  // namespace gradus::nn
