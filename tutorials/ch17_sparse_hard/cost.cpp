// What full, windowed and low-rank attention cost as the sequence grows, and how far each of them sees.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <vector>

#include "autograd/ops.h"

using namespace gradus;

namespace {

const TensorOptions whole{.dtype = float64};

//! [windowed]
// Each query sees the keys at most `reach` places away. q, k, v (batch, n, d): a block of queries at a time, with the
// keys that any of them may see.
Tensor windowed(const Tensor& q, const Tensor& k, const Tensor& v, int64_t reach) {
  const int64_t n = q.size(1);
  std::vector<Tensor> outputs;
  for (int64_t first = 0; first < n; first += reach) {
    const int64_t count = std::min(reach, n - first);
    const int64_t from = std::max<int64_t>(0, first - reach), to = std::min(n, first + count + reach);
    const Tensor place = arange(double(first), double(first + count), 1, whole).unsqueeze(1);
    const KeepMask near(abs(arange(double(from), double(to), 1, whole) - place) <= double(reach));
    outputs.push_back(scaled_dot_product_attention(q.narrow(1, first, count), k.narrow(1, from, to - from),
                                                   v.narrow(1, from, to - from), {.keep = near}));
  }
  return cat(outputs, 1);
}
//! [windowed]

// Keys and values mixed down to the rows of `mix` (rank, n).
Tensor low_rank(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mix) {
  return scaled_dot_product_attention(q, matmul(mix, k), matmul(mix, v));
}

double million_flops(const std::function<Tensor()>& run) {
  const int64_t before = flops_counted();
  run();
  return double(flops_counted() - before) / 1e6;
}

//! [reach]
// How many of n words change the output in the middle: those whose gradient is not zero.
int64_t reach_of(const std::function<Tensor(const Tensor&)>& attention) {
  const int64_t n = 65;
  const Tensor x = randn({1, n, 8}, whole).requires_grad_();
  attention(x).select(1, n / 2).sum().backward();
  return int64_t((abs(x.grad()).sum(-1) > 0.0).to(float64).sum().item());
}
//! [reach]

}  // namespace

int main() {
  manual_seed(17);
  const Tensor some = randn({2, 50, 8}, whole);
  const Tensor masked = scaled_dot_product_attention(some, some, some, {.keep = window_mask(50, 50, 7, 7)});
  check(allclose(windowed(some, some, some, 7), masked), "blocks and a mask disagree");

  const int64_t d = 64, reach = 32, rank = 32;
  std::printf("million operations        scores that are not hidden\n");
  std::printf("    n    full windowed low-rank      full windowed low-rank\n");
  {
    const NoGrad guard;
    for (const int64_t n : {128, 256, 512, 1024, 2048}) {
      const Tensor q = randn({1, n, d}), k = randn({1, n, d}), v = randn({1, n, d}), mix = randn({rank, n});
      const double full = million_flops([&] { return scaled_dot_product_attention(q, k, v); });
      const double near = million_flops([&] { return windowed(q, k, v, reach); });
      const double mixed = million_flops([&] { return low_rank(q, k, v, mix); });
      std::printf("%5d %7.1f %8.1f %8.1f  %8d %8d %8d\n", int(n), full, near, mixed, int(n * n),
                  int(n * (2 * reach + 1) - reach * (reach + 1)), int(n * rank));
    }
  }

  const Tensor mix = randn({4, 65}, whole);
  const auto near = [](const Tensor& x) { return windowed(x, x, x, 4); };
  std::printf("\nwords that change the output in the middle, of 65\n");
  std::printf("full             %3d\n",
              int(reach_of([](const Tensor& x) { return scaled_dot_product_attention(x, x, x); })));
  std::printf("windowed         %3d\n", int(reach_of(near)));
  std::printf("two layers of it %3d\n", int(reach_of([&](const Tensor& x) { return near(near(x)); })));
  std::printf("low-rank         %3d\n", int(reach_of([&](const Tensor& x) { return low_rank(x, x, x, mix); })));
}
