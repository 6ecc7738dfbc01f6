// Each block has added up its part, and adds it to the total: read, add, write back. Two blocks that read before either
// has written back lose one of the parts. Blocks run side by side, and no barrier reaches from one to another; such an
// addition is atomic, or each block writes a cell of its own and a second kernel adds those up in a fixed order.
#include "tutorials/ladders/broken/gallery.h"

namespace broken {
namespace {

__global__ void broken(float* total) {
  if (threadIdx.x == 0) *total += 1;  // FAULT
}

__global__ void mended(float* total) {
  if (threadIdx.x == 0) atomicAdd(total, 1.0f);
}

}  // namespace

void two_blocks_one_cell(bool mend) {
  const DeviceArray<float> total(1);
  launch(mend ? mended : broken, 4, 32, 0, total.data());
}

}  // namespace broken
