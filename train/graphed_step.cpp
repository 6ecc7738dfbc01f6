#include "train/graphed_step.h"

#include "tensor/random.h"

namespace gradus::train {

GraphedStep::GraphedStep(const std::function<Tensor()>& step, int warm_up) {
  for (int i = 0; i < warm_up; ++i) step();
  const uint64_t drawn = default_generator().take(0).offset;
  graph_.emplace(Device::cuda, [&] { result_ = step(); });
  check(default_generator().take(0).offset == drawn,
        "GraphedStep: the step draws random numbers (dropout?), which every replay would repeat");
}

Tensor GraphedStep::operator()() {
  graph_->replay();
  return result_;
}

}  // namespace gradus::train
