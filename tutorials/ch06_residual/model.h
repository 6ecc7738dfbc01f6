// A network deep enough for its depth to matter, with and without shortcuts.
#pragma once

#include <string>
#include <vector>

#include "nn/linear.h"
#include "nn/residual.h"

namespace ch06 {

using namespace gradus;

enum class Kind { plain, residual, se, cbam };
inline const std::vector<std::string> names = {"plain", "residual", "SE", "CBAM"};

// What a nn::ResidualBlock of two 3x3 convolutions is without its shortcut: relu(f(x)).
struct PlainBlock : nn::Module {
  nn::Conv2d conv1, conv2;
  nn::BatchNorm2d bn1, bn2;
  PlainBlock(int64_t in, int64_t out, int64_t stride)
      : conv1(nn::he_conv2d(in, out, 3, stride)), conv2(nn::he_conv2d(out, out, 3)), bn1(out), bn2(out) {}

  Tensor operator()(const Tensor& x) const {
    nn::Call call(*this);
    return call(relu(bn2(conv2(relu(bn1(conv1(x)))))));
  }
  void visit(nn::Visitor& v) override {
    v("conv1", conv1);
    v("bn1", bn1);
    v("conv2", conv2);
    v("bn2", bn2);
  }
  const char* type() const override { return "PlainBlock"; }
};

// Grey pictures (batch, 1, 28, 28) to scores (batch, 10): a convolution, two stages of blocks, the mean over all places
// and a linear layer. The first stage has 8 channels on 14 x 14 places, the second 16 on 7 x 7.
struct Net : nn::Module {
  nn::Conv2d conv1 = nn::he_conv2d(1, 8, 3, 2);
  nn::BatchNorm2d bn1{8};
  nn::ModuleList<PlainBlock> plain;
  nn::ModuleList<nn::ResidualBlock> residual;  // one of the two is empty
  nn::Linear fc{16, 10};

  Net(Kind kind, int64_t blocks_per_stage) {
    nn::ResidualOptions how{.reduction = 4};
    if (kind == Kind::se) how.attention = nn::BlockAttention::se;
    if (kind == Kind::cbam) how.attention = nn::BlockAttention::cbam;
    for (int64_t i = 0; i < 2 * blocks_per_stage; ++i) {
      const bool first_of_second = i == blocks_per_stage;
      const int64_t in = i <= blocks_per_stage ? 8 : 16, out = i < blocks_per_stage ? 8 : 16;
      how.stride = first_of_second ? 2 : 1;
      if (kind == Kind::plain)
        plain.append(PlainBlock(in, out, how.stride));
      else
        residual.append(nn::ResidualBlock(in, out, how));
    }
  }

  // Each block's weights of places are added to `seen`, where there are any.
  Tensor operator()(const Tensor& pictures, std::vector<Tensor>* seen = nullptr) const {
    nn::Call call(*this);
    Tensor x = relu(bn1(conv1(pictures)));
    for (const PlainBlock& block : plain) x = block(x);
    for (const nn::ResidualBlock& block : residual) {
      Tensor map;
      x = block(x, &map);
      if (seen && map.defined()) seen->push_back(map);
    }
    return call(fc(x.mean({2, 3})));
  }

  void visit(nn::Visitor& v) override {
    v("conv1", conv1);
    v("bn1", bn1);
    v("plain", plain);
    v("residual", residual);
    v("fc", fc);
  }
  const char* type() const override { return "Net"; }
};

}  // namespace ch06
