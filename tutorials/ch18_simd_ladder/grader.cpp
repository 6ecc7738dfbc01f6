// Judges the exercises of chapter 18: what they compute, what they touch, and what they move.
#include <limits>
#include <string>
#include <vector>

#include "autograd/ops.h"
#include "exercises.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using ch18::Matrix;
using ch18::Number;
using grading::Grade;
using ladder::Cache;
using ladder::Trace;

namespace {

// What lies between rows, before and behind a matrix: whoever reads it gets NaN, and in results what is written shows.
const double unread = std::numeric_limits<double>::quiet_NaN();
constexpr double unwritten = 12345;
constexpr int64_t margin = 1024;  // numbers

// A matrix of numbers with gaps between its rows, or its columns where it lies transposed.
struct Stored {
  int64_t rows, columns, row, column;
  double gap;
  std::vector<Number> memory;

  Stored(const Tensor& x, int64_t gap_size, double in_gaps = unread, bool transposed = false)
      : rows(x.size(0)),
        columns(x.size(1)),
        row(transposed ? 1 : columns + gap_size),
        column(transposed ? rows + gap_size : 1),
        gap(in_gaps),
        memory(size_t(2 * margin + (transposed ? columns * column : rows * row)), Number(gap)) {
    const std::vector<double> values = x.to_vector();
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) at(i, j) = values[size_t(i * columns + j)];
  }

  Number& at(int64_t i, int64_t j) { return memory[size_t(margin + i * row + j * column)]; }
  Number* data() { return memory.data() + margin; }
  Matrix matrix() { return {data(), row, column}; }
  Tensor tensor() {
    std::vector<double> values;
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) values.push_back(at(i, j));
    return from_vector(values, {rows, columns});
  }
  // Whether nothing was written but the matrix.
  bool gaps_untouched() {
    int64_t numbers = 0;
    for (const Number& x : memory) numbers += double(x) != gap;
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) numbers -= double(at(i, j)) != gap;
    return numbers == 0;
  }
};

Tensor product(const Tensor& a, const Tensor& b) {
  const int64_t m = a.size(0), k = a.size(1), n = b.size(1);
  const std::vector<double> x = a.to_vector(), y = b.to_vector();
  std::vector<double> z(size_t(m * n), 0.0);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j)
      for (int64_t p = 0; p < k; ++p) z[size_t(i * n + j)] += x[size_t(i * k + p)] * y[size_t(p * n + j)];
  return from_vector(z, {m, n});
}

Tensor numbers(Grade& grade, int64_t rows, int64_t columns) {
  return randn({rows, columns}, {.dtype = float64}, &grade.random());
}

struct Size {
  int64_t m, n, k;
};
std::string name(const Size& s) {
  return std::to_string(s.m) + " x " + std::to_string(s.n) + " x " + std::to_string(s.k);
}

using Product = void(int64_t m, int64_t n, int64_t k, Matrix a, Matrix b, Number* c, int64_t c_row);

void judge_product(Product* multiply, const Size& s, Grade& grade) {
  const Tensor left = numbers(grade, s.m, s.k), right = numbers(grade, s.k, s.n);
  Stored a(left, 2), b(right, 3), c(numbers(grade, s.m, s.n), 5, unwritten);
  multiply(s.m, s.n, s.k, a.matrix(), b.matrix(), c.data(), c.row);
  const int64_t last = s.k > 0 ? (s.k - 1) / ch18::block * ch18::block : 0;
  std::vector<grading::Known> known;
  if (s.k > ch18::block)
    known.push_back({product(left.slice(1, last), right.slice(0, last)), "each block of steps begins at zero again"});
  // Rows of B taken to lie n apart: the first k * n numbers behind its beginning, gaps and all.
  std::vector<double> run_together;
  for (int64_t i = 0; i < s.k * s.n; ++i) run_together.push_back(b.data()[i]);
  known.push_back(
      {product(left, from_vector(run_together, {s.k, s.n})), "rows of B are taken to lie n numbers apart"});
  grade.that(c.gaps_untouched(), name(s) +
                                     ": something beside C was written: the last block goes on beyond the last "
                                     "column, or a row of C was taken to be longer than it is");
  grade.equal("C of " + name(s), c.tensor(), product(left, right), known);
}

