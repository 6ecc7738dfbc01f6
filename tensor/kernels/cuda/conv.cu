// Convolution, forward and both gradients, as products of matrices that are read out of the images.
#include <algorithm>
#include <numeric>
#include <type_traits>

#include "tensor/error.h"
#include "tensor/kernels/cuda/conv_depthwise.h"
#include "tensor/kernels/cuda/conv_simt.h"
#include "tensor/kernels/cuda/conv_tensor_core.h"

namespace gradus::cuda {
namespace {

using namespace conv;

// Large tiles where there are enough of them to keep the device busy. A fixed number, so that on every device the same
// sums are made in the same order.
constexpr int64_t enough_blocks = 264;

bool on_tensor_cores() { return device_limits().major >= 8; }

template <class T, int tile_rows, int thread_rows>
void launch_simt(Product<T> p, int64_t blocks) {
  using C = Compute<T>;
  p.depth_step = Triple::of(tile_depth, p.vertical.taps, p.horizontal.taps);
  launch(multiply_taps<T, C, tile_rows, 128, thread_rows>, dim3(unsigned(blocks)),
         dim3(Tile<C, tile_rows, 128, thread_rows>::threads), 0, p);
}

template <int tile_rows>
void launch_mma(Product<bf16> p, int64_t blocks) {
  p.depth_step = Triple::of(mma_depth, p.vertical.taps, p.horizontal.taps);
  const int rows = int(div_up(p.rows, tile_rows)) * tile_rows, depth = int(div_up(p.depth, mma_depth)) * mma_depth;
  const int64_t weights = int64_t(p.groups) * rows * depth;
  check(weights < int64_t(1) << 31, "conv2d: ", weights, " weights, padded, are too many for cuda");
  Scratch<bf16> arranged(weights);
  launch(arrange_weights, dim3(unsigned(div_up(weights, 256))), dim3(256), 0, p, rows, depth, arranged.data());
  launch(multiply_taps_mma<tile_rows>, dim3(unsigned(blocks)), dim3(MmaTile<tile_rows>::threads), 0, p,
         arranged.data(), rows, depth);
}

template <class T>
void multiply(const Product<T>& p) {
  auto blocks = [&](int tile_rows) { return div_up(p.rows, tile_rows) * div_up(p.columns, 128) * p.groups; };
  if (p.columns == 0) return;
  const bool large = p.rows > 64 && blocks(128) >= enough_blocks;
  if constexpr (std::is_same_v<T, bf16>) {
    if (on_tensor_cores()) return large ? launch_mma<128>(p, blocks(128)) : launch_mma<64>(p, blocks(64));
  }
  if constexpr (!std::is_same_v<T, double>) {
    if (large) return launch_simt<T, 128, 8>(p, blocks(128));
    if (p.rows > 32) return launch_simt<T, 64, 8>(p, blocks(64));
  }
  launch_simt<T, 32, 4>(p, blocks(32));
}

void check_sizes(const Conv2d& c) {
  constexpr int64_t most = int64_t(1) << 30;
  const int64_t image = std::max(c.in_channels * c.height * c.width, c.out_channels * c.out_h * c.out_w);
  const int64_t weights = c.out_channels * (c.in_channels / c.groups) * c.kernel_h * c.kernel_w;
  check(image < most && weights < most && c.batch < most,
        "conv2d: images of more than 2^30 numbers are not implemented on cuda");
}

// Whether four elements that lie side by side can be written at once wherever one starts at a multiple of four.
template <class T>
bool in_fours(const T* data, int64_t plane) {
  return plane % 4 == 0 && reinterpret_cast<uintptr_t>(data) % 16 == 0;
}

Axis forward_axis(int64_t size, int64_t out, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation) {
  return {int(size), int(out), 0, 1, int(kernel), 0, 1, int(-pad), int(stride), 0, int(dilation)};
}

template <class T>
void conv2d(const Conv2d& c, const void* x, const void* w, const void* bias, void* y) {
  check_sizes(c);
  if (is_depthwise(c)) return depthwise<T>(c, x, w, bias, y);
  const int in_group = int(c.in_channels / c.groups), out_group = int(c.out_channels / c.groups);
  const int area = int(c.kernel_h * c.kernel_w), plane = int(c.out_h * c.out_w);
  Product<T> p{};
  p.weight = static_cast<const T*>(w), p.source = static_cast<const T*>(x), p.bias = static_cast<const T*>(bias);
  p.target = static_cast<T*>(y);
  p.vertical = forward_axis(c.height, c.out_h, c.kernel_h, c.stride_h, c.pad_h, c.dilation_h);
  p.horizontal = forward_axis(c.width, c.out_w, c.kernel_w, c.stride_w, c.pad_w, c.dilation_w);
  p.columns = c.batch * plane;
  p.rows = out_group, p.channels = in_group, p.depth = in_group * area, p.groups = int(c.groups);
  p.weight_row = in_group * area, p.weight_channel = area, p.kernel_w = int(c.kernel_w);
  p.weight_group = int64_t(out_group) * in_group * area;
  p.source_image = c.in_channels * c.height * c.width, p.target_image = c.out_channels * plane;
  p.target_plane = plane, p.target_width = int(c.out_w);
  p.contiguous = in_fours(p.target, plane);
  multiply(p);
}

// Of the input's rows, those at `phase` of the stride: (row + pad) % stride = phase. They all see the same taps, whose
// rows satisfy tap dilation % stride = phase too, in one output row after the other.
Axis backward_axis(int64_t size, int64_t out, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation,
                   int64_t phase) {
  const int64_t first = ((phase - pad) % stride + stride) % stride, period = stride / std::gcd(stride, dilation);
  int64_t tap = 0;
  while (tap < period && tap * dilation % stride != phase) ++tap;
  const int64_t taps = tap < period && tap < kernel ? div_up(kernel - tap, period) : 0;
  const int64_t targets = first < size ? div_up(size - first, stride) : 0;
  const int64_t origin = (first + pad - phase) / stride, shift = -(tap * dilation - phase) / stride;
  return {int(out),
          int(targets),
          int(first),
          int(stride),
          int(taps),
          int(tap),
          int(period),
          int(origin),
          1,
          int(shift),
          int(-period * dilation / stride)};
}

template <class T>
void conv2d_grad_input(const Conv2d& c, const void* g, const void* w, void* dx) {
  check_sizes(c);
  if (is_depthwise(c)) return depthwise_grad_input<T>(c, g, w, dx);
  const int in_group = int(c.in_channels / c.groups), out_group = int(c.out_channels / c.groups);
  const int area = int(c.kernel_h * c.kernel_w), plane = int(c.height * c.width);
  Product<T> p{};
  p.weight = static_cast<const T*>(w), p.source = static_cast<const T*>(g);
  p.target = static_cast<T*>(dx);
  p.rows = in_group, p.channels = out_group, p.groups = int(c.groups);
  p.weight_row = area, p.weight_channel = in_group * area, p.kernel_w = int(c.kernel_w);
  p.weight_group = int64_t(out_group) * in_group * area;
  p.source_image = c.out_channels * c.out_h * c.out_w, p.target_image = c.in_channels * plane;
  p.target_plane = plane, p.target_width = int(c.width);
  p.contiguous = c.stride_h == 1 && c.stride_w == 1 && in_fours(p.target, plane);
  for (int64_t i = 0; i < c.stride_h; ++i) {
    for (int64_t j = 0; j < c.stride_w; ++j) {
      p.vertical = backward_axis(c.height, c.out_h, c.kernel_h, c.stride_h, c.pad_h, c.dilation_h, i);
      p.horizontal = backward_axis(c.width, c.out_w, c.kernel_w, c.stride_w, c.pad_w, c.dilation_w, j);
      p.columns = c.batch * p.vertical.targets * p.horizontal.targets;
      p.depth = out_group * p.vertical.taps * p.horizontal.taps;
      // Pixels that no tap sees have gradient 0, the sum of nothing: of no channels, and the kernel divides by these.
      p.channels = p.depth > 0 ? out_group : 0;
      if (p.depth == 0) p.vertical.taps = p.horizontal.taps = 1;
      multiply(p);
    }
  }
}

template <class T>
void conv2d_grad_weight(const Conv2d& c, const void* x, const void* g, void* dw) {
  check_sizes(c);
  if (is_depthwise(c)) return depthwise_grad_weight<T>(c, x, g, dw);
  using C = Compute<T>;
  const int plane = int(c.out_h * c.out_w);
  WeightGradient<T> p{};
  p.source = static_cast<const T*>(x), p.gradient = static_cast<const T*>(g);
  p.vertical = forward_axis(c.height, c.out_h, c.kernel_h, c.stride_h, c.pad_h, c.dilation_h);
  p.horizontal = forward_axis(c.width, c.out_w, c.kernel_w, c.stride_w, c.pad_w, c.dilation_w);
  p.pixels = c.batch * plane;
  p.rows = int(c.out_channels / c.groups), p.channels = int(c.in_channels / c.groups), p.groups = int(c.groups);
  p.columns = int(p.channels * c.kernel_h * c.kernel_w);
  p.source_image = c.in_channels * c.height * c.width, p.gradient_image = c.out_channels * plane;

  // As many slices of the pixels as keep the device busy, none below 256, each a whole number of steps.
  auto run = [&](auto kernel, int tile_rows, int depth, int threads) {
    p.depth_step = Triple::of(depth, p.vertical.targets, p.horizontal.targets);
    const int64_t tiles = div_up(p.rows, tile_rows) * div_up(p.columns, 128) * p.groups;
    const int64_t wanted = std::clamp<int64_t>(div_up(2 * enough_blocks, tiles), 1, p.pixels / 256 + 1);
    p.slice = std::max<int64_t>(1, div_up(div_up(p.pixels, wanted), mma_depth)) * mma_depth;
    const int64_t slices = std::max<int64_t>(1, div_up(p.pixels, p.slice));
    const int64_t weights = int64_t(p.groups) * p.rows * p.columns;
    Scratch<C> sums(slices * weights);
    p.sums = sums.data();
    launch(kernel, dim3(unsigned(tiles * slices)), dim3(unsigned(threads)), 0, p);
    add_slices<T>(sums.data(), slices, weights, static_cast<T*>(dw));
  };
  if constexpr (std::is_same_v<T, bf16>) {
    if (on_tensor_cores()) return run(multiply_pixels_mma<64>, 64, mma_depth, MmaTile<64>::threads);
  }
  if constexpr (!std::is_same_v<T, double>) {
    if (p.rows > 32) return run(multiply_pixels<T, C, 64, 128, 8>, 64, tile_depth, Tile<C, 64, 128, 8>::threads);
  }
  run(multiply_pixels<T, C, 32, 128, 4>, 32, tile_depth, Tile<C, 32, 128, 4>::threads);
}

template <class T>
void fill_for(KernelTable& table) {
  table.conv2d = &conv2d<T>;
  table.conv2d_grad_input = &conv2d_grad_input<T>;
  table.conv2d_grad_weight = &conv2d_grad_weight<T>;
}

}  // namespace

void fill_conv(KernelTable& table, DType dtype) {
  if (dtype == DType::float32) fill_for<float>(table);
  if (dtype == DType::float64) fill_for<double>(table);
  if (dtype == DType::bfloat16) fill_for<bf16>(table);
}

}  // namespace gradus::cuda
