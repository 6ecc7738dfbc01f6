// Judges the exercises of chapter 06 against plain loops, the library's modules and its gradients, in float64.
#include <algorithm>
#include <cmath>

#include "autograd/ops.h"
#include "exercises.h"
#include "nn/image_attention.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using ch06::BlockGradients;
using ch06::Branch;
using ch06::ChannelWeights;
using ch06::Exercises;
using grading::Grade;

namespace {

Tensor normal(Grade& grade, const Shape& shape) { return randn(shape, {.dtype = float64}, &grade.random()); }

// (a, b, c, d) from numbers that lie in another order: a view with strides of its own.
Tensor turned(Grade& grade, const Shape& s) { return normal(grade, {s[3], s[2], s[0], s[1]}).permute({2, 3, 1, 0}); }

std::string of(const Tensor& x) { return " of x " + to_string(x.shape()); }

// --- 6.1 -----------------------------------------------------------------------------------------------------------

void grade_block(const Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& what, const Tensor& x, int64_t out, int64_t stride, bool projected) {
    Branch branch = {normal(grade, {out, x.size(1), 3, 3}), normal(grade, {out, out, 3, 3}), {}};
    if (projected) branch.projection = normal(grade, {out, x.size(1), 1, 1});
    const Tensor first = conv2d(x, branch.w1, {}, {.stride = stride, .padding = 1});
    const auto second = [&](const Tensor& in) { return conv2d(in, branch.w2, {}, {.padding = 1}); };
    const Tensor f = second(relu(first));
    const Tensor shortcut = projected ? conv2d(x, branch.projection, {}, {.stride = stride}) : x;
    std::vector<grading::Known> known = {
        {relu(shortcut + relu(f)), "the branch goes through ReLU before it is added"},
        {shortcut + relu(f), "ReLU is applied to the branch, not to the sum"},
        {relu(shortcut + second(first)), "the ReLU between the two convolutions is missing"},
        {shortcut + f, "the ReLU of the sum is missing"},
        {relu(f), "the shortcut is missing"}};
    if (x.shape() == f.shape()) known.push_back({relu(x + f), "the shortcut is not projected"});
    grade.equal("the block" + of(x) + ", " + what, student.residual_block(x, branch, stride), relu(shortcut + f),
                known);
  };
  judge("the identity for a shortcut", normal(grade, {2, 3, 5, 7}), 3, 1, false);
  judge("a view of other strides", turned(grade, {1, 4, 6, 5}), 4, 1, false);
  judge("more channels", normal(grade, {2, 2, 4, 3}), 5, 1, true);
  judge("as many channels, projected", normal(grade, {2, 3, 4, 4}), 3, 1, true);
  judge("stride 2", turned(grade, {3, 2, 7, 6}), 4, 2, true);
}

// --- 6.2 and 6.5 ---------------------------------------------------------------------------------------------------

ChannelWeights channel_weights(Grade& grade, int64_t channels, int64_t squeezed) {
  return {normal(grade, {channels, squeezed}).t(), normal(grade, {squeezed}), normal(grade, {channels, squeezed}),
          normal(grade, {channels})};
}

// The library's module with these weights.
nn::SqueezeExcitation module_of(const ChannelWeights& layers) {
  nn::SqueezeExcitation module(layers.w1.size(1), layers.w1.size(0));
  module.to(float64);
  const auto filters = [](const Tensor& w) { return w.unsqueeze(2).unsqueeze(3); };
  module.load_state_dict({{"fc1.weight", filters(layers.w1)},
                          {"fc1.bias", layers.b1},
                          {"fc2.weight", filters(layers.w2)},
                          {"fc2.bias", layers.b2}});
  return module;
}

// For each picture alone, so that none can see another.
Tensor excited(const Tensor& x, const ChannelWeights& layers) {
  const nn::SqueezeExcitation module = module_of(layers);
  std::vector<Tensor> each;
  for (int64_t i = 0; i < x.size(0); ++i) each.push_back(module(x.narrow(0, i, 1)));
  return cat(each);
}

void grade_squeeze(const Exercises& student, Grade& grade) {
  for (const Tensor& x : {normal(grade, {2, 5, 3, 4}), turned(grade, {3, 4, 5, 2}),
                          normal(grade, {2, 7, 4, 4}).narrow(1, 2, 3), normal(grade, {1, 6, 1, 1}) * 30}) {
    const int64_t channels = x.size(1);
    const ChannelWeights layers = channel_weights(grade, channels, 3);
    const auto weighted = [&](const Tensor& weights) { return x * weights.unflatten(1, {channels, 1, 1}); };
    const auto scores = [&](const Tensor& pooled) {
      return linear(relu(linear(pooled, layers.w1, layers.b1)), layers.w2, layers.b2);
    };
    const Tensor means = x.mean({2, 3});
    const Tensor linear_only = linear(linear(means, layers.w1, layers.b1), layers.w2, layers.b2);
    std::vector<grading::Known> known = {
        {weighted(softmax(scores(means), 1)), "softmax over the channels stands in place of a sigmoid for each"},
        {weighted(scores(means)), "the sigmoid is missing"},
        {weighted(sigmoid(linear_only)), "the ReLU between the two layers is missing"},
        {weighted(sigmoid(scores(x.sum({2, 3})))), "the channels are summed over their places, not averaged"},
        {weighted(sigmoid(scores(x.amax({2, 3})))), "the largest number of a channel stands in place of its mean"}};
    if (x.size(0) > 1)
      known.push_back({weighted(sigmoid(scores(x.mean({0, 2, 3}).unsqueeze(0)))),
                       "the means are taken over all pictures of the batch"});
    grade.equal("squeeze-and-excitation" + of(x), student.squeeze_excite(x, layers), excited(x, layers).detach(),
                known);
  }
}

