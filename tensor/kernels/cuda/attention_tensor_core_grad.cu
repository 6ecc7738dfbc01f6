// The gradient of attention in bfloat16 on tensor cores; what is computed, and why by two kernels, is told in
// attention_grad.cu. Here both are one template: a warp owns 16 rows, which are queries or keys, and its block goes
// through tiles of the other kind. Weights and gradients of scores stay in registers from the product that makes them
// to the one that sums them.
#include "tensor/kernels/cuda/attention_fragments.h"

namespace gradus::cuda {
namespace {

using namespace fragments;

constexpr int warps = 4, threads = warps * warp_size, block_rows = 16 * warps;
// Of the other kind, in a tile: as many as leave registers for the sums.
template <int d>
constexpr int tile_columns = 4096 / d;
template <int d>
constexpr size_t shared_bytes = 2 * (block_rows + 2 * tile_columns<d>)*pitch<d> * sizeof(bf16) +
                                4 * tile_columns<d> * sizeof(float);

// The rows are keys, and dx and dy are dk and dv; or they are queries, and dx is dq. With `extras` a keep mask, a bias
// or dropout are looked at.
template <int d, bool of_keys, bool extras>
__global__ void __launch_bounds__(threads, of_keys || extras ? 2 : 3)
    differentiate(Attention a, View g, View dx, View dy, QuerySums<float> sums, int64_t row_tiles) {
  constexpr int columns = tile_columns<d>;
  SIMT_DYNAMIC_SHARED(bf16, s_rows);  // operands of the scores, then of the gradients of the weights
  bf16 *w_rows = s_rows + block_rows * pitch<d>, *s_columns = w_rows + block_rows * pitch<d>;
  bf16* w_columns = s_columns + 2 * columns * pitch<d>;  // two tiles: one arrives while the other is used
  float* column_sums = reinterpret_cast<float*>(w_columns + 2 * columns * pitch<d>);  // log_sum, delta; of two tiles

  const int64_t heads = a.q.shape[1], kv_heads = a.k.shape[1], group_size = heads / kv_heads;
  const int64_t row_heads = of_keys ? kv_heads : heads, block = blockIdx.x / row_tiles;
  const int64_t batch = block / row_heads, row_head = block % row_heads;
  const int64_t kv_head = of_keys ? row_head : row_head / group_size;
  const int64_t first_head = of_keys ? kv_head * group_size : row_head;
  // The longest blocks of a causal call first: the first keys are seen by most queries, the last queries see most.
  const int row = int(of_keys ? blockIdx.x % row_tiles : row_tiles - 1 - blockIdx.x % row_tiles) * block_rows;
  const int warp_row = int(threadIdx.x) / warp_size * 16, lane = int(threadIdx.x) % warp_size;
  const int queries = int(a.q.shape[2]), keys = int(a.k.shape[2]), reach = a.causal ? keys - queries : keys;
  const int begin = of_keys ? max(0, row - reach) / columns * columns : 0;
  const int end = of_keys ? queries : min(keys, min(row + block_rows, queries) + reach);
  const int tiles = max(0, (end - begin + columns - 1) / columns);  // for each head that has these rows
  const int steps = tiles * int(of_keys ? group_size : 1);
  const float scale = float(a.scale * log2_e);

  const auto ask = [&](int step) {
    const int64_t head = first_head + step / tiles;
    const int column = begin + step % tiles * columns, stage = step % 2;
    load_tile<d, columns, threads>(
        of_keys ? HeadRows<const bf16>(a.q, batch, head) : HeadRows<const bf16>(a.k, batch, kv_head), column,
        s_columns + stage * columns * pitch<d>);
    load_tile<d, columns, threads>(
        of_keys ? HeadRows<const bf16>(g, batch, head) : HeadRows<const bf16>(a.v, batch, kv_head), column,
        w_columns + stage * columns * pitch<d>);
    const int four = int(threadIdx.x) * 4;
    if (of_keys && four < 2 * columns)
      simt::cp_async16(column_sums + stage * 2 * columns + four, (four < columns ? sums.log_sum : sums.delta) +
                                                                     (batch * heads + head) * sums.stride + column +
                                                                     four % columns);
  };
  load_tile<d, block_rows, threads>(
      of_keys ? HeadRows<const bf16>(a.k, batch, kv_head) : HeadRows<const bf16>(a.q, batch, row_head), row, s_rows);
  load_tile<d, block_rows, threads>(
      of_keys ? HeadRows<const bf16>(a.v, batch, kv_head) : HeadRows<const bf16>(g, batch, row_head), row, w_rows);
  if (steps > 0) ask(0);
  simt::cp_async_commit();

  float row_log_sum[2] = {}, row_delta[2] = {};
  if constexpr (!of_keys) {
    SIMT_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int64_t at = (batch * heads + row_head) * sums.stride + row + warp_row + lane / 4 + 8 * half;
      row_log_sum[half] = sums.log_sum[at], row_delta[half] = sums.delta[at];
    }
  }
  float dx_sum[d / 8][4] = {}, dy_sum[d / 8][4] = {};
  SIMT_NO_UNROLL
  for (int step = 0; step < steps; ++step) {
    const int column = begin + step % tiles * columns, stage = step % 2;
    const bf16 *s_tile = s_columns + stage * columns * pitch<d>, *w_tile = w_columns + stage * columns * pitch<d>;
    const float *log_sums = column_sums + stage * 2 * columns, *deltas = log_sums + columns;
    if (step + 1 < steps) ask(step + 1);
    simt::cp_async_commit();
    simt::cp_async_wait<1>();
    __syncthreads();  // this tile is there

    float p[columns / 8][4] = {}, ds[columns / 8][4] = {};  // scores, then weights; their gradients
    const auto products = [&](const bf16* rows, const bf16* tile, float(&sum)[columns / 8][4]) {
      SIMT_UNROLL
      for (int k = 0; k < d / 16; ++k) {
        uint32_t left[4];
        load_left<d>(rows, warp_row, k, left);
        SIMT_UNROLL
        for (int n = 0; n < columns / 16; ++n) {
          uint32_t right[4];
          load_right<d>(tile, 16 * n, k, right);
          multiply(left, right, sum[2 * n], sum[2 * n + 1]);
        }
      }
    };
    products(s_rows, s_tile, p);
    products(w_rows, w_tile, ds);

    const int warp_first = row + warp_row;
    const bool all_seen = of_keys ? warp_first + 15 <= column + reach
                                  : column + columns <= keys && column + columns - 1 <= warp_first + reach;
    const Pairs<bf16> pairs(a, batch, first_head + step / tiles, log2_e);
    SIMT_UNROLL
    for (int n = 0; n < columns / 8; ++n) {
      SIMT_UNROLL
      for (int e = 0; e < 4; ++e) {
        const int at = 8 * n + lane % 4 * 2 + e % 2, r = warp_first + lane / 4 + e / 2 * 8;
        const int i = of_keys ? column + at : r, j = of_keys ? r : column + at;
        const float log_sum = of_keys ? log_sums[at] : row_log_sum[e / 2];
        const float delta = of_keys ? deltas[at] : row_delta[e / 2];
        float weight = extras ? simt::exp2_approx(pairs.score(p[n][e] * scale, i, j) - log_sum)
                              : simt::exp2_approx(fmaf(p[n][e], scale, -log_sum));
        if constexpr (!extras) {
          const bool seen = of_keys ? at >= r - column - reach : at <= r - column + reach && at < keys - column;
          if (!all_seen && !seen) weight = 0;
        }
        float factor[1] = {1};
        if constexpr (extras) {
          if (a.dropout > 0) pairs.dropout(i, j, factor);
        }
        ds[n][e] = weight * (factor[0] * ds[n][e] - delta);
        p[n][e] = weight * factor[0];
      }
    }

    const auto add_weighted = [&](const float(&weights)[columns / 8][4], const bf16* tile, float(&sum)[d / 8][4]) {
      SIMT_UNROLL
      for (int k = 0; k < columns / 16; ++k) {
        uint32_t left[4];
        pack(weights[2 * k], weights[2 * k + 1], left);
        SIMT_UNROLL
        for (int n = 0; n < d / 16; ++n) {
          uint32_t right[4];
          load_right_along<d>(tile, 16 * k, n, right);
          multiply(left, right, sum[2 * n], sum[2 * n + 1]);
        }
      }
    };
    if constexpr (of_keys) add_weighted(p, w_tile, dy_sum);
    add_weighted(ds, s_tile, dx_sum);
    __syncthreads();  // all have read this tile
  }
  simt::cp_async_wait<0>();  // where there was no step, the rows are still on their way

