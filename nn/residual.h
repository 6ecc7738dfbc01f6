// The building blocks of residual networks on images: He, Zhang, Ren and Sun 2016a, "Deep residual learning for image
// recognition". Names of weights are torchvision's.
#pragma once

#include <optional>

#include "nn/container.h"
#include "nn/image_attention.h"

namespace gradus::nn {

// Without a bias, for a normalisation to follow; an odd `kernel` and a stride of 1 keep height and width. The weight
// starts normal with the variance 2 / fan_out: He et al. 2015.
Conv2d he_conv2d(int64_t in_channels, int64_t out_channels, int64_t kernel, int64_t stride = 1);

enum class BlockKind {
  basic,       // two 3x3 convolutions: figure 5, left
  bottleneck,  // 1x1, 3x3 with the stride (as torchvision; the paper's is in the 1x1), 1x1 to four times the width
};
enum class BlockAttention { none, se, cbam };

struct ResidualOptions {
  BlockKind kind = BlockKind::basic;
  int64_t stride = 1;
  // Normalise and activate before each convolution, not after it: He et al. 2016b, "Identity mappings in deep residual
  // networks", section 4.1. A projection then sees the first activation, and a network's first block is to be one whose
  // shortcut begins behind that too (`activate_shortcut`, appendix).
  bool preactivation = false, activate_shortcut = false;
  BlockAttention attention = BlockAttention::none;  // of the branch's result
  int64_t reduction = 16;                           // channels over those that attention squeezes them to
};

// relu(x + f(x)), or x + f(x) with pre-activation. Where height, width or channels change, x goes through a 1x1
// convolution, with a normalisation unless pre-activated: section 3.3, option B.
class ResidualBlock : public Module {
 public:
  // Makes `width` channels, or four times as many of a bottleneck.
  ResidualBlock(int64_t in_channels, int64_t width, const ResidualOptions& options = {});
  static int64_t out_channels(BlockKind kind, int64_t width) { return kind == BlockKind::basic ? width : 4 * width; }

  // (batch, in_channels, h, w). CBAM's weights of places are written to `map` if given.
  Tensor operator()(const Tensor& x, Tensor* map = nullptr) const;
  void visit(Visitor& v) override;
  const char* type() const override { return options_.kind == BlockKind::basic ? "BasicBlock" : "Bottleneck"; }
  // The normalisation at the end of f, for one whose scale is to start at 0 (Goyal et al. 2017, section 5.1); without
  // pre-activation.
  BatchNorm2d& last_norm() { return norms_[norms_.size() - 1]; }

 private:
  ResidualOptions options_;
  ModuleList<Conv2d> convs_;
  ModuleList<BatchNorm2d> norms_;
  Sequential downsample_;  // empty: the identity
  std::optional<SqueezeExcitation> se_;
  std::optional<CBAM> cbam_;
};

}  // namespace gradus::nn
