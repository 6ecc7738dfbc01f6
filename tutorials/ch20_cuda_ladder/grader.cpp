// Judges the exercises of chapter 20: what the kernels compute, what the checker says of them in any order of blocks
// and threads, and what they ask of memory.
#include <limits>
#include <string>
#include <vector>

#include "exercises.h"
#include "tensor/kernels/cuda/runtime.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using ch20::Word;
using grading::Grade;
using ladder::AccessCounter;
using ladder::Accesses;

namespace {

// What lies between rows, before and behind a matrix: whoever reads it gets NaN, and in results what is written shows.
constexpr float unread = std::numeric_limits<float>::quiet_NaN();
constexpr float unwritten = 12345;
constexpr int64_t margin = 32;  // numbers before the first row, and behind the last

// A matrix in the device's memory, with gaps between its rows.
class Stored {
 public:
  Stored(const Tensor& x, int64_t gap, float in_gaps = unread)
      : rows_(x.size(0)),
        columns_(x.size(1)),
        row_(columns_ + gap),
        in_gaps_(in_gaps),
        numbers_(size_t(rows_ * row_ + 2 * margin), in_gaps),
        memory_(static_cast<float*>(cuda::allocate(bytes()))) {
    const std::vector<double> values = x.to_vector();
    for (int64_t i = 0; i < rows_; ++i)
      for (int64_t j = 0; j < columns_; ++j) numbers_[place(i, j)] = float(values[size_t(i * columns_ + j)]);
    cuda::copy_to_device(memory_, numbers_.data(), bytes());
  }
  ~Stored() { cuda::deallocate(memory_, bytes()); }
  Stored(const Stored&) = delete;
  Stored& operator=(const Stored&) = delete;

  float* data() const { return memory_ + margin; }
  Word* words() const { return reinterpret_cast<Word*>(data()); }
  int64_t row() const { return row_; }
  void watch(AccessCounter& counter) const { counter.watch(memory_, bytes()); }

  void read_back() { cuda::copy_to_host(numbers_.data(), memory_, bytes()); }
  Tensor tensor() const {
    std::vector<double> values;
    for (int64_t i = 0; i < rows_; ++i)
      for (int64_t j = 0; j < columns_; ++j) values.push_back(numbers_[place(i, j)]);
    return from_vector(values, {rows_, columns_});
  }
  // Whether nothing was written but the matrix.
  bool gaps_untouched() const {
    int64_t written = 0;
    for (const float x : numbers_) written += x != in_gaps_;
    for (int64_t i = 0; i < rows_; ++i)
      for (int64_t j = 0; j < columns_; ++j) written -= numbers_[place(i, j)] != in_gaps_;
    return written == 0;
  }

 private:
  size_t place(int64_t i, int64_t j) const { return size_t(margin + i * row_ + j); }
  size_t bytes() const { return numbers_.size() * sizeof(float); }

  int64_t rows_, columns_, row_;
  float in_gaps_;
  std::vector<float> numbers_;
  float* memory_;
};

struct Size {
  int64_t m, n, k = 1;
};
std::string name(const Size& s) { return std::to_string(s.m) + " x " + std::to_string(s.n); }

// Numbers as the kernels have them.
Tensor numbers(Grade& grade, int64_t rows, int64_t columns) { return randn({rows, columns}, {}, &grade.random()); }

Tensor in_double(const Tensor& x) { return x.to(float64); }

Tensor product(const Tensor& a, const Tensor& b) {
  const int64_t m = a.size(0), k = a.size(1), n = b.size(1);
  const std::vector<double> x = a.to_vector(), y = b.to_vector();
  std::vector<double> z(size_t(m * n), 0.0);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j)
      for (int64_t p = 0; p < k; ++p) z[size_t(i * n + j)] += x[size_t(i * k + p)] * y[size_t(p * n + j)];
  return from_vector(z, {m, n});
}

Tensor nothing_but_nan(int64_t m, int64_t n) {
  return full({m, n}, std::numeric_limits<double>::quiet_NaN(), {.dtype = float64});
}

// In every order that a GPU might choose, as far as the emulator can.
template <class Judge>
void in_all_orders(const Judge& judge) {
  const emu::Options before = emu::options();
  for (const auto& [order, seed] : {std::pair{emu::Order::forward, 1},
                                    {emu::Order::reverse, 1},
                                    {emu::Order::random, 1},
                                    {emu::Order::random, 2},
                                    {emu::Order::random, 3}}) {
    emu::options().order = order;
    emu::options().seed = uint64_t(seed);
    judge();
  }
  emu::options() = before;
}

// What a launch asks of memory, of these matrices and of shared memory.
template <class Launch>
Accesses accesses(const std::vector<const Stored*>& matrices, const Launch& launch) {
  AccessCounter counter;
  for (const Stored* matrix : matrices) matrix->watch(counter);
  launch();
  cuda::synchronize();
  return counter.counted();
}

