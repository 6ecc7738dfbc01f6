// Rung 5, tiled: 64 queries share each tile of 64 keys and values (Dao, Fu, Ermon, Rudra and Re 2022,
// "FlashAttention", algorithm 1; its loops changed places, as in FlashAttention-2: queries outside, keys inside).
//
//  - Bytes: keys and values go by once for 64 queries, not once for each: 2 bytes an operation become 1/32. What a tile
//    works on, queries, keys, scores, values and sums of 16 KB each for d = 64, stays in the first and second cache.
//  - Products: the scores of a tile are a matrix product, and so is what is added to the output. Like rung 4 of
//    ../cpu_gemm 4 x 8 sums stay in registers: a step reads 12 floats for 64 operations, where a row reads 2 for 2.
//    For that both factors must lie along what a step reads, so queries and keys are turned. A key is turned again for
//    each tile of queries: 64 numbers of about 1 ns for 4 x 64 x 64 operations, 0.8 us at 20 GFLOP/s.
//  - Lanes: scores lie with a row for each key and a column for each query, so the softmax runs down columns, queries
//    beside each other in a vector.
//  - Causal: tiles of keys behind the last query are left out, which are nearly half.
//
// What holds it back: the compiler may use SSE2 only, 8 operations a cycle of 64 that a core with AVX-512 could do. The
// exponentials are taken one at a time, some 3 ns: at n = 1024 and d = 64 3 ms a head, beside 268 million operations,
// 13 ms at 20 GFLOP/s. And it is one thread.
#include "tutorials/ladders/cpu_attention/5_tiled.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gradus::attention_ladder {
namespace {

constexpr int64_t sum_rows = 4, sum_columns = 8;

//! [product]
// C += A^T B for at most 4 x 8 of C, all of them if `whole`. A and B have `steps` rows, and both are read along them.
template <bool whole>
void add_sums(int64_t some_rows, int64_t some_columns, int64_t steps, const float* a, int64_t a_row, const float* b,
              int64_t b_row, float* c, int64_t c_row) {
  const int64_t height = whole ? sum_rows : some_rows, width = whole ? sum_columns : some_columns;
  float sums[sum_rows][sum_columns] = {};
  for (int64_t p = 0; p < steps; ++p, a += a_row, b += b_row) {
    for (int64_t i = 0; i < height; ++i) {
      for (int64_t j = 0; j < width; ++j) sums[i][j] += a[i] * b[j];
    }
  }
  for (int64_t i = 0; i < height; ++i) {
    for (int64_t j = 0; j < width; ++j) c[i * c_row + j] += sums[i][j];
  }
}

// C (m, n) += A^T B, of A (steps, m) and B (steps, n).
void add_product(int64_t m, int64_t n, int64_t steps, const float* a, int64_t a_row, const float* b, int64_t b_row,
                 float* c, int64_t c_row) {
  for (int64_t i = 0; i < m; i += sum_rows) {
    for (int64_t j = 0; j < n; j += sum_columns) {
      const int64_t height = std::min(sum_rows, m - i), width = std::min(sum_columns, n - j);
      const auto add = height == sum_rows && width == sum_columns ? add_sums<true> : add_sums<false>;
      add(height, width, steps, a + i, a_row, b + j, b_row, c + i * c_row + j, c_row);
    }
  }
}

// x (rows, d), at most a tile of rows, as (d, tile), times `factor`; what x lacks of a tile is 0.
void turn(int64_t rows, int64_t d, const float* x, float factor, float* to) {
  for (int64_t c = 0; c < d; ++c) {
    for (int64_t i = 0; i < rows; ++i) to[c * tile + i] = factor * x[i * d + c];
    std::fill(to + c * tile + rows, to + (c + 1) * tile, 0.0f);
  }
}
//! [product]

//! [softmax]
// What each query of a tile knows of the keys before.
struct Running {
  float largest[tile], sum[tile];
  float correction[tile];  // by which all before is multiplied
};

// Scores (keys, tile) become weights, as in rung 4.
void weigh(int64_t keys, float* scores, Running& r) {
  float before[tile];
  std::copy_n(r.largest, tile, before);
  for (int64_t j = 0; j < keys; ++j) {
    for (int64_t i = 0; i < tile; ++i) r.largest[i] = std::max(r.largest[i], scores[j * tile + i]);
  }
  for (int64_t i = 0; i < tile; ++i) {
    r.correction[i] = std::exp(before[i] - r.largest[i]);
    r.sum[i] *= r.correction[i];
  }
  for (int64_t j = 0; j < keys; ++j) {
    float* row = scores + j * tile;
    for (int64_t i = 0; i < tile; ++i) row[i] = std::exp(row[i] - r.largest[i]);
    for (int64_t i = 0; i < tile; ++i) r.sum[i] += row[i];
  }
}
//! [softmax]

}  // namespace

//! [tile]
void attend_tile(const Problem& x, int64_t first) {
  constexpr float inf = std::numeric_limits<float>::infinity();
  const int64_t d = x.d, queries = std::min(tile, x.n - first), seen = x.seen(first + queries - 1);
  const Floats space(tile * (d + d + tile + d));
  float *q = space.data(), *k = q + d * tile, *scores = k + d * tile, *sums = scores + tile * tile;
  turn(queries, d, x.q + first * d, x.scale, q);
  Running r;
  std::fill_n(r.largest, tile, -inf);
  std::fill_n(r.sum, tile, 0.0f);
  std::fill_n(sums, queries * d, 0.0f);
  for (int64_t key = 0; key < seen; key += tile) {
    const int64_t keys = std::min(tile, seen - key);
    std::fill_n(scores, keys * tile, 0.0f);
    turn(keys, d, x.k + key * d, 1, k);
    add_product(keys, tile, d, k, tile, q, tile, scores, tile);
    for (int64_t j = 0; x.causal && j < keys; ++j)  // hidden from the queries before
      std::fill_n(scores + j * tile, std::max<int64_t>(0, key + j - first), -inf);
    weigh(keys, scores, r);
    for (int64_t i = 0; i < queries; ++i) {
      for (int64_t c = 0; c < d; ++c) sums[i * d + c] *= r.correction[i];
    }
    add_product(queries, d, keys, scores, tile, x.v + key * d, d, sums, d);
  }
  for (int64_t i = 0; i < queries; ++i) {
    for (int64_t c = 0; c < d; ++c) x.output[(first + i) * d + c] = sums[i * d + c] / r.sum[i];
  }
}
//! [tile]

void tiled(const Problem& x) {
  for (int64_t h = 0; h < x.heads; ++h) {
    for (int64_t first = 0; first < x.n; first += tile) attend_tile(x.head(h), first);
  }
}

}  // namespace gradus::attention_ladder
