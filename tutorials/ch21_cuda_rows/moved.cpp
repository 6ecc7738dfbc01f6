// What the rungs of three ladders move, counted: softmax, layer norm and attention.
#include <cmath>
#include <cstdio>
#include <vector>

#include "tensor/error.h"
#include "tensor/kernels/cuda/runtime.h"
#include "tutorials/ch21_cuda_rows/traffic.h"
#include "tutorials/ladders/cuda_attention/attention.h"
#include "tutorials/ladders/cuda_layer_norm/layer_norm.h"
#include "tutorials/ladders/cuda_rows.h"
#include "tutorials/ladders/cuda_softmax/softmax.h"

using namespace gradus;
using traffic::Counts;

namespace {

constexpr int64_t rows = 128, n = 512;

struct Line {
  const char* rung;
  Counts counts;
};

// Bytes for each of rows * n numbers, barriers for each row.
template <class Rungs, class Call>
std::vector<Line> of_rows(const Rungs& rungs, const Call& call) {
  std::vector<Line> lines;
  for (const auto& rung : rungs) {
    const Counts c = traffic::count([&] { call(rung), cuda::synchronize(); });
    const double numbers = double(rows * n);
    lines.push_back({rung.name, {c.asked / numbers, c.sectors / numbers, c.beyond / numbers, c.barriers / rows}});
  }
  return lines;
}

std::vector<Line> softmax() {
  const ladder::DeviceNumbers x(rows * n), y(rows * n);
  return of_rows(cuda_softmax_ladder::rungs, [&](const auto& rung) { rung.softmax(rows, n, x.data(), y.data()); });
}

std::vector<Line> layer_norm() {
  const ladder::DeviceNumbers x(rows * n), y(rows * n), weight(n), bias(n);
  return of_rows(cuda_layer_norm_ladder::rungs,
                 [&](const auto& rung) { rung.layer_norm(rows, n, x.data(), weight.data(), bias.data(), y.data()); });
}

void print_rows(const char* name, const std::vector<Line>& lines) {
  std::printf("%s, %d rows of %d: bytes for each number\n", name, int(rows), int(n));
  std::printf("%-10s %8s %12s %14s %16s\n", "rung", "asked", "in sectors", "beyond cache", "barriers a row");
  for (const Line& line : lines)
    std::printf("%-10s %8.1f %12.1f %14.1f %16.0f\n", line.rung, line.counts.asked, line.counts.sectors,
                line.counts.beyond, line.counts.barriers);
  std::printf("\n");
}

constexpr int64_t d = 64;

// One head of `queries` queries and keys, in bfloat16.
std::vector<Line> attention(int64_t queries) {
  std::vector<BFloat16> numbers(size_t(queries * d));
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = BFloat16(float(i % 7) - 3);
  const ladder::DeviceNumbers q(queries * d / 2), k(queries * d / 2), v(queries * d / 2), output(queries * d / 2);
  for (const ladder::DeviceNumbers* x : {&q, &k, &v}) cuda::copy_to_device(x->data(), numbers.data(), x->bytes());
  const auto half = [](const ladder::DeviceNumbers& x) { return reinterpret_cast<BFloat16*>(x.data()); };
  const cuda_attention_ladder::Problem problem{
      1, queries, d, half(q), half(k), half(v), half(output), 1 / std::sqrt(float(d)), false};
  std::vector<Line> lines;
  for (const cuda_attention_ladder::Rung& rung : cuda_attention_ladder::rungs)
    lines.push_back({rung.name, traffic::count([&] { rung.attend(problem), cuda::synchronize(); })});
  return lines;
}

void print_attention(int64_t queries, const std::vector<Line>& lines) {
  const double least = 4 * 2 * double(queries * d);  // q, k, v and the output
  std::printf("attention, a head of %d x %d: KB\n", int(queries), int(d));
  std::printf("%-10s %8s %12s %14s\n", "rung", "asked", "in sectors", "beyond cache");
  std::printf("%-10s %8.0f %12.0f %14.0f\n", "must move", least / 1024, least / 1024, least / 1024);
  for (const Line& line : lines)
    std::printf("%-10s %8.0f %12.0f %14.0f\n", line.rung, line.counts.asked / 1024, line.counts.sectors / 1024,
                line.counts.beyond / 1024);
  std::printf("\n");
}

}  // namespace

int main() {
  const std::vector<Line> s = softmax(), l = layer_norm();
  print_rows("softmax", s);
  print_rows("layer norm", l);
  for (const std::vector<Line>& lines : {s, l}) {
    check(lines[0].counts.sectors > 5 * lines[1].counts.sectors,
          "naive: a sector should be handed out for one number");
    check(lines[0].counts.beyond > 1.9 * lines[1].counts.beyond, "naive: nothing is left for the second pass");
    for (size_t rung = 1; rung < 4; ++rung)
      check(lines[rung].counts.beyond < 9, "a row should be read once from beyond the cache, and written once");
  }
  check(s[3].counts.asked == 8, "the library should ask for each number once");
  const std::vector<Line> some = attention(128), more = attention(256);
  print_attention(128, some);
  print_attention(256, more);
  check(more[0].counts.beyond > more[1].counts.beyond, "naive: the matrix should come on top of all else");
  check(more[1].counts.asked > 3.9 * some[1].counts.asked, "fused: twice n should be four times the bytes");
  check(more[2].counts.beyond < more[1].counts.beyond / 20, "tiled: keys should be read for 32 queries at once");
  check(more[3].counts.beyond < more[2].counts.beyond / 2, "library: keys should be read for more queries at once");
}
