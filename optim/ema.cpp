#include "optim/ema.h"

#include <map>

#include "autograd/ops.h"

namespace gradus::optim {

EMA::EMA(const std::vector<Tensor>& parameters, double decay) : parameters_(parameters), decay_(decay) {
  check(decay >= 0 && decay < 1, "EMA: decay ", decay, " must lie in [0, 1)");
  NoGrad guard;
  for (const Tensor& p : parameters) averages_.push_back(p.detach().clone());
}

void EMA::follow() {
  for (size_t i = 0; i < averages_.size(); ++i) {
    averages_[i] = averages_[i].to(parameters_[i].dtype()).to(parameters_[i].device());
  }
}

void EMA::update() {
  NoGrad guard;
  follow();
  // Written so that what does not change, a frozen weight, is its own average to the bit.
  for (size_t i = 0; i < averages_.size(); ++i) averages_[i].add_(parameters_[i].detach() - averages_[i], 1 - decay_);
}

void EMA::swap() {
  NoGrad guard;
  follow();
  for (size_t i = 0; i < averages_.size(); ++i) {
    Tensor values = parameters_[i].detach().clone();
    parameters_[i].copy_(averages_[i]);
    averages_[i] = values;
  }
}

NamedTensors EMA::state_dict() const {
  NamedTensors state;
  for (size_t i = 0; i < averages_.size(); ++i) state.emplace_back(std::to_string(i), averages_[i]);
  return state;
}

void EMA::load_state_dict(const NamedTensors& state) {
  check(state.size() == averages_.size(), "EMA: the state to load has ", state.size(), " averages, expected ",
        averages_.size());
  NoGrad guard;
  const std::map<std::string, Tensor> given(state.begin(), state.end());
  std::vector<Tensor> loaded;
  for (const Tensor& average : averages_) {
    const auto found = given.find(std::to_string(loaded.size()));
    check(found != given.end(), "EMA: the state to load lacks average ", loaded.size());
    check(found->second.shape() == average.shape(), "EMA: state ", found->first, " of shape ", found->second.shape(),
          ", expected ", average.shape());
    loaded.push_back(found->second.detach().clone());
  }
  averages_ = std::move(loaded);
}

}  // namespace gradus::optim
