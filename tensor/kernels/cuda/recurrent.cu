// Recurrent layers, one launch for each step: the product of the state with the recurrent weights and the cell that
// takes it, fused. And the scores of additive attention (Bahdanau et al. 2015).
#include "tensor/kernels/cuda/scalar.h"

namespace gradus::cuda {
namespace {

// A block has eight hidden units of 32 sequences: each warp a unit, each lane a sequence.
constexpr int units = 8, sequences = 32, threads = units * sequences;
constexpr int depth = 32;  // terms of the sums that are in shared memory at a time

struct Place {
  int64_t unit, sequence;
  bool inside;
};

__device__ __forceinline__ Place place(const Recurrence& r) {
  const int64_t tiles = div_up(r.hidden, units);
  const int64_t unit = blockIdx.x % tiles * units + threadIdx.x / warp_size;
  const int64_t sequence = blockIdx.x / tiles * sequences + threadIdx.x % warp_size;
  return {unit, sequence, unit < r.hidden && sequence < r.batch};
}

dim3 grid(const Recurrence& r) { return dim3(unsigned(div_up(r.hidden, units) * div_up(r.batch, sequences))); }

// sum[i] += the products of `terms` numbers of the thread's sequence, `stride` after those of the one before, with
// W_hh's row of its unit and gate i, or, `turned`, with its column of its unit.
template <bool turned, class T, int rows>
__device__ __forceinline__ void add_products(const Recurrence& r, const T* states, int64_t stride, int64_t terms,
                                             T (&sum)[rows]) {
  SIMT_SHARED(T, state_slice, [sequences][depth + 4]);  // four more: rows begin in different banks
  SIMT_SHARED(T, weight_slice, [rows * units][depth + 4]);
  const int lane = int(threadIdx.x) % warp_size, warp = int(threadIdx.x) / warp_size;
  const Place here = place(r);
  const int64_t first_unit = here.unit - warp, first_sequence = here.sequence - lane;
  const T* w = static_cast<const T*>(r.w);
  // Weights are read along the rows, a warp's unit at a time, or along the units.
  const int unit = turned ? int(threadIdx.x) % units : warp, term = turned ? int(threadIdx.x) / units : lane;

  T next_states[sequences / units], next_weights[rows];  // on their way from memory while the slice before is used
  const auto fetch = [&](int64_t first) {
    SIMT_UNROLL
    for (int i = 0; i < sequences / units; ++i) {
      const int64_t sequence = first_sequence + warp + i * units, k = first + lane;
      next_states[i] = sequence < r.batch && k < terms ? states[sequence * stride + k] : T(0);
    }
    SIMT_UNROLL
    for (int i = 0; i < rows; ++i) {
      const int64_t j = first_unit + unit, k = first + term;
      next_weights[i] =
          j >= r.hidden || k >= terms ? T(0) : w[turned ? k * r.hidden + j : (i * r.hidden + j) * r.hidden + k];
    }
  };
  fetch(0);
  SIMT_NO_UNROLL
  for (int64_t first = 0; first < terms; first += depth) {
    __syncthreads();  // the slice before was read
    SIMT_UNROLL
    for (int i = 0; i < sequences / units; ++i) state_slice[warp + i * units][lane] = next_states[i];
    SIMT_UNROLL
    for (int i = 0; i < rows; ++i) weight_slice[i * units + unit][term] = next_weights[i];
    __syncthreads();
    fetch(first + depth);
    SIMT_UNROLL
    for (int k = 0; k < depth; ++k) {
      const T state = state_slice[lane][k];
      SIMT_UNROLL
      for (int i = 0; i < rows; ++i) sum[i] = fma(weight_slice[i * units + warp][k], state, sum[i]);
    }
  }
}

template <class T>
__global__ void start_from(const T* from, T* to, int64_t n) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) to[i] = from ? from[i] : T(0);
}

