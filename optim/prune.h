// Pruning by magnitude: Han et al. 2015, "Learning both weights and connections", section 3. The smallest weights are
// set to zero and stay there while the others are trained on. They are still stored and multiplied: what is measured is
// how few weights a task needs, not time.
#pragma once

#include "optim/optimizer.h"

namespace gradus::optim {

enum class PruneScope { all, each };  // the smallest of all weights together, or of each tensor

//   optim::Pruner pruner(weights);
//   pruner.prune(0.9);
//   ... optimizer.step(); pruner.apply(); ...
class Pruner {
 public:
  explicit Pruner(const std::vector<Tensor>& weights, PruneScope scope = PruneScope::all);

  // Sets this share of the weights to zero, besides those of the same magnitude as the largest of them. Throws Error
  // unless 0 <= sparsity < 1.
  void prune(double sparsity);
  // Sets them to zero again, after an update.
  void apply() const;

  // For checkpoints: which weights are pruned ("0", "1", ..., bool).
  NamedTensors state_dict() const;
  void load_state_dict(const NamedTensors& state);  // throws Error, changing nothing, where it does not fit

 private:
  std::vector<Tensor> weights_, pruned_;
  PruneScope scope_;
};

// The share of zeros in all of them.
double sparsity(const std::vector<Tensor>& weights);

// How sparse to be after so many of the updates in which weights are pruned, few by few: Zhu and Gupta 2017, "To prune,
// or not to prune", equation 1, beginning with none.
double gradual_sparsity(double final_sparsity, int64_t update, int64_t updates);

}  // namespace gradus::optim
