// One pass over many tensors.
#pragma once

#include <cstdint>
#include <vector>

#include "tensor/device.h"
#include "tensor/inline_function.h"

namespace gradus::optim {

// Tensors laid end to end and cut into chunks that the threads share: a model has many small parameters, and one
// parallel loop for each would cost more than its work. The chunks do not depend on the number of threads.
class Sweep {
 public:
  // Does elements [begin, begin + n) of one tensor, as part of a chunk.
  using Body = InlineFunction<void(int64_t begin, int64_t n, int64_t chunk), 136>;

  // On a GPU, where calls return before their work is done, a tensor is one piece.
  void add(int64_t numel, Body body, Device device = Device::cpu);
  int64_t chunks() const;
  void run() const;  // every element of every tensor once; the pieces of one chunk in order, on one thread

 private:
  struct Item {
    int64_t first, end;  // its place among all elements
    Body body;
  };
  std::vector<Item> items_, on_device_;
};

}  // namespace gradus::optim
