// Running a loop on all cores. Kernels use it; so may anything else that has long independent loops.
#pragma once

#include <cstdint>

namespace gradus {

// How many threads a parallel_for uses, the caller included: the machine's cores until set. Throws Error
// below 1. Not to be called while a parallel_for runs.
void set_num_threads(int count);
int num_threads();

// Whether this thread, and those that work for it, treat denormal numbers (below 1.2e-38 in float32) as zero. True at
// the start, in every thread: denormals cost a hundred times a normal operation and mean nothing to a network.
void set_flush_denormals(bool on);
bool flush_denormals();

namespace detail {
void run_chunks(int64_t n, int64_t grain, void (*call)(const void* f, int64_t begin, int64_t end), const void* f);
}

// Calls f(begin, end) for the chunks [0, grain), [grain, 2 grain) ... of [0, n), each exactly once, on
// several threads at a time. The chunks do not depend on the number of threads: a chunk that owns its partial
// result makes a reduction that has the same bits on any machine. Calls inside f run on the calling thread
// alone. The first exception thrown by f is thrown again here; chunks that had not begun by then are dropped.
template <class F>
void parallel_for(int64_t n, int64_t grain, const F& f) {
  if (n <= grain) {
    if (n > 0) f(int64_t(0), n);
    return;
  }
  detail::run_chunks(
      n, grain, [](const void* body, int64_t begin, int64_t end) { (*static_cast<const F*>(body))(begin, end); }, &f);
}

}  // namespace gradus
