// Judges chapter 04's exercises.
#include <cmath>
#include <functional>

#include "exercises.h"
#include "nn/nn.h"
#include "optim/optim.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using ch04::AdamOptions;
using ch04::AdamState;
using ch04::Exercises;
using ch04::LinearGradients;
using grading::Grade;
using grading::Known;

namespace {

Tensor draw(Grade& grade, const Shape& shape) { return randn(shape, {.dtype = float64}, &grade.random()); }

// The same numbers, lying in memory in another order.
Tensor scattered(const Tensor& x) { return x.transpose(0, -1).contiguous().transpose(0, -1); }

void initialise(const Exercises& student, Grade& grade) {
  const auto judge = [&](const Shape& shape, double fan_in, double fan_out) {
    const std::string what = "the deviation of weights " + to_string(shape) + ", by that of He et al.";
    const Tensor w = student.kaiming_normal(shape, grade.random());
    grade.that(w.shape() == shape, "weights of shape " + to_string(w.shape()) + ", not " + to_string(shape));
    const double right = std::sqrt(2 / fan_in);
    // 20,000 numbers and more: half a percent off is usual, 4 percent are not.
    grade.equal(what, w.std().item() / right, 1,
                {{std::sqrt(fan_in / fan_out), "fan_out is taken for fan_in"},
                 {std::sqrt(fan_in / double(shape[1])), "the kernel's size is forgotten"},
                 {right, "the variance is taken for the standard deviation"},
                 {std::sqrt(0.5), "the variance is 1 / fan_in: half of what passes a ReLU is zero"},
                 {1 / right, "the numbers are not scaled"}},
                0.02);
    grade.equal(what + ": the mean, by the deviation", w.mean().item() / right, 0, {}, 0.04);
    const double within = (abs(w) < right).to(float64).mean().item();
    grade.equal(what + ": the share within one deviation", within, 0.6827,
                {{1 / std::sqrt(3), "the numbers are uniform, not normal"}}, 0.015);
  };
  judge({400, 50}, 50, 400);
  judge({60, 360}, 360, 60);
  judge({96, 24, 3, 3}, 24 * 9, 96 * 9);
  Generator one(7), same(7);
  const Tensor w = student.kaiming_normal({3, 4}, one);
  grade.equal("weights from a generator of the same seed", student.kaiming_normal({3, 4}, same), w, {}, 0);
}

void gradients_of_linear(const Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& what, const Tensor& x, const Tensor& w, const Tensor& dy) {
    const Tensor leaf_x = x.requires_grad_(), leaf_w = w.requires_grad_();
    const Tensor leaf_b = zeros({w.size(0)}, {.dtype = float64, .requires_grad = true});
    const std::vector<Tensor> right =
        grad({linear(leaf_x, leaf_w, leaf_b)}, {leaf_x, leaf_w, leaf_b}, {.grad_outputs = {dy}});
    const Tensor rows = dy.reshape({-1, dy.size(-1)});
    const LinearGradients got = student.linear_gradients(x, w, dy);
    grade.equal(what + ", the gradient of x", got.x, right[0]);
    grade.equal(what + ", the gradient of the weight", got.weight, right[1],
                {{right[1].t(), "the gradient of the weight is transposed"},
                 {right[1] / double(rows.size(0)), "the mean over the batch is taken in place of the sum"}});
    grade.equal(what + ", the gradient of the bias", got.bias, right[2],
                {{rows, "the gradient of the bias is not summed over the batch"},
                 {dy, "the gradient of the bias is not summed over the batch"},
                 {rows.mean({0}), "the mean over the batch is taken in place of the sum"}});
  };
  judge("x (5, 3)", draw(grade, {5, 3}), draw(grade, {4, 3}), draw(grade, {5, 4}));
  judge("x (1, 3)", draw(grade, {1, 3}), draw(grade, {2, 3}), draw(grade, {1, 2}));
  judge("x (2, 3, 5)", draw(grade, {2, 3, 5}), draw(grade, {7, 5}), draw(grade, {2, 3, 7}));
  judge("x (3, 2, 5), not contiguous", scattered(draw(grade, {3, 2, 5})), scattered(draw(grade, {1, 5})),
        scattered(draw(grade, {3, 2, 1})));
}

// A module with all that a visitor has to deal with: a weight that two layers share, a bias left out, buffers, modules
// within modules.
struct Tied : nn::Module {
  nn::Linear encode{3, 5, {.bias = false}}, decode{3, 5};
  nn::Sequential rest{nn::Linear(5, 2), nn::BatchNorm1d(2), nn::Sequential{nn::Linear(2, 1)}};
  Tensor scale = ones({1}, {.requires_grad = true});

  Tied() { decode.weight = encode.weight; }
  void visit(nn::Visitor& v) override {
    v("encode", encode);
    v("rest", rest);
    v("decode", decode);
    v("scale", scale);
  }
  const char* type() const override { return "Tied"; }
};

