#include "tensor/allocator.h"

#include <atomic>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

#include "tensor/error.h"

namespace gradus {
namespace {

constexpr size_t alignment = 64;
constexpr size_t huge_page = size_t(2) << 20;
// Four classes to a power of two (at most 25% slack), from 64 bytes up.
constexpr int class_count = 4 * 42;
constexpr int thread_classes = 4 * 8;  // classes up to 16 KiB are also cached by each thread
constexpr size_t thread_blocks = 32;   // blocks a thread keeps of each

int class_of(size_t bytes) {
  if (bytes <= alignment) return 0;
  int power = std::bit_width(bytes - 1) - 1;            // 2^power < bytes <= 2^(power+1)
  int quarter = int(((bytes - 1) >> (power - 2)) & 3);  // which quarter of that interval
  return 4 * (power - 6) + quarter + 1;
}
size_t class_bytes(int c) {
  if (c == 0) return alignment;
  int power = 6 + (c - 1) / 4, quarter = (c - 1) % 4;
  return (size_t(5 + quarter) << power) / 4;
}

std::atomic<int64_t> live{0}, peak{0}, cached{0}, blocks{0}, allocations{0};

// Never destroyed: tensors held by static objects may outlive any static of ours.
struct Shared {
  std::mutex mutex;
  std::vector<void*> free[class_count];
};
Shared& shared() {
  static Shared* s = new Shared;
  return *s;
}

thread_local bool thread_ended = false;  // set once this thread's cache is gone
struct ThreadCache {
  std::vector<void*> free[thread_classes];
  ~ThreadCache() {
    std::lock_guard lock(shared().mutex);
    for (int c = 0; c < thread_classes; ++c)
      for (void* block : free[c]) shared().free[c].push_back(block);
    thread_ended = true;
  }
};
std::vector<void*>* thread_list(int c) {
  if (c >= thread_classes || thread_ended) return nullptr;
  static thread_local ThreadCache cache;
  return &cache.free[c];
}

void* pop(std::vector<void*>& list) {
  void* block = list.back();
  list.pop_back();
  return block;
}

void* cached_block(int c) {
  if (std::vector<void*>* mine = thread_list(c); mine && !mine->empty()) return pop(*mine);
  std::lock_guard lock(shared().mutex);
  return shared().free[c].empty() ? nullptr : pop(shared().free[c]);
}

}  // namespace

void* allocate(size_t bytes) {
  check(bytes <= size_t(1) << 47, "out of memory: ", bytes, " bytes were asked for");
  int c = class_of(bytes);
  size_t size = class_bytes(c);
  void* block = cached_block(c);
  if (block) {
    cached.fetch_sub(int64_t(size), std::memory_order_relaxed);
  } else {
    size_t align = size >= huge_page ? huge_page : alignment;
    block = ::operator new(size, std::align_val_t(align), std::nothrow);
    if (!block) {
      release_cached_memory();
      block = ::operator new(size, std::align_val_t(align), std::nothrow);
    }
    check(block != nullptr, "out of memory: ", bytes, " bytes were asked for, ", live.load(), " are in use, at most ",
          peak.load(), " were");
  }
  int64_t now = live.fetch_add(int64_t(size), std::memory_order_relaxed) + int64_t(size);
  int64_t most = peak.load(std::memory_order_relaxed);
  while (now > most && !peak.compare_exchange_weak(most, now, std::memory_order_relaxed)) {
  }
  blocks.fetch_add(1, std::memory_order_relaxed);
  allocations.fetch_add(1, std::memory_order_relaxed);
  return block;
}

void deallocate(void* block, size_t bytes) noexcept {
  if (!block) return;
  int c = class_of(bytes);
  int64_t size = int64_t(class_bytes(c));
  live.fetch_sub(size, std::memory_order_relaxed);
  blocks.fetch_sub(1, std::memory_order_relaxed);
  cached.fetch_add(size, std::memory_order_relaxed);
  if (std::vector<void*>* mine = thread_list(c); mine && mine->size() < thread_blocks) {
    mine->push_back(block);
    return;
  }
  std::lock_guard lock(shared().mutex);
  shared().free[c].push_back(block);
}

MemoryStats memory_stats() { return {live, peak, cached, blocks, allocations}; }

void reset_peak_memory() { peak = live.load(); }

void release_cached_memory() {
  std::lock_guard lock(shared().mutex);
  for (int c = 0; c < class_count; ++c) {
    size_t size = class_bytes(c), align = size >= huge_page ? huge_page : alignment;
    for (void* block : shared().free[c]) ::operator delete(block, std::align_val_t(align));
    cached.fetch_sub(int64_t(size * shared().free[c].size()), std::memory_order_relaxed);
    shared().free[c].clear();
  }
}

}  // namespace gradus
