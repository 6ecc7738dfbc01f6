// Rung 4, library: what Gradus uses, tensor/kernels/cuda/softmax.cu with block.h. It is rung 3 and
//  - the row in registers: a thread loads 16 numbers, in four loads of 16 bytes that are all on their way before the
//    first is needed, and keeps them, or their exponentials, until it writes. One pass, and an exponential for each
//    number instead of two;
//  - as many threads as the row needs: 8 for one of 32 numbers (so 4 rows share a warp), a warp up to 512, a block of
//    1024 threads for one of 16384. Where a row has a warp or less there is no barrier at all;
//  - longer rows in two passes, with a running maximum and sum in the first, the second from the cache; and few long
//    rows divided among blocks.
//
// What still holds it back is memory: each number is read once and written once, as in a copy.
#include "tensor/kernels/table.h"
#include "tutorials/ladders/cuda_softmax/softmax.h"

namespace gradus::cuda_softmax_ladder {

//! [library]
void library(int64_t rows, int64_t n, const float* x, float* y) {
  kernels(Device::cuda, float32).softmax(x, y, rows, n);
}
//! [library]

}  // namespace gradus::cuda_softmax_ladder
