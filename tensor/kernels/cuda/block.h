// What kernels over rows share: packs of 16 bytes, a row in the registers of its threads or shared out in a loop, and
// results combined over a warp or a block, always in the same order.
#pragma once

#include "tensor/kernels/cuda/kernels.h"

namespace gradus::cuda {

// What a row's statistics (mean, log of a sum ...) are kept in: bfloat16 would spoil the gradients made of them.
template <class T>
using Statistic = Compute<T>;

struct Sum {
  template <class V>
  __device__ V operator()(V a, V b) const {
    return a + b;
  }
};
struct Largest {  // of two that are not NaN
  template <class V>
  __device__ V operator()(V a, V b) const {
    return max(a, b);
  }
};

// op over the values of `lanes` neighbouring threads, a power of two: all of them get the same bits. Beyond a warp the
// whole block must come along, and `partial` is shared room for a value of each warp that nobody reads any more.
template <int lanes, class V, class Op>
__device__ V combine_lanes(V value, Op op, V* partial) {
  SIMT_UNROLL
  for (int step = min(lanes, warp_size) / 2; step > 0; step /= 2)
    value = op(value, __shfl_xor_sync(whole_warp, value, step));
  if constexpr (lanes > warp_size) {
    constexpr int warps = lanes / warp_size;
    const int warp = int(threadIdx.x) / warp_size, lane = int(threadIdx.x) % warp_size;
    if (lane == 0) partial[warp] = value;
    __syncthreads();
    value = partial[warp / warps * warps + lane % warps];
    SIMT_UNROLL
    for (int step = warps / 2; step > 0; step /= 2) value = op(value, __shfl_xor_sync(whole_warp, value, step));
  }
  return value;
}

// --- packs ---------------------------------------------------------------------------------------------------------

template <class T>
inline constexpr int pack_width = 16 / int(sizeof(T));
template <class T>
struct Pack {
  uint4 words;
  __device__ Compute<T> at(int j) const {
    if constexpr (sizeof(T) == 2) {  // bf16 is the upper half of a float
      const unsigned pair = reinterpret_cast<const unsigned*>(&words)[j / 2];
      return __int_as_float(int(j % 2 ? pair & 0xffff0000u : pair << 16));
    } else {
      return Compute<T>(reinterpret_cast<const T*>(&words)[j]);
    }
  }
  __device__ void set(int j, Compute<T> x) { reinterpret_cast<T*>(&words)[j] = T(x); }
};

// How many elements before p lie behind the last boundary of 16 bytes.
template <class T>
GRADUS_DEVICE int misalignment(const T* p) {
  return int(reinterpret_cast<uintptr_t>(p) % 16 / sizeof(T));
}
template <class T>
GRADUS_DEVICE bool is_aligned(const T* p) {
  return reinterpret_cast<uintptr_t>(p) % 16 == 0;
}

// One element, or an aligned pack of them.
template <int count, class T>
__device__ void load_values(const T* x, Compute<T> (&v)[count]) {
  static_assert(count == 1 || count == pack_width<T>);
  if constexpr (count == 1) {
    v[0] = Compute<T>(*x);
  } else {
    const Pack<T> pack = *reinterpret_cast<const Pack<T>*>(x);
    SIMT_UNROLL
    for (int j = 0; j < count; ++j) v[j] = pack.at(j);
  }
}
template <int count, class T>
__device__ void store_values(T* y, const Compute<T> (&v)[count]) {
  static_assert(count == 1 || count == pack_width<T>);
  if constexpr (count == 1) {
    *y = T(v[0]);
  } else {
    Pack<T> pack;
    SIMT_UNROLL
    for (int j = 0; j < count; ++j) pack.set(j, v[j]);
    *reinterpret_cast<Pack<T>*>(y) = pack;
  }
}

// --- rows in registers ---------------------------------------------------------------------------------------------

// A row is held by `lanes` threads, each with up to `packs` packs of it: 64 bytes in float32, or less where rows are
// short. Several rows share a warp or a block where lanes allow it.
template <int lanes_, int packs_>
struct RowShape {
  static constexpr int lanes = lanes_, packs = packs_;
  static constexpr int threads = lanes > 128 ? lanes : 128, rows = threads / lanes;  // of a block
  static int64_t blocks(int64_t all_rows) { return div_up(all_rows, rows); }
};

// Calls f(RowShape) with the smallest shape that holds n elements of T, if there is one.
template <class T, int most_lanes = 1024, class F>
bool with_row_shape(int64_t n, const F& f) {
  constexpr int width = pack_width<T>, packs = 16 / width;
  if constexpr (sizeof(T) < sizeof(double)) {  // double serves to check gradients, and may waste lanes
    if (n <= 8 * width) return f(RowShape<8, 1>()), true;
    if (n <= 32 * width) return f(RowShape<32, 1>()), true;
    if constexpr (packs > 2)
      if (n <= 64 * width) return f(RowShape<32, 2>()), true;
    if (n <= 32 * 16) return f(RowShape<32, packs>()), true;
    // The width of many models, for which a warp alone does better than two that wait for each other.
    if constexpr (most_lanes >= 1024)
      if (n <= 32 * 24) return f(RowShape<32, 24 / width>()), true;
    if (n <= 64 * 16) return f(RowShape<64, packs>()), true;
    if (n <= 128 * 16) return f(RowShape<128, packs>()), true;
    if (n <= 256 * 16) return f(RowShape<256, packs>()), true;
    if constexpr (most_lanes >= 512)
      if (n <= 512 * 16) return f(RowShape<512, packs>()), true;
    if constexpr (most_lanes >= 1024)
      if (n <= 1024 * 16) return f(RowShape<1024, packs>()), true;
  } else {
    if (n <= 32 * 8) return f(RowShape<32, 4>()), true;
    if (n <= 256 * 8) return f(RowShape<256, 4>()), true;
  }
  return false;
}

// Whether every row of n begins at a boundary of 16 bytes and ends at one, in all of these (null ones aside).
template <class T, class... Pointers>
bool all_packed(int64_t n, const Pointers*... rows) {
  return n > 0 && n % pack_width<T> == 0 && (is_aligned(static_cast<const T*>(rows)) && ...);
}

// A thread's part of a row: whole packs where rows are `packed`, else single elements, either way so that neighbouring
// threads read neighbouring memory.
template <class T, class Shape>
struct RowPart {
  using C = Compute<T>;
  static constexpr int width = pack_width<T>, count = Shape::packs * width;
  int64_t row;
  int lane, n;  // no elements, and another row's place, where there are no more rows
  bool packed;