void grade_squeeze_gradient(const Exercises& student, Grade& grade) {
  for (const Tensor& numbers : {normal(grade, {1, 2, 2, 2}), normal(grade, {2, 5, 3, 4}), turned(grade, {3, 4, 5, 2}),
                                normal(grade, {2, 3, 1, 5})}) {
    const int64_t channels = numbers.size(1), places = numbers.size(2) * numbers.size(3);
    const ChannelWeights layers = channel_weights(grade, channels, 6);
    const Tensor x = numbers.detach().requires_grad_(), g = turned(grade, x.shape());
    const Tensor expected = grad({excited(x, layers)}, {x}, {.grad_outputs = {g}})[0];
    const Tensor hidden = relu(linear(numbers.mean({2, 3}), layers.w1, layers.b1));
    const Tensor weights = sigmoid(linear(hidden, layers.w2, layers.b2)).unflatten(1, {channels, 1, 1});
    const Tensor direct = g * weights, through = expected - direct;
    grade.equal(
        "the gradient" + of(numbers), student.squeeze_excite_gradient(g, numbers, layers), expected,
        {{direct, "the weights are taken for constants"},
         {through, "the direct path is missing: each number is multiplied by its channel's weight"},
         {direct + through * double(places), "the gradient of a mean is not divided by the number of places"}});
  }
}

// --- 6.3 -----------------------------------------------------------------------------------------------------------

void grade_gradients(const Exercises& student, Grade& grade) {
  const auto judge = [&](const Tensor& in, int64_t hidden) {
    const int64_t d = in.size(1);
    const Tensor x = in.detach().requires_grad_(), g = normal(grade, {d, in.size(0)}).t();
    const Tensor w1 = normal(grade, {d, hidden}).t().requires_grad_();
    const Tensor w2 = normal(grade, {d, hidden}).requires_grad_();
    const Tensor y = x + matmul(relu(matmul(x, w1.t())), w2.t());
    const std::vector<Tensor> expected = grad({y}, {x, w1, w2}, {.grad_outputs = {g}});
    const Tensor linear_dz = matmul(g, w2.detach());  // as if ReLU were the identity
    const Tensor z = matmul(in, w1.detach().t());
    const std::string left_out = "the gradient of ReLU is left out";
    const BlockGradients got = student.residual_gradients(g, in, w1.detach(), w2.detach());
    grade.equal("the gradient" + of(in), got.x, expected[0],
                {{expected[0] - g, "the gradient along the shortcut is missing"},
                 {g, "the gradient through the branch is missing"},
                 {g + matmul(linear_dz, w1.detach()), left_out}});
    grade.equal("the gradient of w1", got.w1, expected[1],
                {{matmul(linear_dz.t(), in), left_out}, {expected[1].t(), "the gradient of w1 is transposed"}});
    grade.equal("the gradient of w2", got.w2, expected[2],
                {{matmul(g.t(), z), "the gradient of w2 is made of z, not of relu(z)"},
                 {expected[2].t(), "the gradient of w2 is transposed"}});
  };
  judge(normal(grade, {1, 1}), 8);
  judge(normal(grade, {4, 3}), 5);
  judge(normal(grade, {3, 7}).t(), 3);
  judge(zeros({2, 3}, {.dtype = float64}), 4);  // relu's gradient at 0 is 0
}

// --- 6.4 -----------------------------------------------------------------------------------------------------------

// The scores of all places by loops; zeros are around the maps.
Tensor place_scores(const Tensor& x, const Tensor& filter, bool swapped = false, bool sum = false) {
  const int64_t batch = x.size(0), channels = x.size(1), h = x.size(2), w = x.size(3), k = filter.size(2);
  const std::vector<double> numbers = x.to_vector(), factors = filter.to_vector();
  std::vector<double> maps(size_t(2 * h * w)), scores;
  for (int64_t n = 0; n < batch; ++n) {
    for (int64_t place = 0; place < h * w; ++place) {
      double total = 0, largest = -INFINITY;
      for (int64_t c = 0; c < channels; ++c) {
        const double value = numbers[size_t((n * channels + c) * h * w + place)];
        total += value;
        largest = std::max(largest, value);
      }
      maps[size_t(place + (swapped ? h * w : 0))] = sum ? total : total / double(channels);
      maps[size_t(place + (swapped ? 0 : h * w))] = largest;
    }
    for (int64_t i = 0; i < h; ++i)
      for (int64_t j = 0; j < w; ++j) {
        double score = 0;
        for (int64_t m = 0; m < 2; ++m)
          for (int64_t a = 0; a < k; ++a)
            for (int64_t b = 0; b < k; ++b) {
              const int64_t row = i - k / 2 + a, column = j - k / 2 + b;
              if (row < 0 || row >= h || column < 0 || column >= w) continue;
              score += maps[size_t((m * h + row) * w + column)] * factors[size_t((m * k + a) * k + b)];
            }
        scores.push_back(score);
      }
  }
  return from_vector(scores, {batch, 1, h, w});
}