__device__ __forceinline__ bool goes_on(const Recurrence& r, int64_t sequence, int64_t t) {
  return !r.lengths || t < r.lengths[sequence];
}

// Step t, from h_before to h; c is changed in place.
template <Cell cell, class T>
__global__ void __launch_bounds__(threads) forward_step(Recurrence r, int64_t t, const T* h_before, T* h, T* c) {
  constexpr int gates = gates_of(cell), keeps = kept_of(cell);
  const Place here = place(r);
  T a[gates], x[gates], kept[keeps];
  SIMT_UNROLL
  for (int i = 0; i < gates; ++i)
    a[i] = r.bias && here.inside ? static_cast<const T*>(r.bias)[i * r.hidden + here.unit] : T(0);
  add_products<false>(r, h_before, r.hidden, r.hidden, a);
  if (!here.inside) return;

  const int64_t row = here.sequence * r.time + t, at = here.sequence * r.hidden + here.unit;
  const CellState<T> last = {h_before[at], c ? c[at] : T(0)};
  if (r.before) static_cast<T*>(r.before)[row * r.hidden + here.unit] = last.h;
  CellState<T> now = last;
  const bool on = goes_on(r, here.sequence, t);
  if (on) {
    SIMT_UNROLL
    for (int i = 0; i < gates; ++i) x[i] = static_cast<const T*>(r.x)[(row * gates + i) * r.hidden + here.unit];
    now = cell_step<cell>(x, a, last, kept);
    SIMT_UNROLL
    for (int i = 0; i < keeps; ++i)
      if (r.kept) static_cast<T*>(r.kept)[(row * keeps + i) * r.hidden + here.unit] = kept[i];
  }
  h[at] = now.h;
  if (c) c[at] = now.c;
  if (r.y) static_cast<T*>(r.y)[row * r.hidden + here.unit] = on ? now.h : T(0);
}

// The gradient of step t, given what dh and dc hold of the state after it, but for what step `after` passes on through
// the product with W_hh: that is added first. Changes dh and dc in place; no step where t or `after` is -1.
template <Cell cell, class T>
__global__ void __launch_bounds__(threads)
    backward_step(Recurrence r, int64_t t, int64_t after, const T* gy, T* dx, T* da, T* dh, T* dc) {
  constexpr int gates = gates_of(cell), keeps = kept_of(cell);
  const Place here = place(r);
  const int64_t at = here.sequence * r.hidden + here.unit;
  T sum[1] = {here.inside ? dh[at] : T(0)};
  if (after >= 0)
    add_products<true>(r, static_cast<const T*>(da) + after * gates * r.hidden, r.time * gates * r.hidden,
                       gates * r.hidden, sum);
  if (!here.inside) return;

  CellState<T> g = {sum[0], dc ? dc[at] : T(0)};
  if (t >= 0) {
    const int64_t row = here.sequence * r.time + t;
    T kept[keeps], d_input[gates] = {}, d_state[gates] = {};
    if (goes_on(r, here.sequence, t)) {
      SIMT_UNROLL
      for (int i = 0; i < keeps; ++i)
        kept[i] = static_cast<const T*>(r.kept)[(row * keeps + i) * r.hidden + here.unit];
      if (gy) g.h += gy[row * r.hidden + here.unit];
      g = cell_grad<cell>(kept, static_cast<const T*>(r.before)[row * r.hidden + here.unit], g, d_input, d_state);
    }
    SIMT_UNROLL
    for (int i = 0; i < gates; ++i) {
      dx[(row * gates + i) * r.hidden + here.unit] = d_input[i];
      da[(row * gates + i) * r.hidden + here.unit] = d_state[i];
    }
  }
  dh[at] = g.h;
  if (dc) dc[at] = g.c;
}

