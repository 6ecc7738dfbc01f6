// Batch norm: each channel of (batch, channels, inner) becomes of mean 0 and variance 1, over batch and inner.
//
// Where inner is large, blocks read the channel's pieces of it; where it is small (1 after a linear layer), threads go
// down the columns of the matrix (batch, channels x inner), neighbours beside each other. Either way each block leaves
// one partial result for the channel, and these are merged in a fixed order.
#pragma once

#include <algorithm>

#include "tensor/kernels/cuda/block.h"
#include "tensor/kernels/cuda/scalar.h"

namespace gradus::cuda {

struct Channels {
  int64_t batch, channels, inner;
  GRADUS_DEVICE int64_t count() const { return batch * inner; }  // elements of a channel
  GRADUS_DEVICE int64_t columns() const { return channels * inner; }
  // Where element i of channel c is.
  __device__ int64_t at(int64_t c, int64_t i) const {
    if (count() <= INT32_MAX) {  // in a third of the instructions
      const uint32_t b = uint32_t(i) / uint32_t(inner);
      return (b * channels + c) * inner + (uint32_t(i) - b * uint32_t(inner));
    }
    return (i / inner * channels + c) * inner + i % inner;
  }
};

// The first `present` elements at these places, 0 for the others; `packed`: they are one pack.
template <class T, int size>
__device__ void load_at(const T* x, const int64_t (&at)[size], int present, bool packed, Compute<T> (&v)[size]) {
  if constexpr (size == pack_width<T>) {
    if (packed) return load_values(x + at[0], v);
  }
  SIMT_UNROLL
  for (int j = 0; j < size; ++j) v[j] = j < present ? Compute<T>(x[at[j]]) : Compute<T>(0);
}

// Mean and sum of squared deviations of some elements (Chan, Golub and LeVeque 1983): both passes over some
// elements in registers, then merged with those before.
template <class T>
struct Moments {
  using C = Compute<T>;
  C count, mean, squares;

  struct Source {
    const T* x;
  };
  template <int size>
  static __device__ Moments of(const Source& s, int64_t, const int64_t (&at)[size], int present, bool packed) {
    C v[size];
    load_at(s.x, at, present, packed, v);
    Moments m{C(present), C(0), C(0)};
    SIMT_UNROLL
    for (int j = 0; j < size; ++j) m.mean += v[j];
    m.mean /= m.count;
    SIMT_UNROLL
    for (int j = 0; j < size; ++j) {
      const C d = j < present ? v[j] - m.mean : C(0);
      m.squares = fma(d, d, m.squares);
    }
    return m;
  }
  __device__ void merge(const Moments& other) {
    if (other.count == 0) return;
    const C all = count + other.count, share = other.count / all, d = other.mean - mean;
    squares += other.squares + d * d * count * share;
    mean = fma(d, share, mean);
    count = all;
  }
};

// For the gradient: sums of g and of g times the normalised x.
template <class T>
struct ChannelSums {
  using C = Compute<T>;
  C sum, dot;

