// Attention in bfloat16 on tensor cores, as FlashAttention-2 has it (Dao 2023): each warp owns 32 queries, keeps their
// output and what the softmax needs in registers, and all warps of a block read the same tiles of keys and values.
#include "tensor/kernels/cuda/attention_fragments.h"

namespace gradus::cuda {
namespace {

using namespace fragments;

constexpr int warps = 4, threads = warps * warp_size;
constexpr int key_tile = 64;
// A warp's queries are fragments of 16. What is read from shared memory serves two of them, where there are registers.
template <bool extras>
constexpr int fragments_of_warp = extras ? 1 : 2;
template <bool extras>
constexpr int queries_of_block = 16 * fragments_of_warp<extras>* warps;

// With `extras` a keep mask, a bias or dropout are looked at.
template <int d, bool extras>
__global__ void __launch_bounds__(threads) attend(Attention a, unsigned tiles) {
  constexpr int fragments = fragments_of_warp<extras>, queries = queries_of_block<extras>;
  SIMT_DYNAMIC_SHARED(bf16, q_tile);
  bf16 *k_tile = q_tile + queries * pitch<d>, *v_tile = k_tile + key_tile * pitch<d>;
  const int64_t heads = a.q.shape[1], head = blockIdx.x / tiles % heads, batch = blockIdx.x / tiles / heads;
  // In a causal call the last queries see most: they come first, so that no long block is left over at the end.
  const int first_query = int(tiles - 1 - blockIdx.x % tiles) * queries;
  const int lane = int(threadIdx.x) % warp_size, warp_row = int(threadIdx.x) / warp_size * 16 * fragments;
  const int64_t kv_head = head / (heads / a.k.shape[1]);
  const HeadRows<const bf16> q(a.q, batch, head), k(a.k, batch, kv_head), v(a.v, batch, kv_head);
  const Pairs<bf16> pairs(a, batch, head, log2_e);
  // Scores are taken to powers of two. Where nothing is added to them, one multiply-add scales and subtracts.
  const float scale = float(a.scale * log2_e), scale_later = extras ? 1 : scale;

  float output[fragments][d / 8][4] = {}, largest[fragments][2], sum[fragments][2] = {};
  SIMT_UNROLL
  for (int m = 0; m < fragments; ++m) largest[m][0] = largest[m][1] = -INFINITY;

  const int end = min(k.rows, min(first_query + queries, q.rows) + pairs.reach);
  load_tile<d, queries, threads>(q, first_query, q_tile);
  load_tile<d, key_tile, threads>(k, 0, k_tile);
  simt::cp_async_commit();
  SIMT_NO_UNROLL
  for (int first_key = 0; first_key < end; first_key += key_tile) {
    simt::cp_async_wait<0>();
    __syncthreads();  // the keys are there, and all have read the values before
    load_tile<d, key_tile, threads>(v, first_key, v_tile);
    simt::cp_async_commit();

    float score[fragments][key_tile / 8][4] = {};
    SIMT_UNROLL
    for (int step = 0; step < d / 16; ++step) {
      uint32_t left[fragments][4];
      SIMT_UNROLL
      for (int m = 0; m < fragments; ++m) load_left<d>(q_tile, warp_row + 16 * m, step, left[m]);
      SIMT_UNROLL
      for (int n = 0; n < key_tile / 16; ++n) {
        uint32_t right[4];
        load_right<d>(k_tile, 16 * n, step, right);
        SIMT_UNROLL
        for (int m = 0; m < fragments; ++m) multiply(left[m], right, score[m][2 * n], score[m][2 * n + 1]);
      }
    }
    simt::cp_async_wait<0>();
    __syncthreads();  // the values are there, and all have read the keys
    if (first_key + key_tile < end) load_tile<d, key_tile, threads>(k, first_key + key_tile, k_tile);
    simt::cp_async_commit();

    const int last_key = first_key + key_tile - 1;
    if (extras || last_key >= k.rows || last_key > first_query + warp_row + pairs.reach) {
      SIMT_UNROLL
      for (int m = 0; m < fragments; ++m) {
        SIMT_UNROLL
        for (int n = 0; n < key_tile / 8; ++n) {
          SIMT_UNROLL
          for (int e = 0; e < 4; ++e) {
            const int i = first_query + warp_row + 16 * m + lane / 4 + e / 2 * 8;
            const int j = first_key + 8 * n + lane % 4 * 2 + e % 2;
            float& s = score[m][n][e];
            if constexpr (extras)
              s = pairs.score(s * scale, i, j);
            else if (8 * n + e % 2 >= min(k.rows, i + pairs.reach + 1) - first_key - lane % 4 * 2)
              s = -INFINITY;
          }
        }
      }
    }
    SIMT_UNROLL
    for (int m = 0; m < fragments; ++m) {
      SIMT_UNROLL
      for (int half = 0; half < 2; ++half) {
        float top = largest[m][half];
        SIMT_UNROLL
        for (int n = 0; n < key_tile / 8; ++n)
          top = fmaxf(top, fmaxf(score[m][n][2 * half], score[m][n][2 * half + 1]));
        top = fmaxf(top, __shfl_xor_sync(whole_warp, top, 1));
        top = fmaxf(top, __shfl_xor_sync(whole_warp, top, 2));
        // A query that has seen nothing yet: its powers are to be 0, not NaN.
        const float zero = top == -INFINITY ? 0 : top * scale_later;
        const float shrink = simt::exp2_approx(fmaf(largest[m][half], scale_later, -zero));
        largest[m][half] = top;
        float more = 0;
        SIMT_UNROLL
        for (int n = 0; n < key_tile / 8; ++n) {
          SIMT_UNROLL
          for (int e = 0; e < 2; ++e) {
            float& s = score[m][n][2 * half + e];
            s = simt::exp2_approx(fmaf(s, scale_later, -zero));
            more += s;
          }
          if constexpr (extras) {
            if (a.dropout > 0) {
              float factors[2];
              pairs.dropout(first_query + warp_row + 16 * m + 8 * half + lane / 4, first_key + 8 * n + lane % 4 * 2,
                            factors);
              score[m][n][2 * half] *= factors[0], score[m][n][2 * half + 1] *= factors[1];
            }
          }
        }
        sum[m][half] = fmaf(sum[m][half], shrink, more);
        SIMT_UNROLL
        for (int n = 0; n < d / 8; ++n) output[m][n][2 * half] *= shrink, output[m][n][2 * half + 1] *= shrink;
      }
    }

    SIMT_UNROLL
    for (int step = 0; step < key_tile / 16; ++step) {
      uint32_t left[fragments][4];
      SIMT_UNROLL
      for (int m = 0; m < fragments; ++m) pack(score[m][2 * step], score[m][2 * step + 1], left[m]);
      SIMT_UNROLL
      for (int n = 0; n < d / 16; ++n) {
        uint32_t right[4];
        load_right_along<d>(v_tile, 16 * step, n, right);
        SIMT_UNROLL
        for (int m = 0; m < fragments; ++m) multiply(left[m], right, output[m][2 * n], output[m][2 * n + 1]);
      }
    }
  }
  simt::cp_async_wait<0>();  // where no key is seen, tiles are still on their way

  const HeadRows<bf16> to(a.output, batch, head);
  SIMT_UNROLL
  for (int m = 0; m < fragments; ++m) {
    float factor[2];
    SIMT_UNROLL
    for (int half = 0; half < 2; ++half) {
      float all = sum[m][half];
      all += __shfl_xor_sync(whole_warp, all, 1);
      all += __shfl_xor_sync(whole_warp, all, 2);
      factor[half] = all == 0 ? 0 : 1 / all;
      const int i = first_query + warp_row + 16 * m + 8 * half + lane / 4;
      if (lane % 4 == 0 && i < q.rows)
        static_cast<float*>(a.log_sum)[(batch * heads + head) * q.rows + i] =
            all == 0 ? INFINITY : fmaf(largest[m][half], scale_later / float(log2_e), logf(all));
    }
    store(output[m], factor[0], factor[1], to, first_query + warp_row + 16 * m);
  }
}

template <int d, bool extras>
void attend_on_tensor_cores(const Attention& a) {
  const int64_t tiles = div_up(a.q.shape[2], queries_of_block<extras>);
  constexpr size_t bytes = (queries_of_block<extras> + 2 * key_tile) * pitch<d> * sizeof(bf16);
  launch(attend<d, extras>, dim3(unsigned(a.q.shape[0] * a.q.shape[1] * tiles)), dim3(threads), bytes, a,
         unsigned(tiles));
}

}  // namespace

bool attention_on_tensor_cores(const Attention& a) {
  if (!fit(a)) return false;
  if (max(a.q.shape[3], a.v.shape[3]) <= 64)
    has_extras(a) ? attend_on_tensor_cores<64, true>(a) : attend_on_tensor_cores<64, false>(a);
  else
    has_extras(a) ? attend_on_tensor_cores<128, true>(a) : attend_on_tensor_cores<128, false>(a);
  return true;
}

}  // namespace gradus::cuda
