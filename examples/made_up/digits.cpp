#include "examples/made_up/digits.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "data/loader.h"

namespace examples {

using namespace gradus;
using namespace gradus::data;

namespace {

constexpr int64_t side = 28;

struct Point {
  double x, y;
};
using Stroke = std::vector<Point>;  // a smooth curve through these points
using Drawing = std::vector<Stroke>;

// The ways to write each digit, in a box from (0, 0) at the top left to (1, 1); a corner is where two strokes meet.
const std::vector<Drawing>& ways(int64_t digit) {
  static const std::vector<Drawing> all[10] = {
      {{{{.5, 0}, {.2, .12}, {.06, .5}, {.2, .88}, {.5, 1}, {.8, .88}, {.94, .5}, {.8, .12}, {.5, 0}}},
       {{{.62, .03}, {.25, .1}, {.06, .52}, {.22, .9}, {.52, 1}, {.82, .84}, {.93, .45}, {.78, .1}, {.5, .04}}}},
      {{{{.5, 0}, {.5, 1}}},
       {{{.22, .24}, {.54, 0}}, {{.54, 0}, {.54, 1}}},
       {{{.22, .24}, {.54, 0}}, {{.54, 0}, {.54, 1}}, {{.2, 1}, {.86, 1}}}},
      {{{{.1, .26}, {.24, .06}, {.55, 0}, {.86, .16}, {.82, .4}, {.5, .7}, {.06, 1}}, {{.06, 1}, {.96, .98}}},
       {{{.08, .2},
         {.35, .01},
         {.75, .08},
         {.84, .32},
         {.6, .64},
         {.22, .94},
         {.08, .9},
         {.25, .78},
         {.55, .9},
         {.96, .97}}}},
      {{{{.08, .12}, {.42, 0}, {.8, .12}, {.76, .36}, {.38, .47}},
        {{.38, .47}, {.86, .6}, {.9, .85}, {.5, 1}, {.05, .88}}},
       {{{.1, .02}, {.86, .02}},
        {{.86, .02}, {.42, .42}},
        {{.42, .42}, {.84, .55}, {.88, .84}, {.48, 1}, {.05, .9}}}},
      {{{{.3, 0}, {.04, .62}}, {{.04, .62}, {.96, .6}}, {{.7, .28}, {.66, 1}}},
       {{{.72, 0}, {.03, .66}}, {{.03, .66}, {.97, .66}}, {{.72, 0}, {.7, 1}}},
       {{{.12, .04}, {.1, .4}, {.3, .54}, {.82, .46}}, {{.86, 0}, {.8, .5}, {.76, 1}}}},
      {{{{.88, .01}, {.22, .03}},
        {{.22, .03}, {.14, .46}},
        {{.14, .46}, {.5, .37}, {.88, .56}, {.85, .86}, {.44, 1}, {.05, .89}}},
       {{{.9, .05}, {.55, .01}, {.24, .06}, {.18, .4}, {.55, .44}, {.86, .64}, {.76, .92}, {.4, 1}, {.06, .92}}}},
      {{{{.76, .02}, {.38, .22}, {.12, .58}, {.2, .88}, {.5, 1}, {.82, .88}, {.84, .64}, {.54, .5}, {.18, .64}}},
       {{{.5, 0}, {.22, .34}, {.1, .7}, {.3, .97}, {.66, .98}, {.84, .78}, {.66, .58}, {.32, .62}, {.14, .8}}}},
      {{{{.06, .06}, {.94, .03}}, {{.94, .03}, {.62, .46}, {.42, 1}}},
       {{{.06, .2}, {.08, .05}}, {{.08, .05}, {.92, .04}}, {{.92, .04}, {.56, .5}, {.4, 1}}},
       {{{.06, .06}, {.94, .03}}, {{.94, .03}, {.62, .46}, {.42, 1}}, {{.3, .52}, {.84, .48}}}},
      {{{{.76, .14},
         {.5, 0},
         {.2, .12},
         {.26, .34},
         {.5, .46},
         {.8, .64},
         {.8, .9},
         {.5, 1},
         {.18, .9},
         {.18, .66},
         {.5, .46},
         {.76, .3},
         {.76, .14}}},
       {{{.5, 0}, {.2, .08}, {.2, .36}, {.5, .45}, {.8, .36}, {.8, .08}, {.5, 0}},
        {{.5, .45}, {.14, .6}, {.16, .92}, {.5, 1}, {.84, .92}, {.86, .6}, {.5, .45}}}},
      {{{{.84, .28}, {.66, .04}, {.3, .04}, {.1, .28}, {.28, .52}, {.62, .5}, {.84, .28}},
        {{.84, .28}, {.84, .62}, {.7, 1}}},
       {{{.82, .12}, {.46, 0}, {.14, .2}, {.2, .46}, {.54, .5}, {.82, .3}, {.86, .1}},
        {{.86, .1}, {.84, .6}, {.66, .94}, {.3, .98}}}}};
  return all[digit];
}

// Catmull and Rom 1974: between p1 and p2 the curve leaves along p2 - p0 and arrives along p3 - p1.
Point spline(Point p0, Point p1, Point p2, Point p3, double t) {
  auto one = [t](double a, double b, double c, double d) {
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)));
  };
  return {one(p0.x, p1.x, p2.x, p3.x), one(p0.y, p1.y, p2.y, p3.y)};
}

