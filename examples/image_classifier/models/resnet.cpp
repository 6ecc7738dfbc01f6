#include "resnet.h"

#include <algorithm>

#include "nn/init.h"

namespace image_classifier {

using namespace gradus;

ResNetLayout resnet_layout(int64_t depth) {
  using enum nn::BlockKind;
  switch (depth) {
    case 18: return {basic, {2, 2, 2, 2}, 64, 16};
    case 34: return {basic, {3, 4, 6, 3}, 64, 16};
    case 50: return {bottleneck, {3, 4, 6, 3}, 64, 16};
    case 101: return {bottleneck, {3, 4, 23, 3}, 64, 16};
    case 152: return {bottleneck, {3, 8, 36, 3}, 64, 16};
  }
  check(depth >= 8 && depth <= 1202 && depth % 6 == 2, "resnet: depth ", depth,
        " is none of 18, 34, 50, 101, 152, nor 6n + 2 from 8 to 1202");
  return {basic, std::vector<int64_t>(3, (depth - 2) / 6), 16, 4};
}

namespace {

// Weights of the convolutions in the blocks, to tell in advance how large a network will be.
double weights(const ResNetLayout& layout) {
  double sum = 0, width = double(layout.width);
  for (int64_t blocks : layout.blocks) {
    sum += double(blocks) * width * width * (layout.kind == nn::BlockKind::basic ? 18 : 17);
    width *= 2;
  }
  return sum;
}

}  // namespace

ResNet::ResNet(const ModelOptions& options, const Shape& image, int64_t classes)
    : large_stem_(options.stem == "auto" ? std::min(image[1], image[2]) >= 96 : options.stem == "imagenet") {
  const int64_t depth = options.depth ? options.depth : 20;
  ResNetLayout layout = resnet_layout(depth);
  if (options.width) layout.width = options.width;
  check(weights(layout) < 5e8, "resnet: depth ", depth, " and width ", layout.width, " make over ",
        int64_t(weights(layout) / 1e6), " million parameters, expected less than 500 million");
  check(!options.zero_init || !options.pre_activation,
        "resnet: zero-init is of the normalisation at the end of a block; with pre-activation there is none");
  nn::ResidualOptions block = {.kind = layout.kind,
                               .preactivation = options.pre_activation,
                               .activate_shortcut = true,
                               .reduction = options.reduction ? options.reduction : layout.reduction};
  if (options.model == "se_resnet") block.attention = nn::BlockAttention::se;
  if (options.model == "cbam_resnet") block.attention = nn::BlockAttention::cbam;

  int64_t channels = layout.width;
  conv1_ = large_stem_ ? nn::he_conv2d(image[0], channels, 7, 2) : nn::he_conv2d(image[0], channels, 3);
  if (!options.pre_activation) bn1_.emplace(channels);
  for (size_t stage = 0; stage < layout.blocks.size(); ++stage) {
    if (options.model == "self_attention_cnn" && stage + 1 == layout.blocks.size())
      non_local_.emplace(channels, (channels + 1) / 2);
    stages_.emplace_back(layout.blocks[stage], [&](int64_t i) {
      block.stride = stage > 0 && i == 0 ? 2 : 1;
      const int64_t width = layout.width << stage;
      nn::ResidualBlock made(channels, width, block);
      channels = nn::ResidualBlock::out_channels(layout.kind, width);
      block.activate_shortcut = false;
      if (options.zero_init) nn::zeros_(made.last_norm().weight);
      return made;
    });
  }
  if (options.pre_activation) norm_.emplace(channels);
  fc_.emplace(channels, classes);
}

Tensor ResNet::maps(const Tensor& images, Seen* seen) const {
  Tensor x = (*conv1_)(images);
  if (bn1_) x = (*bn1_)(x);
  // With pre-activation, the first block does what is left of it.
  if (large_stem_)
    x = max_pool2d(x, {.kernel = 3, .stride = 2, .padding = 1}, bn1_.has_value());
  else if (bn1_)
    x = relu(std::move(x));
  for (size_t stage = 0; stage < stages_.size(); ++stage) {
    if (non_local_ && stage + 1 == stages_.size()) {
      Tensor weights;
      x = (*non_local_)(x, seen ? &weights : nullptr);
      if (seen) seen->attention.push_back(weights);
    }
    for (const nn::ResidualBlock& block : stages_[stage]) {
      Tensor map;
      x = block(x, seen ? &map : nullptr);
      if (map.defined()) seen->spatial.push_back(map);
    }
  }
  return norm_ ? relu((*norm_)(x)) : x;
}

Tensor ResNet::features(const Tensor& maps) const { return maps.mean({2, 3}); }

void ResNet::visit(nn::Visitor& v) {
  v("conv1", *conv1_);
  if (bn1_) v("bn1", *bn1_);
  for (size_t stage = 0; stage < stages_.size(); ++stage) {
    if (non_local_ && stage + 1 == stages_.size()) v("non_local", *non_local_);
    v("layer" + std::to_string(stage + 1), stages_[stage]);
  }
  if (norm_) v("norm", *norm_);
  v("fc", *fc_);
}

}  // namespace image_classifier
