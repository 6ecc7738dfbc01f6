// Rung 6, threaded: heads and tiles of queries are shared out among threads.
//
// A tile of 64 queries needs nothing of another and writes rows of its own, so nobody waits until the end. For n = 1024
// and d = 64 it is 17 million operations, about 1 ms at 16 GFLOP/s, against less than 1 us for handing it over; 4 heads
// have 64 of them. With a causal mask the last tile of a head takes 16 times as long as the first; each thread takes
// the next when it is done, so they still end within 1 ms of each other. A query is summed by one thread, and in the
// order of the keys: the bits do not depend on the number of threads. Memory is 64 KB a thread.
//
// What holds it back: each thread is rung 5, in SSE2, its exponentials one by one.
#include "tensor/kernels/cpu/threads.h"
#include "tutorials/ladders/cpu_attention/5_tiled.h"

namespace gradus::attention_ladder {

//! [threaded]
void threaded(const Problem& x) {
  const int64_t tiles = (x.n + tile - 1) / tile;
  parallel_for(x.heads * tiles, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) attend_tile(x.head(task / tiles), task % tiles * tile);
  });
}
//! [threaded]

}  // namespace gradus::attention_ladder
