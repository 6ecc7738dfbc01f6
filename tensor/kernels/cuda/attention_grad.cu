// The gradient of attention at any size and in any type. With weights P, which are made again from the scores and
// log_sum, dropout's factors Z and delta_i = sum_j P_ij Z_ij dP_ij = g_i . output_i: dP = g v^T, dS = P (Z dP - delta),
// dq = scale dS k, dk = scale dS^T q, dv = (P Z)^T g.
//
// One kernel sums over the keys, for dq, another over the queries, for dk and dv: the scores are computed twice, but
// no two blocks add to the same number, so that the order of every sum is fixed.
#include "tensor/kernels/cuda/attention_tiles.h"

namespace gradus::cuda {
namespace {

using namespace tiled;

// A block has 64 rows and, of each gradient, 64 columns for each of `groups`. The rows are keys, and dx and dy are dk
// and dv; or they are queries, and dx is dq.
template <class T, int groups, bool of_keys, bool extras>
__global__ void __launch_bounds__(tile_threads)
    differentiate(Attention a, View g, View dx, View dy, QuerySums<Compute<T>> sums, TileGrid grid) {
  using C = Compute<T>;
  SIMT_DYNAMIC_SHARED(C, weights);
  C *left = weights + tile * tile, *right = left + depth<C> * tile;
  const int64_t index = blockIdx.x / grid.slices, row_heads = of_keys ? a.k.shape[1] : a.q.shape[1];
  const int64_t batch = index / grid.tiles / row_heads, row_head = index / grid.tiles % row_heads;
  const int64_t group_size = a.q.shape[1] / a.k.shape[1], kv_head = of_keys ? row_head : row_head / group_size;
  const int first_column = int(blockIdx.x % grid.slices) * groups * tile;
  // The longest blocks of a causal call first: the first keys are seen by most queries, the last queries see most.
  const int row = int(of_keys ? index % grid.tiles : grid.tiles - 1 - index % grid.tiles) * tile;
  const int x = int(threadIdx.x) % 16 * 4, y = int(threadIdx.x) / 16 * 4;

  const QuadRows<const T> k(a.k, batch, kv_head), v(a.v, batch, kv_head);
  const C scale = C(a.scale);
  C dx_sum[groups][4][4] = {}, dy_sum[groups][4][4] = {};
  SIMT_NO_UNROLL
  for (int64_t member = 0; member < (of_keys ? group_size : 1); ++member) {
    const int64_t head = of_keys ? kv_head * group_size + member : row_head;
    const QuadRows<const T> q(a.q, batch, head), slope(g, batch, head);
    const Pairs<T, extras> pairs(a, batch, head);
    const C* log_sum = sums.log_sum + (batch * a.q.shape[1] + head) * sums.stride;
    const C* delta = sums.delta + (batch * a.q.shape[1] + head) * sums.stride;
    const int begin = of_keys ? max(0, row - pairs.reach) / tile * tile : 0;
    const int end = of_keys ? q.rows : min(k.rows, row + tile + pairs.reach);
    SIMT_NO_UNROLL
    for (int column = begin; column < end; column += tile) {
      C p[4][4], ds[4][4];  // scores, then weights; gradients of the weights, then of the scores
      products_of_rows(of_keys ? k : q, row, of_keys ? q : k, column, left, right, p);
      products_of_rows(of_keys ? v : slope, row, of_keys ? slope : v, column, left, right, ds);
      const int query = of_keys ? column + x : row + y, key = of_keys ? row + y : column + x;
      SIMT_UNROLL
      for (int i = 0; i < 4; ++i) {
        C factors[4] = {1, 1, 1, 1};
        if (extras && a.dropout > 0) pairs.dropout(query + i, key, factors);
        SIMT_UNROLL
        for (int j = 0; j < 4; ++j) {
          C &weight = of_keys ? p[j][i] : p[i][j], &change = of_keys ? ds[j][i] : ds[i][j];
          weight = std::exp(pairs.score(weight * scale, query + i, key + j) - log_sum[query + i]);
          change = weight * (factors[j] * change - delta[query + i]);
          weight *= factors[j];
        }
      }
      if constexpr (of_keys) {
        put_weights(p, weights);
        add_weighted(weights, slope, column, first_column, right, dy_sum);
      }
      put_weights(ds, weights);
      add_weighted(weights, of_keys ? q : k, column, first_column, right, dx_sum);
    }
  }

  const QuadRows<T> dx_rows(dx, batch, row_head), dy_rows(dy, batch, row_head);
  SIMT_UNROLL
  for (int r = 0; r < 4; ++r) {
    SIMT_UNROLL
    for (int group = 0; group < groups; ++group) {
      const int column = first_column + group * tile + x;
      dx_rows.store(row + y + r, column, dx_sum[group][r], scale);
      if constexpr (of_keys) dy_rows.store(row + y + r, column, dy_sum[group][r], C(1));
    }
  }
}

template <class T, int groups, bool extras>
void differentiate_by_tiles(const Attention& a, const View& g, const View& dq, const View& dk, const View& dv) {
  using C = Compute<T>;
  const QuerySumsOf<T> sums(a, g);
  const auto grid = [&](const View& rows, int64_t columns) {
    return TileGrid{rows.shape[0] * rows.shape[1], div_up(rows.shape[2], tile), div_up(columns, groups * tile)};
  };
  const TileGrid of_queries = grid(a.q, a.q.shape[3]), of_keys = grid(a.k, max(a.k.shape[3], a.v.shape[3]));
  constexpr size_t bytes = tile_bytes<C, groups>;
  launch(differentiate<T, groups, false, extras>, of_queries.blocks(), dim3(tile_threads), bytes, a, g, dq, dq,
         sums.sums(), of_queries);
  launch(differentiate<T, groups, true, extras>, of_keys.blocks(), dim3(tile_threads), bytes, a, g, dk, dv,
         sums.sums(), of_keys);
}

}  // namespace

template <class T>
void attention_grad(const Attention& a, const View& g, const View& dq, const View& dk, const View& dv) {
  if constexpr (std::is_same_v<T, bf16>)
    if (attention_grad_on_tensor_cores(a, g, dq, dk, dv)) return;
  const auto differentiate = [&]<int groups>() {
    has_extras(a) ? differentiate_by_tiles<T, groups, true>(a, g, dq, dk, dv)
                  : differentiate_by_tiles<T, groups, false>(a, g, dq, dk, dv);
  };
  if (max(a.q.shape[3], a.v.shape[3]) <= tile)
    differentiate.template operator()<1>();
  else
    differentiate.template operator()<most_groups<Compute<T>>>();
}

template void attention_grad<float>(const Attention&, const View&, const View&, const View&, const View&);
template void attention_grad<double>(const Attention&, const View&, const View&, const View&, const View&);
template void attention_grad<bf16>(const Attention&, const View&, const View&, const View&, const View&);

}  // namespace gradus::cuda