  __device__ RowPart(int64_t first_row, int64_t rows, int n_, bool packed_)
      : row(min(first_row + int(threadIdx.x) / Shape::lanes, rows - 1)),
        lane(int(threadIdx.x) % Shape::lanes),
        n(first_row + int(threadIdx.x) / Shape::lanes < rows ? n_ : 0),
        packed(packed_) {}

  // Calls f(k, i) for every k of the `count` places that holds an element, i being its place in the row.
  template <class F>
  __device__ void each(const F& f) const {
    if (packed) {
      SIMT_UNROLL
      for (int p = 0; p < Shape::packs; ++p) {
        const int at = (p * Shape::lanes + lane) * width;
        if (at >= n) continue;
        SIMT_UNROLL
        for (int j = 0; j < width; ++j) f(p * width + j, at + j);
      }
    } else {
      SIMT_UNROLL
      for (int k = 0; k < count; ++k) {
        const int at = k * Shape::lanes + lane;
        if (at < n) f(k, at);
      }
    }
  }
  // x, y: where the row begins. Packs are loaded without asking whether the row has them (its first stands in), so that
  // all loads are on their way before the first value is needed.
  __device__ void load(const T* x, C outside, C (&v)[count]) const {
    if (packed) {
      Pack<T> loaded[Shape::packs], blank;
      SIMT_UNROLL
      for (int j = 0; j < width; ++j) blank.set(j, outside);
      SIMT_UNROLL
      for (int p = 0; p < Shape::packs; ++p) {
        const int at = (p * Shape::lanes + lane) * width;
        loaded[p] = *reinterpret_cast<const Pack<T>*>(x + (at < n ? at : 0));
      }
      SIMT_UNROLL
      for (int p = 0; p < Shape::packs; ++p) {
        if ((p * Shape::lanes + lane) * width >= n) loaded[p] = blank;
        SIMT_UNROLL
        for (int j = 0; j < width; ++j) v[p * width + j] = loaded[p].at(j);
      }
    } else {
      SIMT_UNROLL
      for (int k = 0; k < count; ++k) v[k] = outside;
      each([&](int k, int i) { v[k] = C(x[i]); });
    }
  }
  __device__ void store(T* y, const C (&v)[count]) const {
    if (packed) {
      SIMT_UNROLL
      for (int p = 0; p < Shape::packs; ++p) {
        const int at = (p * Shape::lanes + lane) * width;
        C values[width];
        SIMT_UNROLL
        for (int j = 0; j < width; ++j) values[j] = v[p * width + j];
        if (at < n) store_values<width>(y + at, values);
      }
    } else {
      each([&](int k, int i) { y[i] = T(v[k]); });
    }
  }
};

// --- rows in a loop ------------------------------------------------------------------------------------------------

// Shares out the elements begin <= i < end of a row among `lanes` threads, of which this is `lane`: calls f<count>(i)
// for elements from i on, whole aligned packs where every one of `rows` (where the row begins in memory) allows it.
template <class T, class F, class... Rows>
__device__ void share_row(int lane, int lanes, int64_t begin, int64_t end, const F& f, const T* first,
                          const Rows*... rows) {
  constexpr int width = pack_width<T>;
  const int shift = misalignment(first + begin);
  const bool alike = ((misalignment(rows + begin) == shift) && ...);
  const int64_t head = alike ? min(begin + (width - shift) % width, end) : end;
  for (int64_t i = begin + lane; i < head; i += lanes) f.template operator()<1>(i);
  const int64_t tail = head + (end - head) / width * width;
  for (int64_t i = head + int64_t(lane) * width; i < tail; i += int64_t(lanes) * width)
    f.template operator()<width>(i);
  for (int64_t i = tail + lane; i < end; i += lanes) f.template operator()<1>(i);
}

}  // namespace gradus::cuda
