// Sums within a warp by hand: what each lane holds after each shuffle, and what the checker says of lanes that do not
// take part, or that rely on going in step.
#include <cstdio>
#include <string>
#include <vector>

#include "tensor/error.h"
#include "tensor/kernels/cuda/runtime.h"
#include "tensor/kernels/cuda/simt.h"
#include "tutorials/ladders/broken/gallery.h"

using namespace gradus;

namespace {

constexpr int warp = 32;
constexpr unsigned everyone = 0xffffffffu;

//! [steps]
// The sum of each group of `lanes` neighbours, a power of two. Row 0 of `held` is what the lanes bring, and each step
// adds a row: what they hold then.
__global__ void sum_by_xor(int lanes, const float* x, float* held) {
  const int lane = int(threadIdx.x);
  float value = x[lane];
  held[lane] = value;
  for (int step = lanes / 2; step > 0; step /= 2) {
    value += __shfl_xor_sync(everyone, value, step);
    held += warp;
    held[lane] = value;
  }
}
//! [steps]

// The same with __shfl_down_sync, whose last lanes have nobody to ask and get their own value.
__global__ void sum_by_down(int lanes, const float* x, float* held) {
  const int lane = int(threadIdx.x);
  float value = x[lane];
  held[lane] = value;
  for (int step = lanes / 2; step > 0; step /= 2) {
    value += __shfl_down_sync(everyone, value, unsigned(step), lanes);
    held += warp;
    held[lane] = value;
  }
}

using Kernel = void(int lanes, const float* x, float* held);
using Rows = std::vector<std::vector<float>>;

// What lanes that bring `x` hold, at first and after each step.
Rows run(Kernel* kernel, int lanes, const std::vector<float>& x) {
  size_t rows = 1;
  for (int step = lanes / 2; step > 0; step /= 2) ++rows;
  const broken::DeviceArray<float> from(warp), held(rows * warp);
  cuda::copy_to_device(from.data(), x.data(), warp * sizeof(float));
  cuda::launch(kernel, 1, warp, 0, lanes, from.data(), held.data());
  Rows result(rows, std::vector<float>(warp));
  for (size_t row = 0; row < rows; ++row)
    cuda::copy_to_host(result[row].data(), held.data() + row * warp, warp * sizeof(float));
  return result;
}

void print(const char* what, const std::vector<float>& values, int from, int to) {
  std::printf("%-10s", what);
  for (int lane = from; lane < to; ++lane) std::printf("%5.0f", double(values[size_t(lane)]));
  std::printf("\n");
}

void print_eight(const char* title, const Rows& rows) {
  std::printf("%-10s", title);
  for (int lane = 0; lane < 8; ++lane) std::printf("%5d", lane);
  std::printf("\n");
  print("value", rows[0], 0, 8);
  for (size_t row = 1; row < rows.size(); ++row) print(("step " + std::to_string(8 >> row)).c_str(), rows[row], 0, 8);
}

void eight() {
  std::vector<float> x(warp);
  const float digits[] = {3, 1, 4, 1, 5, 9, 2, 6};
  for (size_t lane = 0; lane < warp; ++lane) x[lane] = digits[lane % 8] + float(lane / 8);
  const Rows by_xor = run(sum_by_xor, 8, x), by_down = run(sum_by_down, 8, x);
  print_eight("xor, lane", by_xor);
  std::printf("\n");
  print_eight("down, lane", by_down);
  std::printf("\nthe sums of all four groups of eight:");
  for (size_t lane = 0; lane < warp; lane += 8) std::printf(" %.0f", double(by_xor.back()[lane]));
  std::printf("\n\n");
  for (size_t lane = 0; lane < 8; ++lane) check(by_xor.back()[lane] == 31, "every lane should have the sum");
  check(by_down.back()[0] == 31 && by_down.back()[1] != 31, "by __shfl_down_sync lane 0 alone should have the sum");
}

void all() {
  std::vector<float> x(warp);
  for (size_t lane = 0; lane < warp; ++lane) x[lane] = float(lane);
  const Rows rows = run(sum_by_xor, warp, x);
  std::printf("32 lanes     lane 0  lane 1 lane 16 lane 31\n");
  for (size_t row = 0; row < rows.size(); ++row) {
    const std::string what = row == 0 ? "value" : "step " + std::to_string(warp >> row);
    std::printf("%-10s", what.c_str());
    for (const size_t lane : {0, 1, 16, 31}) std::printf("%8.0f", double(rows[row][lane]));
    std::printf("\n");
  }
  std::printf("\n");
  for (const float sum : rows.back()) check(sum == 496, "every lane should have the sum");
}

// What the checker says of a kernel of the gallery: the line that names its mistake, without what stands before the
// place.
std::string complaint(const broken::Exhibit& exhibit) {
  std::string said;
  try {
    exhibit.run(false);
  } catch (const Error& error) {
    said = error.what();
  }
  const size_t found = said.find(exhibit.report);
  check(found != std::string::npos, "the checker should name the mistake of ", exhibit.name);
  said = said.substr(0, said.find('\n', found));
  return said.substr(said.rfind(std::string(exhibit.name) + ".cu", found));
}

// Each of them seems to work on most GPUs.
void complaints() {
  for (const std::string name : {"early_return", "shuffle_outside_mask", "missing_syncwarp"})
    for (const broken::Exhibit& exhibit : broken::exhibits()) {
      if (exhibit.name != name) continue;
      const std::string said = complaint(exhibit);
      exhibit.run(true);
      for (size_t begin = 0; begin < said.size();) {
        const size_t wide = begin == 0 ? 92 : 88;
        const size_t end = begin + wide < said.size() ? said.rfind(' ', begin + wide) : said.size();
        std::printf("%s%s\n", begin == 0 ? "" : "    ", said.substr(begin, end - begin).c_str());
        begin = end + 1;
      }
    }
}

}  // namespace

int main() {
  eight();
  all();
  complaints();
}
