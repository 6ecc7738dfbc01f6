// Judges the exercises of chapter 05 against plain loops and the library's own gradients, in float64.
#include "autograd/ops.h"
#include "exercises.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using ch05::Exercises;
using grading::Grade;

namespace {

Tensor normal(Grade& grade, const Shape& shape) { return randn(shape, {.dtype = float64}, &grade.random()); }

// (a, b, c, d) from numbers that lie in another order: a view with strides of its own.
Tensor turned(Grade& grade, const Shape& s) { return normal(grade, {s[3], s[2], s[0], s[1]}).permute({2, 3, 1, 0}); }

// --- 5.1 -----------------------------------------------------------------------------------------------------------

// Tries every place, without a formula.
int64_t places(int64_t size, int64_t kernel, int64_t stride, int64_t padding) {
  int64_t count = 0;
  for (int64_t start = -padding; start + kernel <= size + padding; start += stride) ++count;
  return count;
}

void grade_output_size(const Exercises& student, Grade& grade) {
  for (const int64_t size : {1, 4, 7, 28})
    for (const int64_t kernel : {1, 2, 3, 5})
      for (const int64_t stride : {1, 2, 3})
        for (const int64_t padding : {0, 1, 2}) {
          const std::string what = "size " + std::to_string(size) + ", kernel " + std::to_string(kernel) +
                                   ", stride " + std::to_string(stride) + ", padding " + std::to_string(padding);
          const auto got = [&] { return student.output_size(size, kernel, stride, padding); };
          const int64_t right = places(size, kernel, stride, padding);
          if (right > 0) {
            const double one_end = double((size + padding - kernel) / stride + 1);
            grade.equal(what, double(got()), double(right),
                        {{one_end, "padding is counted at one end only"},
                         {double(right - 1), "the first place is not counted"}});
            continue;
          }
          bool thrown = false;
          try {
            got();
          } catch (const Error&) {
            thrown = true;
          }
          grade.that(thrown, what + ": no error where the filter fits nowhere");
        }
}

// --- 5.2 -----------------------------------------------------------------------------------------------------------

// Which number belongs at (channel, a, b) of the column of a place.
enum class Order { right, channel_last, turned };
Tensor columns_by_loops(const Tensor& x, int64_t kernel, int64_t stride, int64_t padding,
                        Order order = Order::right) {
  const int64_t batch = x.size(0), channels = x.size(1), h = x.size(2), w = x.size(3);
  const int64_t out_h = places(h, kernel, stride, padding), out_w = places(w, kernel, stride, padding);
  const std::vector<double> pixels = x.to_vector();
  std::vector<double> result(size_t(batch * channels * kernel * kernel * out_h * out_w));
  for (int64_t n = 0; n < batch; ++n)
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t a = 0; a < kernel; ++a)
        for (int64_t b = 0; b < kernel; ++b)
          for (int64_t i = 0; i < out_h; ++i)
            for (int64_t j = 0; j < out_w; ++j) {
              const int64_t row = i * stride - padding + a, column = j * stride - padding + b;
              if (row < 0 || row >= h || column < 0 || column >= w) continue;
              const int64_t place = order == Order::right          ? (c * kernel + a) * kernel + b
                                    : order == Order::channel_last ? (a * kernel + b) * channels + c
                                                                   : (c * kernel + b) * kernel + a;
              result[size_t(((n * channels * kernel * kernel + place) * out_h + i) * out_w + j)] =
                  pixels[size_t(((n * channels + c) * h + row) * w + column)];
            }
  return from_vector(result, {batch, channels * kernel * kernel, out_h * out_w});
}

