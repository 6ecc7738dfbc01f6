// What a kernel sees of a tensor: plain data.
#pragma once

#include <cstdint>

namespace gradus {

struct View {
  void* data;  // the first element
  int ndim;
  int64_t shape[8];
  int64_t strides[8];  // in elements; 0 where a dimension is expanded, negative only for flips

  // Always inline: a copy compiled for AVX-512 must never serve a backend that runs anywhere.
  template <class T>
  [[gnu::always_inline]] T* as() const {
    return static_cast<T*>(data);
  }
  [[gnu::always_inline]] int64_t numel() const {
    int64_t n = 1;
    for (int i = 0; i < ndim; ++i) n *= shape[i];
    return n;
  }
};

}  // namespace gradus
