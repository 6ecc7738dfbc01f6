// The exercises of chapter 18: four rungs of the ladder, for matrices of any strides.
#pragma once

#include <cstdint>

#include "tutorials/ladders/cache_model.h"

namespace ch18 {

// To use, a double. It tells the grader of each read and write, so that not only the result can be judged.
using Number = gradus::ladder::Traced<double>;

// A matrix: element (i, j) is data[i * row + j * column].
struct Matrix {
  const Number* data;
  int64_t row, column;
};

constexpr int64_t block = 16;                       // of 18.2: steps of k, and columns
constexpr int64_t tile_rows = 4, tile_columns = 8;  // of 18.3 and 18.4

struct Exercises {
  // 18.1 ★ C = A B, reading B along its rows. a (m, k), b (k, n), both with column = 1; c (m, n), whose rows begin
  // c_row numbers apart. What c holds before does not matter.
  void (*reordered)(int64_t m, int64_t n, int64_t k, Matrix a, Matrix b, Number* c, int64_t c_row);

  // 18.2 ★★ The same, over one block of B after the other: `block` rows and columns of it, fewer at the edges.
  void (*blocked)(int64_t m, int64_t n, int64_t k, Matrix a, Matrix b, Number* c, int64_t c_row);

  // 18.3 ★★ Copies b (steps, columns), of any strides, to panels of tile_columns columns: all rows of the first panel,
  // one behind the other, then the next panel. What the last panel lacks is zero.
  void (*pack)(int64_t steps, int64_t columns, Matrix b, Number* panels);

  // 18.4 ★★★ Adds to c (rows, columns), at most tile_rows x tile_columns, the product of a strip and a panel. strip
  // (steps, tile_rows) and panel (steps, tile_columns), both without gaps and filled up with zeros. The sums are
  // doubles, not Numbers: c is read and written once.
  void (*add_tile)(int64_t steps, int64_t rows, int64_t columns, const Number* strip, const Number* panel, Number* c,
                   int64_t c_row);
};

}  // namespace ch18
