// What every model of this program is: pictures in, one number for each class out.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "nn/linear.h"

namespace image_classifier {

// What a model looked at on its way, for pictures of it.
struct Seen {
  std::vector<gradus::Tensor> spatial;    // of each block with spatial attention: (batch, 1, h, w), from 0 to 1
  std::vector<gradus::Tensor> attention;  // of each layer with self-attention: (batch, heads, places, places)
};

class Classifier : public gradus::nn::Module {
 public:
  // (batch, channels, height, width) to logits (batch, classes).
  gradus::Tensor operator()(const gradus::Tensor& images) const;

  // The three parts of a call. The last maps (batch, channels, h, w) before they are pooled, or (batch, places,
  // features) of models whose places are tokens; where the model knows no places, (batch, features). `seen` is filled
  // where it is given.
  virtual gradus::Tensor maps(const gradus::Tensor& images, Seen* seen = nullptr) const = 0;
  // What the head is given: (batch, features).
  virtual gradus::Tensor features(const gradus::Tensor& maps) const = 0;
  virtual const gradus::nn::Linear& head() const = 0;
  gradus::nn::Linear& head() { return const_cast<gradus::nn::Linear&>(std::as_const(*this).head()); }
};

inline const std::vector<std::string> model_names = {
    "linear", "mlp", "lenet", "cnn", "resnet", "se_resnet", "cbam_resnet", "self_attention_cnn", "vit", "conv_vit"};
inline const std::vector<std::string> stem_names = {"auto", "small", "imagenet"};
inline const std::vector<std::string> pool_names = {"token", "mean"};
inline const std::vector<std::string> position_names = {"learned", "sinusoidal"};

// A number of 0 stands for what is usual for the model.
struct ModelOptions {
  std::string model = "cnn";
  int64_t depth = 0, width = 0;  // layers; channels of a resnet's first stage, features of a Transformer
  // Of a resnet.
  bool pre_activation = false;
  bool zero_init = false;
  int64_t reduction = 0;
  std::string stem = "auto";
  // Of a Vision Transformer.
  int64_t heads = 0, patch = 0;
  std::string pool = "token", positions = "learned";
  double dropout = 0, drop_path = 0;
};

// Calls f(name, member, help) for each.
template <class F>
void each_model_option(F f) {
  f("model", &ModelOptions::model, "what to train");
  f("depth", &ModelOptions::depth,
    "layers; of a resnet 18, 34, 50, 101, 152, or 6n + 2 up to 1202 (default: 20, of vit 6, of conv_vit 5)");
  f("width", &ModelOptions::width,
    "channels of a resnet's first stage (default: 64, of depths 6n + 2 16), features of a vit (default: 192)");
  f("pre-activation", &ModelOptions::pre_activation,
    "let a resnet normalise before its convolutions, not after them");
  f("zero-init", &ModelOptions::zero_init, "let a resnet's blocks begin as the identity");
  f("reduction", &ModelOptions::reduction,
    "channels over those that a block's attention squeezes them to (default: 16, of depths 6n + 2 4)");
  f("stem", &ModelOptions::stem, "first layers of a resnet (auto: imagenet for images of at least 96 pixels)");
  f("heads", &ModelOptions::heads, "heads of a vit's attention (default: one for 64 features)");
  f("patch", &ModelOptions::patch, "side of a vit's patches in pixels (default: what leaves 7x7 or more, up to 16)");
  f("pool", &ModelOptions::pool,
    "what a vit tells the classes from: a token of their own, or the mean of the patches");
  f("positions", &ModelOptions::positions, "how a vit knows where a patch is: learned vectors, or 2-D sinusoids");
  f("dropout", &ModelOptions::dropout, "share of a vit's features that is dropped in training");
  f("drop-path", &ModelOptions::drop_path,
    "share of images for which a vit's last layer is left out in training, earlier ones in fewer");
}

// For images (channels, height, width). Throws Error for options that do not fit together.
std::unique_ptr<Classifier> make_model(const ModelOptions& options, const gradus::Shape& image, int64_t classes);

}  // namespace image_classifier
