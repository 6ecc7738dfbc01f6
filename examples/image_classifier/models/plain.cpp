#include "plain.h"

#include "nn/activation.h"
#include "nn/conv.h"
#include "nn/dropout.h"
#include "nn/norm.h"
#include "nn/pool.h"

namespace image_classifier {

using namespace gradus;

SoftmaxRegression::SoftmaxRegression(const Shape& image, int64_t classes) : linear_(numel(image), classes) {}

Mlp::Mlp(const Shape& image, int64_t classes)
    : hidden_{nn::Linear(numel(image), 256), nn::ReLU(), nn::Linear(256, 128), nn::ReLU()},
      classifier_(128, classes) {}

void Mlp::visit(nn::Visitor& v) {
  v("hidden", hidden_);
  v("classifier", classifier_);
}

namespace {

constexpr int64_t cnn_channels[] = {32, 64, 128};

nn::Sequential cnn_features(const Shape& image) {
  nn::Sequential features;
  int64_t channels = image[0];
  for (const int64_t wider : cnn_channels) {
    // Without a bias: the shift of the normalisation takes its place.
    features.append(nn::Conv2d(channels, wider, 3, {.padding = 1, .bias = false}));
    features.append(nn::BatchNorm2d(wider));
    features.append(nn::ReLU());
    features.append(nn::MaxPool2d(2));
    channels = wider;
  }
  if (image[1] / 8 != 3 || image[2] / 8 != 3) features.append(nn::AdaptiveAvgPool2d(3));
  return features;
}

}  // namespace

Cnn::Cnn(const Shape& image, int64_t classes)
    : features_(cnn_features(image)),
      hidden_{nn::Flatten(), nn::Linear(cnn_channels[2] * 3 * 3, 256), nn::ReLU(), nn::Dropout(0.3)},
      classifier_(256, classes) {}

void Cnn::visit(nn::Visitor& v) {
  v("features", features_);
  v("hidden", hidden_);
  v("classifier", classifier_);
}

}  // namespace image_classifier