  struct Source {
    const T *x, *g;
    const Statistic<T>*mean, *rstd;
  };
  template <int size>
  static __device__ ChannelSums of(const Source& s, int64_t channel, const int64_t (&at)[size], int present,
                                   bool packed) {
    C x[size], g[size];
    load_at(s.x, at, present, packed, x);
    load_at(s.g, at, present, packed, g);
    const C mean = s.mean[channel], scale = s.rstd[channel];
    ChannelSums sums{C(0), C(0)};
    SIMT_UNROLL
    for (int j = 0; j < size; ++j) {  // an absent g is 0
      sums.sum += g[j];
      sums.dot = fma(g[j], (x[j] - mean) * scale, sums.dot);
    }
    return sums;
  }
  __device__ void merge(const ChannelSums& other) {
    sum += other.sum;
    dot += other.dot;
  }
};

inline constexpr int channel_threads = 256, small_inner = 64;

// Merges the threads' results into that of thread 0 (of each `stride`: threads that are a multiple of it apart).
template <int stride, class Result>
__device__ Result merge_block(Result mine, Result (&all)[channel_threads]) {
  const int thread = int(threadIdx.x);
  all[thread] = mine;
  for (int step = channel_threads / 2; step >= stride; step /= 2) {
    __syncthreads();
    if (thread < step) {
      mine.merge(all[thread + step]);
      all[thread] = mine;
    }
  }
  return mine;
}

// Block (part, channel) takes elements begin, begin + 1 ... of `length` of the channel; results (channels, parts).
template <class T, class Result>
__global__ void __launch_bounds__(channel_threads)
    channel_rows(typename Result::Source source, Channels shape, int parts, int64_t length, bool packed,
                 Result* results) {
  constexpr int width = pack_width<T>;
  SIMT_SHARED(Result, all, [channel_threads]);
  const int64_t channel = blockIdx.x / parts, begin = blockIdx.x % parts * length;
  const int64_t end = min(begin + length, shape.count());
  Result mine{};
  for (int64_t first = begin; first < end; first += channel_threads * width) {
    const int64_t from = packed ? first + int64_t(threadIdx.x) * width : first + threadIdx.x;
    const int64_t step = packed ? 1 : channel_threads;
    int64_t at[width] = {};
    int present = 0;
    SIMT_UNROLL
    for (int j = 0; j < width; ++j) {
      if (from + j * step >= end) continue;
      if (j == 0 || !packed) at[j] = shape.at(channel, from + j * step);
      ++present;
    }
    if (present) mine.merge(Result::of(source, channel, at, present, packed));
  }
  mine = merge_block<1>(mine, all);
  if (threadIdx.x == 0) results[blockIdx.x] = mine;
}

// Block (columns, part): a thread goes down a column, `length` rows shared by the warps; results (channels, parts,
// inner).
template <class T, class Result>
__global__ void __launch_bounds__(channel_threads)
    channel_columns(typename Result::Source source, Channels shape, int parts, int64_t length, Result* results) {
  constexpr int rows = 8, warps = channel_threads / warp_size;
  SIMT_SHARED(Result, all, [channel_threads]);
  const int64_t column = int64_t(blockIdx.x) * warp_size + threadIdx.x % warp_size;
  const int64_t channel = min(column / shape.inner, shape.channels - 1), part = blockIdx.y;
  const int64_t end = column < shape.columns() ? min((part + 1) * length, shape.batch) : 0;
  Result mine{};
  for (int64_t first = part * length + threadIdx.x / warp_size; first < end; first += warps * rows) {
    int64_t at[rows];
    int present = 0;
    SIMT_UNROLL
    for (int j = 0; j < rows; ++j) {
      const int64_t row = first + j * warps;
      at[j] = row * shape.columns() + column;
      present += row < end;
    }
    mine.merge(Result::of(source, channel, at, present, false));
  }
  mine = merge_block<warp_size>(mine, all);
  if (threadIdx.x < warp_size && column < shape.columns())
    results[(channel * parts + part) * shape.inner + column % shape.inner] = mine;
}

// A block merges the `parts` results of each channel.
template <class Result>
__global__ void __launch_bounds__(channel_threads)
    merge_channels(const Result* results, int64_t parts, Result* merged) {
  SIMT_SHARED(Result, all, [channel_threads]);
  Result mine{};
  for (int64_t i = threadIdx.x; i < parts; i += channel_threads) mine.merge(results[blockIdx.x * parts + i]);
  mine = merge_block<1>(mine, all);
  if (threadIdx.x == 0) merged[blockIdx.x] = mine;
}

// The Result of every channel.
template <class T, class Result>
void reduce_channels(const typename Result::Source& source, const Channels& shape, bool aligned, Result* merged) {
  const int64_t wanted = 8 * device_limits().multiprocessors;  // blocks
  if (shape.inner <= small_inner) {
    const int64_t across = div_up(shape.columns(), warp_size);
    const int64_t most = std::clamp<int64_t>(div_up(wanted, std::max<int64_t>(across, 1)), 1, 1024);
    const int64_t length = div_up(std::max<int64_t>(shape.batch, 1), std::min(most, div_up(shape.batch + 1, 64)));
    const int64_t parts = std::max<int64_t>(div_up(shape.batch, length), 1);
    const Scratch<Result> results(shape.columns() * parts);
    launch(channel_columns<T, Result>, dim3(unsigned(across), unsigned(parts)), channel_threads, 0, source, shape,
           parts, length, results.data());
    launch(merge_channels<Result>, unsigned(shape.channels), channel_threads, 0, results.data(), parts * shape.inner,
           merged);
  } else {
    constexpr int64_t step = channel_threads * pack_width<T>;
    const int64_t most = std::max<int64_t>(div_up(wanted, std::max<int64_t>(shape.channels, 1)), 1);
    const int64_t pieces = std::max<int64_t>(div_up(shape.count(), step), 1), length = div_up(pieces, most) * step;
    const int64_t parts = std::max<int64_t>(div_up(shape.count(), length), 1);
    const Scratch<Result> results(shape.channels * parts);
    launch(channel_rows<T, Result>, unsigned(shape.channels * parts), channel_threads, 0, source, shape, parts,
           length, aligned && shape.inner % pack_width<T> == 0, results.data());
    launch(merge_channels<Result>, unsigned(shape.channels), channel_threads, 0, results.data(), parts, merged);
  }
}

// --- what happens to every element -----------------------------------------------------------------------------------

// (x - mean) scale + shift, and its special case without a mean.
template <class T>
struct ChannelAffine {
  using C = Compute<T>;
  const T* x;
  const Statistic<T>*mean, *rstd;  // or null
  const T *weight, *bias;          // or null
  T* y;
  struct Channel {
    C mean, scale, shift;
  };
  __device__ Channel channel(int64_t c) const {
    const C scale = rstd ? C(rstd[c]) : C(1);
    return {mean ? C(mean[c]) : C(0), weight ? scale * C(weight[c]) : scale, bias ? C(bias[c]) : C(0)};
  }
  template <int count>
  __device__ void load(int64_t at, C (&v)[count], C (&)[count]) const {
    load_values(x + at, v);
  }
  __device__ C operator()(const Channel& k, C v, C) const { return fma(v - k.mean, k.scale, k.shift); }
};

// weight rstd (g - (sum + normal dot) / count), normal being (x - mean) rstd
template <class T>
struct ChannelGrad {
  using C = Compute<T>;
  const T *x, *g;
  const Statistic<T>*mean, *rstd;
  const T* weight;  // or null
  const ChannelSums<T>* sums;
  C count;
  T* y;
  struct Channel {
    C mean, scale, sum, dot;
  };
  __device__ Channel channel(int64_t c) const {
    const C scale = rstd[c];
    return {C(mean[c]), weight ? scale * C(weight[c]) : scale, sums[c].sum / count, scale * sums[c].dot / count};
  }
  template <int size>
  __device__ void load(int64_t at, C (&v)[size], C (&w)[size]) const {
    load_values(x + at, v);
    load_values(g + at, w);
  }
  __device__ C operator()(const Channel& k, C v, C w) const { return k.scale * (w - fma(v - k.mean, k.dot, k.sum)); }
};

// y = op of each element and its channel: `count` elements to a thread, one or a pack.
template <int count, class C, class Op>
__global__ void __launch_bounds__(channel_threads) each_element(Op op, Channels shape, int64_t total) {
  const int64_t at = (int64_t(blockIdx.x) * channel_threads + threadIdx.x) * count;
  if (at >= total) return;
  int64_t row, place;  // the run of `inner` elements, and where in it
  if (total <= INT32_MAX) {
    row = uint32_t(at) / uint32_t(shape.inner), place = uint32_t(at) - uint32_t(row) * uint32_t(shape.inner);
  } else {
    row = at / shape.inner, place = at % shape.inner;
  }
  int64_t c = row % shape.channels;
  auto channel = op.channel(c);
  C v[count], w[count];
  op.load(at, v, w);
  SIMT_UNROLL
  for (int j = 0; j < count; ++j) {
    if (place == shape.inner) {
      place = 0;
      c = c + 1 == shape.channels ? 0 : c + 1;
      channel = op.channel(c);
    }
    v[j] = op(channel, v[j], w[j]);
    ++place;
  }
  store_values(op.y + at, v);
}

template <class T, class Op>
void for_each_element(const Op& op, const Channels& shape, bool aligned) {
  constexpr int width = pack_width<T>;
  const int64_t total = shape.batch * shape.columns();
  if (aligned && total % width == 0)
    launch(each_element<width, Compute<T>, Op>, unsigned(div_up(total, channel_threads * width)), channel_threads, 0,
           op, shape, total);
  else
    launch(each_element<1, Compute<T>, Op>, unsigned(div_up(total, channel_threads)), channel_threads, 0, op, shape,
           total);
}

// --- the kernels of the table ----------------------------------------------------------------------------------------

template <class T>
__global__ void __launch_bounds__(channel_threads)
    write_moments(const Moments<T>* moments, int64_t channels, Compute<T> eps, Statistic<T>* mean,
                  Statistic<T>* rstd) {
  const int64_t c = int64_t(blockIdx.x) * channel_threads + threadIdx.x;
  if (c >= channels) return;
  mean[c] = moments[c].mean;
  rstd[c] = 1 / sqrt(moments[c].squares / moments[c].count + eps);
}

template <class T>
void batch_norm(const void* x, const void* weight, const void* bias, double eps, int64_t batch, int64_t channels,
                int64_t inner, void* y, void* mean, void* rstd) {
  const Channels shape{batch, channels, inner};
  const T* from = static_cast<const T*>(x);
  auto *to_mean = static_cast<Statistic<T>*>(mean), *to_rstd = static_cast<Statistic<T>*>(rstd);
  const Scratch<Moments<T>> moments(channels);
  reduce_channels<T, Moments<T>>({from}, shape, is_aligned(from), moments.data());
  launch(write_moments<T>, unsigned(div_up(channels, channel_threads)), channel_threads, 0, moments.data(), channels,
         eps, to_mean, to_rstd);
  const ChannelAffine<T> op{
      from, to_mean, to_rstd, static_cast<const T*>(weight), static_cast<const T*>(bias), static_cast<T*>(y)};
  for_each_element<T>(op, shape, is_aligned(from) && is_aligned(op.y));
}

template <class T>
__global__ void __launch_bounds__(channel_threads)
    write_sums(const ChannelSums<T>* sums, int64_t channels, T* dw, T* db) {
  const int64_t c = int64_t(blockIdx.x) * channel_threads + threadIdx.x;
  if (c < channels && dw) dw[c] = T(sums[c].dot);
  if (c < channels && db) db[c] = T(sums[c].sum);
}

template <class T>
void batch_norm_grad(const void* x, const void* weight, const void* mean, const void* rstd, const void* g,
                     int64_t batch, int64_t channels, int64_t inner, void* dx, void* dw, void* db) {
  const Channels shape{batch, channels, inner};
  const typename ChannelSums<T>::Source source{static_cast<const T*>(x), static_cast<const T*>(g),
                                               static_cast<const Statistic<T>*>(mean),
                                               static_cast<const Statistic<T>*>(rstd)};
  const bool aligned = is_aligned(source.x) && is_aligned(source.g);
  const Scratch<ChannelSums<T>> sums(channels);
  reduce_channels<T, ChannelSums<T>>(source, shape, aligned, sums.data());
  if (dw || db)
    launch(write_sums<T>, unsigned(div_up(channels, channel_threads)), channel_threads, 0, sums.data(), channels,
           static_cast<T*>(dw), static_cast<T*>(db));
  const ChannelGrad<T> op{source.x,
                          source.g,
                          source.mean,
                          source.rstd,
                          static_cast<const T*>(weight),
                          sums.data(),
                          Compute<T>(shape.count()),
                          static_cast<T*>(dx)};
  for_each_element<T>(op, shape, aligned && is_aligned(op.y));
}

template <class T>
void channel_affine(const void* x, const void* scale, const void* shift, int64_t batch, int64_t channels,
                    int64_t inner, void* y) {
  const ChannelAffine<T> op{static_cast<const T*>(x),     nullptr,           nullptr, static_cast<const T*>(scale),
                            static_cast<const T*>(shift), static_cast<T*>(y)};
  for_each_element<T>(op, {batch, channels, inner}, is_aligned(op.x) && is_aligned(op.y));
}

}  // namespace gradus::cuda
