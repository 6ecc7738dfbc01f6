#include "tensor/shape.h"

#include <algorithm>

#include "tensor/error.h"

namespace gradus {

Dims::Dims(std::span<const int64_t> values) {
  check(values.size() <= size_t(max_dims), "a tensor has at most ", max_dims, " dimensions, got ", values.size());
  std::copy(values.begin(), values.end(), values_);
  size_ = int(values.size());
}

Dims Dims::filled(int count, int64_t value) {
  Dims d;
  for (int i = 0; i < count; ++i) d.push_back(value);
  return d;
}

void Dims::insert(int at, int64_t value) {
  check(size_ < max_dims, "a tensor has at most ", max_dims, " dimensions");
  std::copy_backward(values_ + at, values_ + size_, values_ + size_ + 1);
  values_[at] = value;
  ++size_;
}

void Dims::erase(int at) {
  std::copy(values_ + at + 1, values_ + size_, values_ + at);
  --size_;
}

bool Dims::contains(int64_t value) const { return std::find(begin(), end(), value) != end(); }

std::string to_string(const Dims& dims) {
  std::string text = "[";
  for (int i = 0; i < dims.size(); ++i) text += (i ? ", " : "") + std::to_string(dims[i]);
  return text + "]";
}

int64_t numel(const Shape& shape) {
  int64_t count = 1;
  bool overflow = false, empty = false;
  for (int64_t size : shape) {
    check(size >= 0, "shape ", shape, " has a negative size");
    empty |= size == 0;
    if (size > 0) overflow |= __builtin_mul_overflow(count, size, &count);
  }
  check(!overflow, "shape ", shape, " has too many elements to count");
  return empty ? 0 : count;
}

Strides contiguous_strides(const Shape& shape) {
  Strides strides = shape;
  int64_t step = 1;
  for (int i = shape.size() - 1; i >= 0; --i) {
    strides[i] = step;
    step *= std::max<int64_t>(shape[i], 1);
  }
  return strides;
}

Shape broadcast_shapes(const char* op, const Shape& a, const Shape& b) {
  Shape out = a.size() >= b.size() ? a : b;
  const Shape& shorter = a.size() >= b.size() ? b : a;
  int shift = out.size() - shorter.size();
  for (int i = 0; i < shorter.size(); ++i) {
    int64_t& size = out[i + shift];
    if (size == 1) size = shorter[i];
    check(shorter[i] == size || shorter[i] == 1, op, ": shapes ", a, " and ", b,
          " do not broadcast: sizes must be equal or 1, counted from the last dimension");
  }
  return out;
}

int wrap_dim(const char* op, int64_t dim, int ndim) {
  int count = std::max(ndim, 1);
  check(dim >= -count && dim < count, op, ": dimension ", dim, " is out of range for ", ndim,
        " dimensions (allowed: ", -count, " to ", count - 1, ")");
  return int(dim < 0 ? dim + count : dim);
}

int existing_dim(const char* op, int64_t dim, int ndim) {
  check(ndim > 0, op, ": a scalar has no dimensions");
  return wrap_dim(op, dim, ndim);
}

Dims wrap_dims(const char* op, const Dims& dims, int ndim) {
  Dims wrapped;
  for (int i = 0; i < (dims.empty() ? ndim : dims.size()); ++i) {
    int d = dims.empty() ? i : wrap_dim(op, dims[i], ndim);
    check(!wrapped.contains(d), op, ": dimension ", d, " is listed twice in ", dims);
    if (ndim > 0) wrapped.push_back(d);
  }
  std::sort(wrapped.begin(), wrapped.end());
  return wrapped;
}

bool Layout::is_contiguous() const {
  int64_t step = 1;
  for (int i = shape.size() - 1; i >= 0; --i) {
    if (shape[i] == 0) return true;
    if (shape[i] != 1 && strides[i] != step) return false;
    step *= shape[i];
  }
  return true;
}

}  // namespace gradus
