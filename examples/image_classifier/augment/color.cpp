#include "color.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "autograd/ops.h"

namespace image_classifier {

using namespace gradus;

namespace {

float bounded(float x) { return std::clamp(x, 0.0f, 1.0f); }

float luma(const float* pixel, int64_t area) {
  return 0.2989f * pixel[0] + 0.587f * pixel[area] + 0.114f * pixel[2 * area];
}

// f(x, area) for the `area` pixels of each channel.
template <class F>
void each_channel(Tensor& image, F f) {
  const int64_t area = image.size(1) * image.size(2);
  for (int64_t c = 0; c < image.size(0); ++c) f(image.data<float>() + c * area, area);
}

template <class F>
void each_value(Tensor& image, F f) {
  float* x = image.data<float>();
  const int64_t n = image.numel();
  for (int64_t i = 0; i < n; ++i) x[i] = f(x[i]);
}

// Hue, from 0 to 1, saturation and value (Smith 1978, "Color gamut transform pairs"), and back.
void turn_hue(float& r, float& g, float& b, float turn) {
  const float high = std::max({r, g, b}), low = std::min({r, g, b}), range = high - low;
  if (range == 0) return;
  const float sector = high == r ? (g - b) / range : high == g ? 2 + (b - r) / range : 4 + (r - g) / range;
  const float hue = sector / 6 + turn, six = (hue - std::floor(hue)) * 6;
  // A channel is `high` within 1/6 of a turn of its own colour, and `low` from 1/3 on.
  auto channel = [&](float own) {
    const float away = std::abs(six - own), distance = std::min(away, 6 - away);
    return low + range * bounded(2 - distance);
  };
  r = channel(0);
  g = channel(2);
  b = channel(4);
}

}  // namespace

void adjust_brightness(Tensor& image, double factor) {
  each_value(image, [f = float(factor)](float x) { return bounded(x * f); });
}

void adjust_contrast(Tensor& image, double factor) {
  const int64_t area = image.size(1) * image.size(2);
  const float* x = image.data<float>();
  double sum = 0;
  for (int64_t i = 0; i < area; ++i) sum += image.size(0) == 3 ? luma(x + i, area) : x[i];
  const float f = float(factor), rest = float(1 - factor) * float(sum / double(area));
  each_value(image, [=](float v) { return bounded(v * f + rest); });
}

void adjust_saturation(Tensor& image, double factor) {
  if (image.size(0) != 3) return;
  const int64_t area = image.size(1) * image.size(2);
  const float f = float(factor);
  float* x = image.data<float>();
  for (int64_t i = 0; i < area; ++i) {
    const float rest = (1 - f) * luma(x + i, area);
    for (int64_t c = 0; c < 3; ++c) x[c * area + i] = bounded(x[c * area + i] * f + rest);
  }
}

void adjust_sharpness(Tensor& image, double factor) {
  const int64_t height = image.size(1), width = image.size(2);
  const float f = float(factor);
  const Tensor copy = image.clone();
  const float* old = copy.data<float>();
  each_channel(image, [&](float* x, int64_t area) {
    for (int64_t row = 1; row + 1 < height; ++row) {
      for (int64_t i = row * width + 1; i + 1 < (row + 1) * width; ++i) {
        float sum = 4 * old[i];  // the pixel counts five times, its neighbours once
        for (int64_t k : {-width, int64_t(0), width}) sum += old[i + k - 1] + old[i + k] + old[i + k + 1];
        x[i] = bounded(old[i] * f + sum / 13 * (1 - f));
      }
    }
    old += area;
  });
}

void adjust_hue(Tensor& image, double turn) {
  if (image.size(0) != 3) return;
  const int64_t area = image.size(1) * image.size(2);
  float* x = image.data<float>();
  for (int64_t i = 0; i < area; ++i) turn_hue(x[i], x[area + i], x[2 * area + i], float(turn));
}

void posterize(Tensor& image, int bits) {
  const float shades = float(1 << bits);
  each_value(image, [=](float x) { return std::clamp(std::floor(x * shades), 0.0f, shades - 1) / shades; });
}

void solarize(Tensor& image, double threshold) {
  each_value(image, [t = float(threshold)](float x) { return x >= t ? 1 - x : x; });
}

void autocontrast(Tensor& image) {
  each_channel(image, [](float* x, int64_t area) {
    const auto [low, high] = std::minmax_element(x, x + area);
    const float first = *low, range = *high - first;
    if (range == 0) return;
    for (int64_t i = 0; i < area; ++i) x[i] = (x[i] - first) / range;
  });
}

// In the whole numbers of PIL.ImageOps.equalize.
void equalize(Tensor& image) {
  each_channel(image, [](float* x, int64_t area) {
    auto shade = [](float v) { return size_t(bounded(v) * 255.999f); };
    std::array<int64_t, 256> count = {};
    for (int64_t i = 0; i < area; ++i) ++count[shade(x[i])];
    size_t last = 255;
    while (count[last] == 0) --last;
    const int64_t step = (area - count[last]) / 255;
    if (step == 0) return;
    std::array<float, 256> to;
    int64_t below = step / 2;
    for (size_t k = 0; k < 256; ++k) {
      to[k] = float(std::min<int64_t>(below / step, 255)) / 255;
      below += count[k];
    }
    for (int64_t i = 0; i < area; ++i) x[i] = to[shade(x[i])];
  });
}

}  // namespace image_classifier
