#include "nn/image_attention.h"

#include "nn/init.h"

namespace gradus::nn {

void ChannelLayers::visit(Visitor& v) {
  v("fc1", fc1);
  v("fc2", fc2);
}

//! [channels]
Tensor SqueezeExcitation::operator()(const Tensor& x) const {
  Call call(*this);
  return call(x * sigmoid(layers(x.mean({2, 3}, true))));
}
//! [channels]

Tensor ChannelAttention::operator()(const Tensor& x) const {
  Call call(*this);
  return call(sigmoid(layers(x.mean({2, 3}, true)) + layers(x.amax({2, 3}, true))));
}

//! [places]
Tensor SpatialAttention::operator()(const Tensor& x) const {
  Call call(*this);
  return call(sigmoid(conv(cat({x.mean({1}, true), x.amax({1}, true)}, 1))));
}

Tensor CBAM::operator()(const Tensor& x, Tensor* map) const {
  Call call(*this);
  const Tensor weighted = x * channel(x), places = spatial(weighted);
  if (map) *map = places;
  return call(weighted * places);
}
//! [places]

void CBAM::visit(Visitor& v) {
  v("channel", channel);
  v("spatial", spatial);
}

NonLocalBlock::NonLocalBlock(int64_t channels, int64_t inner)
    : theta(channels, inner, 1), phi(channels, inner, 1), g(channels, inner, 1), W(inner, channels, 1), bn(channels) {
  zeros_(bn.weight);
}

Tensor NonLocalBlock::operator()(const Tensor& x, Tensor* weights) const {
  Call call(*this);
  auto places = [](const Tensor& maps) { return maps.flatten(2, 3).transpose(1, 2).unsqueeze(1); };  // (b, 1, hw, c)
  const Tensor query = places(theta(x)), key = places(phi(x)), value = places(g(x));
  Tensor y;
  if (weights) {
    const Attended seen = attend(query, key, value, {.scale = 1});
    y = seen.output, *weights = seen.weights;
  } else {
    y = scaled_dot_product_attention(query, key, value, {.scale = 1});
  }
  const Tensor maps = y.squeeze(1).transpose(1, 2).unflatten(2, {x.size(2), x.size(3)});
  return call(bn(W(maps)) + x);
}

void NonLocalBlock::visit(Visitor& v) {
  v("theta", theta);
  v("phi", phi);
  v("g", g);
  v("W", W);
  v("bn", bn);
}

}  // namespace gradus::nn
