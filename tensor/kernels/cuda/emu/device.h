// What the scheduler does for a running CUDA thread. Kernels use it by CUDA's names, which the other headers define.
#pragma once

#include <type_traits>

#include "tensor/kernels/cuda/emu/types.h"

namespace emu {

struct Where {
  const char* file;
  int line;
};
// As the last parameters: where the caller stands.
#define EMU_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()
// For what touches memory on a kernel's behalf: inlined in every build, so that the checker sees the kernel's own
// line.
#define EMU_INLINE inline __attribute__((always_inline))

extern constinit thread_local unsigned lane;                  // of the running thread in its warp
extern constinit thread_local unsigned char* dynamic_shared;  // of its block

struct Votes {
  int yes, all;
};
// Waits for every thread of the block that has not returned, and counts the predicates.
Votes block_barrier(int predicate, const char* what, Where where);

// The lanes of `mask` meet: the last one to come calls run(mask, posts) while the others wait, where posts[lane] is
// what each lane brought. With `orders_memory` (__syncwarp) what they did before is seen by all after.
using WarpFunction = void(unsigned mask, void* const* posts);
void warp_collective(unsigned mask, WarpFunction* run, void* post, const char* what, Where where,
                     bool orders_memory = false);

// A block's array: the first of its threads to ask makes it, filled with NaN. The key tells arrays apart.
void* shared_array(const void* key, size_t bytes, const char* name);

// Asynchronous copies to shared memory. The bytes arrive as late as the hardware may be: when the thread waits for
// them. The rest of `size` after `filled` bytes becomes zero.
void async_copy(void* to, const void* from, unsigned size, unsigned filled);
void async_commit();
void async_wait(unsigned pending);  // until at most so many of the committed
                                    // groups are under way

// Lets the other threads run: in whatever spins.
void yield();
// For what reads or changes memory out of the compiler's sight: tells the checker.
#ifdef GRADUS_SIMT_CHECK
void note_read(const void* p, unsigned bytes);
void note_atomic(const void* p, unsigned bytes);
#else
inline void note_read(const void*, unsigned) {}
inline void note_atomic(const void*, unsigned) {}
#endif
void fence();
[[noreturn]] void trap(Where where);
void shuffle_lost(const char* what, int source, unsigned mask, Where where);

// In strict mode an argument of a launch that is a pointer must be one to device memory.
void check_pointer_argument(const void* p);
template <class T>
void check_argument(const T&) {}
template <class T>
void check_argument(T* p) {
  if constexpr (!std::is_function_v<T>) check_pointer_argument(p);
}

}  // namespace emu
