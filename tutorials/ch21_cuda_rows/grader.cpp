// Judges the exercises of chapter 21, against sums and softmax in float64 on the host; the emulator's checker judges
// how the threads got on with each other.
#include <algorithm>
#include <cmath>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "autograd/ops.h"
#include "exercises.h"
#include "tensor/error.h"
#include "tensor/kernels/cuda/emu/check.h"
#include "tensor/kernels/cuda/kernels.h"
#include "tensor/kernels/cuda/runtime.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using grading::Grade;

namespace {

constexpr int warp = 32;
constexpr double tolerance = 3e-6;  // of float32

// Numbers in the device's memory, an allocation of their own, so that the checker knows where it ends.
class OnDevice {
 public:
  explicit OnDevice(const std::vector<float>& numbers) : count_(int64_t(numbers.size())) {
    void* memory = nullptr;
    cudaMalloc(&memory, numbers.size() * sizeof(float));
    data_ = static_cast<float*>(memory);
    cuda::copy_to_device(data_, numbers.data(), numbers.size() * sizeof(float));
  }
  // What nobody has written is NaN.
  explicit OnDevice(int64_t count) : OnDevice(std::vector<float>(size_t(count), std::nanf(""))) {}
  ~OnDevice() { cudaFree(data_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  float* data() const { return data_; }

  Tensor on_host(const Shape& shape) const {
    std::vector<float> numbers(static_cast<size_t>(count_));
    cuda::copy_to_host(numbers.data(), data_, numbers.size() * sizeof(float));
    return from_vector(numbers, shape);
  }

 private:
  int64_t count_;
  float* data_;
};

std::vector<float> floats(const Tensor& x) {
  const std::vector<double> wide = x.to_vector();
  return {wide.begin(), wide.end()};
}

// A thread of the emulator has a stack of its own, which nothing thrown may leave: it is kept.
std::exception_ptr thrown;

template <class... P>
__global__ void guarded(void (*kernel)(P...), P... arguments) {
  try {
    kernel(arguments...);
  } catch (...) {
    emu::check::pause();  // from here on nothing is the kernel's doing
    thrown = std::current_exception();
  }
}

// What the checker says, without the name of `guarded` in front of each line.
std::string without_guard(std::string said) {
  for (size_t begin = said.find("guarded<"); begin != std::string::npos; begin = said.find("guarded<")) {
    const size_t end = said.find(">: ", begin);
    if (end == std::string::npos) break;
    said.erase(begin, end + 3 - begin);
  }
  return said;
}

// The kernel, on the emulator in one of its orders of threads; what the checker says of it is thrown.
template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 blocks, dim3 threads, A... arguments) {
  try {
    cuda::launch(guarded<P...>, blocks, threads, 0, kernel, static_cast<P>(arguments)...);
    cuda::synchronize();
  } catch (const Error& error) {
    if (!thrown) throw Error(without_guard(error.what()));
  }
  if (thrown) std::rethrow_exception(std::exchange(thrown, nullptr));
}

// f() once for each order in which the emulator can run threads.
template <class F>
void in_all_orders(const F& f) {
  for (const emu::Order order : {emu::Order::forward, emu::Order::reverse, emu::Order::random}) {
    emu::options().order = order;
    f();
  }
  emu::options().order = emu::Order::forward;
}

// --- 21.1 ---

int64_t right_place(int64_t block, int warps, int thread, int64_t step, int64_t rows, int64_t n) {
  const int64_t row = block * warps + thread / warp, column = step * warp + thread % warp;
  return row >= rows || column >= n ? -1 : row * n + column;
}

void judge_place(const ch21::Exercises& student, Grade& grade, int64_t rows, int64_t n, int warps) {
  const int64_t blocks = (rows + warps - 1) / warps, steps = (n + warp - 1) / warp;
  for (int64_t block = 0; block < blocks; ++block)
    for (int thread = 0; thread < warps * warp; ++thread)
      for (int64_t step = 0; step < steps + 1; ++step) {
        const int64_t got = student.place(block, warps, thread, step, rows, n);
        const int64_t right = right_place(block, warps, thread, step, rows, n);
        if (got == right) continue;
        const int64_t row = block * warps + thread / warp, own = thread % warp * steps + step;
        std::string why;
        if (row >= rows)
          why = "a row that does not exist is read, behind the end of the matrix";
        else if (got == (own < n ? row * n + own : -1))
          why = "each thread has a piece of the row for itself, so that neighbours read far apart";
        grade.fail("block " + std::to_string(block) + " of " + std::to_string(warps) + " warps, thread " +
                   std::to_string(thread) + ", step " + std::to_string(step) + ", a matrix (" + std::to_string(rows) +
                   ", " + std::to_string(n) + "): expected " + std::to_string(right) + ", got " +
                   std::to_string(got) + (why.empty() ? "" : "\nwhy: " + why));
      }
}

// --- 21.2 ---

// `down`: as they come out of __shfl_down_sync, where a lane that asks beyond the last gets its own value.
std::vector<double> sums_of_warps(const std::vector<float>& x, bool down) {
  std::vector<double> sums(x.size());
  for (size_t first = 0; first < x.size(); first += warp) {
    double held[warp] = {}, next[warp];
    for (size_t lane = 0; lane < warp && first + lane < x.size(); ++lane) held[lane] = double(x[first + lane]);
    for (size_t step = warp / 2; step > 0; step /= 2) {
      for (size_t lane = 0; lane < warp; ++lane) {
        const size_t other = down ? lane + step : lane ^ step;
        next[lane] = held[lane] + held[other < warp ? other : lane];
      }
      std::copy_n(next, warp, held);
    }
    for (size_t lane = 0; lane < warp && first + lane < x.size(); ++lane) sums[first + lane] = held[lane];
  }
  return sums;
}

void judge_warp_sums(const ch21::Exercises& student, Grade& grade, int64_t n) {
  const std::vector<float> x = floats(randn({n}, {}, &grade.random()));
  const OnDevice from(x), to(n);
  constexpr int threads = 64;
  launch(student.warp_sums, unsigned((n + threads - 1) / threads), threads, n, from.data(), to.data());
  const auto as_tensor = [&](const std::vector<double>& y) { return from_vector(y, {n}).to(float32); };
  grade.equal(std::to_string(n) + " numbers", to.on_host({n}), as_tensor(sums_of_warps(x, false)),
              {{as_tensor(sums_of_warps(x, true)),
                "only lane 0 gets the sum of all: with __shfl_down_sync the others add what is not theirs"}},
              tolerance);
}

// --- 21.3 ---

void judge_block_sum(const ch21::Exercises& student, Grade& grade, int64_t n, int threads) {
  const Tensor x = randn({n}, {}, &grade.random());
  const OnDevice from(floats(x)), to(1);
  launch(student.block_sum, 1, threads, n, from.data(), to.data());
  const double first = x.narrow(0, 0, std::min<int64_t>(n, threads)).to(float64).sum().item();
  grade.equal(std::to_string(n) + " numbers, " + std::to_string(threads) + " threads", to.on_host({1}).item(),
              x.to(float64).sum().item(), {{first, "a thread has one number only, and the rest is left out"}}, 1e-5);
}

// --- 21.4 ---

void judge_softmax(const ch21::Exercises& student, Grade& grade, int64_t rows, int64_t n, double middle) {
  const Tensor wide = randn({rows, n + 3}, {}, &grade.random()) * 3 + middle;  // three more than belong to a row
  const Tensor x = wide.narrow(1, 0, n).to(float64);
  const OnDevice from(floats(wide)), to(rows * n);
  constexpr int warps = 4;
  launch(student.row_softmax, unsigned((rows + warps - 1) / warps), dim3(warp, warps), rows, n, n + 3, from.data(),
         to.data());
  const Tensor right = softmax(x, 1), e = exp(x - x.amax({1}, true));
  Tensor own = zeros_like(e);  // with each lane's own sum
  for (int64_t lane = 0; lane < std::min<int64_t>(warp, n); ++lane) {
    const Tensor part = e.slice(1, lane, slice_end, warp);
    own.slice(1, lane, slice_end, warp).copy_(part / part.sum({1}, true));
  }
  grade.equal(std::to_string(rows) + " rows of " + std::to_string(n) + (middle < 0 ? ", far below 0" : ""),
              to.on_host({rows, n}), right.to(float32),
              {{own.to(float32), "each lane divides by the sum of its own numbers"},
               {full_like(right, std::nan("")).to(float32),
                "the largest number begins at 0, so that where all are far below it every exponential is 0"},
               {exp(x).to(float32) / exp(x).to(float32).sum({1}, true), "the largest number is not taken off"}},
              tolerance);
}

// --- 21.5 ---

void judge_attend(const ch21::Exercises& student, Grade& grade, int64_t n, int d, int warps, double height) {
  const auto numbers = [&](int64_t rows, double size) {
    return (randn({rows, int64_t(d)}, {}, &grade.random()) * size).to(float64);
  };
  const Tensor q = numbers(1, height), k = numbers(n, 1), v = numbers(n, 1);
  const float scale = 1 / std::sqrt(float(d));
  const OnDevice q_there(floats(q)), k_there(floats(k)), v_there(floats(v)), output(d);
  launch(student.attend, 1, dim3(warp, unsigned(warps)), n, d, scale, q_there.data(), k_there.data(), v_there.data(),
         output.data());
  const Tensor scores = matmul(k, q.squeeze(0)) * double(scale);
  const Tensor right = matmul(softmax(scores, 0), v);
  // Of the warps apart, merged in the wrong ways.
  Tensor plain = zeros_like(right), mean = zeros_like(right);
  double sum = 0, parts = 0;
  for (int64_t w = 0; w < std::min<int64_t>(warps, n); ++w) {
    const Tensor some = scores.slice(0, w, slice_end, warps), e = exp(some - some.amax());
    const Tensor out = matmul(e, v.slice(0, w, slice_end, warps));
    plain = plain + out, sum += e.sum().item();
    mean = mean + out / e.sum(), parts += 1;
  }
  grade.equal(std::to_string(n) + " keys of " + std::to_string(d) + " columns, " + std::to_string(warps) + " warps",
              output.on_host({int64_t(d)}), right.to(float32),
              {{(plain / sum).to(float32),
                "the warps' sums are added as they are, though each was taken from a largest score of its own"},
               {(mean / parts).to(float32), "each warp has divided by its own sum, and the quotients are averaged"},
               {full_like(right, std::nan("")).to(float32),
                "a warp without keys, whose largest score is -infinity, makes the result NaN"}},
              2e-5);
}

const std::string gone = "lanes without a number return before the shuffle that names them in its mask";

const std::vector<grading::Task<ch21::Exercises>> tasks = {
    {.number = "21.1",
     .title = "who reads what",
     .stars = 1,
     .grade =
         [](const ch21::Exercises& student, Grade& grade) {
           judge_place(student, grade, 5, 70, 4);
           judge_place(student, grade, 1, 1, 1);
           judge_place(student, grade, 7, 32, 2);
           judge_place(student, grade, 3, 33, 8);
         },
     .hints =
         {"How many warps stand before the one that thread 70 of block 2 belongs to, with 4 warps in a block?",
          "row = block * warps + thread / 32. In step 0 the lanes read the numbers 0 to 31 of the row, in step 1 "
          "those from 32 on.",
          "column = step * 32 + thread % 32; -1 unless row < rows and column < n; else row * n + column"}},
    {.number = "21.2",
     .title = "the sum of a warp",
     .stars = 2,
     .grade =
         [](const ch21::Exercises& student, Grade& grade) {
           grade.known_error("names in its mask a lane that has returned", gone);
           grade.known_error("out-of-bounds read", "a lane beyond the end of x reads, though it has no number");
           grade.known_error("out-of-bounds write", "a lane beyond the end of y writes, though it has no number");
           in_all_orders([&] {
             for (const int64_t n : {64, 70, 1, 31, 33, 161}) judge_warp_sums(student, grade, n);
           });
         },
     .hints = {"A lane without a number can bring 0. Which lines must it not run, and which must it?",
               "value += __shfl_xor_sync(0xffffffff, value, step) for the steps 16, 8, 4, 2 and 1.",
               "value = i < n ? x[i] : 0; the five steps, by all lanes; if (i < n) y[i] = value"}},
    {.number = "21.3",
     .title = "the sum of a block",
     .stars = 2,
     .grade =
         [](const ch21::Exercises& student, Grade& grade) {
           grade.known_error("data race in shared memory",
                             "no barrier stands between writing a warp's part and reading it");
           grade.known_error("read of uninitialised shared memory",
                             "parts are read of warps that the block does not have");
           grade.known_error("names in its mask a lane that has returned",
                             "a lane has returned before a shuffle that names it in its mask");
           in_all_orders([&] {
             judge_block_sum(student, grade, 1000, 256);
             judge_block_sum(student, grade, 77, 96);
             judge_block_sum(student, grade, 1, 32);
             judge_block_sum(student, grade, 2500, 1024);
             judge_block_sum(student, grade, 501, 160);
           });
         },
     .hints =
         {"Only the threads of a warp can shuffle. By which memory can warps exchange something, and how does a "
          "reader know that it is there?",
          "parts[warp] = the warp's sum, written by its lane 0; __syncthreads(); then the first warp sums parts. "
          "A block of 96 threads has three parts, and 29 lanes with nothing.",
          "value = thread < warps ? parts[thread] : 0, in the first warp, and the five steps once more"}},
    {.number = "21.4",
     .title = "softmax, a warp for each row",
     .stars = 2,
     .grade =
         [](const ch21::Exercises& student, Grade& grade) {
           grade.known_error("names in its mask a lane that has returned",
                             "a lane has returned before a shuffle that names it in its mask: only whole warps may");
           grade.known_error("meets another operation",
                             "lanes go through the row's loop for different times, with a shuffle in it");
           in_all_orders([&] {
             judge_softmax(student, grade, 5, 70, 0);
             judge_softmax(student, grade, 4, 33, -1000);
             judge_softmax(student, grade, 3, 1, 5);
             judge_softmax(student, grade, 1, 31, 200);
             judge_softmax(student, grade, 6, 129, -300);
           });
         },
     .hints =
         {"Three loops over the row, each lane in steps of 32, and behind the first and the second a result of all "
          "32 lanes.",
          "What can a lane without a number bring to a maximum, and what to a sum? Lanes may run a loop a "
          "different number of times if no shuffle is in it.",
          "largest = -INFINITY, then fmaxf over x[lane], x[lane + 32] ..., then largest = fmaxf(largest, "
          "__shfl_xor_sync(everyone, largest, step)); the sum likewise; rows begin at x + row * stride"}},
    {.number = "21.5",
     .title = "attention, merged across warps",
     .stars = 3,
     .grade =
         [](const ch21::Exercises& student, Grade& grade) {
           grade.known_error("data race in shared memory",
                             "no barrier stands between writing what a warp knows and reading it");
           grade.known_error("read of uninitialised shared memory", "something is read that no warp has left there");
           in_all_orders([&] {
             judge_attend(student, grade, 21, 13, 4, 3);
             judge_attend(student, grade, 1, 5, 1, 1);
             judge_attend(student, grade, 3, 32, 8, 2);
             judge_attend(student, grade, 50, 31, 32, 3);
             judge_attend(student, grade, 40, 1, 2, 300);
           });
         },
     .hints =
         {"Within a warp this is chapter 19's running softmax, a key after the other. Across warps it is chapter "
          "19's merge, of more than two.",
          "largest = max over the warps; what warp w has left counts exp(largest of w - largest), in its sum and "
          "in its output. A warp without keys counts exp(-infinity) = 0, by itself.",
          "behind the barrier, in lane c of warp 0: all += shrink * sum_of[w], result += shrink * "
          "output_of[w][c], over all w; output[c] = result / all"}},
};

}  // namespace

int main(int argc, char** argv) { return grading::run("ch21", tasks, argc, argv); }
