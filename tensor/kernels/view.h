// What a kernel sees of a tensor: plain data.
#pragma once

#include <cstdint>

namespace gradus {

struct View {
  void* data;  // the first element
  int ndim;
  int64_t shape[8];
  int64_t strides[8];  // in elements; 0 where a dimension is expanded, negative only for flips

  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
  int64_t numel() const {
    int64_t n = 1;
    for (int i = 0; i < ndim; ++i) n *= shape[i];
    return n;
  }
};

}  // namespace gradus
