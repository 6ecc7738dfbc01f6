#include "tensor/storage.h"

#include <cstring>
#include <utility>

#include "tensor/allocator.h"
#include "tensor/error.h"
#include "tensor/pool.h"

#ifdef GRADUS_CUDA
#include "tensor/kernels/cuda/runtime.h"
#endif

namespace gradus {

Storage::Storage(int64_t count, DType dtype, Device device) : count_(count), dtype_(dtype), device_(device) {
  check(count >= 0 && count <= INT64_MAX / 8, "a storage cannot hold ", count, " elements");
  if (device == Device::cpu) {
    data_ = allocate(bytes());
  } else {
#ifdef GRADUS_CUDA
    data_ = cuda::allocate(bytes());
#else
    fail({"device ", device, " is not available in this build"});
#endif
  }
}

std::shared_ptr<Storage> make_storage(int64_t count, DType dtype, Device device) {
  return std::allocate_shared<Storage>(Pooled<Storage>(), count, dtype, device);
}

Storage::~Storage() {
#ifdef GRADUS_CUDA
  if (device_ == Device::cuda) {
    cuda::deallocate(data_, bytes());
    return;
  }
#endif
  deallocate(data_, bytes());
}

void Storage::copy_from(const Storage& other, int64_t offset) {
  [[maybe_unused]] const char* from = static_cast<const char*>(other.data_) + offset * int64_t(size_of(dtype_));
  if (device_ == Device::cpu && other.device_ == Device::cpu) {
    if (count_) std::memcpy(data_, from, bytes());
    return;
  }
#ifdef GRADUS_CUDA
  if (device_ == Device::cpu) return cuda::copy_to_host(data_, from, bytes());
  if (other.device_ == Device::cpu) return cuda::copy_to_device(data_, from, bytes());
  cuda::copy_on_device(data_, from, bytes());
#endif
}

void Storage::replace(Storage&& other) {
  check(count_ == other.count_, "Storage::replace: ", count_, " elements cannot become ", other.count_);
  std::swap(data_, other.data_);
  std::swap(dtype_, other.dtype_);
  std::swap(device_, other.device_);
  ++version_;
}

}  // namespace gradus
