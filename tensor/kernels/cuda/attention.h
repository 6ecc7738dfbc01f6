// What the attention kernels share: the rows of a head, which pairs of a query and a key count and how, and what the
// gradient needs to know of each query.
#pragma once

#include "tensor/kernels/cuda/kernels.h"

namespace gradus::cuda {

inline constexpr double log2_e = 1.4426950408889634;

// The rows of one head: (rows, columns), the columns side by side.
template <class T>
struct HeadRows {
  T* data;
  int64_t stride;
  int rows, columns;

  __device__ __forceinline__ HeadRows(const View& x, int64_t batch, int64_t head)
      : data(static_cast<T*>(x.data) + batch * x.strides[0] + head * x.strides[1]),
        stride(x.strides[2]),
        rows(int(x.shape[2])),
        columns(int(x.shape[3])) {}
  __device__ __forceinline__ T* operator[](int row) const { return data + row * stride; }
};

// The pairs of a query and a key of one head. Scores are in multiples of 1 / `unit`: log2_e where the weights are made
// by powers of two. Only with `extras` is there a keep mask, a bias or dropout.
template <class T, bool extras = true>
struct Pairs {
  using C = Compute<T>;
  const bool* keep;  // of query 0 and key 0, or null
  const T* bias;
  int64_t keep_query, keep_key, bias_query, bias_key;  // strides
  int queries, keys;
  int reach;  // query i sees the keys up to i + reach
  C unit;
  uint64_t first;       // where the head's pairs begin among all that dropout numbers
  uint64_t kept_below;  // the random words that keep a weight
  C kept;               // what a kept weight is multiplied by
  PhiloxState state;

  __device__ __forceinline__ Pairs(const Attention& a, int64_t batch, int64_t head, double score_unit = 1)
      : keep(of<bool>(a.keep, batch, head)),
        bias(of<T>(a.bias, batch, head)),
        keep_query(a.keep.strides[2]),
        keep_key(a.keep.strides[3]),
        bias_query(a.bias.strides[2]),
        bias_key(a.bias.strides[3]),
        queries(int(a.q.shape[2])),
        keys(int(a.k.shape[2])),
        reach(a.causal ? keys - queries : keys),
        unit(C(score_unit)),
        first(uint64_t(batch * a.q.shape[1] + head) * uint64_t(queries) * uint64_t(keys)),
        kept_below(uint64_t((1 - a.dropout) * 0x1p32)),
        kept(C(1 / (1 - a.dropout))),
        state(a.state) {}

  template <class E>
  static __device__ __forceinline__ const E* of(const View& x, int64_t batch, int64_t head) {
    return x.data ? static_cast<const E*>(x.data) + batch * x.strides[0] + head * x.strides[1] : nullptr;
  }

  // The score of query i and key j, whose product it is given; -infinity where the key is not seen.
  __device__ __forceinline__ C score(C product, int i, int j) const {
    if (i >= queries || j >= keys || j > i + reach) return C(-INFINITY);
    if (extras && keep && !keep[i * keep_query + j * keep_key]) return C(-INFINITY);
    return extras && bias ? product + unit * C(bias[i * bias_query + j * bias_key]) : product;
  }

  // What dropout makes of the weights of query i and keys j .. j + n - 1: the factors that multiply them.
  template <int n>
  __device__ __forceinline__ void dropout(int i, int j, C (&factors)[n]) const {
    uint64_t at = first + uint64_t(i) * uint64_t(keys) + uint64_t(j), block = at / 4;
    PhiloxBlock words = philox(state, block);
    SIMT_UNROLL
    for (int e = 0; e < n; ++e, ++at) {
      if (at / 4 != block) block = at / 4, words = philox(state, block);
      const uint32_t low = at & 1 ? words.v[1] : words.v[0], high = at & 1 ? words.v[3] : words.v[2];
      factors[e] = (at & 2 ? high : low) < kept_below ? kept : C(0);
    }
  }
};

inline bool has_extras(const Attention& a) { return a.keep.data || a.bias.data || a.dropout > 0; }

// What the gradient needs of every query, in rows of `stride` queries for each head: a multiple of 64, so that tiles
// need not look where a head ends. Beyond its queries log_sum is infinite, which makes the weights 0, and delta 0.
template <class C>
struct QuerySums {
  C *log_sum, *delta;  // log_sum in the unit of the scores; delta = sum of g * output over the features
  int64_t stride;
};

// Sums of each query of `heads` heads of all samples; a warp takes one.
template <class T>
__global__ void __launch_bounds__(128) query_sums(Attention a, View g, QuerySums<Compute<T>> sums, double unit) {
  using C = Compute<T>;
  const int64_t row = int64_t(blockIdx.x) * 4 + threadIdx.x / warp_size, head = row / sums.stride;
  const int64_t heads = a.q.shape[1];
  const int i = int(row % sums.stride), lane = threadIdx.x % warp_size;
  const HeadRows<const T> output(a.output, head / heads, head % heads), slope(g, head / heads, head % heads);
  const bool inside = i < output.rows;
  C sum = 0;
  for (int c = lane; inside && c < output.columns; c += warp_size) sum += C(output[i][c]) * C(slope[i][c]);
  for (int step = warp_size / 2; step > 0; step /= 2) sum += __shfl_xor_sync(whole_warp, sum, step);
  if (lane > 0) return;
  sums.delta[row] = sum;
  sums.log_sum[row] = inside ? C(unit) * static_cast<const C*>(a.log_sum)[head * output.rows + i] : C(INFINITY);
}

// The sums of all queries in memory of their own.
template <class T>
class QuerySumsOf {
 public:
  QuerySumsOf(const Attention& a, const View& g, double unit = 1)
      : stride_(div_up(a.q.shape[2], 64) * 64), rows_(a.q.shape[0] * a.q.shape[1] * stride_), memory_(2 * rows_) {
    launch(query_sums<T>, dim3(unsigned(div_up(rows_, 4))), dim3(128), 0, a, g, sums(), unit);
  }
  QuerySums<Compute<T>> sums() const { return {memory_.data(), memory_.data() + rows_, stride_}; }

 private:
  int64_t stride_, rows_;
  Scratch<Compute<T>> memory_;
};

// On tensor cores, where the device has them for bfloat16 and the call fits; whether it did.
bool attention_on_tensor_cores(const Attention& a);
bool attention_grad_on_tensor_cores(const Attention& a, const View& g, const View& dq, const View& dk,
                                    const View& dv);
template <class T>
void attention_grad(const Attention& a, const View& g, const View& dq, const View& dk, const View& dv);

}  // namespace gradus::cuda
