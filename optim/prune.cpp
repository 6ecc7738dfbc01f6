#include "optim/prune.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "autograd/ops.h"

namespace gradus::optim {

Pruner::Pruner(const std::vector<Tensor>& weights, PruneScope scope) : weights_(weights), scope_(scope) {
  NoGrad guard;
  for (const Tensor& w : weights) pruned_.push_back(zeros(w.shape(), {.dtype = boolean, .device = w.device()}));
}

void Pruner::prune(double sparsity) {
  check(sparsity >= 0 && sparsity < 1, "Pruner: sparsity ", sparsity, " must lie in [0, 1)");
  NoGrad guard;
  std::vector<double> sizes;
  for (size_t i = 0, first = 0; i < weights_.size(); ++i) {
    for (const double size : abs(weights_[i]).to_vector()) sizes.push_back(size);
    if (scope_ == PruneScope::all && i + 1 < weights_.size()) continue;
    const int64_t count = std::llround(sparsity * double(sizes.size()));
    if (count > 0) std::nth_element(sizes.begin(), sizes.begin() + count - 1, sizes.end());
    const double largest = count > 0 ? sizes[size_t(count) - 1] : -1;
    for (; first <= i; ++first) pruned_[first] = abs(weights_[first]) <= largest;
    sizes.clear();
  }
  apply();
}

void Pruner::apply() const {
  NoGrad guard;
  for (size_t i = 0; i < weights_.size(); ++i) Tensor(weights_[i]).copy_(weights_[i].masked_fill(pruned_[i], 0));
}

NamedTensors Pruner::state_dict() const {
  NamedTensors state;
  for (size_t i = 0; i < pruned_.size(); ++i) state.emplace_back(std::to_string(i), pruned_[i]);
  return state;
}

void Pruner::load_state_dict(const NamedTensors& state) {
  check(state.size() == pruned_.size(), "Pruner: a state of ", state.size(), " tensors, expected ", pruned_.size());
  const std::map<std::string, Tensor> given(state.begin(), state.end());
  std::vector<Tensor> loaded;
  for (const Tensor& w : weights_) {
    const auto found = given.find(std::to_string(loaded.size()));
    check(found != given.end(), "Pruner: the state to load lacks ", loaded.size());
    const auto& [name, mask] = *found;
    check(mask.shape() == w.shape() && mask.dtype() == boolean, "Pruner: state ", name, " is ", mask.dtype(), " ",
          mask.shape(), ", expected bool ", w.shape());
    loaded.push_back(mask.clone().to(w.device()));
  }
  pruned_ = std::move(loaded);
}

double sparsity(const std::vector<Tensor>& weights) {
  NoGrad guard;
  double zeros = 0, all = 0;
  for (const Tensor& w : weights) {
    zeros += (w == 0.0).to(float64).sum().item();
    all += double(w.numel());
  }
  return zeros / all;
}

double gradual_sparsity(double final_sparsity, int64_t update, int64_t updates) {
  const double left = 1 - double(std::min(update, updates)) / double(updates);
  return final_sparsity * (1 - left * left * left);
}

}  // namespace gradus::optim