  const float factor = float(a.scale);
  store(dx_sum, factor, factor, HeadRows<bf16>(dx, batch, row_head), row + warp_row);
  if constexpr (of_keys) store(dy_sum, 1, 1, HeadRows<bf16>(dy, batch, row_head), row + warp_row);
}

template <int d, bool extras>
void differentiate_on_tensor_cores(const Attention& a, const View& g, const View& dq, const View& dk,
                                   const View& dv) {
  const QuerySumsOf<bf16> sums(a, g, log2_e);
  const int64_t query_tiles = div_up(a.q.shape[2], block_rows), key_tiles = div_up(a.k.shape[2], block_rows);
  launch(differentiate<d, false, extras>, dim3(unsigned(a.q.shape[0] * a.q.shape[1] * query_tiles)), dim3(threads),
         shared_bytes<d>, a, g, dq, dq, sums.sums(), query_tiles);
  launch(differentiate<d, true, extras>, dim3(unsigned(a.k.shape[0] * a.k.shape[1] * key_tiles)), dim3(threads),
         shared_bytes<d>, a, g, dk, dv, sums.sums(), key_tiles);
}

}  // namespace

bool attention_grad_on_tensor_cores(const Attention& a, const View& g, const View& dq, const View& dk,
                                    const View& dv) {
  if (!fit(a) || !by_eights(g) || !by_eights(dq) || !by_eights(dk) || !by_eights(dv)) return false;
  const auto differentiate =
      max(a.q.shape[3], a.v.shape[3]) <= 64
          ? (has_extras(a) ? differentiate_on_tensor_cores<64, true> : differentiate_on_tensor_cores<64, false>)
          : (has_extras(a) ? differentiate_on_tensor_cores<128, true> : differentiate_on_tensor_cores<128, false>);
  differentiate(a, g, dq, dk, dv);
  return true;
}

}  // namespace gradus::cuda