template <class T>
void start(const void* from, T* to, int64_t n) {
  launch(start_from<T>, dim3(unsigned(div_up(n, threads))), dim3(threads), 0, static_cast<const T*>(from), to, n);
}
int64_t step_of(const Recurrence& r, int64_t i) { return r.reverse ? r.time - 1 - i : i; }

template <class T>
void recurrent(const Recurrence& r) {
  const int64_t states = r.batch * r.hidden;
  // A step reads all of the state before: the state changes place with every step, so that the last is in r.h.
  const Scratch<T> other(states);
  T* const h[] = {static_cast<T*>(r.h), other.data()};
  T* const c = static_cast<T*>(r.c);
  start(r.h0, h[r.time % 2], states);
  if (c) start(r.c0, c, states);
  for_cell(r.cell, [&]<Cell cell>() {
    for (int64_t i = 0; i < r.time; ++i)
      launch(forward_step<cell, T>, grid(r), dim3(threads), 0, r, step_of(r, i), h[(r.time - i) % 2],
             h[(r.time - i - 1) % 2], c);
  });
}

template <class T>
void recurrent_grad(const Recurrence& r, const void* gy, const void* gh, const void* gc, void* dx, void* da,
                    void* dh0, void* dc0) {
  const int64_t states = r.batch * r.hidden;
  start(gh, static_cast<T*>(dh0), states);
  if (dc0) start(gc, static_cast<T*>(dc0), states);
  for_cell(r.cell, [&]<Cell cell>() {
    for (int64_t i = r.time - 1; i >= -1; --i)  // after the first step, what it passes on
      launch(backward_step<cell, T>, grid(r), dim3(threads), 0, r, i < 0 ? -1 : step_of(r, i),
             i + 1 < r.time ? step_of(r, i + 1) : -1, static_cast<const T*>(gy), static_cast<T*>(dx),
             static_cast<T*>(da), static_cast<T*>(dh0), static_cast<T*>(dc0));
  });
}

// --- additive attention --------------------------------------------------------------------------------------------

constexpr int side = 16;  // queries and keys of a block

template <class T>
__global__ void __launch_bounds__(side* side)
    score_tiles(const T* q, const T* k, const T* v, int64_t queries, int64_t keys, int64_t n, T* y) {
  SIMT_SHARED(T, q_slice, [side][depth + 1]);
  SIMT_SHARED(T, k_slice, [side][depth + 1]);
  SIMT_SHARED(T, v_slice, [depth]);
  const int64_t key_tiles = div_up(keys, side), query_tiles = div_up(queries, side);
  const int64_t first_key = blockIdx.x % key_tiles * side, batch = blockIdx.x / key_tiles / query_tiles;
  const int64_t first_query = blockIdx.x / key_tiles % query_tiles * side;
  const int column = int(threadIdx.x) % side, row = int(threadIdx.x) / side;
  T sum = 0;
  SIMT_NO_UNROLL
  for (int64_t first = 0; first < n; first += depth) {
    __syncthreads();  // the slices were read
    for (int at = int(threadIdx.x); at < side * depth; at += side * side) {
      const int64_t i = at / depth, f = first + at % depth;
      q_slice[i][at % depth] =
          first_query + i < queries && f < n ? q[(batch * queries + first_query + i) * n + f] : T(0);
      k_slice[i][at % depth] = first_key + i < keys && f < n ? k[(batch * keys + first_key + i) * n + f] : T(0);
      if (i == 0) v_slice[at] = f < n ? v[f] : T(0);
    }
    __syncthreads();
    SIMT_UNROLL
    for (int f = 0; f < depth; ++f) sum = fma(v_slice[f], tanh(q_slice[row][f] + k_slice[column][f]), sum);
  }
  if (first_query + row < queries && first_key + column < keys)
    y[(batch * queries + first_query + row) * keys + first_key + column] = sum;
}