std::string list(const std::vector<nn::NamedTensor>& parameters) {
  std::string names;
  for (const auto& [name, tensor] : parameters) names += (names.empty() ? "" : ", ") + name;
  return names;
}

void visit(const Exercises& student, Grade& grade) {
  Tied tied;
  nn::Linear linear(2, 3);
  for (nn::Module* module : std::initializer_list<nn::Module*>{&linear, &tied}) {
    const auto got = student.named_parameters(*module), right = module->named_parameters();
    const auto has = [&](const std::string& name) {
      return std::any_of(got.begin(), got.end(), [&](const auto& p) { return p.first == name; });
    };
    for (const auto& [name, tensor] : got)
      grade.that(tensor.defined(), name + ": a parameter that is left out is listed");
    grade.that(!has("decode.weight"), "decode.weight is encode.weight: a tied parameter is listed twice");
    grade.that(!has("rest.1.running_mean"), "rest.1.running_mean: a buffer is listed");
    grade.that(!has("2.0.weight") && !has("0.weight") && !has("weight") == (module == &tied),
               list(got) + ": paths lack the names of the modules around");
    grade.that(list(got) == list(right), "expected " + list(right) + "; got " + list(got));
    for (size_t i = 0; i < got.size(); ++i)
      grade.that(got[i].second.storage() == right[i].second.storage(),
                 got[i].first + ": a copy, which training would not change");
  }
}

// Runs `step(parameter, gradient, lr)` several times.
using Step = std::function<void(Tensor& parameter, const Tensor& g, double lr)>;
const std::vector<double> rates = {0.1, 0.3, 0.2};
Tensor after(const Step& step, const Tensor& start, const std::vector<Tensor>& gradients) {
  Tensor p = start.clone();
  for (size_t i = 0; i < gradients.size(); ++i) step(p, gradients[i], rates[i]);
  return p;
}

template <class Optimiser>
Tensor after(Optimiser& optimiser, const Tensor& leaf, const std::vector<Tensor>& gradients) {
  for (size_t i = 0; i < gradients.size(); ++i) {
    leaf.set_grad(gradients[i]);
    optimiser.set_lr(rates[i]);
    optimiser.step();
  }
  return leaf.detach();
}

void momentum(const Exercises& student, Grade& grade) {
  const double mu = 0.8;
  const auto judge = [&](const std::string& what, const Tensor& start, const std::vector<Tensor>& gradients) {
    const Tensor leaf = start.clone().requires_grad_();
    optim::SGD sgd({leaf}, {.momentum = mu});
    const Tensor right = after(sgd, leaf, gradients);
    // v = mu v + a g; p -= b v, with a and b by the learning rate.
    const auto variant = [&](const std::function<double(double)>& a, const std::function<double(double)>& b) {
      Tensor v = zeros_like(start);
      return after([&](Tensor& p, const Tensor& g, double lr) { v = mu * v + a(lr) * g, p = p - b(lr) * v; }, start,
                   gradients);
    };
    const auto one = [](double) { return 1.0; };
    const auto lr = [](double rate) { return rate; };

    Tensor p = start.clone(), velocity = zeros_like(start);
    const Tensor other_handle = p;
    for (size_t i = 0; i < gradients.size(); ++i) {
      const Tensor before = gradients[i].clone();
      student.momentum_step(p, gradients[i], velocity, rates[i], mu);
      grade.that(equal(before, gradients[i]), what + ": the gradient is changed");
      grade.that(other_handle.storage() == p.storage(),
                 what + ": the parameter is replaced, not changed in place, so that the module does not see it");
    }
    grade.equal(what + ", the parameter after " + std::to_string(gradients.size()) + " steps", p, right,
                {{variant([&](double) { return 1 - mu; }, lr), "the gradient is scaled by 1 - mu"},
                 {variant(lr, one), "the learning rate is in the velocity, so that old steps keep old rates"},
                 {after([](Tensor& q, const Tensor& g, double rate) { q = q - rate * g; }, start, gradients),
                  "the velocity has no part in it"},
                 {start, "the parameter does not change"}});
  };
  const Tensor g = draw(grade, {3, 4});
  judge("a parameter (3, 4)", draw(grade, {3, 4}), {g, draw(grade, {3, 4}), draw(grade, {3, 4})});
  judge("a parameter (5)", draw(grade, {5}), {draw(grade, {5}), zeros({5}, {.dtype = float64})});
  judge("a gradient that is not contiguous", draw(grade, {4, 3}), {g.t(), draw(grade, {3, 4}).t()});
}

struct Wrong {
  bool corrected = true, decoupled = true, outside = true, with_lr = true;
};

