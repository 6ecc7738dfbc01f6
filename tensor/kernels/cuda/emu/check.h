// The checker of memory accesses, in programs compiled with GRADUS_SIMT_CHECK: the scheduler tells it who runs and
// what is ordered, the compiler (-fsanitize=thread,alignment, without their libraries) what a kernel reads and writes.
// In other programs these functions do nothing.
#pragma once

#include <cstddef>
#include <cstdint>

namespace emu::check {

// Who runs, and since when: of two accesses to one place by different threads in one barrier epoch, neither comes
// first.
struct Position {
  uint32_t launch_begin, block;  // blocks are numbered over all launches
  uint32_t barrier_epoch;        // barriers that the block has passed
  uint16_t thread;
  uint16_t warp_epoch;  // grows with each __syncwarp that the thread takes part in, past those of all others in it
};

#ifdef GRADUS_SIMT_CHECK
inline constexpr bool compiled_in = true;
void begin_launch(const void* closure, size_t closure_bytes);
void begin_block(const void* shared, size_t mapped_bytes, size_t dynamic_bytes);
void shared_array(const void* begin, size_t bytes, const char* name);
// From here on the accesses are this thread's, on this stack.
void resume(const Position& position, const void* stack, size_t stack_bytes);
void pause();
void fence();
// Of cp.async, called from `instruction`: begun, and arrived.
void copy_begins(void* to, const void* from, unsigned size, unsigned filled, const void* instruction);
void copy_arrives(void* to, unsigned size, const void* instruction);
// Memory that kernels may use, and no longer.
void memory(const void* begin, size_t bytes, const char* name);
void memory_gone(const void* begin);
#else
inline constexpr bool compiled_in = false;
inline void begin_launch(const void*, size_t) {}
inline void begin_block(const void*, size_t, size_t) {}
inline void shared_array(const void*, size_t, const char*) {}
inline void resume(const Position&, const void*, size_t) {}
inline void pause() {}
inline void fence() {}
inline void copy_begins(void*, const void*, unsigned, unsigned, const void*) {}
inline void copy_arrives(void*, unsigned, const void*) {}
inline void memory(const void*, size_t, const char*) {}
inline void memory_gone(const void*) {}
#endif

}  // namespace emu::check