void grade_im2col(const Exercises& student, Grade& grade) {
  const auto judge = [&](const Tensor& x, int64_t kernel, int64_t stride, int64_t padding) {
    const std::string view = x.is_contiguous() ? "" : ", a view whose numbers lie in another order";
    const std::string what = "x " + to_string(x.shape()) + view + ", kernel " + std::to_string(kernel) + ", stride " +
                             std::to_string(stride) + ", padding " + std::to_string(padding);
    const auto wrong = [&](Order order) { return columns_by_loops(x, kernel, stride, padding, order); };
    const Tensor expected = wrong(Order::right);
    std::vector<grading::Known> known = {
        {wrong(Order::channel_last), "in a column the channel comes last, not first"},
        {wrong(Order::turned), "in a column the filter's columns come before its rows"},
        {expected.transpose(1, 2), "the patches are rows, not columns"}};
    if (padding > 0 && kernel <= x.size(2) && kernel <= x.size(3))
      known.push_back({columns_by_loops(x, kernel, stride, 0), "the padding is left out"});
    grade.equal(what, student.im2col(x, kernel, stride, padding), expected, known);
  };
  judge(normal(grade, {1, 1, 4, 4}), 3, 1, 0);
  judge(normal(grade, {2, 3, 5, 7}), 3, 1, 0);
  judge(normal(grade, {2, 3, 5, 7}), 3, 1, 1);
  judge(turned(grade, {3, 2, 7, 6}), 3, 2, 2);
  judge(normal(grade, {1, 4, 3, 3}).narrow(1, 1, 2), 1, 2, 0);
  judge(normal(grade, {1, 2, 2, 3}), 5, 1, 2);
}

// --- 5.3 -----------------------------------------------------------------------------------------------------------

// `add`: windows add up. `last`: the last of equal elements. `all`: each of them.
struct Pooling {
  bool add = true, last = false, all = false;
};
Tensor pool_gradient(const Tensor& g, const Tensor& x, int64_t kernel, int64_t stride, const Pooling& how) {
  const int64_t planes = x.size(0) * x.size(1), h = x.size(2), w = x.size(3), out_h = g.size(2), out_w = g.size(3);
  const std::vector<double> pixels = x.to_vector(), from = g.to_vector();
  std::vector<double> result(pixels.size());
  for (int64_t plane = 0; plane < planes; ++plane)
    for (int64_t i = 0; i < out_h; ++i)
      for (int64_t j = 0; j < out_w; ++j) {
        std::vector<size_t> window, largest;
        for (int64_t a = 0; a < kernel; ++a)
          for (int64_t b = 0; b < kernel; ++b)
            window.push_back(size_t((plane * h + i * stride + a) * w + j * stride + b));
        double most = pixels[window[0]];
        for (const size_t at : window) most = std::max(most, pixels[at]);
        for (const size_t at : window)
          if (pixels[at] == most) largest.push_back(at);
        if (!how.all) largest = {how.last ? largest.back() : largest.front()};
        const double value = from[size_t((plane * out_h + i) * out_w + j)];
        for (const size_t at : largest) result[at] = how.add ? result[at] + value : value;
      }
  return from_vector(result, x.shape());
}

void grade_max_pool(const Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& what, const Tensor& x, int64_t kernel, int64_t stride) {
    const Shape shape = {x.size(0), x.size(1), places(x.size(2), kernel, stride, 0),
                         places(x.size(3), kernel, stride, 0)};
    const Tensor g = turned(grade, shape);
    const auto wrong = [&](const Pooling& how) { return pool_gradient(g, x, kernel, stride, how); };
    grade.equal(what, student.max_pool_gradient(g, x, kernel, stride), wrong({}),
                {{wrong({.add = false}), "windows that overlap overwrite each other's gradient"},
                 {wrong({.last = true}), "of equal elements the last is taken"},
                 {wrong({.all = true}), "all of several equal elements are taken"}});
  };
  judge("x (1, 1, 4, 4), kernel 2, stride 2", normal(grade, {1, 1, 4, 4}), 2, 2);
  judge("x (2, 3, 7, 5), kernel 2, stride 2: the last row and column belong to no window",
        turned(grade, {2, 3, 7, 5}), 2, 2);
  judge("x (2, 1, 6, 7), kernel 3, stride 1: windows overlap", turned(grade, {2, 1, 6, 7}), 3, 1);
  judge("x (1, 2, 6, 6), kernel 3, stride 2, all below zero", -1 - square(normal(grade, {1, 2, 6, 6})), 3, 2);
  judge("x (1, 2, 5, 6) all zero, kernel 2, stride 2", zeros({1, 2, 5, 6}, {.dtype = float64}), 2, 2);
  judge("x (2, 2, 8, 8) behind a ReLU, kernel 3, stride 2", relu(normal(grade, {2, 2, 8, 8}) - 0.5), 3, 2);
}

