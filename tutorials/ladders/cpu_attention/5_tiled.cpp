// Rung 5, tiled: 64 queries share each tile of 64 keys and values (Dao, Fu, Ermon, Rudra and Re 2022,
// "FlashAttention", algorithm 1; its loops changed places, as in FlashAttention-2: queries outside, keys inside).
//
//  - Bytes: keys and values go by once for 64 queries, not once for each: 2 bytes an operation become 1/32. What a tile
//    works on, queries, keys, scores, values and sums of 16 KB each for d = 64, waits in the first and second cache.
//  - Products: scores of a tile are a matrix product, and so is what is added to the output. Like rung 4 of ../cpu_gemm
//    4 x 8 sums stay in registers: a step reads 12 floats for 64 operations, where a row's reads 2 for 2.
//  - Lanes: scores lie with a row for each key and a column for each query, so the softmax runs down columns, queries
//    beside each other in a vector. Only the queries are turned to make them so, once a tile.
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

// A matrix: element (i, j) is data[i row + j column].
struct Matrix {
  const float* data;
  int64_t row, column;
};

//! [product]
// C += A B for at most 4 x 8 of C, all of them if `whole`; `steps` of A's columns and B's rows, whose columns are next
// to each other, as C's are.
template <bool whole>
inline void add_sums(int64_t some_rows, int64_t some_columns, int64_t steps, const Matrix& a, const float* b,
                     int64_t b_row, float* c, int64_t c_row) {
  const int64_t height = whole ? sum_rows : some_rows, width = whole ? sum_columns : some_columns;
  float sums[sum_rows][sum_columns] = {};
  for (int64_t p = 0; p < steps; ++p) {
    for (int64_t i = 0; i < height; ++i) {
      for (int64_t j = 0; j < width; ++j) sums[i][j] += a.data[i * a.row + p * a.column] * b[p * b_row + j];
    }
  }
  for (int64_t i = 0; i < height; ++i) {
    for (int64_t j = 0; j < width; ++j) c[i * c_row + j] += sums[i][j];
  }
}

// C (m, n) += A (m, steps) B (steps, n).
void add_product(int64_t m, int64_t n, int64_t steps, const Matrix& a, const float* b, int64_t b_row, float* c,
                 int64_t c_row) {
  for (int64_t i = 0; i < m; i += sum_rows) {
    const Matrix strip{a.data + i * a.row, a.row, a.column};
    for (int64_t j = 0; j < n; j += sum_columns) {
      const int64_t height = std::min(sum_rows, m - i), width = std::min(sum_columns, n - j);
      const bool whole = height == sum_rows && width == sum_columns;
      const auto add = whole ? add_sums<true> : add_sums<false>;
      add(height, width, steps, strip, b + j, b_row, c + i * c_row + j, c_row);
    }
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
  const Floats space(tile * (d + tile + d));
  float *q = space.data(), *scores = q + d * tile, *sums = scores + tile * tile;
  for (int64_t c = 0; c < d; ++c) {  // queries that are not there are 0
    for (int64_t i = 0; i < tile; ++i) q[c * tile + i] = i < queries ? x.scale * x.q[(first + i) * d + c] : 0;
  }
  Running r;
  std::fill_n(r.largest, tile, -inf);
  std::fill_n(r.sum, tile, 0.0f);
  std::fill_n(sums, queries * d, 0.0f);
  for (int64_t key = 0; key < seen; key += tile) {
    const int64_t keys = std::min(tile, seen - key);
    std::fill_n(scores, keys * tile, 0.0f);
    add_product(keys, tile, d, {x.k + key * d, d, 1}, q, tile, scores, tile);
    for (int64_t j = 0; x.causal && j < keys; ++j)  // hidden from the queries before
      std::fill_n(scores + j * tile, std::max<int64_t>(0, key + j - first), -inf);
    weigh(keys, scores, r);
    for (int64_t i = 0; i < queries; ++i) {
      for (int64_t c = 0; c < d; ++c) sums[i * d + c] *= r.correction[i];
    }
    add_product(queries, d, keys, {scores, 1, tile}, x.v + key * d, d, sums, d);
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
