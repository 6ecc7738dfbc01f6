// A kernel to step through, for tutorials/cuda_debugging.md: two blocks of eight threads turn eight numbers round each.
#include <cstdio>

#include "tensor/kernels/cuda/simt.h"

__global__ void flip(const float* x, float* y) {
  SIMT_SHARED(float, tile, [8]);
  const unsigned t = threadIdx.x;
  const float* row = x + 8 * blockIdx.x;
  tile[t] = row[t];
  __syncthreads();
  const float value = tile[7 - t];
  y[8 * blockIdx.x + t] = value;
}

int main() {
  float numbers[16];
  for (int i = 0; i < 16; ++i) numbers[i] = float(i);
  void *x, *y;
  cudaMalloc(&x, sizeof numbers);
  cudaMalloc(&y, sizeof numbers);
  cudaMemcpy(x, numbers, sizeof numbers, cudaMemcpyHostToDevice);
  gradus::cuda::launch(flip, 2, 8, 0, static_cast<const float*>(x), static_cast<float*>(y));
  cudaStreamSynchronize(gradus::cuda::stream());
  cudaMemcpy(numbers, y, sizeof numbers, cudaMemcpyDeviceToHost);
  for (float number : numbers) std::printf("%g ", number);
  std::printf("\n");
  cudaFree(x);
  cudaFree(y);
}