// Adam as it should be, or wrong in one way.
Step adam(const AdamOptions& o, const Wrong& w, const Tensor& start) {
  Tensor m = zeros_like(start), v = zeros_like(start);
  int64_t t = 0;
  return [=](Tensor& p, const Tensor& gradient, double lr) mutable {
    ++t;
    const Tensor g = w.decoupled ? gradient : gradient + o.weight_decay * p;
    m = o.beta1 * m + (1 - o.beta1) * g;
    v = o.beta2 * v + (1 - o.beta2) * square(g);
    const Tensor mean = w.corrected ? m / (1 - std::pow(o.beta1, double(t))) : m;
    const Tensor squares = w.corrected ? v / (1 - std::pow(o.beta2, double(t))) : v;
    if (w.decoupled) p = p * (1 - (w.with_lr ? lr : 1) * o.weight_decay);
    p = p - lr * mean / (w.outside ? sqrt(squares) + o.eps : sqrt(squares + o.eps));
  };
}

void adamw(const Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& what, AdamOptions o, const Tensor& start,
                         const std::vector<Tensor>& gradients) {
    const Tensor leaf = start.clone().requires_grad_();
    optim::AdamW oracle({leaf}, {.betas = {o.beta1, o.beta2}, .eps = o.eps, .weight_decay = o.weight_decay});
    const Tensor right = after(oracle, leaf, gradients);
    const auto wrong = [&](const Wrong& w) { return after(adam(o, w, start), start, gradients); };

    Tensor p = start.clone();
    const Tensor other_handle = p;
    AdamState state{zeros_like(start), zeros_like(start)};
    for (size_t i = 0; i < gradients.size(); ++i) {
      o.lr = rates[i];
      student.adamw_step(p, gradients[i], state, o);
    }
    grade.that(other_handle.storage() == p.storage(), what + ": the parameter is replaced, not changed in place");
    grade.equal(what + ", the parameter after " + std::to_string(gradients.size()) + " steps", p, right,
                {{wrong({.corrected = false}), "the means are not corrected for having begun at zero"},
                 {wrong({.decoupled = false}), "the decay goes through the gradient"},
                 {wrong({.outside = false}), "eps is added under the root"},
                 {wrong({.with_lr = false}), "the decay is not multiplied by the learning rate"},
                 {start, "the parameter does not change"}});
    grade.that(state.steps == int64_t(gradients.size()), what + ": state.steps does not count the steps");
  };
  const Tensor start = draw(grade, {3, 4}), first = draw(grade, {3, 4}), second = draw(grade, {3, 4});
  judge("no decay", {0, 0.9, 0.999, 1e-8, 0}, start, {first, second, draw(grade, {3, 4})});
  judge("a large eps", {0, 0.8, 0.9, 0.3, 0}, start, {first, second});
  judge("with decay", {0, 0.9, 0.99, 1e-8, 0.5}, start, {first, second, draw(grade, {3, 4})});
  judge("gradients of zero", {0, 0.9, 0.999, 1e-8, 0.1}, start, {zeros_like(start), zeros_like(start)});
  judge("gradients that are not contiguous", {0, 0.7, 0.9, 1e-4, 0.2}, draw(grade, {4, 3}), {first.t(), second.t()});
}

const std::vector<grading::Task<Exercises>> tasks = {
    {.number = "4.1",
     .title = "He's initialisation",
     .stars = 1,
     .grade = initialise,
     .hints = {"randn has variance 1. What does multiplying by s do to the variance?",
               "fan_in is the number of weights behind one output: all of them, divided by the number of outputs.",
               "fan_in = numel(shape) / shape[0]; multiply by std::sqrt(2 / fan_in)."}},
    {.number = "4.2",
     .title = "the gradient of Linear",
     .stars = 2,
     .grade = gradients_of_linear,
     .hints = {"Shapes first: there is one way to make (out, in) of (rows, out) and (rows, in) by a product.",
               "Each row has its own part in the gradients of weight and bias; the parts are added up.",
               "With rows and drows as matrices: dx = matmul(dy, weight), dweight = matmul(drows.t(), rows), "
               "dbias = drows.sum({0})."}},
    {.number = "4.3",
     .title = "a visitor",
     .stars = 2,
     .grade = visit,
     .hints =
         {"Derive from nn::Visitor: it has three functions to override, for parameters, buffers and children.",
          "child() has to make the path longer, let the module inside be visited, and make the path what it was.",
          "A std::set<const Storage*> of what was seen: insert(...).second is false for what is in it already."}},
    {.number = "4.4",
     .title = "momentum",
     .stars = 2,
     .grade = momentum,
     .hints = {"Two lines. Which of the two tensors does the module hold a handle on?",
               "velocity may be replaced, parameter must not be: the in-place functions end in an underscore.",
               "velocity = mu * velocity + g; parameter.sub_(velocity, lr);"}},
    {.number = "4.5",
     .title = "Adam with decoupled decay",
     .stars = 3,
     .grade = adamw,
     .hints = {"Write the five lines of algorithm 1 down, each for whole tensors. Count the step first.",
               "m / (1 - beta1^t) and v / (1 - beta2^t) are used for the step, but are not what the state keeps.",
               "parameter.mul_(1 - lr * weight_decay); then parameter.sub_(mean / (sqrt(squares) + eps), lr);"}},
};

}  // namespace

int main(int argc, char** argv) { return grading::run("ch04", tasks, argc, argv); }
