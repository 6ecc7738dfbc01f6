// Philox4x32-10, a counter-based generator: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as
// 1, 2, 3" (SC 2011). Block number n of a stream is a pure function of (seed, n), so any thread on any machine can
// make any part of the sequence, and all make the same one.
#pragma once

#include <cstdint>

// Before the functions that a GPU calls too.
#ifndef GRADUS_DEVICE
#ifdef __CUDACC__
#define GRADUS_DEVICE __host__ __device__
#else
#define GRADUS_DEVICE
#endif
#endif

namespace gradus {

struct PhiloxState {
  uint64_t seed = 0;
  uint64_t offset = 0;  // blocks of four numbers already used
};

struct PhiloxBlock {
  uint32_t v[4];
};

GRADUS_DEVICE inline PhiloxBlock philox(PhiloxState state, uint64_t block) {
  constexpr uint32_t m0 = 0xD2511F53u, m1 = 0xCD9E8D57u, w0 = 0x9E3779B9u, w1 = 0xBB67AE85u;
  uint64_t n = state.offset + block;
  uint32_t c0 = uint32_t(n), c1 = uint32_t(n >> 32), c2 = 0, c3 = 0;
  uint32_t k0 = uint32_t(state.seed), k1 = uint32_t(state.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    uint64_t p0 = uint64_t(m0) * c0, p1 = uint64_t(m1) * c2;
    uint32_t high0 = uint32_t(p0 >> 32), high1 = uint32_t(p1 >> 32);
    c0 = high1 ^ c1 ^ k0;
    c1 = uint32_t(p1);
    c2 = high0 ^ c3 ^ k1;
    c3 = uint32_t(p0);
    k0 += w0;
    k1 += w1;
  }
  return {{c0, c1, c2, c3}};
}

}  // namespace gradus