// --- 5.4 -----------------------------------------------------------------------------------------------------------

void grade_filters(const Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& what, const Tensor& x, int64_t out, int64_t kernel, int64_t stride,
                         int64_t padding) {
    const Tensor weight = normal(grade, {out, x.size(1), kernel, kernel}).requires_grad_();
    const Tensor bias = normal(grade, {out}).requires_grad_();
    const Tensor y = conv2d(x, weight, bias, {.stride = stride, .padding = padding});
    const Tensor g = turned(grade, y.shape());
    const std::vector<Tensor> expected = grad({y}, {weight, bias}, {.grad_outputs = {g}});
    const auto [dw, db] = student.filter_gradients(g, x, kernel, stride, padding);
    std::vector<grading::Known> known = {
        {expected[0].flip({2, 3}), "the filter is turned: conv2d does not turn it"},
        {expected[0] / double(x.size(0)), "the pictures of the batch are averaged, not summed"},
        {expected[0] / double(y.size(2) * y.size(3)), "the places are averaged, not summed"}};
    grade.equal("the gradient of the weight, " + what, dw, expected[0], known);
    grade.equal("the gradient of the bias, " + what, db, expected[1],
                {{g.sum({0}), "the gradient of the bias is summed over the batch alone"},
                 {g.sum({2, 3}), "the gradient of the bias is summed over the places alone"},
                 {g.mean({0, 2, 3}), "pictures and places are averaged, not summed"}});
  };
  judge("x (1, 1, 4, 4), kernel 3", normal(grade, {1, 1, 4, 4}), 1, 3, 1, 0);
  judge("x (3, 2, 5, 6), kernel 3, padding 1", normal(grade, {3, 2, 5, 6}), 4, 3, 1, 1);
  judge("x (2, 3, 7, 5), kernel 3, stride 2, padding 1", turned(grade, {2, 3, 7, 5}), 2, 3, 2, 1);
  judge("x (2, 2, 6, 6), kernel 2, stride 3: some pixels are never seen", normal(grade, {2, 2, 6, 6}), 3, 2, 3, 0);
}

// --- 5.5 -----------------------------------------------------------------------------------------------------------

struct Norm {
  int64_t correction = 0;         // of the variance
  double mean = 1, variance = 1;  // how much of the gradient goes through them
};
Tensor norm_gradient(const Tensor& g, const Tensor& x, const Tensor& weight, double eps, const Norm& how,
                     const Dims& dims = {0, 2, 3}) {
  const Tensor rstd = rsqrt(x.var(dims, how.correction, true) + eps), unit = (x - x.mean(dims, true)) * rstd;
  const Tensor scaled = g * weight.reshape({1, -1, 1, 1});
  return rstd *
         (scaled - how.mean * scaled.mean(dims, true) - how.variance * unit * (scaled * unit).mean(dims, true));
}