double distance_to_segment(Point p, Point a, Point b) {
  const double dx = b.x - a.x, dy = b.y - a.y, length2 = dx * dx + dy * dy;
  const double t = length2 > 0 ? std::clamp(((p.x - a.x) * dx + (p.y - a.y) * dy) / length2, 0.0, 1.0) : 0.0;
  return std::hypot(p.x - a.x - t * dx, p.y - a.y - t * dy);
}

}  // namespace

Tensor draw_digit(int64_t digit, uint64_t seed, int64_t index) {
  check(digit >= 0 && digit <= 9, "draw_digit: digit ", digit, ", expected 0 to 9");
  Generator random = sample_generator(seed, digit, index);
  auto between = [&](double low, double high) { return low + (high - low) * random.uniform(); };
  const std::vector<Drawing>& choices = ways(digit);
  const Drawing& drawing = choices[size_t(random.below(int64_t(choices.size())))];

  // The pose maps the box to pixels. A slow wave bends it all, so that strokes which meet still do.
  const double height = between(14, 21), width = height * (digit == 1 ? between(0.3, 0.6) : between(0.5, 0.85));
  const double slant = between(-0.3, 0.45), angle = between(-0.3, 0.3);
  const double c = std::cos(angle), s = std::sin(angle);
  const double room = std::min(3.0, (24 - height) / 2);
  const double centre_x = 13.5 + between(-room, room), centre_y = 13.5 + between(-room, room);
  double bend[2][3];
  for (auto& wave : bend) {
    wave[0] = between(-0.12, 0.12);
    wave[1] = between(2, 7);
    wave[2] = between(0, 2 * std::numbers::pi);
  }
  auto place = [&](Point p) {
    const double u = p.x - 0.5 + bend[0][0] * std::sin(bend[0][1] * p.y + bend[0][2]);
    const double v = p.y - 0.5 + bend[1][0] * std::sin(bend[1][1] * p.x + bend[1][2]);
    const double x = width * u - slant * height * v, y = height * v;
    return Point{centre_x + c * x - s * y, centre_y + s * x + c * y};
  };

  const double radius = between(0.6, 2.1), softness = between(0.45, 0.9);
  std::vector<double> distance(side * side, 100);
  auto draw = [&](Point a, Point b) {
    const double reach = radius + softness;
    auto pixels = [reach](double low, double high) {
      return std::pair(std::max<int64_t>(0, int64_t(std::floor(std::min(low, high) - reach))),
                       std::min<int64_t>(side - 1, int64_t(std::ceil(std::max(low, high) + reach))));
    };
    const auto [left, right] = pixels(a.x, b.x);
    const auto [top, bottom] = pixels(a.y, b.y);
    for (int64_t y = top; y <= bottom; ++y) {
      for (int64_t x = left; x <= right; ++x) {
        double& d = distance[size_t(y * side + x)];
        d = std::min(d, distance_to_segment({double(x), double(y)}, a, b));
      }
    }
  };
  for (const Stroke& stroke : drawing) {
    const int64_t last = int64_t(stroke.size()) - 1;
    for (int64_t i = 0; i < last; ++i) {
      const Point p0 = stroke[size_t(std::max<int64_t>(i - 1, 0))], p1 = stroke[size_t(i)];
      const Point p2 = stroke[size_t(i + 1)], p3 = stroke[size_t(std::min(i + 2, last))];
      constexpr int pieces = 6;
      for (int k = 0; k < pieces; ++k) {
        draw(place(spline(p0, p1, p2, p3, double(k) / pieces)),
             place(spline(p0, p1, p2, p3, double(k + 1) / pieces)));
      }
    }
  }

  const double ink = between(0.5, 1), grain = between(0, 0.15);
  Tensor image = empty({1, side, side}, {.dtype = uint8});
  uint8_t* out = image.data<uint8_t>();
  for (double d : distance) {
    const double covered = std::clamp((radius + softness - d) / (2 * softness), 0.0, 1.0);
    const double noise = grain * (random.uniform() + random.uniform() + random.uniform() - 1.5) * 2;
    *out++ = uint8_t(std::lround(255 * std::clamp(ink * covered + noise, 0.0, 1.0)));
  }
  return image;
}

ImageSet digits(int64_t count, uint64_t seed) {
  check(count >= 0, "digits: count ", count, ", expected at least 0");
  Tensor images = empty({count, 1, side, side}, {.dtype = uint8}), labels = empty({count}, {.dtype = int64});
  for (int64_t i = 0; i < count; ++i) {
    const Tensor image = draw_digit(i % 10, seed, i);
    std::copy_n(image.data<uint8_t>(), side * side, images.data<uint8_t>() + i * side * side);
    labels.data<int64_t>()[i] = i % 10;
  }
  return tensor_images(images, labels, {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"});
}

}  // namespace examples
