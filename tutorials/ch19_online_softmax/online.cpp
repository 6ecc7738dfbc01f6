// The online softmax by hand: four scores in two tiles, and what happens to scores that exp cannot take.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <vector>

#include "tensor/error.h"

namespace {

using gradus::check;
using Numbers = std::vector<double>;

// softmax(scores) values, as it is defined: all scores are gone through for the largest, before the first weight.
double two_passes(const Numbers& scores, const Numbers& values) {
  const double largest = *std::max_element(scores.begin(), scores.end());
  double sum = 0, output = 0;
  for (size_t j = 0; j < scores.size(); ++j) {
    const double e = std::exp(scores[j] - largest);
    sum += e;
    output += e * values[j];
  }
  return output / sum;
}

//! [state]
// What is known of some keys: the largest score, and sums of exp(score - largest) and of that times the values.
struct State {
  double largest = -std::numeric_limits<double>::infinity(), sum = 0, output = 0;
};

State of_tile(const Numbers& scores, const Numbers& values) {
  State s;
  s.largest = *std::max_element(scores.begin(), scores.end());
  for (size_t j = 0; j < scores.size(); ++j) {
    const double e = std::exp(scores[j] - s.largest);
    s.sum += e;
    s.output += e * values[j];
  }
  return s;
}

State merge(const State& a, const State& b) {
  const double largest = std::max(a.largest, b.largest);
  const double correct_a = std::exp(a.largest - largest), correct_b = std::exp(b.largest - largest);
  return {largest, correct_a * a.sum + correct_b * b.sum, correct_a * a.output + correct_b * b.output};
}
//! [state]

void print(const char* what, const State& s) {
  std::printf("%-14s m = %3.0f   s = %.4f   o = %7.4f   o / s = %.4f\n", what, s.largest, s.sum, s.output,
              s.output / s.sum);
}

void by_hand() {
  const Numbers scores = {1, 2, 4, 3}, values = {10, 20, 30, 40};
  std::printf("keys     scores     values\n");
  for (size_t j = 0; j < scores.size(); ++j) std::printf("%4d %10.0f %10.0f\n", int(j + 1), scores[j], values[j]);
  const State first = of_tile({1, 2}, {10, 20}), second = of_tile({4, 3}, {30, 40});
  const State both = merge(first, second), turned = merge(second, first);
  print("keys 1 and 2", first);
  print("keys 3 and 4", second);
  print("merged", both);
  print("the other way", turned);
  const double expected = two_passes(scores, values);
  std::printf("in two passes %53.4f\n\n", expected);
  check(std::abs(both.output / both.sum - expected) < 1e-12, "merging tiles should give what two passes give");
  check(std::abs(turned.output / turned.sum - expected) < 1e-12, "the order of tiles should not matter");
}

void large_scores() {
  std::printf("largest score    without taking it off      online\n");
  for (const double large : {8.0, 80.0, 800.0}) {
    const Numbers scores = {large - 1, large - 2, large, large - 1}, values = {10, 20, 30, 40};
    float sum = 0, output = 0;
    for (size_t j = 0; j < scores.size(); ++j) {
      const float e = std::exp(float(scores[j]));
      sum += e;
      output += e * float(values[j]);
    }
    const State online = merge(of_tile({scores[0], scores[1]}, {10, 20}), of_tile({scores[2], scores[3]}, {30, 40}));
    std::printf("%13.0f %24s %11.4f\n", large, std::isnan(output / sum) ? "not a number" : "fine",
                online.output / online.sum);
    check(std::abs(online.output / online.sum - two_passes(scores, values)) < 1e-12, "online should be right");
  }
}

}  // namespace

int main() {
  by_hand();
  large_scores();
}