// Bytes that come into a small cache of 4 KB, for each multiply-add.
double bytes_per_step(Product* multiply, const Size& s, Grade& grade) {
  Stored a(numbers(grade, s.m, s.k), 1), b(numbers(grade, s.k, s.n), 3), c(numbers(grade, s.m, s.n), 5);
  // All in one piece of memory, so that every run counts the same.
  std::vector<Number> memory(a.memory.size() + b.memory.size() + c.memory.size() + 8, Number(0.0));
  Number* first = memory.data();
  while (uint64_t(first) % 64 != 0) ++first;
  const auto move = [&](Stored& x) {
    Number* to = first;
    for (const Number& value : x.memory) *first++ = value;
    return to + margin;
  };
  Number *at_a = move(a), *at_b = move(b), *at_c = move(c);
  Cache cache(64, 8, 64);
  {
    const Trace trace(cache, memory.data(), memory.size() * sizeof(Number), false);
    multiply(s.m, s.n, s.k, {at_a, a.row, 1}, {at_b, b.row, 1}, at_c, c.row);
  }
  cache.flush();
  return cache.bytes() / double(s.m * s.n * s.k);
}

const std::vector<grading::Task<ch18::Exercises>> tasks = {
    {.number = "18.1",
     .title = "the product with its loops reordered",
     .stars = 1,
     .grade =
         [](const ch18::Exercises& student, Grade& grade) {
           for (const Size& s : {Size{1, 1, 1}, {3, 5, 7}, {4, 8, 16}, {13, 33, 17}, {1, 9, 4}, {5, 1, 6}, {2, 3, 0}})
             judge_product(student.reordered, s, grade);
           const double bytes = bytes_per_step(student.reordered, {24, 71, 90}, grade);
           grade.that(bytes < 20, "C is right, but each multiply-add brings " + std::to_string(int(bytes)) +
                                      " bytes into the cache, where 8 of B are enough: B is still read down its "
                                      "columns");
         },
     .hints = {"Which loop index stands alone in the place of both B's and C's element, without a stride before it? "
               "That loop belongs inside.",
               "Row i of C is the sum over p of a(i, p) times row p of B. Clear row i of C, then add these rows, one "
               "after the other.",
               "for i: { for j: c[i * c_row + j] = 0; for p: for j: c[i * c_row + j] += a.data[i * a.row + p] * "
               "b.data[p * b.row + j]; }"}},
    {.number = "18.2",
     .title = "one block of B after the other",
     .stars = 2,
     .grade =
         [](const ch18::Exercises& student, Grade& grade) {
           for (const Size& s : {Size{1, 1, 1}, {3, 16, 16}, {5, 17, 15}, {13, 33, 31}, {2, 50, 49}, {7, 3, 0}})
             judge_product(student.blocked, s, grade);
           const double bytes = bytes_per_step(student.blocked, {48, 71, 90}, grade);
           grade.that(bytes < 5, "C is right, but each multiply-add brings " + std::to_string(int(bytes)) +
                                     " bytes into a cache that has room for a block: all rows of A should go by "
                                     "while a block of B stays there");
         },
     .hints = {"Two loops more, around those of 18.1, over the places where blocks begin: 0, 16, 32 ...",
               "All rows i of A belong inside the loops over blocks, or a block would be fetched again for each of "
               "them. C is cleared before them all.",
               "for first_p, for first_j: end_p = min(k, first_p + block), end_j = min(n, first_j + block); for i, "
               "for p in [first_p, end_p), for j in [first_j, end_j): c += a b"}},
    {.number = "18.3",
     .title = "packing panels",
     .stars = 2,
     .grade =
         [](const ch18::Exercises& student, Grade& grade) {
           for (const Size& s : {Size{0, 8, 3}, {0, 1, 1}, {0, 13, 5}, {0, 16, 9}, {0, 31, 4}, {0, 7, 0}}) {
             for (bool transposed : {false, true}) {
               const Tensor x = numbers(grade, s.k, s.n);
               Stored b(x, 3, unread, transposed);
               const int64_t width = ch18::tile_columns, panels = (s.n + width - 1) / width;
               Stored to(full({panels * s.k, width}, 7, {.dtype = float64}), 0, unwritten);
               student.pack(s.k, s.n, b.matrix(), to.data());
               std::vector<double> right, unfilled, plain;
               for (int64_t j = 0; j < panels * width; j += width)
                 for (int64_t p = 0; p < s.k; ++p)
                   for (int64_t l = j; l < j + width; ++l) {
                     right.push_back(l < s.n ? double(b.at(p, l)) : 0.0);
                     unfilled.push_back(l < s.n ? double(b.at(p, l)) : 7.0);
                     plain.push_back(l < s.n ? double(b.data()[p * b.row + l]) : 0.0);
                   }
               const Shape shape = {panels * s.k, width};
               const std::string what = std::string(transposed ? "transposed " : "") + "B of " + std::to_string(s.k) +
                                        " x " + std::to_string(s.n) + ", packed";
               grade.equal(
                   what, to.tensor(), from_vector(right, shape),
                   {{from_vector(unfilled, shape), "the last panel is not filled up with zeros"},
                    {from_vector(plain, shape), "b.column is left out, so that a transposed B is packed wrongly"}});
               grade.that(to.gaps_untouched(), what + ": something was written before or behind the panels");
             }
           }
         },
     .hints =
         {"Write the loops in the order in which the result lies in memory; then the place to write is always the "
          "next one.",
          "Panels outermost, steps inside them, the 8 columns of a panel innermost. Column l of the panel that "
          "begins at `first` is column first + l of B, or zero where B has none.",
          "*panels++ = first + l < columns ? double(b.data[p * b.row + (first + l) * b.column]) : 0.0;"}},
    {.number = "18.4",
     .title = "a tile of sums in registers",
     .stars = 3,
     .grade =
         [](const ch18::Exercises& student, Grade& grade) {
           constexpr int64_t height = ch18::tile_rows, width = ch18::tile_columns;
           for (const Size& s : {Size{4, 8, 1}, {4, 8, 37}, {3, 8, 5}, {4, 5, 16}, {1, 1, 7}, {2, 7, 0}}) {
             const Tensor a = numbers(grade, s.k, s.m), b = numbers(grade, s.k, s.n),
                          before = numbers(grade, s.m, s.n);
             Tensor strip = zeros({s.k, height}, {.dtype = float64}), panel = zeros({s.k, width}, {.dtype = float64});
             strip.narrow(1, 0, s.m).copy_(a);
             panel.narrow(1, 0, s.n).copy_(b);
             Stored from_a(strip, 0), from_b(panel, 0), c(before, 9, unwritten);
             Cache all(1 << 12, 1, 8);  // a line is a number: only the first touch of each is counted
             {
               const Trace trace(all, c.memory.data(), c.memory.size() * sizeof(Number), false);
               student.add_tile(s.k, s.m, s.n, from_a.data(), from_b.data(), c.data(), c.row);
             }
             const Tensor sum = product(a.t().contiguous(), b);
             grade.that(c.gaps_untouched(), name(s) +
                                                ": something beside C was written: the whole tile is stored, "
                                                "beyond the edge of C");
             grade.that(all.fetched <= s.m * s.n, name(s) +
                                                      ": numbers beside C were read: the whole tile is stored, "
                                                      "beyond the edge of C");
             grade.equal("C of " + name(s), c.tensor(), before + sum, {{sum, "C is overwritten, not added to"}});
           }
           // With a cache of one number, every touch of C that does not follow another of the same element counts.
           const int64_t steps = 20;
           Stored strip(numbers(grade, steps, height), 0), panel(numbers(grade, steps, width), 0);
           Stored c(numbers(grade, height, width), 0);
           Cache one(1, 1, 8);
           {
             const Trace trace(one, c.memory.data(), c.memory.size() * sizeof(Number), false);
             student.add_tile(steps, height, width, strip.data(), panel.data(), c.data(), c.row);
           }
           grade.that(one.fetched <= height * width,
                      "C is right, but it is gone through " + std::to_string(one.fetched / (height * width)) +
                          " times: keep the sums in an array of doubles until the end");
         },
     .hints =
         {"An array `double sum[4][8]` is what the compiler turns into registers; the outermost loop is that over "
          "steps.",
          "In each step 4 numbers of the strip times 8 of the panel are 32 products. Behind the loop over steps, "
          "and only there, C is touched, and of C no more than rows x columns.",
          "for p: for i < tile_rows: for j < tile_columns: sum[i][j] += strip[p * tile_rows + i] * panel[p * "
          "tile_columns + j]; then for i < rows: for j < columns: c[i * c_row + j] += sum[i][j];"}},
};

}  // namespace

int main(int argc, char** argv) { return grading::run("ch18", tasks, argc, argv); }
