// Attention at any size and in any type: 64 queries of a head meet 64 keys at a time. The softmax goes along (Milakov
// and Gimelshein 2018; Rabe and Staats 2021; Dao et al. 2022): the largest score so far and the sum of exponentials so
// far are kept for each query, and what was summed is scaled down when a larger score comes.
#include "tensor/kernels/cuda/attention_tiles.h"

namespace gradus::cuda {
namespace {

using namespace tiled;

// A block has 64 queries and, of the output, 64 columns for each of `groups`.
template <class T, int groups, bool extras>
__global__ void __launch_bounds__(tile_threads) attend(Attention a, TileGrid grid) {
  using C = Compute<T>;
  SIMT_DYNAMIC_SHARED(C, weights);
  C *left = weights + tile * tile, *right = left + depth<C> * tile;
  const int64_t index = blockIdx.x / grid.slices, batch = index / grid.tiles / a.q.shape[1];
  const int64_t head = index / grid.tiles % a.q.shape[1];
  const int first_column = int(blockIdx.x % grid.slices) * groups * tile;
  // In a causal call the last queries see most: they come first, so that no long block is left over at the end.
  const int query = int(grid.tiles - 1 - index % grid.tiles) * tile;
  const int x = int(threadIdx.x) % 16 * 4, y = int(threadIdx.x) / 16 * 4;

  const int64_t kv_head = head / (a.q.shape[1] / a.k.shape[1]);
  const QuadRows<const T> q(a.q, batch, head), k(a.k, batch, kv_head), v(a.v, batch, kv_head);
  const Pairs<T, extras> pairs(a, batch, head);
  const C scale = C(a.scale);
  C output[groups][4][4] = {}, largest[4], sum[4] = {};
  SIMT_UNROLL
  for (int r = 0; r < 4; ++r) largest[r] = C(-INFINITY);

  const int end = min(k.rows, query + tile + pairs.reach);
  SIMT_NO_UNROLL
  for (int key = 0; key < end; key += tile) {
    C score[4][4];
    products_of_rows(q, query, k, key, left, right, score);
    SIMT_UNROLL
    for (int r = 0; r < 4; ++r) {
      const int i = query + y + r;
      C top = largest[r];
      SIMT_UNROLL
      for (int c = 0; c < 4; ++c) {
        score[r][c] = pairs.score(score[r][c] * scale, i, key + x + c);
        top = std::fmax(top, score[r][c]);
      }
      for (int step = 1; step < 16; step *= 2) top = std::fmax(top, __shfl_xor_sync(whole_warp, top, step));
      const C zero = top == C(-INFINITY) ? C(0) : top;  // a query that has seen nothing yet: exp gives 0, not NaN
      const C shrink = std::exp(largest[r] - zero);
      largest[r] = top;
      sum[r] *= shrink;
      SIMT_UNROLL
      for (int c = 0; c < 4; ++c) {
        score[r][c] = std::exp(score[r][c] - zero);
        sum[r] += score[r][c];
      }
      SIMT_UNROLL
      for (int group = 0; group < groups; ++group) {
        SIMT_UNROLL
        for (int c = 0; c < 4; ++c) output[group][r][c] *= shrink;
      }
      if (extras && a.dropout > 0) {
        C factors[4];
        pairs.dropout(i, key + x, factors);
        SIMT_UNROLL
        for (int c = 0; c < 4; ++c) score[r][c] *= factors[c];
      }
    }
    put_weights(score, weights);
    add_weighted(weights, v, key, first_column, right, output);
  }

  const QuadRows<T> to(a.output, batch, head);
  SIMT_UNROLL
  for (int r = 0; r < 4; ++r) {
    const int i = query + y + r;
    for (int step = 1; step < 16; step *= 2) sum[r] += __shfl_xor_sync(whole_warp, sum[r], step);
    const bool seen = sum[r] != 0;
    SIMT_UNROLL
    for (int group = 0; group < groups; ++group)
      to.store(i, first_column + group * tile + x, output[group][r], seen ? 1 / sum[r] : C(0));
    if (x == 0 && first_column == 0 && i < q.rows)
      static_cast<C*>(a.log_sum)[(batch * a.q.shape[1] + head) * q.rows + i] =
          seen ? largest[r] + std::log(sum[r]) : C(INFINITY);
  }
}

template <class T, int groups>
void attend_by_tiles(const Attention& a) {
  const TileGrid grid{a.q.shape[0] * a.q.shape[1], div_up(a.q.shape[2], tile),
                      max(int64_t(1), div_up(a.v.shape[3], groups * tile))};
  launch(has_extras(a) ? attend<T, groups, true> : attend<T, groups, false>, grid.blocks(), dim3(tile_threads),
         tile_bytes<Compute<T>, groups>, a, grid);
}

template <class T>
void attention(const Attention& a) {
  if constexpr (std::is_same_v<T, bf16>)
    if (attention_on_tensor_cores(a)) return;
  a.v.shape[3] <= tile ? attend_by_tiles<T, 1>(a) : attend_by_tiles<T, most_groups<Compute<T>>>(a);
}

}  // namespace

void fill_attention(KernelTable& table, DType dtype) {
  const auto fill = [&]<class T>() { table.attention = attention<T>, table.attention_grad = attention_grad<T>; };
  if (dtype == DType::float32) fill.operator()<float>();
  if (dtype == DType::float64) fill.operator()<double>();
  if (dtype == DType::bfloat16) fill.operator()<bf16>();
}

}  // namespace gradus::cuda