void grade_norm(const Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& what, const Tensor& x, double eps) {
    const Tensor in = x.detach().requires_grad_(), g = turned(grade, x.shape());
    const Tensor weight = normal(grade, {x.size(1)}).requires_grad_(),
                 bias = normal(grade, {x.size(1)}).requires_grad_();
    const Tensor y = batch_norm(in, {}, {}, weight, bias, true, 0.1, eps);
    const std::vector<Tensor> expected = grad({y}, {in, weight, bias}, {.grad_outputs = {g}});
    const Tensor w = weight.detach();
    const auto wrong = [&](const Norm& how) { return norm_gradient(g, x, w, eps, how); };
    std::vector<grading::Known> known = {
        {wrong({.mean = 0, .variance = 0}), "mean and variance are taken for constants"},
        {wrong({.variance = 0}), "the variance is taken for a constant"},
        {wrong({.mean = 0}), "the mean is taken for a constant"},
        {wrong({.correction = 1}), "the variance is divided by one less than the number of elements"},
        {norm_gradient(g, x, ones_like(w), eps, {}), "the weight is left out"}};
    if (x.size(0) > 1) known.push_back({norm_gradient(g, x, w, eps, {}, {0}), "the places are left out of the mean"});
    const auto [dx, dw, db] = student.batch_norm_gradients(g, x, w, eps);
    grade.equal("the gradient of x, " + what, dx, expected[0], known);
    const Tensor unbiased = (x - x.mean({0, 2, 3}, true)) * rsqrt(x.var({0, 2, 3}, 1, true) + eps);
    grade.equal("the gradient of the weight, " + what, dw, expected[1],
                {{(g * x).sum({0, 2, 3}), "x is not normalised"},
                 {(g * unbiased).sum({0, 2, 3}), "the variance is divided by one less than the number of elements"}});
    grade.equal("the gradient of the bias, " + what, db, expected[2]);
  };
  judge("x (4, 1, 1, 1)", normal(grade, {4, 1, 1, 1}), 1e-5);
  judge("x (3, 2, 4, 5)", 3 * normal(grade, {3, 2, 4, 5}) + 2, 1e-5);
  judge("x (1, 3, 3, 2)", turned(grade, {1, 3, 3, 2}), 0.1);
  judge("x (5, 4, 1, 1)", turned(grade, {5, 4, 1, 1}), 1e-3);
}

const std::vector<grading::Task<Exercises>> tasks = {
    {.number = "5.1",
     .title = "the size of the output",
     .stars = 1,
     .grade = grade_output_size,
     .hints =
         {"Where may the filter's left edge stand? Where does the last place begin?",
          "With zeros at both ends the side has size + 2 * padding pixels, of which the filter covers kernel. It "
          "can move over the rest.",
          "room = size + 2 * padding - kernel; an error where that is negative (in C++, -1 / 2 is 0, so the formula "
          "alone will not notice); else room / stride + 1."}},
    {.number = "5.2",
     .title = "im2col",
     .stars = 2,
     .grade = grade_im2col,
     .hints =
         {"Six loops: picture, channel, row and column of the filter, row and column of the output. Which pixel is "
          "seen there, and where does it go?",
          "The pixel is in row i * stride - padding + a and column j * stride - padding + b, or zero outside; its "
          "place in the column is (c * kernel + a) * kernel + b.",
          "Or with views: pad, then unfold(2, kernel, stride) and unfold(3, kernel, stride) give (batch, channels, "
          "out_h, out_w, kernel, kernel); permute({0, 1, 4, 5, 2, 3}), and flatten what belongs together."}},
    {.number = "5.3",
     .title = "the gradient of max pooling",
     .stars = 2,
     .grade = grade_max_pool,
     .hints = {"Go over the windows, not over the pixels.",
               "Find in each window the place of its first largest element, and add the window's gradient there.",
               "Begin with the window's first pixel as the best and replace it only by a larger one (>). Then "
               "result[best] "
               "+= gradient; with = a second window would undo the first."}},
    {.number = "5.4",
     .title = "the gradients of the filters",
     .stars = 2,
     .grade = grade_filters,
     .hints =
         {"For one picture, y = weight * columns: what is the gradient of the left factor of a matrix product?",
          "It is g columns^T, with g as (out, places) and columns as (in * kernel * kernel, places); and one weight "
          "serves the whole batch.",
          "matmul(g.flatten(2), im2col(x, kernel, stride, padding).transpose(1, 2)).sum({0}), reshaped to (out, in, "
          "kernel, kernel); and g.sum({0, 2, 3})."}},
    {.number = "5.5",
     .title = "the gradient of batch normalisation",
     .stars = 3,
     .grade = grade_norm,
     .hints =
         {"Weight and bias are easy. x enters three times: itself, in the mean and in the variance.",
          "The gradient of unit is h = g * weight. Its mean is lost through the mean of x, and its part along unit "
          "through the variance.",
          "dx = rstd * (h - mean(h) - unit * mean(h * unit)), the means over dimensions 0, 2 and 3 with keepdim; "
          "rstd "
          "= rsqrt(x.var({0, 2, 3}, 0, true) + eps)."}},
};

}  // namespace

int main(int argc, char** argv) { return grading::run("ch05", tasks, argc, argv); }
