// Rung 1, naive: the definition, a kernel for each of its three steps, and between them a matrix (n, n) of scores for
// each head.
//
// A thread makes one score: d multiply-adds, for which it reads 2 d numbers of 2 bytes. Another makes one number of the
// output: n multiply-adds. Neighbours in a warp read the same q or the same weights, so much comes from the first
// cache; but there are two loads for every multiply-add, and a multiprocessor starts four times as many of these as
// loads.
//
// What holds it back, too: the matrix. At n = 4096 it has 64 MB for each head, more than an H100's second cache holds.
// It is written, read, written and read again: 16 bytes for each pair at least, while q, k, v and the output of d = 128
// have 4 MB together. With twice the places it is four times as large.
#include "tensor/kernels/cuda/kernels.h"
#include "tutorials/ladders/cuda_attention/attention.h"

namespace gradus::cuda_attention_ladder {
namespace {

using cuda::bf16;

//! [naive]
__global__ void score(int64_t n, int64_t d, const bf16* q, const bf16* k, float scale, bool causal, float* scores) {
  const int64_t j = int64_t(blockIdx.x) * blockDim.x + threadIdx.x, i = blockIdx.y, head = blockIdx.z;
  if (j >= n) return;
  float sum = 0;
  for (int64_t c = 0; c < d; ++c) sum = fmaf(float(q[(head * n + i) * d + c]), float(k[(head * n + j) * d + c]), sum);
  scores[(head * n + i) * n + j] = causal && j > i ? -INFINITY : scale * sum;
}

// A thread has a row. The largest score is taken off first: exp of a large one would be infinite.
__global__ void softmax(int64_t rows, int64_t n, float* scores) {
  const int64_t row = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (row >= rows) return;
  float* x = scores + row * n;
  float largest = -INFINITY, sum = 0;
  for (int64_t j = 0; j < n; ++j) largest = fmaxf(largest, x[j]);
  for (int64_t j = 0; j < n; ++j) sum += expf(x[j] - largest);
  for (int64_t j = 0; j < n; ++j) x[j] = expf(x[j] - largest) / sum;
}

__global__ void weigh(int64_t n, int64_t d, const float* weights, const bf16* v, bf16* output) {
  const int64_t c = threadIdx.x, i = blockIdx.x, head = blockIdx.y;
  float sum = 0;
  for (int64_t j = 0; j < n; ++j) sum = fmaf(weights[(head * n + i) * n + j], float(v[(head * n + j) * d + c]), sum);
  output[(head * n + i) * d + c] = bf16(sum);
}
//! [naive]

}  // namespace

void naive(const Problem& x) {
  const auto numbers = [](const BFloat16* p) { return reinterpret_cast<const bf16*>(p); };
  const int64_t rows = x.heads * x.n;
  const cuda::Scratch<float> scores(rows * x.n);
  const unsigned n = unsigned(x.n), heads = unsigned(x.heads);
  cuda::launch(score, dim3((n + 127) / 128, n, heads), dim3(128), 0, x.n, x.d, numbers(x.q), numbers(x.k), x.scale,
               x.causal, scores.data());
  cuda::launch(softmax, dim3(unsigned((rows + 127) / 128)), dim3(128), 0, rows, x.n, scores.data());
  cuda::launch(weigh, dim3(n, heads), dim3(unsigned(x.d)), 0, x.n, x.d, static_cast<const float*>(scores.data()),
               numbers(x.v), reinterpret_cast<bf16*>(x.output));
}

}  // namespace gradus::cuda_attention_ladder
