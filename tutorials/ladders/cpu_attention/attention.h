// The rungs of the ladder. Each computes, for every head, output = softmax(scale q k^T) v, where softmax makes weights
// of the scores that a query (a row of q) gives to the keys (rows of k) it sees. Forward only, float32.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/allocator.h"

namespace gradus::attention_ladder {

struct Problem {
  int64_t heads, n, d;
  const float *q, *k, *v;  // (heads, n, d) each, without gaps
  float* output;           // the same; what it held before does not matter, and it overlaps nothing
  float scale;             // as a rule 1 / sqrt(d)
  bool causal;             // query i sees keys 0 to i only

  // How many keys that query sees.
  int64_t seen(int64_t query) const { return causal ? query + 1 : n; }
  // That head alone.
  Problem head(int64_t h) const {
    const int64_t at = h * n * d;
    return {1, n, d, q + at, k + at, v + at, output + at, scale, causal};
  }
};

using Attend = void(const Problem& x);

Attend naive, products, rows, online, tiled, threaded, library;

struct Rung {
  const char* name;
  Attend* attend;
};
inline constexpr Rung rungs[] = {
    {"naive", naive}, {"products", products}, {"rows", rows},       {"online", online},
    {"tiled", tiled}, {"threaded", threaded}, {"library", library},
};

// Memory of a rung, from the allocator, which knows how much there ever was.
class Floats {
 public:
  explicit Floats(int64_t count)
      : bytes_(size_t(count) * sizeof(float)), data_(static_cast<float*>(allocate(bytes_))) {}
  ~Floats() { deallocate(data_, bytes_); }
  Floats(const Floats&) = delete;
  Floats& operator=(const Floats&) = delete;
  float* data() const { return data_; }

 private:
  size_t bytes_;
  float* data_;
};

}  // namespace gradus::attention_ladder
