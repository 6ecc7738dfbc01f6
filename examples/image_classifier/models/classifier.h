// What every model of this program is: pictures in, one number for each class out.
#pragma once

#include <memory>
#include <string>
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
  virtual gradus::nn::Linear& head() = 0;

 protected:
  virtual const gradus::nn::Linear& head() const = 0;
};

inline const std::vector<std::string> model_names = {"linear", "mlp", "cnn", "vit", "conv_vit"};
inline const std::vector<std::string> pool_names = {"token", "mean"};
inline const std::vector<std::string> position_names = {"learned", "sinusoidal"};

// A number of 0 stands for what is usual for the model.
struct ModelOptions {
  std::string model = "cnn";
  int64_t depth = 0, width = 0;
  int64_t heads = 0, patch = 0;
  std::string pool = "token", positions = "learned";
  double dropout = 0, drop_path = 0;
};

// Calls f(name, member, help) for each.
template <class F>
void each_model_option(F f) {
  f("model", &ModelOptions::model, "what to train");
  f("depth", &ModelOptions::depth, "layers (0: usual for the model)");
  f("width", &ModelOptions::width, "features of a layer (0: usual for the model)");
  f("heads", &ModelOptions::heads, "of attention (0: one for 64 features)");
  f("patch", &ModelOptions::patch,
    "pixels along the side of a patch (0: as large as leaves 7 x 7 of them, up to 16)");
  f("pool", &ModelOptions::pool,
    "what of a Transformer the classes are told from: a token for it, or the mean of all");
  f("positions", &ModelOptions::positions, "where a Transformer's patches are: learned, or 2-D sinusoids");
  f("dropout", &ModelOptions::dropout, "share of a Transformer's features that is dropped in training");
  f("drop-path", &ModelOptions::drop_path, "share of samples that skip the last layer; earlier ones fewer");
}

// For images (channels, height, width). Throws Error for options that do not fit together.
std::unique_ptr<Classifier> make_model(const ModelOptions& options, const gradus::Shape& image, int64_t classes);

}  // namespace image_classifier
