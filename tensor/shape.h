// Shapes, strides, and the rules that relate them.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

namespace gradus {

inline constexpr int max_dims = 8;

// Up to eight integers held inline: a shape, strides, or a list of dimensions.
class Dims {
 public:
  constexpr Dims() = default;
  Dims(std::initializer_list<int64_t> values) : Dims(std::span(values.begin(), values.size())) {}
  template <std::integral I>
  Dims(I only) : Dims{int64_t(only)} {}  // one dimension: x.sum(-1), zeros(5)
  Dims(const std::vector<int64_t>& values) : Dims(std::span<const int64_t>(values)) {}
  explicit Dims(std::span<const int64_t> values);  // throws Error beyond eight
  static Dims filled(int count, int64_t value);

  int size() const { return size_; }
  bool empty() const { return size_ == 0; }
  int64_t& operator[](int i) { return values_[i]; }
  int64_t operator[](int i) const { return values_[i]; }
  int64_t back() const { return values_[size_ - 1]; }
  int64_t* begin() { return values_; }
  int64_t* end() { return values_ + size_; }
  const int64_t* begin() const { return values_; }
  const int64_t* end() const { return values_ + size_; }

  void push_back(int64_t value) { insert(size_, value); }
  void insert(int at, int64_t value);  // throws Error beyond eight
  void erase(int at);
  bool contains(int64_t value) const;

  friend bool operator==(const Dims& a, const Dims& b) {
    return a.size_ == b.size_ && std::equal(a.begin(), a.end(), b.begin());
  }

 private:
  int64_t values_[max_dims] = {};
  int size_ = 0;
};

using Shape = Dims;
using Strides = Dims;

// "[2, 3]"
std::string to_string(const Dims& dims);

// The number of elements; throws Error where it does not fit 63 bits or a size is negative.
int64_t numel(const Shape& shape);
// Row-major strides, in elements.
Strides contiguous_strides(const Shape& shape);
// The shape both broadcast to (aligned at the last dimension; 1 stretches); throws Error naming `op` and both.
Shape broadcast_shapes(const char* op, const Shape& a, const Shape& b);
// `dim` in [-ndim, ndim) to [0, ndim); throws Error naming `op` otherwise. A scalar counts as one dimension.
int wrap_dim(const char* op, int64_t dim, int ndim);
int existing_dim(const char* op, int64_t dim, int ndim);  // the same, but a scalar has none
// Each wrapped and sorted, none twice; an empty list means all of them.
Dims wrap_dims(const char* op, const Dims& dims, int ndim);

// Which elements of a storage a tensor sees, and in which order.
struct Layout {
  Shape shape;
  Strides strides;     // in elements; may be 0 (expanded)
  int64_t offset = 0;  // of the first element

  static Layout contiguous(const Shape& shape) { return {shape, contiguous_strides(shape), 0}; }
  bool is_contiguous() const;  // row-major without gaps (dimensions of size 1 may have any stride)
};

}  // namespace gradus
