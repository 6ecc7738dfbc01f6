// A training step as one call to the GPU: forward and backward are recorded once and replayed, so that a small model's
// step no longer waits for the CPU to start its kernels.
#pragma once

#include <functional>
#include <optional>

#include "tensor/device.h"
#include "tensor/tensor.h"

namespace gradus::train {

//   Tensor images = ..., labels = ...;                    // on the GPU; their places stay
//   train::GraphedStep step([&] {
//     optimizer.zero_grad();
//     Tensor loss = cross_entropy(model(images), labels);
//     loss.backward();
//     return loss.detach();
//   });
//   images.copy_(batch.images), labels.copy_(batch.labels);
//   Tensor loss = step();                                  // gradients are where they always are
//   optimizer.step();                                      // outside: its step count and rate change
//
// What `step` uses must stay: its tensors are read from where they were, and gradients are written to where they were,
// so nothing else may set or drop these (zero_grad and clip_grad_value_ outside would; clip_grad_norm_ scales in
// place). `step` may neither read results (item) nor draw random numbers, which each replay would repeat: throws Error.
class GraphedStep {
 public:
  // Runs `step` `warm_up` times, and once more to record it; its numbers come with the first call.
  explicit GraphedStep(std::function<Tensor()> step, int warm_up = 2);
  // What `step` returned, with the numbers of this replay; the same tensor each time.
  Tensor operator()();

 private:
  std::function<Tensor()> step_;  // kept for what it holds
  Tensor result_;
  std::optional<DeviceGraph> graph_;
};

}  // namespace gradus::train
