// The Vision Transformer: Dosovitskiy et al. 2021, "An image is worth 16x16 words", section 3.1. Names, first weights
// and places of dropout are those of torchvision's VisionTransformer; stochastic depth is as in Touvron et al. 2021
// ("Training data-efficient image transformers").
#pragma once

#include <optional>

#include "classifier.h"
#include "nn/attention.h"
#include "nn/container.h"
#include "nn/conv.h"
#include "nn/dropout.h"
#include "nn/norm.h"

namespace image_classifier {

struct VitOptions {
  int64_t patch = 16, layers = 12, features = 768, heads = 12;  // ViT-B/16
  bool class_token = true;                                      // else the mean over all patches is classified
  bool learned_positions = true;                                // else 2-D sinusoids
  bool convolutional_stem = false;                              // Xiao et al. 2021 instead of patches
  double dropout = 0;  // of the input, of both sub-layers' results, and of the features between the two linear layers
  double drop_path = 0;  // of the last layer's sub-layers; it grows from 0 at the first of several in equal steps
};

// What options that are 0 stand for: as many features as ViT-Ti (Touvron et al. 2021) and half its layers, 192 and 6 (5
// behind a convolutional stem, which does the work of one: Xiao et al. 2021), a head for every 64 features, patches so
// large that there are 7 x 7 of them or more. Throws Error for what does not fit together.
VitOptions vit_options(const ModelOptions& options, const gradus::Shape& image);

// Pre-norm: x + attention(norm(x)), then x + mlp(norm(x)), with the exact GELU in the mlp of 4 times the features.
struct VitLayer : gradus::nn::Module {
  gradus::nn::LayerNorm ln_1, ln_2;
  gradus::nn::MultiheadAttention self_attention;
  gradus::nn::Linear linear1, linear2;
  gradus::nn::DropPath drop_path;
  double dropout;

  VitLayer(const VitOptions& options, double path_probability);
  // x (batch, places, features). Attention's weights are added to `seen` where it is given.
  gradus::Tensor operator()(const gradus::Tensor& x, Seen* seen) const;
  void visit(gradus::nn::Visitor& v) override;
  const char* type() const override { return "VitLayer"; }
};

// 3x3 convolutions of stride 2, each with twice the channels of the one before, then one of 1x1: Xiao et al. 2021,
// "Early convolutions help transformers see better". (batch, channels, h, w) to (batch, places, features).
struct ConvStem : gradus::nn::Module {
  // A convolution and its normalisation; a ReLU follows.
  struct Step {
    gradus::nn::Conv2d conv;
    gradus::nn::BatchNorm2d norm;
  };
  std::vector<Step> steps;
  gradus::nn::Conv2d last;

  ConvStem(int64_t channels, const VitOptions& options);
  gradus::Tensor operator()(const gradus::Tensor& x) const;
  void visit(gradus::nn::Visitor& v) override;
  const char* type() const override { return "ConvStem"; }
};

class VisionTransformer : public Classifier {
 public:
  // For images (channels, height, width), whose sides are multiples of the patch.
  VisionTransformer(const VitOptions& options, const gradus::Shape& image, int64_t classes);

  // The last layer's tokens (batch, places, features), the class token (where there is one) first, then the patches row
  // after row.
  gradus::Tensor maps(const gradus::Tensor& images, Seen* seen) const override;
  gradus::Tensor features(const gradus::Tensor& maps) const override;
  const gradus::nn::Linear& head() const override { return head_; }
  void visit(gradus::nn::Visitor& v) override;
  const char* type() const override { return "VisionTransformer"; }

 private:
  void initialize();

  VitOptions options_;
  gradus::Shape image_;
  std::optional<gradus::nn::PatchEmbedding> patches_;
  std::optional<ConvStem> stem_;
  gradus::Tensor class_token_;    // (1, 1, features), or undefined
  gradus::Tensor pos_embedding_;  // (1, places, features)
  std::vector<VitLayer> layers_;
  gradus::nn::LayerNorm norm_;
  gradus::nn::Linear head_;
};

}  // namespace image_classifier
