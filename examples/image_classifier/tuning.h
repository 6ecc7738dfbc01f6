// Going on from a trained model: with another head, with parts frozen, with low-rank matrices beside the weights, or
// with fewer weights.
#pragma once

#include "config.h"
#include "optim/prune.h"

namespace image_classifier {

// The model of a checkpoint, with the weights that answer. Throws Error naming `path` where there is none in it.
std::unique_ptr<Classifier> load_model(const gradus::TensorFile& file, const std::string& path);

// Lets pixels be standardised as for the model of --from. Throws Error where its images have other channels.
void take_pixels(const Options& options, Recipe& recipe);

// Makes a new model what training begins with: with the weights of --from, unless all weights will be those of
// --resume, and with what --head, --freeze and --lora ask for. Throws Error where they do not fit together.
void adapt(Classifier& model, const Options& options, const Recipe& recipe);

// Of --prune: the kernels and matrices that are trained, with the smallest of their weights at zero.
class Pruning {
 public:
  // Throws Error where there are none, or the training has fewer updates than the pruning.
  Pruning(Classifier& model, const Options& options, int64_t updates);
  void start();                 // before the first update
  void update(int64_t number);  // after each
  void print() const;           // how many weights of each layer are zero
  gradus::train::CheckpointPart part() { return gradus::train::part("pruning", pruner_); }

 private:
  std::vector<gradus::nn::NamedTensor> weights_;
  gradus::optim::Pruner pruner_;
  double sparsity_;
  int64_t updates_;
};

}  // namespace image_classifier