void judge_copy(const ch20::Exercises& student, Grade& grade, const Size& s, int64_t gap) {
  const Tensor from = numbers(grade, s.m, s.n);
  const Stored x(from, gap);
  Stored y(numbers(grade, s.m, s.n), gap + 2, unwritten);
  student.copy(s.m, s.n, x.words(), x.row(), y.words(), y.row());
  y.read_back();
  grade.that(y.gaps_untouched(),
             "y of " + name(s) + ": something beside y was written: threads beyond the edge copy, too");
  grade.equal("y of " + name(s), y.tensor(), in_double(from), {}, 0);
}

void judge_transpose(const ch20::Exercises& student, Grade& grade, const Size& s) {
  const Tensor from = numbers(grade, s.m, s.n);
  const Stored x(from, 3);
  Stored y(numbers(grade, s.n, s.m), 1, unwritten);
  student.transpose(s.m, s.n, x.words(), x.row(), y.words(), y.row());
  y.read_back();
  grade.that(y.gaps_untouched(), "x of " + name(s) + ": something beside y was written");
  grade.equal("y for x of " + name(s), y.tensor(), in_double(from).t().contiguous(), {}, 0);
}

// What goes wrong with any kernel.
void expect_errors(Grade& grade) {
  grade.known_error(
      "not the device's",
      "the launch is written, but its kernel still throws NotImplemented; or it has a pointer to the host");
}

const char* edge = "threads beyond the edge copy, too";
const char* few_barriers =
    "the checker's two lines are not kept apart by a barrier: perhaps the barrier has moved, and there is still only "
    "one";
const char* stay_out =
    "threads without a row stay out of the loop: they do not copy their part of x, and do not come by the barriers";
const char* early = "threads without an element of c return before they have copied";

