// Reference-counted bytes of one element type on one device, shared by all tensors that view them.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "tensor/device.h"
#include "tensor/dtype.h"

namespace gradus {

class Storage {
 public:
  // Uninitialised room for `count` elements; throws Error where memory runs out.
  Storage(int64_t count, DType dtype, Device device);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  void* data() const { return data_; }
  int64_t count() const { return count_; }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }
  size_t bytes() const { return size_t(count_) * size_of(dtype_); }

  // Counts in-place changes, so that a gradient rule can tell that what it kept has been altered since.
  uint64_t version() const { return version_; }
  void bump_version() { ++version_; }

  // Whether somebody was given a pointer to the elements, and may change them at any time without being counted.
  bool exposed() const { return exposed_.load(std::memory_order_relaxed); }
  void expose() {
    if (!exposed()) exposed_.store(true, std::memory_order_relaxed);
  }

  // Copies the elements of `other`, of the same dtype and on any device, from `offset` on, until this is full.
  void copy_from(const Storage& other, int64_t offset);

  // Takes over the bytes, dtype and device of `other` (of equal count), so that every tensor on this storage
  // follows: how a parameter moves to another device or dtype without coming apart from those tied to it.
  void replace(Storage&& other);

 private:
  void* data_;
  int64_t count_;
  uint64_t version_ = 0;
  DType dtype_;
  Device device_;
  std::atomic<bool> exposed_{false};
};

std::shared_ptr<Storage> make_storage(int64_t count, DType dtype, Device device);

}  // namespace gradus
