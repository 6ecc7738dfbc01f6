// The CUDA device as the rest of the library sees it: memory, copies and waiting. Plain C++: CUDA's own names stay
// inside tensor/kernels/cuda. All work goes to one stream, in the order of the calls, so memory that was given back may
// be handed out again while kernels that read it have yet to run.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "tensor/allocator.h"

namespace gradus::cuda {

// Whether a device answers; what it is, or why there is none.
bool available();
std::string description();

// Device memory, kept for reuse when it is given back (unless GRADUS_CUDA_CACHE=off); throws Error naming the request,
// what is held and what is free.
void* allocate(size_t bytes);
void deallocate(void* block, size_t bytes) noexcept;
MemoryStats memory_stats();
void release_cached_memory();

// Copies to the host wait for all work so far, and throw what went wrong in it.
void copy_to_device(void* to, const void* from, size_t bytes);
void copy_to_host(void* to, const void* from, size_t bytes);
void copy_on_device(void* to, const void* from, size_t bytes);
// Waits for all work so far; throws Error for what kernels found wrong (an index out of range, with its op) or for a
// kernel that failed.
void synchronize();

// The kernels that `work` starts, recorded instead of run, to be started again and again by a single call. What is
// allocated meanwhile is the graph's own; to copy to the host or from it, or to wait, throws Error.
class Graph {
 public:
  explicit Graph(const std::function<void()>& work);
  ~Graph();
  void replay();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gradus::cuda
