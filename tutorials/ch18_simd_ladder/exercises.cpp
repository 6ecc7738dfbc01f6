// Exercises of chapter 18. What each function has to do is in exercises.h.
#include "exercises.h"

#include <algorithm>

#include "tutorials/grading/grading.h"

using namespace ch18;

namespace {

// 18.1 ★ First c = 0. Then the loops over i (rows of A and C), p (steps of k) and j (columns), from the outside to the
// inside: the innermost adds a multiple of a row of B to a row of C. Element (p, j) of b is b.data[p * b.row + j].
void reordered(int64_t m, int64_t n, int64_t k, Matrix a, Matrix b, Number* c, int64_t c_row) {
  // BEGIN SOLUTION 18.1
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) c[i * c_row + j] = 0;
    for (int64_t p = 0; p < k; ++p) {
      const double factor = a.data[i * a.row + p];
      for (int64_t j = 0; j < n; ++j) c[i * c_row + j] += factor * b.data[p * b.row + j];
    }
  }
  // END SOLUTION
  // MISTAKE B is still read down its columns
  // - for (int64_t p = 0; p < k; ++p) {
  // -   const double factor = a.data[i * a.row + p];
  // -   for (int64_t j = 0; j < n; ++j) c[i * c_row + j] += factor * b.data[p * b.row + j];
  // - }
  // + for (int64_t j = 0; j < n; ++j) {
  // +   for (int64_t p = 0; p < k; ++p) c[i * c_row + j] += a.data[i * a.row + p] * b.data[p * b.row + j];
  // + }
  // MISTAKE rows of B are taken to lie n numbers apart
  // - for (int64_t j = 0; j < n; ++j) c[i * c_row + j] += factor * b.data[p * b.row + j];
  // + for (int64_t j = 0; j < n; ++j) c[i * c_row + j] += factor * b.data[p * n + j];
}

// 18.2 ★★ c = 0 once. Then for each block of steps [first_p, end_p) and columns [first_j, end_j) of B the loops of 18.1
// within it. At the edges a block ends where B ends: std::min.
void blocked(int64_t m, int64_t n, int64_t k, Matrix a, Matrix b, Number* c, int64_t c_row) {
  // BEGIN SOLUTION 18.2
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) c[i * c_row + j] = 0;
  }
  for (int64_t first_p = 0; first_p < k; first_p += block) {
    for (int64_t first_j = 0; first_j < n; first_j += block) {
      const int64_t end_p = std::min(k, first_p + block);
      const int64_t end_j = std::min(n, first_j + block);
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t p = first_p; p < end_p; ++p) {
          const double factor = a.data[i * a.row + p];
          for (int64_t j = first_j; j < end_j; ++j) c[i * c_row + j] += factor * b.data[p * b.row + j];
        }
      }
    }
  }
  // END SOLUTION
  // MISTAKE the last block goes on beyond the last column
  // - const int64_t end_j = std::min(n, first_j + block);
  // + const int64_t end_j = first_j + block;
  // MISTAKE each block of steps begins at zero again
  // - for (int64_t p = first_p; p < end_p; ++p) {
  // + for (int64_t j = first_j; j < end_j; ++j) c[i * c_row + j] = 0;
  // + for (int64_t p = first_p; p < end_p; ++p) {
}

// 18.3 ★★ Three loops: panels of tile_columns columns, the steps of a panel, the columns of a step. `panels` moves on
// by one number for each that is written. Where b ends within a panel, zeros follow. b may be transposed: b.column.
void pack(int64_t steps, int64_t columns, Matrix b, Number* panels) {
  // BEGIN SOLUTION 18.3
  for (int64_t first = 0; first < columns; first += tile_columns) {
    for (int64_t p = 0; p < steps; ++p) {
      for (int64_t l = 0; l < tile_columns; ++l) {
        const int64_t j = first + l;
        *panels++ = j < columns ? double(b.data[p * b.row + j * b.column]) : 0.0;
      }
    }
  }
  // END SOLUTION
  // MISTAKE the last panel is not filled up with zeros
  // - for (int64_t l = 0; l < tile_columns; ++l) {
  // -   const int64_t j = first + l;
  // -   *panels++ = j < columns ? double(b.data[p * b.row + j * b.column]) : 0.0;
  // - }
  // + for (int64_t l = 0; l < tile_columns && first + l < columns; ++l)
  // +   panels[l] = b.data[p * b.row + (first + l) * b.column];
  // + panels += tile_columns;
  // MISTAKE b.column is left out, so that a transposed B is packed wrongly
  // - *panels++ = j < columns ? double(b.data[p * b.row + j * b.column]) : 0.0;
  // + *panels++ = j < columns ? double(b.data[p * b.row + j]) : 0.0;
}

// 18.4 ★★★ An array of tile_rows x tile_columns doubles, at first zero; for each step add the products of its tile_rows
// numbers of the strip and its tile_columns of the panel; in the end add what belongs to c, rows x columns of it.
void add_tile(int64_t steps, int64_t rows, int64_t columns, const Number* strip, const Number* panel, Number* c,
              int64_t c_row) {
  // BEGIN SOLUTION 18.4
  double sum[tile_rows][tile_columns] = {};
  for (int64_t p = 0; p < steps; ++p, strip += tile_rows, panel += tile_columns) {
    double right[tile_columns];
    for (int64_t j = 0; j < tile_columns; ++j) right[j] = panel[j];
    for (int64_t i = 0; i < tile_rows; ++i) {
      const double left = strip[i];
      for (int64_t j = 0; j < tile_columns; ++j) sum[i][j] += left * right[j];
    }
  }
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) c[i * c_row + j] += sum[i][j];
  }
  // END SOLUTION
  // MISTAKE the whole tile is stored, beyond the edge of C
  // - for (int64_t i = 0; i < rows; ++i) {
  // -   for (int64_t j = 0; j < columns; ++j) c[i * c_row + j] += sum[i][j];
  // - }
  // + for (int64_t i = 0; i < tile_rows; ++i) {
  // +   for (int64_t j = 0; j < tile_columns; ++j) c[i * c_row + j] += sum[i][j];
  // + }
  // MISTAKE C is overwritten, not added to
  // - for (int64_t j = 0; j < columns; ++j) c[i * c_row + j] += sum[i][j];
  // + for (int64_t j = 0; j < columns; ++j) c[i * c_row + j] = sum[i][j];
}

}  // namespace

EXERCISES(ch18::Exercises, reordered, blocked, pack, add_tile);
