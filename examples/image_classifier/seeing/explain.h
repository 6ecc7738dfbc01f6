// Where on a picture a model looked, and which places spoke for its answer.
#pragma once

#include "examples/image_classifier/models/classifier.h"

namespace image_classifier {

// Gradient-weighted class activation: Selvaraju et al. 2017, section 3. Each channel of the last maps counts as much as
// the gradient of the class's logit is in the mean over its places; what speaks against the class is cut off. From
// maps (batch, channels, h, w), as Classifier::maps gives them, and a class for each image: (batch, h, w), at least 0.
gradus::Tensor grad_cam(Classifier& model, const gradus::Tensor& maps, const std::vector<int64_t>& classes);

// How much of what each place ends up with came from each place of the first layer: Abnar and Zuidema 2020, section 3,
// "Attention Rollout". The layers' weights, first to last, each (batch, heads, places, places), are averaged over
// heads, mixed half and half with the identity (the residual connection), and multiplied: (batch, places, places).
gradus::Tensor attention_rollout(const std::vector<gradus::Tensor>& layers);

struct ExplainOptions {
  int64_t layer = 0;  // whose attention to show, from 1; 0: the last
  int64_t head = 0;   // from 1; 0: the mean over all
};

// One way of seeing a picture.
struct View {
  std::string name, detail, range;  // "attention", "layer 3 of 6, head 2", "0.1% to 7.0%" or ""
  gradus::Tensor map;               // (h, w) from 0 to 1: brightest is the largest of its own values
  // The place whose attention it is, for a model of convolutions with self-attention between; -1: all's, or the class
  // token's.
  int64_t row = -1, column = -1;
};

// For images as the model expects them (batch, channels, height, width), what there is to see: class activation for
// models of convolutions; spatial attention (CBAM: Woo et al. 2018, section 3) of one block; rollout and one layer's
// attention for transformers; the attention of the place where class activation is strongest for convolutions with
// self-attention. `of_class` says for which class activation is asked, for each image; `classes` are their names.
// Throws Error where the model knows no places, or lacks the layer or head asked for. The model must be in evaluation
// mode.
std::vector<std::vector<View>> explain(Classifier& model, const gradus::Tensor& images,
                                       const std::vector<int64_t>& of_class, const std::vector<std::string>& classes,
                                       const ExplainOptions& options = {});

}  // namespace image_classifier
