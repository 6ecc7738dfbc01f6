// What the rungs of three ladders move, counted: softmax, layer norm and attention. With --csv, as a table for the
// figure.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <string>
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

// A line of a table: bytes for each of rows * n numbers, barriers for each row.
struct Line {
  const char* rung;
  Counts counts;
};
std::vector<Line> of_rows(const auto& rungs, const auto& call) {
  std::vector<Line> lines;
  for (const auto& rung : rungs) {
    Counts c = traffic::count([&] { call(rung), cuda::synchronize(); });
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
  std::printf("attention, a head of %d x %d: KB\n", int(queries), int(d));
  std::printf("%-10s %8s %12s %14s\n", "rung", "asked", "in sectors", "beyond cache");
  std::printf("%-10s %8.0f %12.0f %14.0f\n", "must move", 8e-3 * double(queries * d) / 1.024,
              8e-3 * double(queries * d) / 1.024, 8e-3 * double(queries * d) / 1.024);
  for (const Line& line : lines)
    std::printf("%-10s %8.0f %12.0f %14.0f\n", line.rung, line.counts.asked / 1024, line.counts.sectors / 1024,
                line.counts.beyond / 1024);
  std::printf("\n");
}

void csv(const char* kernel, const std::vector<Line>& lines) {
  for (const Line& line : lines)
    std::printf("%s,%s,%g,%g,%g\n", kernel, line.rung, line.counts.asked, line.counts.sectors, line.counts.beyond);
}

}  // namespace

int main(int argc, char** argv) {
  bool as_csv = false;
  CLI::App app("Counts the bytes that rungs of softmax, layer norm and attention move, on the emulator.");
  app.add_flag("--csv", as_csv, "Print a table for programs to read");
  CLI11_PARSE(app, argc, argv);

  const std::vector<Line> s = softmax(), l = layer_norm(), a = attention(128), b = attention(256);
  if (as_csv) {
    std::printf("kernel,rung,asked,in sectors,beyond cache\n");
    csv("softmax", s), csv("layer norm", l), csv("attention", b);
    return 0;
  }
  print_rows("softmax", s);
  print_rows("layer norm", l);
  print_attention(128, a);
  print_attention(256, b);
}
