// What attention costs as sequences grow: operations and memory of the rungs of the ladder, and memory of a training
// step with and without the matrix of weights.
#include <algorithm>
#include <cstdio>
#include <iterator>
#include <vector>

#include "autograd/autograd.h"
#include "autograd/ops.h"
#include "tensor/allocator.h"
#include "tensor/error.h"
#include "tensor/kernels/cpu/threads.h"
#include "tensor/random.h"
#include "tensor/tensor.h"
#include "tutorials/ladders/cpu_attention/attention.h"

using namespace gradus;

namespace {

// Bytes that a call takes from the allocator and gives back.
template <class F>
int64_t extra_memory(const F& call) {
  reset_peak_memory();
  const int64_t before = memory_stats().live;
  call();
  return memory_stats().peak - before;
}

constexpr int64_t features = 64;

double extra_of_rung(attention_ladder::Attend* attend, int64_t n) {
  const std::vector<float> x(size_t(n * features), 0.5f);
  std::vector<float> output(x.size());
  const attention_ladder::Problem problem{1, n, features, x.data(), x.data(), x.data(), output.data(), 0.125f, false};
  return double(extra_memory([&] { attend(problem); })) / 1024;
}

constexpr attention_ladder::Attend* shown[] = {attention_ladder::naive, attention_ladder::rows,
                                               attention_ladder::online, attention_ladder::tiled,
                                               attention_ladder::library};

void forward() {
  std::printf("one head of %d features: million operations, and KB besides q, k, v and the output\n", int(features));
  std::printf("    n  operations     naive      rows    online     tiled   library\n");
  for (int64_t n = 128; n <= 1024; n *= 2) {
    using namespace attention_ladder;
    double kb[5];
    std::transform(std::begin(shown), std::end(shown), kb, [&](Attend* attend) { return extra_of_rung(attend, n); });
    std::printf("%5d %11.1f %9.0f %9.1f %9.0f %9.0f %9.0f\n", int(n), 4e-6 * double(n * n * features), kb[0], kb[1],
                kb[2], kb[3], kb[4]);
    check(kb[0] == 4.0 * double(n * n) / 1024, "the first rung keeps a matrix of n x n");
    check(kb[3] <= 64 && kb[4] < 100, "the fifth rung and the library keep a tile, however long the sequence");
  }
}

//! [training]
// KB at the peak of a forward and a backward pass of 16 heads.
double training_memory(int64_t n, bool with_weights) {
  std::vector<Tensor> x;
  for (int i = 0; i < 3; ++i) x.push_back(randn({1, 16, n, 16}).requires_grad_());
  const int64_t bytes = extra_memory([&] {
    const Tensor y = with_weights ? attend(x[0], x[1], x[2]).output : scaled_dot_product_attention(x[0], x[1], x[2]);
    y.sum().backward();
  });
  return double(bytes) / 1024;
}
//! [training]

void training() {
  std::printf("\n16 heads, a forward and a backward pass: KB\n");
  std::printf("    n   with the matrix   without it\n");
  double before[2] = {};
  for (int64_t n = 64; n <= 512; n *= 2) {
    const double with = training_memory(n, true), without = training_memory(n, false);
    std::printf("%5d %17.0f %12.0f\n", int(n), with, without);
    check(n == 64 || (with > 3 * before[0] && without < 2.2 * before[1]),
          "twice n should take four times the memory with the matrix, and twice without it");
    before[0] = with, before[1] = without;
  }
}

}  // namespace

int main() {
  set_num_threads(1);
  forward();
  training();
}
