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
// `step` may neither read results (item) nor draw random numbers, which each replay would repeat: throws Error.
class GraphedStep {
 public:
  // Runs `step` `warm_up` times, and once more to record it.
  explicit GraphedStep(const std::function<Tensor()>& step, int warm_up = 2);
  // What `step` returned, with the numbers of this replay; the same tensor each time.
  Tensor operator()();

 private:
  Tensor result_;
  std::optional<DeviceGraph> graph_;
};

}  // namespace gradus::train
