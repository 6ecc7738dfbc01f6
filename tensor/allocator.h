// Host memory for tensors. A training step asks for the same sizes for ever, so freed blocks are kept by size
// class and handed out again; nothing goes back to the system until `release_cached_memory`.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gradus {

struct MemoryStats {
  int64_t live = 0;         // bytes in blocks now in use
  int64_t peak = 0;         // the most that `live` has been since the last reset
  int64_t cached = 0;       // bytes in blocks kept for reuse
  int64_t blocks = 0;       // blocks now in use
  int64_t allocations = 0;  // requests served since the program started
};

// At least `bytes` bytes, aligned to 64; throws Error naming the request, live and peak when there is no memory.
void* allocate(size_t bytes);
// Takes back what `allocate(bytes)` gave, with the same `bytes`.
void deallocate(void* block, size_t bytes) noexcept;

MemoryStats memory_stats();
void reset_peak_memory();
void release_cached_memory();

}  // namespace gradus
