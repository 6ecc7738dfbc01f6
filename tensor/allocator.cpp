#include "tensor/allocator.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

#include "tensor/error.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace gradus {
namespace {

constexpr size_t alignment = 64;
constexpr size_t huge_page = size_t(2) << 20;
// Four classes to a power of two (at most 25% slack), from 64 bytes up.
constexpr int class_count = 4 * 42;
constexpr int thread_classes = 4 * 8;  // classes up to 16 KiB are also cached by each thread
constexpr int thread_blocks = 32;      // blocks a thread keeps of each

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

std::atomic<int64_t> live{0}, peak{0}, held{0};  // held: bytes from the system, in use or not

// A number that one thread counts and any may read: no locked instruction on the way.
struct Counter {
  std::atomic<int64_t> value{0};
  void add(int64_t n) { value.store(value.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  operator int64_t() const { return value.load(std::memory_order_relaxed); }
};

struct ThreadCache;

// Never destroyed: tensors held by static objects may outlive any static of ours.
struct Shared {
  std::mutex mutex;
  std::vector<void*> free[class_count];
  std::vector<ThreadCache*> caches;
  Counter given, taken;  // blocks handed out and taken back by threads that have ended
};
Shared& shared() {
  static Shared* s = new Shared;
  return *s;
}

thread_local constinit bool thread_ended = false;  // set once this thread's cache is gone
struct ThreadCache {
  struct List {
    int count = 0;
    void* blocks[thread_blocks];
  };
  List free[thread_classes];
  Counter given, taken;

  ThreadCache() {
    std::lock_guard lock(shared().mutex);
    shared().caches.push_back(this);
  }
  ~ThreadCache() {
    Shared& s = shared();
    std::lock_guard lock(s.mutex);
    for (int c = 0; c < thread_classes; ++c)
      for (int i = 0; i < free[c].count; ++i) s.free[c].push_back(free[c].blocks[i]);
    s.given.add(given);
    s.taken.add(taken);
    std::erase(s.caches, this);
    thread_ended = true;
  }
};
// This thread's, or null once it is gone.
ThreadCache* thread_cache() {
  static thread_local ThreadCache cache;
  return thread_ended ? nullptr : &cache;
}

void* from_system(size_t size) {
  size_t align = size >= huge_page ? huge_page : alignment;
  void* block = ::operator new(size, std::align_val_t(align), std::nothrow);
#if defined(__linux__)
  // A first touch costs as much for a huge page as for one of 4 KiB, and there are 512 times fewer of them.
  if (block && size >= huge_page) madvise(block, size, MADV_HUGEPAGE);
#endif
  return block;
}

// Out of this thread's cache or the shared lists; null where there is none.
void* cached_block(ThreadCache* cache, int c) {
  if (cache && c < thread_classes && cache->free[c].count > 0) return cache->free[c].blocks[--cache->free[c].count];
  std::lock_guard lock(shared().mutex);
  std::vector<void*>& list = shared().free[c];
  if (list.empty()) return nullptr;
  void* block = list.back();
  list.pop_back();
  return block;
}

}  // namespace

void* allocate(size_t bytes) {
  check(bytes <= size_t(1) << 47, "out of memory: ", bytes, " bytes were asked for");
  int c = class_of(bytes);
  size_t size = class_bytes(c);
  ThreadCache* cache = thread_cache();
  void* block = cached_block(cache, c);
  if (!block) {
    block = from_system(size);
    if (!block) {
      release_cached_memory();
      block = from_system(size);
    }
    check(block != nullptr, "out of memory: ", bytes, " bytes were asked for, ", live.load(), " are in use, at most ",
          peak.load(), " were");
    held.fetch_add(int64_t(size), std::memory_order_relaxed);
  }
  int64_t now = live.fetch_add(int64_t(size), std::memory_order_relaxed) + int64_t(size);
  int64_t most = peak.load(std::memory_order_relaxed);
  while (now > most && !peak.compare_exchange_weak(most, now, std::memory_order_relaxed)) {
  }
  if (cache) {
    cache->given.add(1);
  } else {
    std::lock_guard lock(shared().mutex);
    shared().given.add(1);
  }
  return block;
}

void deallocate(void* block, size_t bytes) noexcept {
  if (!block) return;
  int c = class_of(bytes);
  live.fetch_sub(int64_t(class_bytes(c)), std::memory_order_relaxed);
  ThreadCache* cache = thread_cache();
  if (cache) cache->taken.add(1);
  if (cache && c < thread_classes && cache->free[c].count < thread_blocks) {
    cache->free[c].blocks[cache->free[c].count++] = block;
    return;
  }
  std::lock_guard lock(shared().mutex);
  if (!cache) shared().taken.add(1);
  shared().free[c].push_back(block);
}

MemoryStats memory_stats() {
  std::lock_guard lock(shared().mutex);
  int64_t given = shared().given, taken = shared().taken;
  for (const ThreadCache* cache : shared().caches) {
    given += cache->given;
    taken += cache->taken;
  }
  return {live, peak, held - live, given - taken, given};
}

void reset_peak_memory() { peak = live.load(); }

void release_cached_memory() {
  std::lock_guard lock(shared().mutex);
  for (int c = 0; c < class_count; ++c) {
    size_t size = class_bytes(c), align = size >= huge_page ? huge_page : alignment;
    for (void* block : shared().free[c]) ::operator delete(block, std::align_val_t(align));
    held.fetch_sub(int64_t(size * shared().free[c].size()), std::memory_order_relaxed);
    shared().free[c].clear();
  }
}

}  // namespace gradus