const std::vector<grading::Task<ch20::Exercises>> tasks = {
    {.number = "20.1",
     .title = "a copy, coalesced",
     .stars = 1,
     .grade =
         [](const ch20::Exercises& student, Grade& grade) {
           expect_errors(grade);
           for (const char* words : {"out-of-bounds", "data race in global memory"}) grade.known_error(words, edge);
           for (const Size& s : {Size{1, 1}, {3, 5}, {8, 32}, {9, 33}, {21, 70}, {70, 3}, {0, 7}, {7, 0}})
             judge_copy(student, grade, s, 1);
           const Stored x(numbers(grade, 40, 96), 32), y(numbers(grade, 40, 96), 32);
           const Accesses a =
               accesses({&x, &y}, [&] { student.copy(40, 96, x.words(), x.row(), y.words(), y.row()); });
           const int64_t enough = 2 * 40 * 96 * 4 / 32;
           grade.that(a.sectors <= 2 * enough, "y is right, but a copy of 40 x 96 takes " +
                                                   std::to_string(a.sectors) + " transactions of 32 bytes where " +
                                                   std::to_string(enough) +
                                                   " are enough: the lanes of a warp go down a column");
         },
     .hints =
         {"Lanes are counted along threadIdx.x. So which of row and column should come from x?",
          "A column is blockIdx.x * blockDim.x + threadIdx.x, a row the same with y. There are more threads than "
          "elements: the test before the copy has two parts.",
          "if (i < rows && j < columns) y[i * y_row + j] = x[i * x_row + j]; launched with dim3((columns + 31) / "
          "32, (rows + 7) / 8) blocks of dim3(32, 8) threads"}},
    {.number = "20.2",
     .title = "the race, found and mended",
     .stars = 2,
     .grade =
         [](const ch20::Exercises& student, Grade& grade) {
           expect_errors(grade);
           grade.known_error("data race in shared memory", few_barriers);
           grade.known_error("uninitialised shared memory", stay_out);
           grade.known_error("divergent barriers", stay_out);
           for (const Size& s : {Size{1, 1}, {64, 64}, {3, 130}, {70, 200}, {129, 65}, {5, 0}, {0, 5}}) {
             const Tensor left = numbers(grade, s.m, s.n), right = numbers(grade, s.n, 1);
             const Stored a(left, 2), x(right, 0);
             in_all_orders([&] {
               Stored y(numbers(grade, s.m, 1), 0, unwritten);
               student.product(s.m, s.n, a.data(), a.row(), x.data(), y.data());
               y.read_back();
               grade.that(y.gaps_untouched(), "A of " + name(s) + ": something beside y was written");
               grade.equal("y for A of " + name(s), y.tensor(), product(left, right),
                           {{nothing_but_nan(s.m, 1), few_barriers}}, 1e-5);
             });
           }
         },
     .hints =
         {"`./run ladder broken missing_second_barrier` shows a smaller kernel with the same mistake. Which thread "
          "may be a round ahead of which other one?",
          "The next piece may be copied only when all threads have used this one. What holds a fast warp back?",
          "A second __syncthreads(), as the last line of the loop over pieces, outside of any `if`"}},
    {.number = "20.3",
     .title = "a transpose without bank conflicts",
     .stars = 2,
     .grade =
         [](const ch20::Exercises& student, Grade& grade) {
           expect_errors(grade);
           for (const Size& s : {Size{1, 1}, {32, 32}, {5, 40}, {40, 5}, {33, 65}, {71, 34}, {0, 3}, {3, 0}})
             judge_transpose(student, grade, s);
           const Stored x(numbers(grade, 64, 96), 0), y(numbers(grade, 96, 64), 0);
           const Accesses a =
               accesses({&x, &y}, [&] { student.transpose(64, 96, x.words(), x.row(), y.words(), y.row()); });
           const int64_t enough = 2 * 64 * 96 * 4 / 32;
           grade.that(a.sectors <= 2 * enough,
                      "y is right, but for x of 64 x 96 there are " + std::to_string(a.sectors) +
                          " transactions of 32 bytes where " + std::to_string(enough) +
                          " are enough: columns of y are written instead of rows, or columns of x read");
           grade.that(a.shared_cycles <= a.shared_requests,
                      "y is right, but shared memory takes " + std::to_string(a.shared_cycles) + " cycles for " +
                          std::to_string(a.shared_requests) +
                          " requests of warps: there is no padding, or the padding is a row more, not a column");
         },
     .hints =
         {"Word w of the square is in bank w % 32. In which banks are the words of a column?",
          "Rows that begin 33 words apart put each word of a column into another bank. Nothing else changes: the "
          "last word of each row is never used.",
          "SIMT_SHARED(Word, square, [square_size][square_size + 1]); all else as in conflicting_transpose"}},
    {.number = "20.4",
     .title = "the product by tiles, with edges",
     .stars = 3,
     .grade =
         [](const ch20::Exercises& student, Grade& grade) {
           expect_errors(grade);
           grade.known_error("uninitialised shared memory", early);
           grade.known_error("data race in shared memory",
                             "each piece takes two barriers: one when all have copied, one when all have added up");
           for (const Size& s : {Size{1, 1, 1},
                                 {16, 16, 16},
                                 {3, 5, 7},
                                 {17, 33, 40},
                                 {40, 9, 31},
                                 {7, 18, 65},
                                 {5, 4, 0},
                                 {0, 3, 4},
                                 {3, 0, 4}}) {
             const Tensor left = numbers(grade, s.m, s.k), right = numbers(grade, s.k, s.n);
             const Stored a(left, 17), b(right, 17);
             const std::string what = "c of " + name(s) + ", k = " + std::to_string(s.k);
             in_all_orders([&] {
               Stored c(numbers(grade, s.m, s.n), 3, unwritten);
               student.multiply(s.m, s.n, s.k, a.words(), a.row(), b.words(), b.row(), c.words(), c.row());
               c.read_back();
               grade.that(c.gaps_untouched(), what + ": something beside c was written");
               grade.equal(
                   what, c.tensor(), product(left, right),
                   {{nothing_but_nan(s.m, s.n), "beyond the last column of a, what lies there is taken for a"}},
                   1e-5);
             });
           }
           const int64_t n = 48, tiles = n / ch20::tile;
           const Stored a(numbers(grade, n, n), 0), b(numbers(grade, n, n), 0), c(numbers(grade, n, n), 0);
           const Accesses counted = accesses({&a, &b, &c}, [&] {
             student.multiply(n, n, n, a.words(), a.row(), b.words(), b.row(), c.words(), c.row());
           });
           const int64_t enough = (2 * n * n * tiles + n * n) * 4;
           grade.that(counted.bytes <= enough, "c is right, but lanes ask global memory for " +
                                                   std::to_string(counted.bytes) + " bytes where " +
                                                   std::to_string(enough) +
                                                   " are enough: each block should read a number of a or b but once");
         },
     .hints =
         {"`3_shared.cu` of the ladder is this kernel for rows without gaps. What is its test for the edge, and "
          "where does it stand?",
          "Each thread copies a(i, first + x) and b(first + y, j), or zeros where these do not exist, even where "
          "c(i, j) does not exist. Only the store at the end asks whether it does.",
          "a_tile[y][x] = i < m && first + x < k ? a[i * a_row + first + x] : 0; the same for b; __syncthreads(); "
          "for p: sum += a_tile[y][p] * b_tile[p][x]; __syncthreads();"}},
};

}  // namespace

int main(int argc, char** argv) { return grading::run("ch20", tasks, argc, argv); }
