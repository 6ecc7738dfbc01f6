// Exercises of chapter 05: sizes, patches as columns, and three gradients.
#include "exercises.h"

#include "autograd/ops.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using ch05::FilterGradients;
using ch05::NormGradients;

namespace {

// 5.1 ★ A side of `size` pixels gets `padding` zeros at either end; the filter covers `kernel` pixels and moves by
// `stride`. Return the number of its places. Where it fits nowhere, throw: check(ok, "why not") throws Error unless ok.
int64_t output_size(int64_t size, int64_t kernel, int64_t stride, int64_t padding) {
  // BEGIN SOLUTION 5.1
  const int64_t room = size + 2 * padding - kernel;
  check(room >= 0, "a kernel of ", kernel, " does not fit ", size, " pixels with padding ", padding);
  return room / stride + 1;
  // END SOLUTION
  // MISTAKE padding is counted at one end only
  // - const int64_t room = size + 2 * padding - kernel;
  // + const int64_t room = size + padding - kernel;
  // MISTAKE no error where the filter fits nowhere
  // - check(room >= 0, "a kernel of ", kernel, " does not fit ", size, " pixels with padding ", padding);
}

// 5.2 ★★ What the filter sees at one place, channel after channel and row after row, is one column; the places follow
// each other row after row. Zeros are around the picture. x may be any view. Loops over x.contiguous().data<double>()
// do it; so do three ops: pad(x, {left, right, top, bottom}), permute, and unfold(d, size, step), which cuts dimension
// d into windows and puts their elements into a new last dimension.
Tensor im2col(const Tensor& x, int64_t kernel, int64_t stride, int64_t padding) {
  // BEGIN SOLUTION 5.2
  const Tensor padded = pad(x, {padding, padding, padding, padding});
  const Tensor windows = padded.unfold(2, kernel, stride).unfold(3, kernel, stride);
  return windows.permute({0, 1, 4, 5, 2, 3}).flatten(4).flatten(1, 3);
  // END SOLUTION
  // MISTAKE the padding is left out
  // - const Tensor padded = pad(x, {padding, padding, padding, padding});
  // + const Tensor& padded = x;
  // MISTAKE in a column the channel comes last, not first
  // - return windows.permute({0, 1, 4, 5, 2, 3}).flatten(4).flatten(1, 3);
  // + return windows.permute({0, 4, 5, 1, 2, 3}).flatten(4).flatten(1, 3);
}

// 5.3 ★★ y is the largest element of each window of kernel x kernel pixels, every `stride` pixels, without padding,
// and g is the gradient of y. The element that was the largest gets the gradient of its window, the first of several
// equal ones. Windows may overlap. The elements of x.contiguous(), g.contiguous() and zeros_like(x) follow each other
// from .data<double>() on.
Tensor max_pool_gradient(const Tensor& g, const Tensor& x, int64_t kernel, int64_t stride) {
  // BEGIN SOLUTION 5.3
  const Tensor in = x.contiguous(), from = g.contiguous(), dx = zeros_like(x);
  const int64_t h = x.size(2), w = x.size(3), out_h = g.size(2), out_w = g.size(3);
  const double *pixels = in.data<double>(), *gradient = from.data<double>();
  double* result = dx.data<double>();
  for (int64_t plane = 0; plane < x.size(0) * x.size(1); ++plane, pixels += h * w, result += h * w)
    for (int64_t i = 0; i < out_h; ++i)
      for (int64_t j = 0; j < out_w; ++j, ++gradient) {
        int64_t best = i * stride * w + j * stride;
        for (int64_t row = i * stride; row < i * stride + kernel; ++row)
          for (int64_t column = j * stride; column < j * stride + kernel; ++column)
            if (pixels[row * w + column] > pixels[best]) best = row * w + column;
        result[best] += *gradient;
      }
  return dx;
  // END SOLUTION
  // MISTAKE windows that overlap overwrite each other's gradient
  // - result[best] += *gradient;
  // + result[best] = *gradient;
  // MISTAKE of equal elements the last is taken
  // - if (pixels[row * w + column] > pixels[best]) best = row * w + column;
  // + if (pixels[row * w + column] >= pixels[best]) best = row * w + column;
}

// 5.4 ★★ y = conv2d(x, weight, bias) with this kernel, stride and padding, and g is the gradient of y. Return those of
// weight and bias. With the columns of 5.2, y is a matrix product for each picture; and every picture, and every place,
// used the same weights.
FilterGradients filter_gradients(const Tensor& g, const Tensor& x, int64_t kernel, int64_t stride, int64_t padding) {
  // BEGIN SOLUTION 5.4
  const Tensor columns = im2col(x, kernel, stride, padding);          // (batch, in * kernel * kernel, places)
  const Tensor each = matmul(g.flatten(2), columns.transpose(1, 2));  // (batch, out, in * kernel * kernel)
  const Tensor weight = each.sum({0}).reshape({g.size(1), x.size(1), kernel, kernel});
  const Tensor bias = g.sum({0, 2, 3});
  return {weight, bias};
  // END SOLUTION
  // MISTAKE the pictures of the batch are averaged, not summed
  // - const Tensor weight = each.sum({0}).reshape({g.size(1), x.size(1), kernel, kernel});
  // + const Tensor weight = each.mean({0}).reshape({g.size(1), x.size(1), kernel, kernel});
  // MISTAKE the gradient of the bias is summed over the batch alone
  // - const Tensor bias = g.sum({0, 2, 3});
  // + const Tensor bias = g.sum({0});
}

// 5.5 ★★★ y = weight * unit + bias for each channel, where unit = (x - mean) / sqrt(variance + eps); mean and variance
// are those of the channel over the batch and all places, the variance divided by the number of elements. g is the
// gradient of y. Return those of x, weight and bias. v.reshape({1, -1, 1, 1}) makes (channels) broadcast to x.
NormGradients batch_norm_gradients(const Tensor& g, const Tensor& x, const Tensor& weight, double eps) {
  // BEGIN SOLUTION 5.5
  const Dims places = {0, 2, 3};
  const Tensor centred = x - x.mean(places, true);
  const Tensor variance = x.var(places, 0, true);
  const Tensor rstd = rsqrt(variance + eps);
  const Tensor unit = centred * rstd;
  const Tensor scaled = g * weight.reshape({1, -1, 1, 1});  // the gradient of unit
  const Tensor through_mean = scaled.mean(places, true);
  const Tensor through_variance = unit * (scaled * unit).mean(places, true);
  const Tensor dx = rstd * (scaled - through_mean - through_variance);
  return {dx, (g * unit).sum(places), g.sum(places)};
  // END SOLUTION
  // MISTAKE mean and variance are taken for constants
  // - const Tensor dx = rstd * (scaled - through_mean - through_variance);
  // + const Tensor dx = rstd * scaled;
  // MISTAKE the variance is divided by one less than the number of elements
  // - const Tensor variance = x.var(places, 0, true);
  // + const Tensor variance = x.var(places, 1, true);
}

}  // namespace

EXERCISES(ch05::Exercises, output_size, im2col, max_pool_gradient, filter_gradients, batch_norm_gradients);
