// What the convolution kernels share: where the factors of a product lie in images. A convolution is a product of two
// matrices one of which is never made: its elements are read out of the images as they are needed ("implicit GEMM").
#pragma once

#include <climits>

#include "tensor/kernels/cuda/kernels.h"

namespace gradus::cuda::conv {

// How one dimension of an image is walked through: rows of the target, or columns, and the taps that each of them has
// in the source. Target t (of `targets`, the row target_first + t target_step) sees, by tap k, the source's row
// origin + t origin_step + shift + k shift_step, weighted with the kernel's row tap_first + k tap_step.
struct Axis {
  int source, targets, target_first, target_step;
  int taps, tap_first, tap_step;
  int origin, origin_step, shift, shift_step;
};

// One of `planes * rows * columns`: of pixels (image, row, column), of taps (channel, row, column).
struct Triple {
  int plane, row, column;
  GRADUS_DEVICE static Triple of(int64_t n, int rows, int columns) {
    const int64_t size = int64_t(rows) * columns;
    const int plane = int(n / size), rest = int(n - plane * size);
    return {plane, rest / columns, rest % columns};
  }
  // `step` further on: an addition with carries, which is sooner done than `of`.
  __device__ void advance(const Triple& step, int rows, int columns) {
    column += step.column;
    row += step.row;
    plane += step.plane;
    if (column >= columns) column -= columns, ++row;
    if (row >= rows) row -= rows, ++plane;
  }
};

// The forward pass, and with input and output exchanged the gradient of the input:
// target[image, group, m, pixel] = bias[group, m] + sum over taps of weight[group, m, tap] source[image, tap, pixel].
template <class T>
struct Product {
  const T *weight, *source, *bias;
  T* target;
  Axis vertical, horizontal;
  Triple depth_step;                         // what a step of the loop over taps, or over pixels, advances by
  int64_t columns;                           // pixels of all images
  int rows, channels, depth, groups;         // of a group: output channels, input channels, taps of all of these
  int weight_row, weight_channel, kernel_w;  // how far a weight is from that of the next m, channel, kernel row
  int64_t weight_group;                      // ... and group
  int64_t source_image, target_image;        // how far an image is from the next
  int target_plane, target_width;
  bool contiguous;  // four pixels, from a multiple of four on, are four neighbours in the target
};

// sums[slice, group, m, tap] = sum over the slice's pixels of gradient[image, group, m, pixel] source[image, tap,
// pixel]
template <class T>
struct WeightGradient {
  const T *source, *gradient;
  Compute<T>* sums;
  Axis vertical, horizontal;
  Triple depth_step;      // what a step of the loop over taps, or over pixels, advances by
  int64_t pixels, slice;  // of all images; of a slice of them
  int rows, columns, channels, groups;
  int64_t source_image, gradient_image;
};

// A source row that is in no image, with or without another added to it.
inline constexpr int nowhere = INT_MIN / 2;

// How far from a pixel's first source element the one that a tap sees is, and where its weight is.
struct alignas(16) Tap {
  int offset, weight, row, column;
  __device__ static Tap of(const Axis& vertical, const Axis& horizontal, const Triple& t, int channels) {
    const int row = vertical.shift + t.row * vertical.shift_step;
    const int column = horizontal.shift + t.column * horizontal.shift_step;
    return {(t.plane * vertical.source + row) * horizontal.source + column, 0, t.plane < channels ? row : nowhere,
            column};
  }
};
// Where a tap's weight is: that of m = 0.
template <class T>
__device__ int weight_of(const Product<T>& p, const Triple& tap) {
  return tap.plane * p.weight_channel + (p.vertical.tap_first + tap.row * p.vertical.tap_step) * p.kernel_w +
         p.horizontal.tap_first + tap.column * p.horizontal.tap_step;
}

// A pixel: where its first source element is, which may be outside the image, and where its target element is.
struct Pixel {
  int64_t source, target;
  int row, column;
};
template <class T>
__device__ Pixel pixel_of(const WeightGradient<T>& p, const Triple& t, bool exists) {
  const int row = p.vertical.origin + t.row * p.vertical.origin_step;
  const int column = p.horizontal.origin + t.column * p.horizontal.origin_step;
  return {t.plane * p.source_image + int64_t(row) * p.horizontal.source + column,
          t.plane * p.gradient_image + t.row * p.horizontal.targets + t.column, exists ? row : nowhere, column};
}
template <class T>
__device__ Pixel pixel_of(const Product<T>& p, const Triple& t, bool exists) {
  const int row = p.vertical.origin + t.row * p.vertical.origin_step;
  const int column = p.horizontal.origin + t.column * p.horizontal.origin_step;
  return {t.plane * p.source_image + int64_t(row) * p.horizontal.source + column,
          t.plane * p.target_image +
              int64_t(p.vertical.target_first + t.row * p.vertical.target_step) * p.target_width +
              p.horizontal.target_first + t.column * p.horizontal.target_step,
          exists ? row : nowhere, column};
}

// Whether a tap of a pixel is inside the image.
inline __device__ bool inside(const Axis& vertical, const Axis& horizontal, int row, int column) {
  return unsigned(row) < unsigned(vertical.source) && unsigned(column) < unsigned(horizontal.source);
}

// Which tile of a product a block has. Tiles of the same pixels are neighbours, so that images are read once into the
// cache.
struct Place {
  int first_row, group;
  int64_t first_column;
  template <class T>
  __device__ Place(const Product<T>& p, int tile_rows, int tile_columns) {
    const int row_tiles = int(div_up(p.rows, tile_rows));
    const int64_t column_tiles = div_up(p.columns, tile_columns), tile = int64_t(blockIdx.x) / row_tiles;
    first_row = int(blockIdx.x - tile * row_tiles) * tile_rows, group = int(tile / column_tiles);
    first_column = (tile - group * column_tiles) * tile_columns;
  }
};
// The same for the gradient of the weights, with the pixels of its slice.
struct SlicePlace {
  int first_row, first_column, group;
  int64_t slice, begin, end;
  template <class T>
  __device__ SlicePlace(const WeightGradient<T>& p, int tile_rows, int tile_columns) {
    const int row_tiles = int(div_up(p.rows, tile_rows)), column_tiles = int(div_up(p.columns, tile_columns));
    int64_t rest = blockIdx.x;
    first_row = int(rest % row_tiles) * tile_rows, rest /= row_tiles;
    first_column = int(rest % column_tiles) * tile_columns, rest /= column_tiles;
    group = int(rest % p.groups), slice = rest / p.groups;
    begin = slice * p.slice, end = min(begin + p.slice, p.pixels);
  }
};

}  // namespace gradus::cuda::conv
