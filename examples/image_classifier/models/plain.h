// Models without attention or residuals.
#pragma once

#include "classifier.h"
#include "nn/container.h"
#include "nn/conv.h"

namespace image_classifier {

// Softmax regression on pixels.
class SoftmaxRegression : public Classifier {
 public:
  SoftmaxRegression(const gradus::Shape& image, int64_t classes);
  gradus::Tensor maps(const gradus::Tensor& images, Seen*) const override { return images.flatten(1, -1); }
  gradus::Tensor features(const gradus::Tensor& maps) const override { return maps; }
  const gradus::nn::Linear& head() const override { return linear_; }
  void visit(gradus::nn::Visitor& v) override { v("linear", linear_); }
  const char* type() const override { return "SoftmaxRegression"; }

 private:
  gradus::nn::Linear linear_;
};

// 256 and 128 hidden units.
class Mlp : public Classifier {
 public:
  Mlp(const gradus::Shape& image, int64_t classes);
  gradus::Tensor maps(const gradus::Tensor& images, Seen*) const override { return images.flatten(1, -1); }
  gradus::Tensor features(const gradus::Tensor& maps) const override { return hidden_(maps); }
  const gradus::nn::Linear& head() const override { return classifier_; }
  void visit(gradus::nn::Visitor& v) override;
  const char* type() const override { return "Mlp"; }

 private:
  gradus::nn::Sequential hidden_;
  gradus::nn::Linear classifier_;
};

// LeNet-5 of LeCun, Bottou, Bengio and Haffner 1998, section II.B, as it is mostly built today: ReLU for tanh,
// max-pooling for a mean with a weight and bias, every map of the second convolution made of all of the first, and a
// linear layer at the end for radial basis functions. 61,706 parameters for grey images and 10 classes. Images smaller
// than 32x32 get a border, as in the paper; the maps of larger ones are averaged to 5x5.
class LeNet : public Classifier {
 public:
  LeNet(const gradus::Shape& image, int64_t classes);
  gradus::Tensor maps(const gradus::Tensor& images, Seen*) const override;
  gradus::Tensor features(const gradus::Tensor& maps) const override;
  const gradus::nn::Linear& head() const override { return fc3_; }
  void visit(gradus::nn::Visitor& v) override;
  const char* type() const override { return "LeNet"; }

 private:
  gradus::nn::Conv2d conv1_, conv2_;
  gradus::nn::Linear fc1_, fc2_, fc3_;
};

// Three convolutions of 32, 64 and 128 channels, each with batch normalisation and max-pooling, a hidden layer of 256.
class Cnn : public Classifier {
 public:
  Cnn(const gradus::Shape& image, int64_t classes);
  gradus::Tensor maps(const gradus::Tensor& images, Seen*) const override { return features_(images); }
  gradus::Tensor features(const gradus::Tensor& maps) const override { return hidden_(maps); }
  const gradus::nn::Linear& head() const override { return classifier_; }
  void visit(gradus::nn::Visitor& v) override;
  const char* type() const override { return "Cnn"; }

 private:
  gradus::nn::Sequential features_, hidden_;
  gradus::nn::Linear classifier_;
};

}  // namespace image_classifier