// The gradient of feature f of one query, or of one key where `of_keys`: x are those, `others` the keys or queries. A
// query also has its share of dv, g tanh(q + k) summed over the keys.
template <class T, bool of_keys>
__global__ void score_gradients(const T* x, const T* others, const T* v, const T* g, int64_t rows, int64_t row_count,
                                int64_t other_count, int64_t n, T* dx, T* dv_shares) {
  const int64_t at = int64_t(blockIdx.x) * blockDim.x + threadIdx.x, row = at / n, f = at % n;
  if (row >= rows) return;
  const int64_t batch = row / row_count, i = row % row_count;
  const T value = x[at];
  T sum = 0, share = 0;
  for (int64_t j = 0; j < other_count; ++j) {
    const T t = tanh(value + others[(batch * other_count + j) * n + f]);
    const T slope = g[of_keys ? (batch * other_count + j) * row_count + i : row * other_count + j];
    sum = fma(slope, fma(-t, t, T(1)), sum);
    share = fma(slope, t, share);
  }
  dx[at] = sum * v[f];
  if (!of_keys) dv_shares[at] = share;
}

// Sums of columns: 32 columns of a block, of which each warp takes every eighth row.
template <class T>
__global__ void __launch_bounds__(threads) sum_columns(const T* x, int64_t rows, int64_t n, T* y) {
  SIMT_SHARED(T, partial, [units][warp_size]);
  const int lane = int(threadIdx.x) % warp_size, warp = int(threadIdx.x) / warp_size;
  const int64_t column = int64_t(blockIdx.x) * warp_size + lane;
  T sum = 0;
  for (int64_t row = warp; row < rows && column < n; row += units) sum += x[row * n + column];
  partial[warp][lane] = sum;
  __syncthreads();
  if (warp > 0 || column >= n) return;
  for (int i = 1; i < units; ++i) sum += partial[i][lane];
  y[column] = sum;
}

template <class T>
void additive_scores(const void* q, const void* k, const void* v, int64_t batch, int64_t queries, int64_t keys,
                     int64_t n, void* y) {
  launch(score_tiles<T>, dim3(unsigned(batch * div_up(queries, side) * div_up(keys, side))), dim3(side * side), 0,
         static_cast<const T*>(q), static_cast<const T*>(k), static_cast<const T*>(v), queries, keys, n,
         static_cast<T*>(y));
}

template <class T>
void additive_scores_grad(const void* q, const void* k, const void* v, const void* g, int64_t batch, int64_t queries,
                          int64_t keys, int64_t n, void* dq, void* dk, void* dv) {
  const T *of_queries = static_cast<const T*>(q), *of_keys = static_cast<const T*>(k);
  const T *weights = static_cast<const T*>(v), *slopes = static_cast<const T*>(g);
  const Scratch<T> shares(batch * queries * n);
  launch(score_gradients<T, false>, dim3(unsigned(div_up(batch * queries * n, threads))), dim3(threads), 0,
         of_queries, of_keys, weights, slopes, batch * queries, queries, keys, n, static_cast<T*>(dq), shares.data());
  launch(score_gradients<T, true>, dim3(unsigned(div_up(batch * keys * n, threads))), dim3(threads), 0, of_keys,
         of_queries, weights, slopes, batch * keys, keys, queries, n, static_cast<T*>(dk), static_cast<T*>(nullptr));
  launch(sum_columns<T>, dim3(unsigned(div_up(n, warp_size))), dim3(threads), 0, static_cast<const T*>(shares.data()),
         batch * queries, n, static_cast<T*>(dv));
}

}  // namespace

void fill_recurrent(KernelTable& table, DType dtype) {
  const auto fill = [&]<class T>() {
    table.additive_scores = additive_scores<T>, table.additive_scores_grad = additive_scores_grad<T>;
    table.recurrent = recurrent<T>, table.recurrent_grad = recurrent_grad<T>;
  };
  if (dtype == DType::float32) fill.operator()<float>();
  if (dtype == DType::float64) fill.operator()<double>();
}

}  // namespace gradus::cuda
