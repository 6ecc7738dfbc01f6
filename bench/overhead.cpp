// What an op costs besides its arithmetic: tensors of ten elements, one thread. overhead.py sets it beside PyTorch.
#include <benchmark/benchmark.h>

#include "autograd/ops.h"
#include "tensor/kernels/cpu/threads.h"

namespace gradus {
namespace {

void add_recorded(benchmark::State& state) {
  set_num_threads(1);
  Tensor a = randn({10}).requires_grad_(), b = randn({10}).requires_grad_();
  for (auto _ : state) benchmark::DoNotOptimize(a + b);
}
BENCHMARK(add_recorded)->Name("add of 10 elements, gradients on");

void add_plain(benchmark::State& state) {
  set_num_threads(1);
  NoGrad guard;
  Tensor a = randn({10}), b = randn({10});
  for (auto _ : state) benchmark::DoNotOptimize(a + b);
}
BENCHMARK(add_plain)->Name("add of 10 elements, gradients off");

void add_backward(benchmark::State& state) {
  set_num_threads(1);
  Tensor a = randn({10}).requires_grad_(), b = randn({10}).requires_grad_(), g = ones({10});
  for (auto _ : state) {
    (a + b).backward(g);
    a.zero_grad();
    b.zero_grad();
  }
}
BENCHMARK(add_backward)->Name("add of 10 elements and backward");

void small_matmul(benchmark::State& state) {
  set_num_threads(1);
  Tensor x = randn({1, 16}), w = randn({16, 16}).requires_grad_(), b = randn({16}).requires_grad_();
  for (auto _ : state) benchmark::DoNotOptimize(linear(x, w, b));
}
BENCHMARK(small_matmul)->Name("linear 1x16 to 16, gradients on");

void view(benchmark::State& state) {
  Tensor x = randn({4, 5}).requires_grad_();
  for (auto _ : state) benchmark::DoNotOptimize(x.transpose(0, 1));
}
BENCHMARK(view)->Name("transpose of 4x5, gradients on");

}  // namespace
}  // namespace gradus
