// What the exhibits share. Each file shows one classic mistake: a kernel that has it, the same kernel mended, and a run
// of either. The line that the checker names is marked FAULT.
#pragma once

#include <vector>

#include "tensor/kernels/cuda/simt.h"

namespace broken {

using gradus::cuda::launch;

struct Exhibit {
  const char* name;    // of its file
  const char* report;  // a part of what the checker says
  void (*run)(bool mended);
};
std::vector<Exhibit> exhibits();

// Zeros on the device, an allocation of its own.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(size_t count) {
    void* memory = nullptr;
    cudaMalloc(&memory, count * sizeof(T));
    cudaMemsetAsync(memory, 0, count * sizeof(T), gradus::cuda::stream());
    data_ = static_cast<T*>(memory);
  }
  ~DeviceArray() { cudaFree(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  T* data() const { return data_; }

 private:
  T* data_;
};

}  // namespace broken