void grade_places(const Exercises& student, Grade& grade) {
  grade.known_error("do not broadcast", "the scores have another size than x: is there a padding of k / 2?");
  const auto judge = [&](const Tensor& x, int64_t k) {
    const Tensor filter = normal(grade, {1, 2, k, k});
    const auto weighted = [&](const Tensor& scores) { return x * sigmoid(scores); };
    const Tensor scores = place_scores(x, filter);
    const Tensor shared = softmax(scores.flatten(1), 1).reshape(scores.shape());
    grade.equal("filter " + std::to_string(k) + " x " + std::to_string(k) + of(x),
                student.spatial_attention(x, filter), weighted(scores),
                {{weighted(place_scores(x, filter, true)), "the largest comes first, and then the mean"},
                 {x * shared, "softmax over the places stands in place of a sigmoid for each"},
                 {x * scores, "the sigmoid is missing"},
                 {weighted(place_scores(x, filter, false, true)), "the channels are summed, not averaged"},
                 {sigmoid(scores), "the weights are returned, not x times them"}});
  };
  judge(normal(grade, {1, 2, 3, 3}), 1);
  judge(normal(grade, {2, 3, 5, 4}), 3);
  judge(turned(grade, {2, 5, 4, 6}), 7);
  judge(normal(grade, {3, 6, 4, 5}).narrow(1, 1, 4) - 5, 5);  // below zero, where a maximum that begins at 0 shows
}

const std::vector<grading::Task<Exercises>> tasks = {
    {.number = "6.1",
     .title = "a residual block",
     .stars = 1,
     .grade = grade_block,
     .hints = {"Draw the block: two arrows leave x, and they meet at a plus. Where does each ReLU stand?",
               "One ReLU between the convolutions, one behind the plus. The branch reaches the plus with its sign.",
               "relu(shortcut + conv2d(relu(conv2d(x, branch.w1, ...)), branch.w2, ...)), where shortcut is x or "
               "conv2d(x, branch.projection, {}, {.stride = stride})."}},
    {.number = "6.2",
     .title = "squeeze-and-excitation",
     .stars = 1,
     .grade = grade_squeeze,
     .hints =
         {"Write the shapes down: (batch, channels, h, w), (batch, channels), (batch, squeezed), (batch, channels).",
          "x.mean({2, 3}) is the squeeze. Channels do not compete: each has a sigmoid of its own.",
          "sigmoid(linear(relu(linear(x.mean({2, 3}), layers.w1, layers.b1)), layers.w2, layers.b2)), unflattened "
          "to (batch, channels, 1, 1), times x."}},
    {.number = "6.3",
     .title = "the gradients of a residual block",
     .stars = 2,
     .grade = grade_gradients,
     .hints =
         {"Name all steps: z = x w1^T, a = relu(z), f = a w2^T, y = x + f. Go through them backwards.",
          "The gradient of f is g. That of a is g w2, that of z is the same where z > 0, else 0. x gets something "
          "from z and something from the sum.",
          "dz = matmul(g, w2) * (z > 0).to(z.dtype()); x: g + matmul(dz, w1); w1: matmul(dz.t(), x); "
          "w2: matmul(g.t(), a)."}},
    {.number = "6.4",
     .title = "attention over places",
     .stars = 2,
     .grade = grade_places,
     .hints =
         {"All that one place knows of itself here is two numbers: the mean and the largest of its channels.",
          "cat of the two maps along dimension 1 is (batch, 2, h, w); a filter (1, 2, k, k) makes (batch, 1, h', w') "
          "of it. Which padding makes h' = h?",
          "x * sigmoid(conv2d(cat({x.mean({1}, true), x.amax({1}, true)}, 1), filter, {}, {.padding = "
          "filter.size(2) / 2}))."}},
    {.number = "6.5",
     .title = "the gradient of squeeze-and-excitation",
     .stars = 3,
     .grade = grade_squeeze_gradient,
     .hints =
         {"y = x s, where s depends on x, too. By the product rule there are two paths.",
          "The weight of a channel was used at all its places: its gradient is (g * x).sum({2, 3}). Take that back "
          "through the sigmoid, w2, ReLU and w1 to the means, and each mean back to the places it was made of.",
          "of_scores = of_weights * s * (1 - s); of_hidden = matmul(of_scores, w2) where hidden > 0; of_means = "
          "matmul(of_hidden, w1); the result is g times s plus of_means / (h w), both spread over the places."}},
};

}  // namespace

int main(int argc, char** argv) { return grading::run("ch06", tasks, argc, argv); }
