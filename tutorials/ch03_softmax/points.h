// Points of three classes in the plane, made up: round heaps that overlap a little, and the arms of a spiral.
#pragma once

#include <cmath>
#include <numbers>
#include <vector>

#include "autograd/ops.h"

namespace ch03 {

struct Points {
  gradus::Tensor x;  // (points, 2), float64
  gradus::Tensor y;  // (points), int64: the class
};

inline constexpr int64_t classes = 3;

// Normal distributions around three places at distance 2 from the origin.
inline Points blobs(int64_t per_class, gradus::Generator& generator) {
  const gradus::Tensor noise = gradus::randn({classes * per_class, 2}, {.dtype = gradus::float64}, &generator);
  const std::vector<double> drawn = noise.to_vector();
  std::vector<double> x;
  std::vector<int64_t> y;
  for (int64_t i = 0; i < classes * per_class; ++i) {
    y.push_back(i % classes);
    const double angle = 2 * std::numbers::pi * double(y.back()) / double(classes);
    x.push_back(2 * std::cos(angle) + drawn[size_t(2 * i)]);
    x.push_back(2 * std::sin(angle) + drawn[size_t(2 * i + 1)]);
  }
  return {gradus::from_vector(x, {classes * per_class, 2}), gradus::from_vector(y, {classes * per_class})};
}

// Three arms that wind round the origin, out to distance 3; noise shakes the angle.
inline Points spirals(int64_t per_class, gradus::Generator& generator) {
  const gradus::Tensor noise = gradus::randn({classes * per_class}, {.dtype = gradus::float64}, &generator);
  const std::vector<double> drawn = noise.to_vector();
  std::vector<double> x;
  std::vector<int64_t> y;
  for (int64_t i = 0; i < classes * per_class; ++i) {
    y.push_back(i % classes);
    const double along = double(i / classes + 1) / double(per_class);  // from the middle, 0, to the end, 1
    const double angle = 2 * std::numbers::pi * double(y.back()) / double(classes) + 4 * along;
    x.push_back(3 * along * std::cos(angle + 0.2 * drawn[size_t(i)]));
    x.push_back(3 * along * std::sin(angle + 0.2 * drawn[size_t(i)]));
  }
  return {gradus::from_vector(x, {classes * per_class, 2}), gradus::from_vector(y, {classes * per_class})};
}

// The share of points whose largest score is that of their class. scores: (points, classes).
inline double accuracy(const gradus::Tensor& scores, const Points& points) {
  return (scores.argmax(1) == points.y).to(gradus::float64).mean().item();
}

}  // namespace ch03
