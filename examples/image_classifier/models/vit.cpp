#include "vit.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "nn/init.h"
#include "nn/positions.h"

namespace image_classifier {

using namespace gradus;

namespace {

constexpr int64_t most_patches = 16384, most_parameters = 1'000'000'000;

// The largest power of two up to 16 that divides both sides and leaves 7 x 7 patches or more, as 224 / 16 = 14 and
// 28 / 4 = 7 do.
int64_t usual_patch(const Shape& image) {
  int64_t patch = 16;
  while (patch > 1 && (image[1] % patch || image[2] % patch || image[1] / patch < 7 || image[2] / patch < 7))
    patch /= 2;
  return patch;
}

}  // namespace

VitOptions vit_options(const ModelOptions& o, const Shape& image) {
  const bool stem = o.model == "conv_vit";
  const int64_t usual_layers = stem ? 5 : 6;
  VitOptions v = {.patch = o.patch ? o.patch : usual_patch(image),
                  .layers = o.depth ? o.depth : usual_layers,
                  .features = o.width ? o.width : 192,
                  .class_token = o.pool == "token",
                  .learned_positions = o.positions == "learned",
                  .convolutional_stem = stem,
                  .dropout = o.dropout,
                  .drop_path = o.drop_path};
  v.heads = o.heads ? o.heads : std::max<int64_t>(1, v.features / 64);
  while (!o.heads && v.features % v.heads) --v.heads;
  check(image[1] % v.patch == 0 && image[2] % v.patch == 0, o.model, ": patches of ", v.patch, " x ", v.patch,
        " do not divide images of ", image[1], " x ", image[2]);
  check((image[1] / v.patch) * (image[2] / v.patch) <= most_patches, o.model, ": images of ", image[1], " x ",
        image[2], " have more than ", most_patches, " patches of ", v.patch, " x ", v.patch);
  check(v.features % v.heads == 0, o.model, ": ", v.heads, " heads do not divide ", v.features, " features");
  check(v.learned_positions || v.features % 4 == 0, o.model,
        ": sinusoidal positions need a multiple of 4 features, got ", v.features);
  check(!stem || (std::has_single_bit(uint64_t(v.patch)) && v.features >= v.patch), o.model, ": patches of ", v.patch,
        " and ", v.features, " features, expected a power of two and at least as many features");
  // Of the layers, which are nearly all.
  check(12 * v.layers * v.features * v.features <= most_parameters, o.model, ": ", v.layers, " layers of ",
        v.features, " features have more than ", most_parameters, " parameters");
  check(v.dropout >= 0 && v.dropout < 1 && v.drop_path >= 0 && v.drop_path < 1, o.model, ": dropout ", v.dropout,
        " and drop-path ", v.drop_path, ", expected shares from 0 to below 1");
  return v;
}

VitLayer::VitLayer(const VitOptions& o, double path_probability)
    : ln_1({o.features}, {.eps = 1e-6}),
      ln_2({o.features}, {.eps = 1e-6}),
      self_attention(o.features, o.heads),
      linear1(o.features, 4 * o.features),
      linear2(4 * o.features, o.features),
      drop_path(path_probability),
      dropout(o.dropout) {}

Tensor VitLayer::operator()(const Tensor& x, Seen* seen) const {
  nn::Call call(*this);
  const auto drop = [&](const Tensor& t) { return gradus::dropout(t, dropout, training()); };
  const Attended attended = self_attention(ln_1(x), {.need_weights = seen != nullptr});
  if (seen) seen->attention.push_back(attended.weights);
  const Tensor y = x + drop_path(drop(attended.output));
  return call(y + drop_path(drop(linear2(drop(gelu(linear1(ln_2(y))))))));
}

void VitLayer::visit(nn::Visitor& v) {
  v("ln_1", ln_1);
  v("self_attention", self_attention);
  v("ln_2", ln_2);
  v("mlp.0", linear1);
  v("mlp.3", linear2);
  v("drop_path", drop_path);
}

ConvStem::ConvStem(int64_t channels, const VitOptions& o) : last(o.features, o.features, 1) {
  for (int64_t left = o.patch; left > 1; left /= 2) {
    const int64_t wider = 2 * o.features / left;
    // Without a bias: the shift of the normalisation takes its place.
    steps.push_back(
        {nn::Conv2d(channels, wider, 3, {.stride = 2, .padding = 1, .bias = false}), nn::BatchNorm2d(wider)});
    channels = wider;
  }
}

Tensor ConvStem::operator()(const Tensor& x) const {
  nn::Call call(*this);
  Tensor y = x;
  for (const Step& step : steps) y = relu(step.norm(step.conv(y)));
  return call(last(y).flatten(2).transpose(1, 2));
}

void ConvStem::visit(nn::Visitor& v) {
  for (size_t i = 0; i < steps.size(); ++i) {
    const std::string name = "conv_bn_relu_" + std::to_string(i);
    v(name + ".0", steps[i].conv);
    v(name + ".1", steps[i].norm);
  }
  v("conv_last", last);
}

VisionTransformer::VisionTransformer(const VitOptions& o, const Shape& image, int64_t classes)
    : options_(o), image_(image), norm_({o.features}, {.eps = 1e-6}), head_(o.features, classes) {
  if (o.convolutional_stem)
    stem_.emplace(image[0], o);
  else
    patches_.emplace(image[0], o.features, o.patch);
  if (o.class_token) class_token_ = zeros({1, 1, o.features}, {.requires_grad = true});
  const int64_t rows = image[1] / o.patch, columns = image[2] / o.patch, tokens = o.class_token ? 1 : 0;
  if (o.learned_positions) {
    pos_embedding_ = empty({1, tokens + rows * columns, o.features}, {.requires_grad = true});
  } else {
    pos_embedding_ = nn::sinusoidal_positions_2d(rows, columns, o.features).unsqueeze(0);
    if (o.class_token) pos_embedding_ = cat({zeros({1, 1, o.features}), pos_embedding_}, 1);  // which is nowhere
  }
  for (int64_t i = 0; i < o.layers; ++i)
    layers_.emplace_back(o, o.layers > 1 ? o.drop_path * double(i) / double(o.layers - 1) : o.drop_path);
  initialize();
}

void VisionTransformer::initialize() {
  if (patches_) {
    nn::trunc_normal_(patches_->weight, 0, 1 / std::sqrt(double(nn::fans(patches_->weight).in)));
    nn::zeros_(patches_->bias);
  } else {
    nn::normal_(stem_->last.weight, 0, std::sqrt(2.0 / double(options_.features)));
    nn::zeros_(stem_->last.bias);
  }
  if (options_.learned_positions) nn::normal_(pos_embedding_, 0, 0.02);
  for (const VitLayer& layer : layers_)
    for (const nn::Linear* linear : {&layer.linear1, &layer.linear2}) {
      nn::xavier_uniform_(linear->weight);
      nn::normal_(linear->bias, 0, 1e-6);
    }
  nn::zeros_(head_.weight);
  nn::zeros_(head_.bias);
}

Tensor VisionTransformer::maps(const Tensor& images, Seen* seen) const {
  check(images.dim() == 4 && Shape{images.size(1), images.size(2), images.size(3)} == image_, type(), ": images ",
        images.shape(), ", made for (batch, ", image_[0], ", ", image_[1], ", ", image_[2], ")");
  Tensor x = patches_ ? (*patches_)(images) : (*stem_)(images);
  if (options_.class_token) x = cat({class_token_.expand({x.size(0), 1, x.size(2)}), x}, 1);
  x = dropout(x + pos_embedding_, options_.dropout, training());
  for (const VitLayer& layer : layers_) x = layer(x, seen);
  return x;
}

Tensor VisionTransformer::features(const Tensor& maps) const {
  return options_.class_token ? norm_(maps.select(1, 0)) : norm_(maps).mean({1});
}

void VisionTransformer::visit(nn::Visitor& v) {
  v("class_token", class_token_);
  if (patches_)
    v("conv_proj", *patches_);
  else
    v("conv_proj", *stem_);
  if (options_.learned_positions)
    v("encoder.pos_embedding", pos_embedding_);
  else
    v.buffer("encoder.pos_embedding", pos_embedding_);
  for (size_t i = 0; i < layers_.size(); ++i) v("encoder.layers.encoder_layer_" + std::to_string(i), layers_[i]);
  v("encoder.ln", norm_);
  v("heads.head", head_);
}

}  // namespace image_classifier
