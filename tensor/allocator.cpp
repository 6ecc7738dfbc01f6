#include "tensor/allocator.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "tensor/error.h"
#include "tensor/segments.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace gradus {
namespace {

constexpr size_t alignment = 64;
constexpr size_t page = 4096, huge_page = size_t(2) << 20;
constexpr size_t large = size_t(256) << 10;  // blocks beyond are whole pages, cut from segments
// Below, four classes to a power of two (at most 25% slack), from 64 bytes up.
constexpr int class_count = 4 * 12 + 1;
constexpr int thread_classes = 4 * 8;  // classes up to 16 KiB are also cached by each thread
constexpr int thread_blocks = 32;      // blocks a thread keeps of each

size_t round_up(size_t bytes, size_t step) { return (bytes + step - 1) / step * step; }

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

size_t block_bytes(size_t bytes) { return bytes > large ? round_up(bytes, page) : class_bytes(class_of(bytes)); }

std::atomic<int64_t> live{0}, peak{0}, held{0};  // held: bytes from the system that are or were in use

// A number that one thread counts and any may read: no locked instruction on the way.
struct Counter {
  std::atomic<int64_t> value{0};
  void add(int64_t n) { value.store(value.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  operator int64_t() const { return value.load(std::memory_order_relaxed); }
};

// Large blocks of the host. What was never touched takes no memory, so that segments may double: no block crosses from
// one to the next, and what is left at the ends of many small ones adds up (a ResNet-18's step took 407 MB, now 349).
struct HostMemory {
  static constexpr size_t step = huge_page;
  static size_t segment_bytes(size_t have) { return std::max(have, size_t(64) << 20); }
  static char* get(size_t size) {
    return static_cast<char*>(::operator new(size, std::align_val_t(huge_page), std::nothrow));
  }
  static void put(char* segment, size_t, size_t touched_bytes) {
    held.fetch_sub(int64_t(touched_bytes), std::memory_order_relaxed);
    ::operator delete(segment, std::align_val_t(huge_page));
  }
  // A first touch costs as much for a huge page as for one of 4 KiB, and there are 512 times fewer of them.
  static void touched(char* from, char* until) {
    held.fetch_add(until - from, std::memory_order_relaxed);
#if defined(__linux__)
    uintptr_t first = round_up(uintptr_t(from), huge_page), end = uintptr_t(until) / huge_page * huge_page;
    if (first < end) madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);
#endif
  }
};

struct ThreadCache;

// Never destroyed: tensors held by static objects may outlive any static of ours.
struct Shared {
  std::mutex mutex;
  std::vector<void*> free[class_count];
  Segments<HostMemory> segments;
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

// Out of this thread's cache, the shared lists or the system; null where there is none.
void* find_block(ThreadCache* cache, size_t size) {
  int c = class_of(size);
  if (cache && c < thread_classes && cache->free[c].count > 0) return cache->free[c].blocks[--cache->free[c].count];
  std::lock_guard lock(shared().mutex);
  if (size > large) return shared().segments.take(size);
  std::vector<void*>& list = shared().free[c];
  void* block;
  if (list.empty()) {
    block = ::operator new(size, std::align_val_t(alignment), std::nothrow);
    if (block) held.fetch_add(int64_t(size), std::memory_order_relaxed);
  } else {
    block = list.back();
    list.pop_back();
  }
  return block;
}

}  // namespace

void* allocate(size_t bytes) {
  check(bytes <= size_t(1) << 47, "out of memory: ", bytes, " bytes were asked for");
  size_t size = block_bytes(bytes);
  ThreadCache* cache = thread_cache();
  void* block = find_block(cache, size);
  if (!block) {
    release_cached_memory();
    block = find_block(cache, size);
    check(block != nullptr, "out of memory: ", bytes, " bytes were asked for, ", live.load(), " are in use, at most ",
          peak.load(), " were");
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
  size_t size = block_bytes(bytes);
  int c = class_of(size);
  live.fetch_sub(int64_t(size), std::memory_order_relaxed);
  ThreadCache* cache = thread_cache();
  if (cache) cache->taken.add(1);
  if (cache && c < thread_classes && cache->free[c].count < thread_blocks) {
    cache->free[c].blocks[cache->free[c].count++] = block;
    return;
  }
  std::lock_guard lock(shared().mutex);
  if (!cache) shared().taken.add(1);
  if (size > large)
    shared().segments.give(static_cast<char*>(block), size);
  else
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
    for (void* block : shared().free[c]) ::operator delete(block, std::align_val_t(alignment));
    held.fetch_sub(int64_t(class_bytes(c) * shared().free[c].size()), std::memory_order_relaxed);
    shared().free[c].clear();
  }
  shared().segments.release();
}

}  // namespace gradus
