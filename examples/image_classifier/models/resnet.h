// Residual networks, with attention in their blocks or between them.
#pragma once

#include <optional>

#include "classifier.h"
#include "nn/residual.h"

namespace image_classifier {

// What a depth stands for.
struct ResNetLayout {
  gradus::nn::BlockKind kind;
  std::vector<int64_t> blocks;  // of each stage
  int64_t width;                // channels of the first stage; each next one has twice as many at half the size
  int64_t reduction;            // of the attention in blocks
};
// 18, 34, 50, 101, 152: four stages from 64 channels, He et al. 2016a, table 1. 6n + 2 from 8 to 1202 (but for 50 and
// 152): three stages of n basic blocks from 16 channels, section 4.2. Throws Error for another depth.
ResNetLayout resnet_layout(int64_t depth);

// A first convolution, stages of residual blocks, the mean over all places, a linear layer. By options.model:
//   resnet              He, Zhang, Ren and Sun 2016a; with pre-activation 2016b
//   se_resnet           squeeze-and-excitation at the end of each block: Hu, Shen and Sun 2018, section 3
//   cbam_resnet         channel and spatial attention there: Woo, Park, Lee and Kweon 2018, section 3
//   self_attention_cnn  a resnet with a non-local block before the last stage: Wang et al. 2018, section 3
// Names of weights, and the layers of the depths of table 1, are torchvision's. Unlike section 4.2, whose shortcuts are
// padded with zeros where channels grow, those of depths 6n + 2 are projections there too. With pre-activation there
// is no normalisation behind the first convolution, and one, `norm`, before the mean.
class ResNet : public Classifier {
 public:
  ResNet(const ModelOptions& options, const gradus::Shape& image, int64_t classes);
  // (batch, channels of the last stage, h, w).
  gradus::Tensor maps(const gradus::Tensor& images, Seen* seen) const override;
  gradus::Tensor features(const gradus::Tensor& maps) const override;
  const gradus::nn::Linear& head() const override { return *fc_; }
  void visit(gradus::nn::Visitor& v) override;
  const char* type() const override { return "ResNet"; }

 private:
  bool large_stem_;
  std::optional<gradus::nn::Conv2d> conv1_;
  std::optional<gradus::nn::BatchNorm2d> bn1_, norm_;
  std::vector<gradus::nn::ModuleList<gradus::nn::ResidualBlock>> stages_;
  std::optional<gradus::nn::NonLocalBlock> non_local_;
  std::optional<gradus::nn::Linear> fc_;
};

}  // namespace image_classifier
