// The device's memory: pieces of the host's, known one by one so that nothing else is taken for it.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>

namespace emu {

class DeviceMemory {
 public:
  // While one lives, the memory can be touched: by launches and copies. One at a time.
  class Access {
   public:
    Access();
    ~Access();

   private:
    std::lock_guard<std::recursive_mutex> lock_;
  };

  // Filled with NaN; null when it would be more than the device has.
  void* allocate(size_t bytes);
  bool release(void* p);
  // The host's, which kernels may use too.
  void* allocate_pinned(size_t bytes);
  bool release_pinned(void* p);
  // For allocators that cut what cudaMalloc gave into blocks: of a piece that is lent from, only what is lent may be
  // used. A block that is lent is filled with NaN.
  void lend(void* block, size_t bytes);
  void take_back(void* block, size_t bytes);

  // Whether all of it is in one allocation on the device.
  bool holds(const void* p, size_t bytes);
  // Whether a kernel can make something of it.
  bool valid(const void* p);
  size_t used() const { return used_; }

 private:
  struct Piece {
    size_t bytes, mapped;
    bool lent_from = false;
  };
  void protect(int protection);

  std::map<const char*, Piece> pieces_;  // by where they begin
  std::map<const char*, size_t> pinned_;
  size_t used_ = 0;
  int open_ = 0;
  std::recursive_mutex mutex_;
};
DeviceMemory& device_memory();

}  // namespace emu
