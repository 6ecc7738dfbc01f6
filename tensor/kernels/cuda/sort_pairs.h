// A stable radix sort of (key, position) pairs on the device: what makes sums by index come out in one order.
#pragma once

#include <algorithm>
#include <bit>
#include <utility>

#include "tensor/kernels/cuda/kernels.h"

namespace gradus::cuda {

inline constexpr int sort_digits = 256, sort_threads = 256, sort_warps = sort_threads / warp_size;
static_assert(sort_digits == sort_threads, "thread d looks after digit d");

// A block sorts a tile: rounds * sort_threads keys, of which each warp has its rounds * warp_size in a row.
struct SortPass {
  int count, rounds, shift;
  __device__ int tile_size() const { return rounds * sort_threads; }
};

// How often each digit occurs in each tile: counts[tile][digit].
static __global__ void count_digits(SortPass pass, const uint32_t* keys, unsigned* counts) {
  SIMT_SHARED(unsigned, found, [sort_digits]);
  int tid = int(threadIdx.x);
  found[tid] = 0;
  __syncthreads();
  int64_t first = int64_t(blockIdx.x) * pass.tile_size();
  for (int round = 0; round < pass.rounds; ++round) {
    int64_t at = first + round * sort_threads + tid;
    if (at < pass.count) atomicAdd(&found[keys[at] >> pass.shift & (sort_digits - 1)], 1u);
  }
  __syncthreads();
  counts[int64_t(blockIdx.x) * sort_digits + tid] = found[tid];
}

// The lanes whose keys have this lane's digit; all those with no key are alike too.
inline __device__ unsigned lanes_alike(unsigned digit, bool present) {
  unsigned with_key = __ballot_sync(whole_warp, present), alike = present ? with_key : ~with_key;
  for (int bit = 0; bit < 8; ++bit) {
    bool set = digit >> bit & 1;
    unsigned others = __ballot_sync(whole_warp, set);
    alike &= set ? others : ~others;
  }
  return alike;
}

// Writes the tile's pairs where they belong: behind all smaller digits, and all equal ones that came before.
static __global__ void __launch_bounds__(sort_threads)
    place_pairs(SortPass pass, int tiles, const uint32_t* keys, const uint32_t* positions, const unsigned* counts,
                uint32_t* sorted_keys, uint32_t* sorted_positions) {
  SIMT_SHARED(unsigned, next, [sort_warps][sort_digits]);  // where each warp's next key of a digit goes
  SIMT_SHARED(unsigned, totals, [2][sort_digits]);
  int tid = int(threadIdx.x), warp = tid / warp_size, lane = tid % warp_size, tile = int(blockIdx.x);
  unsigned lower_lanes = (1u << lane) - 1;
  int64_t first = int64_t(tile) * pass.tile_size() + int64_t(warp) * pass.rounds * warp_size + lane;

  for (int w = 0; w < sort_warps; ++w) next[w][tid] = 0;
  __syncthreads();
  for (int round = 0; round < pass.rounds; ++round) {
    int64_t at = first + round * warp_size;
    bool present = at < pass.count;
    unsigned digit = present ? keys[at] >> pass.shift & (sort_digits - 1) : 0;
    unsigned alike = lanes_alike(digit, present);
    if (present && !(alike & lower_lanes)) next[warp][digit] += unsigned(std::popcount(alike));
    __syncwarp();
  }

  unsigned before = 0, all = 0;  // digit tid: in the tiles before this one, and in all
  for (int t = 0; t < tiles; ++t) {
    unsigned found = counts[int64_t(t) * sort_digits + tid];
    all += found;
    before += t < tile ? found : 0;
  }
  totals[0][tid] = all;
  __syncthreads();
  int from = 0;
  for (int reach = 1; reach < sort_digits; reach *= 2, from ^= 1) {  // sums over all digits up to one's own
    totals[from ^ 1][tid] = totals[from][tid] + (tid >= reach ? totals[from][tid - reach] : 0);
    __syncthreads();
  }
  unsigned running = totals[from][tid] - all + before;
  for (int w = 0; w < sort_warps; ++w) {
    unsigned found = next[w][tid];
    next[w][tid] = running;
    running += found;
  }
  __syncthreads();

  for (int round = 0; round < pass.rounds; ++round) {
    int64_t at = first + round * warp_size;
    bool present = at < pass.count;
    uint32_t key = present ? keys[at] : 0;
    unsigned digit = key >> pass.shift & (sort_digits - 1);
    unsigned alike = lanes_alike(digit, present);
    unsigned to = present ? next[warp][digit] + unsigned(std::popcount(alike & lower_lanes)) : 0;
    __syncwarp();
    if (present) {
      if (!(alike & lower_lanes)) next[warp][digit] += unsigned(std::popcount(alike));
      sorted_keys[to] = key;
      sorted_positions[to] = positions ? positions[at] : uint32_t(at);
    }
    __syncwarp();
  }
}

// Sorts `count` keys below 2^bits; afterwards keys() are in order, and positions() say where each was.
class SortedPairs {
 public:
  SortedPairs(int count, int bits) : count_(count), bits_(bits), pairs_(int64_t(count) * 4) {}
  uint32_t* unsorted_keys() const { return pairs_.data(); }
  void sort() {
    // At most 1024 tiles, whose counts every block adds up for itself.
    SortPass pass{count_, std::max(2, int(div_up(count_, 1024 * sort_threads))), 0};
    int tiles = int(div_up(count_, int64_t(pass.rounds) * sort_threads));
    Scratch<unsigned> counts(int64_t(tiles) * sort_digits);
    uint32_t *keys = pairs_.data(), *positions = nullptr, *to = keys + 2 * int64_t(count_);
    for (; pass.shift < bits_; pass.shift += 8) {
      launch(count_digits, dim3(unsigned(tiles)), dim3(sort_threads), 0, pass, keys, counts.data());
      launch(place_pairs, dim3(unsigned(tiles)), dim3(sort_threads), 0, pass, tiles, keys, positions, counts.data(),
             to, to + count_);
      keys_ = to;
      to = keys_ == pairs_.data() ? pairs_.data() + 2 * int64_t(count_) : pairs_.data();
      keys = keys_, positions = keys_ + count_;
    }
  }
  const uint32_t* keys() const { return keys_; }
  const uint32_t* positions() const { return keys_ + count_; }

 private:
  int count_, bits_;
  Scratch<uint32_t> pairs_;  // keys and positions, twice
  uint32_t* keys_ = nullptr;
};

}  // namespace gradus::cuda
