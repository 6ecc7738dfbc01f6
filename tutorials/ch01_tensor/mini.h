// A tensor in miniature: shared numbers, and what says which of them are seen in which order. It needs nothing but the
// standard library; chapter 01 builds it piece by piece. For one file of a program to include.
#pragma once

#include <algorithm>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace mini {

//! [array]
struct Array {
  std::shared_ptr<std::vector<double>> storage;  // the numbers, in one row; views share them
  std::vector<int> shape;                        // how many indices each dimension has
  std::vector<int> strides;                      // how far apart in storage two neighbours of a dimension lie
  int offset = 0;                                // where the first element lies

  int place(const std::vector<int>& index) const {
    return std::inner_product(index.begin(), index.end(), strides.begin(), offset);
  }
  double& at(const std::vector<int>& index) const { return storage->at(place(index)); }
};

// Row by row: the last dimension's neighbours lie side by side.
Array make(const std::vector<double>& numbers, const std::vector<int>& shape) {
  Array a{std::make_shared<std::vector<double>>(numbers), shape, std::vector<int>(shape.size())};
  int step = 1;
  for (int d = int(shape.size()) - 1; d >= 0; --d) {
    a.strides[d] = step;
    step *= shape[d];
  }
  if (step != int(numbers.size())) throw std::invalid_argument("make: the numbers do not fill the shape");
  return a;
}
//! [array]

//! [views]
// An Array is small: copying it copies the handle, never the numbers.
Array transpose(Array a, int d0, int d1) {
  std::swap(a.shape[d0], a.shape[d1]);
  std::swap(a.strides[d0], a.strides[d1]);
  return a;
}

// Indices start, start + step, ... before end, along dimension d.
Array slice(Array a, int d, int start, int end, int step = 1) {
  a.offset += start * a.strides[d];
  a.shape[d] = (end - start + step - 1) / step;
  a.strides[d] *= step;
  return a;
}

// The same numbers, repeated: along a new or stretched dimension every step is 0 long.
Array expand(const Array& a, const std::vector<int>& shape) {
  const size_t extra = shape.size() - a.shape.size();
  Array wide{a.storage, shape, std::vector<int>(shape.size(), 0), a.offset};
  for (size_t d = 0; d < a.shape.size(); ++d) {
    if (a.shape[d] != shape[d + extra] && a.shape[d] != 1) throw std::invalid_argument("expand: sizes differ");
    if (a.shape[d] == shape[d + extra]) wide.strides[d + extra] = a.strides[d];
  }
  return wide;
}
//! [views]

//! [loop]
// Moves to the next index in row-major order, as an odometer does; false after the last one.
bool next(std::vector<int>& index, const std::vector<int>& shape) {
  for (int d = int(shape.size()) - 1; d >= 0; --d) {
    if (++index[d] < shape[d]) return true;
    index[d] = 0;
  }
  return false;
}

// target += source, element by element.
void add_into(const Array& target, const Array& source) {
  std::vector<int> index(target.shape.size(), 0);
  do {
    target.at(index) += source.at(index);
  } while (next(index, target.shape));
}
//! [loop]

Array zeros(const std::vector<int>& shape) {
  const int count = std::accumulate(shape.begin(), shape.end(), 1, std::multiplies<int>());
  return make(std::vector<double>(count, 0), shape);
}

//! [broadcast]
// Aligned at the last dimension; a size of 1 stretches.
std::vector<int> broadcast(std::vector<int> a, std::vector<int> b) {
  if (a.size() < b.size()) std::swap(a, b);
  const size_t extra = a.size() - b.size();
  for (size_t d = 0; d < b.size(); ++d) {
    int& size = a[d + extra];
    if (size != b[d] && size != 1 && b[d] != 1) throw std::invalid_argument("broadcast: sizes differ");
    if (size == 1) size = b[d];
  }
  return a;
}

Array add(const Array& a, const Array& b) {
  const std::vector<int> shape = broadcast(a.shape, b.shape);
  Array sum = zeros(shape);
  add_into(sum, expand(a, shape));
  add_into(sum, expand(b, shape));
  return sum;
}
//! [broadcast]

//! [sum]
// Over dimension d, which stays with size 1: all elements along d are added into the same place.
Array sum(const Array& a, int d) {
  std::vector<int> shape = a.shape;
  shape[d] = 1;
  Array total = zeros(shape);
  add_into(expand(total, a.shape), a);
  return total;
}
//! [sum]

}  // namespace mini
