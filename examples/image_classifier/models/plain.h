// Models without attention or residuals.
#pragma once

#include "classifier.h"
#include "nn/container.h"

namespace image_classifier {

// Softmax regression on pixels.
class SoftmaxRegression : public Classifier {
 public:
  SoftmaxRegression(const gradus::Shape& image, int64_t classes);
  gradus::Tensor maps(const gradus::Tensor& images, Seen*) const override { return images.flatten(1, -1); }
  gradus::Tensor features(const gradus::Tensor& maps) const override { return maps; }
  gradus::nn::Linear& head() override { return linear_; }
  void visit(gradus::nn::Visitor& v) override { v("linear", linear_); }
  const char* type() const override { return "SoftmaxRegression"; }

 protected:
  const gradus::nn::Linear& head() const override { return linear_; }

 private:
  gradus::nn::Linear linear_;
};

// 256 and 128 hidden units.
class Mlp : public Classifier {
 public:
  Mlp(const gradus::Shape& image, int64_t classes);
  gradus::Tensor maps(const gradus::Tensor& images, Seen*) const override { return images.flatten(1, -1); }
  gradus::Tensor features(const gradus::Tensor& maps) const override { return hidden_(maps); }
  gradus::nn::Linear& head() override { return classifier_; }
  void visit(gradus::nn::Visitor& v) override;
  const char* type() const override { return "Mlp"; }

 protected:
  const gradus::nn::Linear& head() const override { return classifier_; }

 private:
  gradus::nn::Sequential hidden_;
  gradus::nn::Linear classifier_;
};

// Three convolutions of 32, 64 and 128 channels, each with batch normalisation and max-pooling, a hidden layer of 256.
class Cnn : public Classifier {
 public:
  Cnn(const gradus::Shape& image, int64_t classes);
  gradus::Tensor maps(const gradus::Tensor& images, Seen*) const override { return features_(images); }
  gradus::Tensor features(const gradus::Tensor& maps) const override { return hidden_(maps); }
  gradus::nn::Linear& head() override { return classifier_; }
  void visit(gradus::nn::Visitor& v) override;
  const char* type() const override { return "Cnn"; }

 protected:
  const gradus::nn::Linear& head() const override { return classifier_; }

 private:
  gradus::nn::Sequential features_, hidden_;
  gradus::nn::Linear classifier_;
};

}  // namespace image_classifier
