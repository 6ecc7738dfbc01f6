// Exercises of chapter 06: blocks with a shortcut, attention over channels and places, and two gradients.
#include "exercises.h"

#include "autograd/ops.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using ch06::BlockGradients;
using ch06::Branch;
using ch06::ChannelWeights;

namespace {

// 6.1 ★ f is: convolution with branch.w1, with this stride and a padding of 1; ReLU; convolution with branch.w2, stride
// 1, padding 1. Add the shortcut, and apply ReLU to the sum. The shortcut is x itself; where branch.projection is
// defined(), it is the convolution of x with that, with the stride and no padding.
// conv2d(x, weight, {}, {.stride = 2, .padding = 1}) is a convolution without bias.
Tensor residual_block(const Tensor& x, const Branch& branch, int64_t stride) {
  // BEGIN SOLUTION 6.1
  const Tensor inner = relu(conv2d(x, branch.w1, {}, {.stride = stride, .padding = 1}));
  const Tensor f = conv2d(inner, branch.w2, {}, {.padding = 1});
  const Tensor shortcut = branch.projection.defined() ? conv2d(x, branch.projection, {}, {.stride = stride}) : x;
  return relu(shortcut + f);
  // END SOLUTION
  // MISTAKE the branch goes through ReLU before it is added
  // - return relu(shortcut + f);
  // + return relu(shortcut + relu(f));
  // MISTAKE the ReLU between the two convolutions is missing
  // - const Tensor inner = relu(conv2d(x, branch.w1, {}, {.stride = stride, .padding = 1}));
  // + const Tensor inner = conv2d(x, branch.w1, {}, {.stride = stride, .padding = 1});
}

// 6.2 ★ Squeeze: the mean of each channel over its places, for each picture (batch, channels). Excite: a linear layer
// with layers.w1 and b1, ReLU, one with layers.w2 and b2, and a sigmoid: (batch, channels), each number from 0 to 1.
// Return x, each channel times its number. v.unflatten(1, {channels, 1, 1}) makes (batch, channels) broadcast to x;
// linear(v, weight, bias) is v weight^T + bias.
Tensor squeeze_excite(const Tensor& x, const ChannelWeights& layers) {
  // BEGIN SOLUTION 6.2
  const Tensor means = x.mean({2, 3});
  const Tensor hidden = relu(linear(means, layers.w1, layers.b1));
  const Tensor weights = sigmoid(linear(hidden, layers.w2, layers.b2));
  return x * weights.unflatten(1, {x.size(1), 1, 1});
  // END SOLUTION
  // MISTAKE softmax over the channels stands in place of a sigmoid for each
  // - const Tensor weights = sigmoid(linear(hidden, layers.w2, layers.b2));
  // + const Tensor weights = softmax(linear(hidden, layers.w2, layers.b2), 1);
  // MISTAKE the means are taken over all pictures of the batch
  // - const Tensor means = x.mean({2, 3});
  // + const Tensor means = x.mean({0, 2, 3}).unsqueeze(0);
}

// 6.3 ★★ y = x + relu(x w1^T) w2^T, and g is the gradient of y. Return the gradients of x, w1 and w2. With the names
// z = x w1^T and a = relu(z): what is the gradient of a, what that of z? relu'(z) is 1 where z > 0, else 0;
// (z > 0).to(z.dtype()) makes such numbers. x is used twice.
BlockGradients residual_gradients(const Tensor& g, const Tensor& x, const Tensor& w1, const Tensor& w2) {
  // BEGIN SOLUTION 6.3
  const Tensor z = matmul(x, w1.t());  // (n, hidden)
  const Tensor a = relu(z);
  const Tensor da = matmul(g, w2);
  const Tensor dz = da * (z > 0).to(z.dtype());
  const Tensor dx = g + matmul(dz, w1);
  return {dx, matmul(dz.t(), x), matmul(g.t(), a)};
  // END SOLUTION
  // MISTAKE the gradient along the shortcut is missing
  // - const Tensor dx = g + matmul(dz, w1);
  // + const Tensor dx = matmul(dz, w1);
  // MISTAKE the gradient of ReLU is left out
  // - const Tensor dz = da * (z > 0).to(z.dtype());
  // + const Tensor& dz = da;
}

// 6.4 ★★ For each place, the mean of all channels and the largest of them: two maps, the mean first. A convolution with
// `filter` that keeps height and width makes one map of them, a sigmoid brings it between 0 and 1. Return x, each place
// times its number. x.amax({1}, true) is the largest over dimension 1, which stays there with size 1; cat({a, b}, 1)
// joins two tensors along dimension 1.
Tensor spatial_attention(const Tensor& x, const Tensor& filter) {
  // BEGIN SOLUTION 6.4
  const Tensor maps = cat({x.mean({1}, true), x.amax({1}, true)}, 1);  // (batch, 2, h, w)
  const Tensor scores = conv2d(maps, filter, {}, {.padding = filter.size(2) / 2});
  return x * sigmoid(scores);
  // END SOLUTION
  // MISTAKE the largest comes first, and then the mean
  // - const Tensor maps = cat({x.mean({1}, true), x.amax({1}, true)}, 1);  // (batch, 2, h, w)
  // + const Tensor maps = cat({x.amax({1}, true), x.mean({1}, true)}, 1);
  // MISTAKE softmax over the places stands in place of a sigmoid for each
  // - return x * sigmoid(scores);
  // + return x * softmax(scores.flatten(1), 1).reshape(scores.shape());
}

// 6.5 ★★★ y = squeeze_excite(x, layers), and g is the gradient of y. Return that of x, without the library's autograd.
// x is used twice: each number is multiplied by the weight of its channel, and it is part of the mean that all weights
// are made of. The derivative of a sigmoid s is s (1 - s).
Tensor squeeze_excite_gradient(const Tensor& g, const Tensor& x, const ChannelWeights& layers) {
  // BEGIN SOLUTION 6.5
  const double places = double(x.size(2) * x.size(3));
  const auto channelwise = [&](const Tensor& v) { return v.unflatten(1, {x.size(1), 1, 1}); };
  const Tensor hidden = relu(linear(x.mean({2, 3}), layers.w1, layers.b1));  // (batch, squeezed)
  const Tensor weights = sigmoid(linear(hidden, layers.w2, layers.b2));      // (batch, channels)
  const Tensor of_weights = (g * x).sum({2, 3});                             // (batch, channels)
  const Tensor of_scores = of_weights * weights * (1 - weights);             // in front of the sigmoid
  const Tensor of_hidden = matmul(of_scores, layers.w2) * (hidden > 0).to(x.dtype());
  const Tensor of_means = matmul(of_hidden, layers.w1);
  return g * channelwise(weights) + channelwise(of_means) / places;
  // END SOLUTION
  // MISTAKE the weights are taken for constants
  // - return g * channelwise(weights) + channelwise(of_means) / places;
  // + return g * channelwise(weights);
  // MISTAKE the gradient of a mean is not divided by the number of places
  // - return g * channelwise(weights) + channelwise(of_means) / places;
  // + return g * channelwise(weights) + channelwise(of_means);
}

}  // namespace

EXERCISES(ch06::Exercises, residual_block, squeeze_excite, residual_gradients, spatial_attention,
          squeeze_excite_gradient);
