// The least time that kernels limited by memory can take: bytes that must move, divided by bandwidth. --bandwidth is
// what a copy reaches on the GPU in question.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>

#include "tensor/error.h"

namespace {

// bytes: for each number read or written once
void print(const char* kernel, const char* shape, double bytes, double bandwidth) {
  std::printf("%-34s %-22s %10.1f %10.1f\n", kernel, shape, bytes * 1e-6, bytes / (bandwidth * 1e9) * 1e6);
}

}  // namespace

int main(int argc, char** argv) {
  double bandwidth = 2976;
  CLI::App app("Prints the least time of softmax, layer norm and attention: bytes that must move / bandwidth.");
  app.add_option("--bandwidth", bandwidth, "GB/s of a copy, read and written (2976, an H100's)")
      ->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);

  std::printf("with %.0f GB/s%45s %10s %10s\n", bandwidth, "", "MB", "floor, us");
  print("softmax, float32", "32768 x 2048", 2.0 * 4 * 32768 * 2048, bandwidth);
  print("softmax, bfloat16", "32768 x 2048", 2.0 * 2 * 32768 * 2048, bandwidth);
  print("layer norm, float32", "32768 x 768", 2.0 * 4 * 32768 * 768, bandwidth);
  print("layer norm, bfloat16", "32768 x 768", 2.0 * 2 * 32768 * 768, bandwidth);
  const double heads = 64, n = 4096, d = 128;
  const double rows = 4 * 2 * heads * n * d;    // q, k, v and the output
  const double matrix = 4 * 4 * heads * n * n;  // of scores: written, read, written as weights, read again
  print("attention, bfloat16", "64 heads, 4096 x 128", rows, bandwidth);
  print("the same with a matrix of scores", "64 heads, 4096 x 128", rows + matrix, bandwidth);
  gradus::check(matrix > 60 * rows, "the matrix should be far larger than all that was asked for");
}
