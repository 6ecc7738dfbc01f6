// Chapter 03's worked examples: softmax and cross-entropy of a few scores, where they go wrong, and their gradient.
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>

#include "tensor/error.h"
#include "tutorials/ch03_softmax/miniature.h"

using namespace ch03;
using gradus::check;

namespace {

// "nan" also where the machine would print "-nan".
std::string text(double x) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.4f", x);
  return std::isnan(x) ? "nan" : buffer;
}

std::string text(const Row& row) {
  std::string line;
  for (const double x : row) line += (line.empty() ? "" : " ") + text(x);
  return line;
}

bool near(double a, double b, double tolerance = 1e-12) { return std::abs(a - b) <= tolerance * (1 + std::abs(b)); }

bool near(const Row& a, const Row& b, double tolerance = 1e-12) {
  bool all = a.size() == b.size();
  for (size_t i = 0; all && i < a.size(); ++i) all = near(a[i], b[i], tolerance);
  return all;
}

Row in_proportion(const Row& z) {
  double total = 0;
  for (const double score : z) total += score;
  Row shares;
  for (const double score : z) shares.push_back(score / total);
  return shares;
}

void by_hand() {
  std::printf("Three scores\n  score   exp(score)    share\n");
  const Row z = {1, 2, 3}, p = softmax(z);
  double total = 0;
  for (const double score : z) total += std::exp(score);
  for (size_t k = 0; k < z.size(); ++k) std::printf("  %5.0f %12.4f %8.4f\n", z[k], std::exp(z[k]), p[k]);
  std::printf("    sum %12.4f %8.4f\n\n", total, p[0] + p[1] + p[2]);
  check(near(p, naive_softmax(z)), "both ways of computing softmax should agree");
}

void proportion() {
  std::printf("Divided by their sum, and softmax\n");
  for (const Row& z : {Row{1, 2, 3}, Row{11, 12, 13}, Row{-1, 0, 1}})
    std::printf("  %2.0f %2.0f %2.0f   %-22s   %s\n", z[0], z[1], z[2], text(in_proportion(z)).c_str(),
                text(softmax(z)).c_str());
  const Row scaled = {1 / std::sqrt(3), 2 / std::sqrt(3), 3 / std::sqrt(3)};
  std::printf("  scaled by the root of 3          %s\n\n", text(softmax(scaled)).c_str());
  check(near(softmax({1, 2, 3}), softmax({-1, 0, 1})), "softmax should not change when all scores move together");
}

void overflow() {
  std::printf("Large scores\n");
  std::printf("  log of the largest float    %s\n", text(std::log(std::numeric_limits<float>::max())).c_str());
  std::printf("  log of the largest double   %s\n", text(std::log(std::numeric_limits<double>::max())).c_str());
  const Row z = {1000, 1001, 1002};
  std::printf("  exp(1000)                   %s\n", text(std::exp(1000.0)).c_str());
  std::printf("  naive softmax               %s\n", text(naive_softmax(z)).c_str());
  std::printf("  softmax                     %s\n", text(softmax(z)).c_str());
  std::printf("Far apart: scores 0 and 800, loss of the first\n");
  std::printf("  -log of its probability     %s\n", text(-std::log(softmax({0, 800})[0])).c_str());
  std::printf("  log_sum_exp less its score  %s\n\n", text(cross_entropy({0, 800}, 0)).c_str());
  check(near(softmax(z), softmax({0, 1, 2})), "the stable softmax should not overflow");
  check(cross_entropy({0, 800}, 0) == 800, "the loss should be the distance of the scores");
}

// The slope of the loss in each direction, from two losses nearby.
Row central_differences(const Row& z, size_t target) {
  const double h = 1e-5;
  Row slopes;
  for (size_t k = 0; k < z.size(); ++k) {
    Row above = z, below = z;
    above[k] += h;
    below[k] -= h;
    slopes.push_back((cross_entropy(above, target) - cross_entropy(below, target)) / (2 * h));
  }
  return slopes;
}

void losses() {
  std::printf("The loss of scores 1, 2 and 3, by the true class\n  class   p(class)     loss   gradient\n");
  const Row z = {1, 2, 3};
  for (size_t target = 0; target < z.size(); ++target) {
    const Row gradient = cross_entropy_gradient(z, target);
    std::printf("  %5zu %10.4f %8.4f   %s\n", target, softmax(z)[target], cross_entropy(z, target),
                text(gradient).c_str());
    check(near(gradient, central_differences(z, target), 1e-8), "the gradient should agree with differences");
  }
  std::printf("  differences agree with the gradient\n\n");
}

// d/dz_0 of the sum of (p_k - q_k)^2 for two classes, the first being true: -4 (1 - p_0)^2 p_0.
double squared_error_gradient(const Row& z) {
  const Row p = softmax(z);
  return -4 * p[1] * p[1] * p[0];
}

void wrong_and_sure() {
  std::printf(
      "Scores -s and s, the first class being true\n      s     p(0)     loss   its gradient   squared error's\n");
  for (const double s : {0.0, 1.0, 3.0, 5.0}) {
    const Row z = {-s, s};
    std::printf("  %5.0f %8.4f %8.4f %14.4f %17.4f\n", s, softmax(z)[0], cross_entropy(z, 0),
                cross_entropy_gradient(z, 0)[0], squared_error_gradient(z));
  }
}

}  // namespace

int main() {
  by_hand();
  proportion();
  overflow();
  losses();
  wrong_and_sure();
}
