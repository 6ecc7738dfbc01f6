#include "tensor/storage.h"

#include <utility>

#include "tensor/allocator.h"
#include "tensor/error.h"
#include "tensor/pool.h"

namespace gradus {

Storage::Storage(int64_t count, DType dtype, Device device) : count_(count), dtype_(dtype), device_(device) {
  check(device == Device::cpu, "device ", device, " is not available in this build");
  check(count >= 0 && count <= INT64_MAX / 8, "a storage cannot hold ", count, " elements");
  data_ = allocate(bytes());
}

std::shared_ptr<Storage> make_storage(int64_t count, DType dtype, Device device) {
  return std::allocate_shared<Storage>(Pooled<Storage>(), count, dtype, device);
}

Storage::~Storage() { deallocate(data_, bytes()); }

void Storage::replace(Storage&& other) {
  check(count_ == other.count_, "Storage::replace: ", count_, " elements cannot become ", other.count_);
  std::swap(data_, other.data_);
  std::swap(dtype_, other.dtype_);
  std::swap(device_, other.device_);
  ++version_;
}

}  // namespace gradus
