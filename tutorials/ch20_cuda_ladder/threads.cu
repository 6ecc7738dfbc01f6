// Who computes what: the threads of a small grid introduce themselves, then the first warp of three layouts.
#include <cstdio>
#include <vector>

#include "tensor/error.h"
#include "tensor/kernels/cuda/runtime.h"
#include "tensor/kernels/cuda/simt.h"

using namespace gradus;

namespace {

//! [who]
__global__ void who(int m, int n) {
  const unsigned j = blockIdx.x * blockDim.x + threadIdx.x;   // x runs along a row of C
  const unsigned i = blockIdx.y * blockDim.y + threadIdx.y;   // y down its columns
  const unsigned t = threadIdx.y * blockDim.x + threadIdx.x;  // its number within the block
  std::printf("block (%u, %u), thread (%u, %u): number %u, warp %u, lane %2u: ", blockIdx.x, blockIdx.y, threadIdx.x,
              threadIdx.y, t, t / 32, t % 32);
  if (i >= m || j >= n)
    std::printf("nothing to do\n");
  else
    std::printf("C[%u][%u]\n", i, j);
}
//! [who]

// For each lane of the first warp of block (0, 0), the element of C that it computes.
struct Element {
  int row, column;
};
template <bool x_is_column>
__global__ void first_warp(Element* of_lane) {
  const int x = int(blockIdx.x * blockDim.x + threadIdx.x), y = int(blockIdx.y * blockDim.y + threadIdx.y);
  const unsigned t = threadIdx.y * blockDim.x + threadIdx.x;
  if (t >= 32) return;
  of_lane[t].row = x_is_column ? y : x;
  of_lane[t].column = x_is_column ? x : y;
}

std::vector<Element> elements(void (*kernel)(Element*), dim3 block) {
  std::vector<Element> of_lane(32);
  const size_t bytes = of_lane.size() * sizeof(Element);
  void* memory = cuda::allocate(bytes);
  cuda::launch(kernel, 1, block, 0, static_cast<Element*>(memory));
  cuda::copy_to_host(of_lane.data(), memory, bytes);
  cuda::deallocate(memory, bytes);
  return of_lane;
}

void show(const char* name, const std::vector<Element>& of_lane) {
  std::printf("%-26s", name);
  for (const int lane : {0, 1, 2, 15, 16, 31}) {
    char text[32];
    std::snprintf(text, sizeof text, "C[%d][%d]", of_lane[size_t(lane)].row, of_lane[size_t(lane)].column);
    std::printf(" %-8s", text);
  }
  std::printf("\n");
}

}  // namespace

int main() {
  constexpr int m = 3, n = 5;
  const dim3 block(4, 2), grid((n + 3) / 4, (m + 1) / 2);
  std::printf("C of %d x %d, %u x %u blocks of %u x %u threads\n", m, n, grid.x, grid.y, block.x, block.y);
  cuda::launch(who, grid, block, 0, m, n);
  cuda::synchronize();

  const std::vector<Element> down = elements(first_warp<false>, dim3(32, 8));
  const std::vector<Element> along = elements(first_warp<true>, dim3(32, 8));
  const std::vector<Element> two_rows = elements(first_warp<true>, dim3(16, 16));
  std::printf("\nlane of the first warp     0        1        2        15       16       31\n");
  show("32 x 8 threads, x is row", down);
  show("32 x 8, x is column", along);
  show("16 x 16, x is column", two_rows);
  check(down[31].row == 31 && along[31].column == 31 && two_rows[16].row == 1, "lanes are counted along x");
}
