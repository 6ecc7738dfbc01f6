#include "train/graphed_step.h"

#include <utility>

#include "tensor/random.h"

namespace gradus::train {

GraphedStep::GraphedStep(std::function<Tensor()> step, int warm_up) : step_(std::move(step)) {
  for (int i = 0; i < warm_up; ++i) step_();
  const uint64_t drawn = default_generator().take(0).offset;
  graph_.emplace(Device::cuda, [&] { result_ = step_(); });
  check(default_generator().take(0).offset == drawn,
        "GraphedStep: the step draws random numbers (dropout?), which every replay would repeat");
}

Tensor GraphedStep::operator()() {
  graph_->replay();
  return result_;
}

}  // namespace gradus::train
