// Convolutions whose groups have one input channel each: too small to be matrix products. Every element of the result
// has a thread, or for the weights a block, that adds up what belongs to it.
#pragma once

#include <algorithm>
#include <cmath>

#include "tensor/kernels/cuda/kernels.h"

namespace gradus::cuda {

inline constexpr int depthwise_threads = 256;

inline bool is_depthwise(const Conv2d& c) { return c.groups == c.in_channels && c.groups > 1; }

// Conv2d in 32 bits: what is within an image.
struct Depthwise {
  int64_t batch;
  int channels, multiplier;  // of the input, and how many outputs each has
  int height, width, out_h, out_w, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
  explicit Depthwise(const Conv2d& c)
      : batch(c.batch),
        channels(int(c.in_channels)),
        multiplier(int(c.out_channels / c.in_channels)),
        height(int(c.height)),
        width(int(c.width)),
        out_h(int(c.out_h)),
        out_w(int(c.out_w)),
        kernel_h(int(c.kernel_h)),
        kernel_w(int(c.kernel_w)),
        stride_h(int(c.stride_h)),
        stride_w(int(c.stride_w)),
        pad_h(int(c.pad_h)),
        pad_w(int(c.pad_w)),
        dilation_h(int(c.dilation_h)),
        dilation_w(int(c.dilation_w)) {}
};

// Blocks (part of a plane, plane), over all planes of all images.
inline dim3 depthwise_grid(int64_t planes, int64_t pixels) {
  return dim3(unsigned(div_up(pixels, depthwise_threads)), unsigned(std::min<int64_t>(planes, 65535)));
}

template <class T>
__global__ void __launch_bounds__(depthwise_threads)
    depthwise_kernel(Depthwise d, const T* x, const T* w, const T* bias, T* y) {
  using C = Compute<T>;
  const int pixel = int(blockIdx.x) * depthwise_threads + int(threadIdx.x), outputs = d.channels * d.multiplier;
  if (pixel >= d.out_h * d.out_w) return;
  const int i = pixel / d.out_w, top = i * d.stride_h - d.pad_h;
  const int left = (pixel - i * d.out_w) * d.stride_w - d.pad_w;
  for (int64_t plane = blockIdx.y; plane < d.batch * outputs; plane += gridDim.y) {
    const int o = int(plane % outputs);
    const T* source = x + (plane / outputs * d.channels + o / d.multiplier) * (int64_t(d.height) * d.width);
    const T* weight = w + int64_t(o) * d.kernel_h * d.kernel_w;
    C sum = bias ? C(bias[o]) : C(0);
    for (int kh = 0; kh < d.kernel_h; ++kh) {
      const int row = top + kh * d.dilation_h;
      if (unsigned(row) >= unsigned(d.height)) continue;
      for (int kw = 0; kw < d.kernel_w; ++kw) {
        const int column = left + kw * d.dilation_w;
        if (unsigned(column) < unsigned(d.width))
          sum = std::fma(C(source[row * d.width + column]), C(weight[kh * d.kernel_w + kw]), sum);
      }
    }
    y[plane * d.out_h * d.out_w + pixel] = T(sum);
  }
}

// The output row, or column, that sees `at` by tap k, if there is one; else -1.
inline __device__ int seen_from(int at, int tap, int pad, int dilation, int stride, int out) {
  const int distance = at + pad - tap * dilation;
  if (distance < 0) return -1;
  const int from = stride == 1 ? distance : distance / stride;
  return from < out && from * stride == distance ? from : -1;
}

template <class T>
__global__ void __launch_bounds__(depthwise_threads)
    depthwise_input_kernel(Depthwise d, const T* g, const T* w, T* dx) {
  using C = Compute<T>;
  const int pixel = int(blockIdx.x) * depthwise_threads + int(threadIdx.x);
  if (pixel >= d.height * d.width) return;
  const int h = pixel / d.width, v = pixel - h * d.width, area = d.kernel_h * d.kernel_w,
            out_plane = d.out_h * d.out_w;
  for (int64_t plane = blockIdx.y; plane < d.batch * d.channels; plane += gridDim.y) {
    C sum = 0;
    for (int o = 0; o < d.multiplier; ++o) {
      const T* gradient = g + (plane * d.multiplier + o) * out_plane;
      const T* weight = w + (plane % d.channels * d.multiplier + o) * area;
      for (int kh = 0; kh < d.kernel_h; ++kh) {
        const int i = seen_from(h, kh, d.pad_h, d.dilation_h, d.stride_h, d.out_h);
        if (i < 0) continue;
        for (int kw = 0; kw < d.kernel_w; ++kw) {
          const int j = seen_from(v, kw, d.pad_w, d.dilation_w, d.stride_w, d.out_w);
          if (j >= 0) sum = std::fma(C(gradient[i * d.out_w + j]), C(weight[kh * d.kernel_w + kw]), sum);
        }
      }
    }
    dx[plane * d.height * d.width + pixel] = T(sum);
  }
}

// Blocks (output channel, slice of the images): sums[slice][o][tap]. One tap after the other: from the second on the
// planes come from the cache.
template <class T>
__global__ void __launch_bounds__(depthwise_threads)
    depthwise_weight_kernel(Depthwise d, int64_t images, const T* x, const T* g, Compute<T>* sums) {
  using C = Compute<T>;
  SIMT_SHARED(C, of_warps, [depthwise_threads / warp_size]);
  const int tid = int(threadIdx.x), o = int(blockIdx.x), outputs = d.channels * d.multiplier;
  const int plane = d.height * d.width, out_plane = d.out_h * d.out_w;
  const int64_t begin = blockIdx.y * images, end = min(begin + images, d.batch);
  const int step_rows = depthwise_threads / d.out_w, step_columns = depthwise_threads % d.out_w;
  for (int tap = 0; tap < d.kernel_h * d.kernel_w; ++tap) {
    const int kh = tap / d.kernel_w, shift_row = kh * d.dilation_h - d.pad_h;
    const int shift_column = (tap - kh * d.kernel_w) * d.dilation_w - d.pad_w;
    C sum = 0;
    for (int64_t image = begin; image < end; ++image) {
      const T* gradient = g + (image * outputs + o) * out_plane;
      const T* source = x + (image * d.channels + o / d.multiplier) * plane;
      int i = tid / d.out_w, j = tid % d.out_w;
      for (int pixel = tid; pixel < out_plane; pixel += depthwise_threads) {
        const int row = i * d.stride_h + shift_row, column = j * d.stride_w + shift_column;
        if (unsigned(row) < unsigned(d.height) && unsigned(column) < unsigned(d.width))
          sum = std::fma(C(gradient[pixel]), C(source[row * d.width + column]), sum);
        i += step_rows, j += step_columns;
        if (j >= d.out_w) j -= d.out_w, ++i;
      }
    }
    SIMT_UNROLL
    for (int reach = warp_size / 2; reach; reach /= 2) sum += __shfl_xor_sync(whole_warp, sum, reach);
    if (tid % warp_size == 0) of_warps[tid / warp_size] = sum;
    __syncthreads();
    if (tid == 0) {
      C total = 0;
      for (C part : of_warps) total += part;
      sums[(int64_t(blockIdx.y) * outputs + o) * d.kernel_h * d.kernel_w + tap] = total;
    }
    __syncthreads();
  }
}

// y = the sum of the slices, in their order.
template <class T>
__global__ void add_slices_kernel(const Compute<T>* sums, int64_t slices, int64_t n, T* y) {
  const int64_t i = int64_t(blockIdx.x) * depthwise_threads + threadIdx.x;
  if (i >= n) return;
  Compute<T> total = 0;
  SIMT_UNROLL
  for (int64_t s = 0; s < slices; ++s) total += sums[s * n + i];
  y[i] = T(total);
}
template <class T>
void add_slices(const Compute<T>* sums, int64_t slices, int64_t n, T* y) {
  launch(add_slices_kernel<T>, dim3(unsigned(div_up(n, depthwise_threads))), dim3(depthwise_threads), 0, sums, slices,
         n, y);
}

template <class T>
void depthwise(const Conv2d& c, const void* x, const void* w, const void* bias, void* y) {
  launch(depthwise_kernel<T>, depthwise_grid(c.batch * c.out_channels, c.out_h * c.out_w), dim3(depthwise_threads), 0,
         Depthwise(c), static_cast<const T*>(x), static_cast<const T*>(w), static_cast<const T*>(bias),
         static_cast<T*>(y));
}

template <class T>
void depthwise_grad_input(const Conv2d& c, const void* g, const void* w, void* dx) {
  launch(depthwise_input_kernel<T>, depthwise_grid(c.batch * c.in_channels, c.height * c.width),
         dim3(depthwise_threads), 0, Depthwise(c), static_cast<const T*>(g), static_cast<const T*>(w),
         static_cast<T*>(dx));
}

template <class T>
void depthwise_grad_weight(const Conv2d& c, const void* x, const void* g, void* dw) {
  const int64_t wanted = std::clamp<int64_t>(div_up(2048, c.out_channels), 1, std::max<int64_t>(c.batch, 1));
  const int64_t images = std::max<int64_t>(1, div_up(c.batch, wanted)),
                slices = std::max<int64_t>(1, div_up(c.batch, images));
  const int64_t weights = c.out_channels * c.kernel_h * c.kernel_w;
  Scratch<Compute<T>> sums(slices * weights);
  launch(depthwise_weight_kernel<T>, dim3(unsigned(c.out_channels), unsigned(slices)), dim3(depthwise_threads), 0,
         Depthwise(c), images, static_cast<const T*>(x), static_cast<const T*>(g), sums.data());
  add_slices<T>(sums.data(), slices, weights, static_cast<T*>(dw));
}

}  // namespace gradus::cuda
