// The index space of an element-wise kernel, as the host prepares it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "tensor/kernels/philox.h"
#include "tensor/kernels/view.h"

namespace gradus::cuda {

// Division of a number below 2^31 by one that is known before, as a multiplication by its inverse, rounded up
// (Granlund and Montgomery 1994, section 4).
struct Divisor {
  uint32_t size, factor, shift = 0;
  explicit Divisor(int64_t d = 1) : size(uint32_t(d)) {
    while ((int64_t(1) << shift) < d) ++shift;
    factor = uint32_t(((uint64_t(1) << 32) * ((uint64_t(1) << shift) - size)) / size + 1);
  }
  GRADUS_DEVICE uint32_t quotient(uint32_t n) const { return (uint32_t(uint64_t(n) * factor >> 32) + n) >> shift; }
};

// The common index space of several views: without dimensions of size 1, sorted so that the first view's strides fall,
// and neighbours merged where every view allows it.
template <int views>
struct Space {
  int ndim = 0;
  int64_t shape[8];
  int64_t strides[views][8];  // in elements
  int64_t start[views] = {};  // of the first element
  int64_t numel() const {
    int64_t n = 1;
    for (int d = 0; d < ndim; ++d) n *= shape[d];
    return n;
  }
};

template <int views>
Space<views> collapse(const View* const (&v)[views]) {
  Space<views> s;
  const auto move = [&s](int to, int from) {
    s.shape[to] = s.shape[from];
    for (int k = 0; k < views; ++k) s.strides[k][to] = s.strides[k][from];
  };
  for (int d = 0; d < v[0]->ndim; ++d) {
    if (v[0]->shape[d] == 1) continue;
    int at = s.ndim++;  // insertion keeps the order of equals
    for (; at > 0 && std::abs(s.strides[0][at - 1]) < std::abs(v[0]->strides[d]); --at) move(at, at - 1);
    s.shape[at] = v[0]->shape[d];
    for (int k = 0; k < views; ++k) s.strides[k][at] = v[k]->strides[d];
  }
  if (s.ndim == 0) {  // one element
    s.shape[s.ndim++] = 1;
    for (int k = 0; k < views; ++k) s.strides[k][0] = 1;
  }
  int last = 0;  // the dimension that the next one may merge into
  for (int d = 1; d < s.ndim; ++d) {
    bool merges = true;
    for (int k = 0; k < views; ++k) merges &= s.strides[k][last] == s.strides[k][d] * s.shape[d];
    const int64_t size = merges ? s.shape[last] * s.shape[d] : s.shape[d];
    if (!merges) ++last;
    move(last, d);
    s.shape[last] = size;
  }
  s.ndim = last + 1;
  return s;
}

// Calls f for parts of the space that 32-bit numbers can count and step through.
template <int views, class F>
void in_pieces(Space<views> s, const F& f, int64_t limit = INT32_MAX) {
  int64_t largest = s.numel();
  for (int k = 0; k < views; ++k) {
    int64_t extent = 0;
    for (int d = 0; d < s.ndim; ++d) extent += (s.shape[d] - 1) * std::abs(s.strides[k][d]);
    largest = std::max(largest, extent);
  }
  if (largest <= limit) return f(s);
  const int cut = int(std::max_element(s.shape, s.shape + s.ndim) - s.shape);
  const int64_t size = s.shape[cut], half = size > 128 ? size / 128 * 64 : size / 2;  // keeps the alignment
  s.shape[cut] = half;
  in_pieces(s, f, limit);
  s.shape[cut] = size - half;
  for (int k = 0; k < views; ++k) s.start[k] += half * s.strides[k][cut];
  in_pieces(s, f, limit);
}

}  // namespace gradus::cuda
