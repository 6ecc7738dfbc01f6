// What a shortcut adds to a gradient, and attention over channels and places, with numbers small enough to follow.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "autograd/ops.h"

using namespace gradus;

namespace {

constexpr TensorOptions wide = {.dtype = float64};

// --- shortcuts -----------------------------------------------------------------------------------------------------

//! [chain]
// d y / d x where y is x after some layers, each v -> w v or, with a shortcut, v -> v + w v.
double slope(double w, int layers, bool shortcut) {
  const Tensor x = tensor(1.0, {.dtype = float64, .requires_grad = true});
  Tensor y = x;
  for (int i = 0; i < layers; ++i) y = shortcut ? y + w * y : w * y;
  y.backward();
  return x.grad().item();
}
//! [chain]

void chains() {
  std::printf("layers  w    plain slope  with shortcuts\n");
  for (const int layers : {1, 2, 3, 10, 30})
    std::printf("%6d  0.1  %11.4g  %14.4f\n", layers, slope(0.1, layers, false), slope(0.1, layers, true));
  check(std::fabs(slope(0.1, 3, true) - (1 + 0.3 + 0.03 + 0.001)) < 1e-12, "the paths do not add up to the slope");

  std::printf("\nlayers on the path  paths  each    together\n");
  double sum = 0;
  const int paths[] = {1, 3, 3, 1};
  for (int on = 0; on <= 3; ++on) {
    const double each = std::pow(0.1, on);
    std::printf("%18d  %5d  %-6.4g  %8.4g\n", on, paths[on], each, paths[on] * each);
    sum += paths[on] * each;
  }
  std::printf("                                   %5.3f\n\n", sum);
}

// --- channels ------------------------------------------------------------------------------------------------------

// Tables (rows, columns) side by side.
struct Column {
  std::string name;
  Tensor table;
};
void print(const std::vector<Column>& columns, int decimals) {
  int64_t rows = 0;
  for (const Column& column : columns) rows = std::max(rows, column.table.size(0));
  for (int64_t i = -1; i < rows; ++i) {  // the names first
    std::string line;
    for (size_t c = 0; c < columns.size(); ++c) {
      const auto& [name, table] = columns[c];
      line.resize(22 * c, ' ');
      if (i < 0) line += name;
      for (int64_t j = 0; i >= 0 && i < table.size(0) && j < table.size(1); ++j) {
        char number[32];
        std::snprintf(number, sizeof(number), "%*.*f", decimals ? decimals + 4 : 3, decimals, table[i][j].item());
        line += number;
      }
    }
    std::printf("%s\n", line.c_str());
  }
  std::printf("\n");
}

void channels() {
  const Tensor x = tensor({{{{1, 3}, {1, 3}}, {{0, 0}, {0, 4}}}}, wide);  // (1, 2, 2, 2): one picture, two channels
  const Tensor w1 = tensor({{1, -1}}, wide), w2 = tensor({{2}, {-1}}, wide);
  const Tensor means = x.mean({2, 3});            // (1, 2)
  const Tensor hidden = relu(linear(means, w1));  // (1, 1)
  const Tensor scores = linear(hidden, w2);       // (1, 2)
  const Tensor weights = sigmoid(scores);         // (1, 2)
  const Tensor y = x * weights.unflatten(1, {2, 1, 1});
  print({{"channel 0", x[0][0]}, {"channel 1", x[0][1]}}, 0);
  print({{"means", means}, {"squeezed", hidden}, {"scores", scores}, {"weights", weights}}, 2);
  print({{"channel 0, weighted", y[0][0]}, {"channel 1, weighted", y[0][1]}}, 2);
}

// --- places --------------------------------------------------------------------------------------------------------

void places() {
  // One channel sees a stroke from top to bottom, the other one from left to right.
  const Tensor x = tensor({{{{0, 2, 0}, {0, 2, 0}, {0, 2, 0}}, {{0, 0, 0}, {2, 2, 2}, {0, 0, 0}}}}, wide);
  const Tensor mean = x.mean({1}, true), largest = x.amax({1}, true);  // (1, 1, 3, 3) each
  const Tensor filter = tensor({{{{3}}, {{-1}}}}, wide);               // (1, 2, 1, 1): three means less a largest
  const Tensor scores = conv2d(cat({mean, largest}, 1), filter);       // (1, 1, 3, 3)
  const Tensor weights = sigmoid(scores);
  print({{"channel 0", x[0][0]}, {"channel 1", x[0][1]}, {"mean", mean[0][0]}, {"largest", largest[0][0]}}, 0);
  print({{"scores", scores[0][0]}, {"weights", weights[0][0]}}, 2);
}

}  // namespace

int main() {
  chains();
  channels();
  places();
}
