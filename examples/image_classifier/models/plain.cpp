#include "plain.h"

#include <algorithm>

#include "nn/activation.h"
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

LeNet::LeNet(const Shape& image, int64_t classes)
    : conv1_(image[0], 6, 5,
             {.padding = {std::max<int64_t>((33 - image[1]) / 2, 0), std::max<int64_t>((33 - image[2]) / 2, 0)}}),
      conv2_(6, 16, 5),
      fc1_(16 * 5 * 5, 120),
      fc2_(120, 84),
      fc3_(84, classes) {}

Tensor LeNet::maps(const Tensor& images, Seen*) const {
  const Tensor y = max_pool2d(conv2_(max_pool2d(conv1_(images), {.kernel = 2}, true)), {.kernel = 2}, true);
  return y.size(2) == 5 && y.size(3) == 5 ? y : adaptive_avg_pool2d(y, 5);
}

Tensor LeNet::features(const Tensor& maps) const { return relu(fc2_(relu(fc1_(maps.flatten(1))))); }

void LeNet::visit(nn::Visitor& v) {
  v("conv1", conv1_);
  v("conv2", conv2_);
  v("fc1", fc1_);
  v("fc2", fc2_);
  v("fc3", fc3_);
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
    features.append(nn::MaxPool2d(2));  // before the ReLU, which gives the same and then has a quarter to do
    features.append(nn::ReLU());
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
