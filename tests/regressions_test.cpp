// What other libraries once got wrong, and what the engine promises: each with the smallest case that shows it.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "autograd/autograd.h"
#include "autograd/ops.h"
#include "nn/nn.h"
#include "optim/optim.h"
#include "tensor/allocator.h"
#include "tensor/random.h"
#include "tests/errors.h"
#include "tests/sanitized.h"

namespace gradus {
namespace {

using testing::error_of;
using testing::sanitized;
using Numbers = std::vector<double>;

// A sanitizer keeps what was freed for a while, and each of its frames is larger: this many would overflow
// the stack of a recursive engine all the same.
constexpr int chain_length = sanitized ? 200'000 : 1'000'000;

Tensor leaf(const NestedList& values) { return tensor(values, {.dtype = float64}).requires_grad_(); }

void expect_contains(const std::string& text, std::initializer_list<const char*> parts) {
  for (const char* part : parts) EXPECT_NE(text.find(part), std::string::npos) << text << "\nlacks: " << part;
}

// Fails unless nothing more is held at the end of the scope than at its beginning.
class LeavesNothingBehind {
 public:
  ~LeavesNothingBehind() {
    EXPECT_EQ(memory_stats().blocks, before_.blocks);
    EXPECT_EQ(memory_stats().live, before_.live);
  }

 private:
  MemoryStats before_ = memory_stats();
};

// --- the engine ----------------------------------------------------------------------------------------------------

TEST(Engine, TheSameTensorTwice) {
  Tensor a = leaf(3), b = leaf(5);
  ((a + b) + a).backward();
  EXPECT_EQ(a.grad().item(), 2);
  EXPECT_EQ(b.grad().item(), 1);
  a.zero_grad();
  (a * a * a).backward();
  EXPECT_EQ(a.grad().item(), 27);
}

TEST(Engine, DiamondsTakeOneVisitPerNode) {
  Tensor x = leaf({1, 2});
  Tensor y = x * 3, left = y * y, right = y + 1;
  (left * right).sum().backward();
  EXPECT_EQ(x.grad().to_vector(), (Numbers{3 * (2 * 3 * 4 + 9), 3 * (2 * 6 * 7 + 36)}));
  // 2^60 paths, 60 nodes.
  Tensor z = leaf(1), sum = z;
  for (int i = 0; i < 60; ++i) sum = sum + sum;
  sum.backward();
  EXPECT_EQ(z.grad().item(), 0x1p60);
}

TEST(Engine, BackwardTwice) {
  Tensor x = leaf({1, 2});
  Tensor y = (x * x).sum();
  y.backward();
  expect_contains(error_of([&] { y.backward(); }), {"backward", "retain_graph"});
  EXPECT_EQ(x.grad().to_vector(), (Numbers{2, 4}));
  // Of a graph that was kept, and of two graphs, gradients add up.
  Tensor z = (x * x).sum();
  z.backward({}, true);
  z.backward();
  EXPECT_EQ(x.grad().to_vector(), (Numbers{6, 12}));
  x.zero_grad();
  EXPECT_FALSE(x.grad().defined());
  // A part of a freed graph is as useless.
  Tensor w = exp(x);
  (w * 2).sum().backward();
  expect_contains(error_of([&] { (w * 3).sum().backward(); }), {"backward", "exp"});
}

TEST(Engine, LongChainsNeitherRecurseNorLeak) {
  LeavesNothingBehind check;
  {
    Tensor x = leaf(1), y = x;
    for (int i = 0; i < chain_length; ++i) y = y + 1;
    y.backward();
    EXPECT_EQ(y.item(), 1 + chain_length);
    EXPECT_EQ(x.grad().item(), 1);
  }
  {  // dropped without a backward pass
    Tensor x = leaf(1), y = x;
    for (int i = 0; i < chain_length; ++i) y = y + 1;
  }
  {  // two handles on each node, neither of them the last until the other has gone
    Tensor x = leaf(1), y = x;
    for (int i = 0; i < chain_length / 5; ++i) y = y * y;
  }
  {  // each op keeps its result, and holds it until the end
    Tensor x = leaf(0.5), y = x;
    for (int i = 0; i < chain_length / 5; ++i) y = sigmoid(y);
    y.backward();
    EXPECT_NEAR(y.item(), 0.659046068407, 1e-9);  // where sigmoid(x) = x
  }
}

TEST(Engine, FreesWhatItKept) {
  Tensor x = zeros({1000}).requires_grad_();
  LeavesNothingBehind check;
  Tensor y = exp(exp(exp(x))).sum();
  int64_t forward = memory_stats().live;
  y.backward();
  EXPECT_LE(memory_stats().live, forward - 2 * 4000);
  x.zero_grad();
  y = Tensor();
}

TEST(Engine, AnErrorInTheMiddleLeavesNothingBehind) {
  LeavesNothingBehind check;
  Tensor x = leaf({1, 2});
  Tensor y = x * x;
  Tensor z = record("broken", {y}, y.detach() * 1.0, Keep::none,
                    [](const Tensor&, const Kept&) -> Gradients { throw Error("broken rule"); });
  EXPECT_EQ(error_of([&] { z.sum().backward(); }), "broken rule");
  Tensor wrong = record("misshapen", {y}, y.detach() * 1.0, Keep::none,
                        [](const Tensor&, const Kept&) { return grads(zeros({3}, {.dtype = float64})); });
  expect_contains(error_of([&] { wrong.sum().backward(); }), {"misshapen", "[3]", "[2]"});
  EXPECT_TRUE(grad_enabled());
}

TEST(Engine, GradientsBelongToWhoGotThem) {
  Tensor a = leaf({1, 2}), b = leaf({3, 4}), given = tensor({1, 1}, {.dtype = float64});
  (a + b).backward(given);
  (a + b).backward(given);
  EXPECT_EQ(given.to_vector(), (Numbers{1, 1}));
  EXPECT_EQ(a.grad().to_vector(), (Numbers{2, 2}));
  EXPECT_NE(a.grad().storage(), b.grad().storage());
  // A gradient that a hook keeps does not change when the pass goes on.
  Tensor x = leaf({1, 2}), seen;
  Tensor y = x * 2;
  y.register_hook([&](const Tensor& g) {
    seen = g;
    return Tensor();
  });
  (y + x + x).sum().backward();
  EXPECT_EQ(seen.to_vector(), (Numbers{1, 1}));
  EXPECT_EQ(x.grad().to_vector(), (Numbers{4, 4}));
  // Nor does one that was taken out before the next pass.
  Tensor first = x.grad();
  (x * 5).sum().backward();
  EXPECT_EQ(x.grad().to_vector(), (Numbers{9, 9}));
  std::vector<Tensor> taken = grad({(x * x).sum()}, {x});
  (x * 1.0).backward(taken[0]);
  (x * 1.0).backward(taken[0]);
  EXPECT_EQ(taken[0].to_vector(), (Numbers{2, 4}));
}

TEST(Engine, RulesThatWorkInPlaceSpareWhatOthersHold) {
  Tensor x = leaf({1, -2}), y = relu(x), seen, seed = tensor({5, 5}, {.dtype = float64});
  y.register_hook([&](const Tensor& g) { return seen = g, Tensor(); });
  (y * 3).sum().backward();
  EXPECT_EQ(x.grad().to_vector(), (Numbers{3, 0}));
  EXPECT_EQ(seen.to_vector(), (Numbers{3, 3}));
  relu(x).backward(seed);
  EXPECT_EQ(x.grad().to_vector(), (Numbers{8, 0}));
  EXPECT_EQ(seed.to_vector(), (Numbers{5, 5}));
  Tensor a = x * 2, b = relu(a);
  std::vector<Tensor> both = grad({(b * 3).sum()}, {x, b});
  EXPECT_EQ(both[0].to_vector(), (Numbers{6, 0}));
  EXPECT_EQ(both[1].to_vector(), (Numbers{3, 3}));
}

TEST(Engine, SumsTakeTheMemoryOfWhatNothingElseSees) {
  const Tensor x = leaf({1, -2}), w = leaf({3, 4});
  const auto place = [](const Tensor& t) { return t.raw().data; };
  Tensor y = x * w;  // whose rule keeps x and w alone
  const auto before = place(y);
  const Tensor sum = std::move(y) + x + w;
  EXPECT_EQ(place(sum), before);
  EXPECT_EQ(sum.to_vector(), (Numbers{7, -6}));
  const std::vector<Tensor> gradients = grad({sum.sum()}, {x, w});
  EXPECT_EQ(gradients[0].to_vector(), (Numbers{4, 5}));
  EXPECT_EQ(gradients[1].to_vector(), (Numbers{2, -1}));

  Tensor kept = relu(x), seen = x * w, other = seen;
  EXPECT_NE(place(std::move(seen) + x), place(other));
  EXPECT_EQ(other.to_vector(), (Numbers{3, -8}));
  EXPECT_EQ(grad({(std::move(kept) + w).sum()}, {x})[0].to_vector(), (Numbers{1, 0}));  // relu's rule keeps it
}

TEST(Engine, StaleTensorsAreCaught) {
  Tensor x = leaf({1, 2}), w = leaf({3, 4});
  Tensor y = (x * w).sum();
  {
    NoGrad guard;
    w.add_(1);
  }
  expect_contains(error_of([&] { y.backward(); }), {"mul", "changed in place"});
  // Through a view, and of a result.
  Tensor matrix = leaf({{1, 2}, {3, 4}});
  Tensor z = matmul(matrix, matrix).sum();
  {
    NoGrad guard;
    matrix[0].fill_(0);
  }
  expect_contains(error_of([&] { z.backward(); }), {"matmul", "changed in place"});
  Tensor e = exp(x), t = e.sum();
  {
    NoGrad guard;
    e.mul_(2);
  }
  expect_contains(error_of([&] { t.backward(); }), {"exp", "changed in place"});
  // What no gradient needs may change.
  Tensor s = (x + w).sum();
  {
    NoGrad guard;
    w.fill_(0);
  }
  s.backward();
  EXPECT_EQ(x.grad().to_vector(), (Numbers{1, 1}));
}

// The gradients of T regions of one tensor gather in one buffer of its size: with a buffer for each, time
// would be quadratic. Peak memory shows it: a second buffer of that size would exceed the bound.
TEST(Engine, RegionsOfATensorGatherInOneBuffer) {
  const int64_t rows = 2000;
  for (int kind = 0; kind < 5; ++kind) {
    Tensor x = ones({rows, 64}).requires_grad_();
    std::vector<Tensor> terms;
    if (kind == 0)
      for (int64_t t = 0; t < rows; ++t) terms.push_back(x[t].sum());
    if (kind == 1)
      for (int64_t t = 0; t < rows; ++t) terms.push_back(x.narrow(0, t, 1).sum());
    if (kind == 2)
      for (int64_t t = 0; t < rows; ++t) terms.push_back(x.slice(0, t, t + 1).sum());
    if (kind == 3)
      for (const Tensor& part : x.split(1)) terms.push_back(part.sum());
    if (kind == 4)
      for (int64_t t = 0; t < rows; ++t) terms.push_back(embedding(full({1}, double(t), {.dtype = int64}), x).sum());
    Tensor y = stack(terms).sum();
    int64_t before = memory_stats().live;
    reset_peak_memory();
    y.backward();
    EXPECT_LT(memory_stats().peak - before, rows * 64 * 4 * 3 / 2) << kind;
    EXPECT_TRUE(equal(x.grad(), ones({rows, 64}))) << kind;
  }
}

// --- what users ask of it ------------------------------------------------------------------------------------------

TEST(Backward, SaysWhatItNeeds) {
  Tensor x = leaf({1, 2});
  expect_contains(error_of([&] { (x * 2).backward(); }), {"backward", "[2]"});
  expect_contains(error_of([&] { (x * 2).backward(ones({3}, {.dtype = float64})); }), {"[3]", "[2]"});
  expect_contains(error_of([&] { (x * 2).backward(ones({2})); }), {"float32", "float64"});
  expect_contains(error_of([] { ones({1}).backward(); }), {"backward", "require grad"});
  expect_contains(error_of([&] { x.set_grad(ones({3})); }), {"set_grad", "[3]", "[2]"});
  expect_contains(error_of([] { (void)ones({1}, {.dtype = int64}).requires_grad_(); }), {"requires_grad_", "int64"});
  expect_contains(error_of([] { ones({1}).register_hook([](const Tensor& g) { return g; }); }), {"register_hook"});
}

TEST(Grad, LeavesNothingInTheLeaves) {
  Tensor x = leaf({1, 2}), y = leaf({3, 4});
  Tensor middle = x * y;
  std::vector<Tensor> g = grad({(middle * middle).sum()}, {x, middle});
  EXPECT_EQ(g[0].to_vector(), (Numbers{2 * 3 * 3, 2 * 8 * 4}));
  EXPECT_EQ(g[1].to_vector(), (Numbers{6, 16}));
  EXPECT_FALSE(x.grad().defined());
  EXPECT_FALSE(y.grad().defined());
  EXPECT_FALSE(g[0].requires_grad());
  // Several outputs add up; one of them may be the input itself.
  EXPECT_EQ(grad({x.sum(), (x * y).sum()}, {x})[0].to_vector(), (Numbers{4, 5}));
  EXPECT_EQ(grad({x.sum()}, {x, x})[1].to_vector(), (Numbers{1, 1}));
  Tensor same = x.sum();
  EXPECT_EQ(grad({same}, {same})[0].item(), 1);
}

TEST(Grad, UnusedInputs) {
  Tensor x = leaf(1), y = leaf(2);
  expect_contains(error_of([&] { grad({x * 2}, {x, y}); }), {"grad", "input 1", "allow_unused"});
  std::vector<Tensor> g = grad({x * 2}, {x, y}, {.allow_unused = true});
  EXPECT_EQ(g[0].item(), 2);
  EXPECT_FALSE(g[1].defined());
  EXPECT_NE(error_of([&] { grad({x * 2}, {ones({1})}); }), "");
}

TEST(Grad, OnlyWhatIsAskedForIsComputed) {
  Tensor x = leaf({1, 2}), w = leaf({3, 4});
  int runs = 0;
  Tensor side = record("counted", {x}, x.detach() * 2.0, Keep::none, [&runs](const Tensor& g, const Kept&) {
    ++runs;
    return grads(g * 2.0);
  });
  grad({(side * w).sum()}, {w});
  EXPECT_EQ(runs, 0);
}

TEST(Grad, ThirdDerivatives) {
  Tensor x = leaf(0.7);
  Tensor y = sin(x) * x * x;
  Tensor d1 = grad({y}, {x}, {.create_graph = true})[0];
  Tensor d2 = grad({d1}, {x}, {.create_graph = true})[0];
  Tensor d3 = grad({d2}, {x})[0];
  double s = std::sin(0.7), c = std::cos(0.7);
  EXPECT_NEAR(d1.item(), 0.49 * c + 1.4 * s, 1e-14);
  EXPECT_NEAR(d2.item(), -0.49 * s + 2.8 * c + 2 * s, 1e-14);
  EXPECT_NEAR(d3.item(), -0.49 * c - 4.2 * s + 6 * c, 1e-14);
  // A penalty on the gradient reaches the weights through it.
  Tensor w = leaf({2, 3}), in = leaf({1, -1});
  Tensor g = grad({tanh((w * in).sum())}, {in}, {.create_graph = true})[0];
  (g * g).sum().backward();
  double t = std::tanh(-1),
         slope = 1 - t * t;  // g = slope w; d|g|^2/dw = 2 slope^2 w + 2 slope slope' |w|^2 in
  double change = 2 * slope * (-2 * t * slope) * 13;
  EXPECT_NEAR(w.grad().to_vector()[0], 2 * slope * slope * 2 + change, 1e-12);
  EXPECT_NEAR(w.grad().to_vector()[1], 2 * slope * slope * 3 - change, 1e-12);
}

TEST(Hooks, SeeTheWholeGradientAndMayReplaceIt) {
  Tensor x = leaf({1, 2});
  Tensor y = x * 3;
  int calls = 0;
  y.register_hook([&](const Tensor& g) {
    ++calls;
    EXPECT_EQ(g.to_vector(), (Numbers{2, 2}));
    return g * 10;
  });
  (y + y).sum().backward();
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(x.grad().to_vector(), (Numbers{60, 60}));
  x.zero_grad();
  x.register_hook([](const Tensor& g) { return g * 0.5; });
  (x * 4).sum().backward();
  EXPECT_EQ(x.grad().to_vector(), (Numbers{2, 2}));
  EXPECT_EQ(grad({(x * 4).sum()}, {x})[0].to_vector(), (Numbers{2, 2}));
}

TEST(Modes, NoGradAndDetach) {
  Tensor x = leaf({1, 2});
  {
    NoGrad guard;
    EXPECT_FALSE(grad_enabled());
    EXPECT_FALSE((x * 2).requires_grad());
    {
      EnableGrad inner;
      EXPECT_TRUE((x * 2).requires_grad());
    }
    EXPECT_FALSE(grad_enabled());
  }
  EXPECT_TRUE((x * 2).requires_grad());
  Tensor d = x.detach();
  EXPECT_EQ(d.storage(), x.storage());
  EXPECT_FALSE(d.requires_grad());
  EXPECT_TRUE(x.is_leaf());
  EXPECT_TRUE(d.is_leaf());
  EXPECT_FALSE((x * 2).is_leaf());
  (x * d).sum().backward();
  EXPECT_EQ(x.grad().to_vector(), (Numbers{1, 2}));
  expect_contains(error_of([&] { (void)(x * 2).requires_grad_(); }), {"requires_grad_"});
  EXPECT_FALSE(x.requires_grad_(false).requires_grad());
  try {
    NoGrad guard;
    throw Error("out");
  } catch (const Error&) {
  }
  EXPECT_TRUE(grad_enabled());
}

TEST(Modes, InPlaceChangesDoNotEscapeTheGraph) {
  Tensor x = leaf({1, 2}), plain = zeros({2}, {.dtype = float64});
  expect_contains(error_of([&] { x.add_(1); }), {"add_", "NoGrad"});
  expect_contains(error_of([&] { Tensor(x * 2).fill_(0); }), {"fill_", "NoGrad"});
  expect_contains(error_of([&] { x.copy_(plain); }), {"copy_"});
  expect_contains(error_of([&] { plain.copy_(x); }), {"copy_"});
  expect_contains(error_of([&] { plain.add_(x); }), {"add_"});
  expect_contains(error_of([&] { plain.add_(x, 2); }), {"add_"});
  EXPECT_EQ(x.to_vector(), (Numbers{1, 2}));
  NoGrad guard;
  x.mul_(2);
  EXPECT_EQ(x.to_vector(), (Numbers{2, 4}));
  EXPECT_TRUE(x.requires_grad());
}

// --- checkpointing -------------------------------------------------------------------------------------------------

TEST(Checkpoint, EqualsThePlainFunction) {
  manual_seed(3);
  Tensor w1 = randn({6, 8}, {.dtype = float64}).requires_grad_(),
         w2 = randn({8, 4}, {.dtype = float64}).requires_grad_();
  Tensor x = randn({5, 6}, {.dtype = float64}).requires_grad_(), mask = ones({5, 1}, {.dtype = float64});
  TensorFunction block = [&](const std::vector<Tensor>& in) {  // captures its weights, and draws random numbers
    return matmul(dropout(tanh(matmul(in[0], w1)), 0.5), w2) * in[1];
  };
  auto gradients = [&](bool use_checkpoint) {
    manual_seed(11);
    for (const Tensor& t : {x, w1, w2}) t.zero_grad();
    Tensor y = use_checkpoint ? checkpoint(block, {x, mask}) : block({x, mask});
    Tensor between = rand({3});
    (y * y).sum().backward();
    // Running it again does not move the stream of random numbers.
    return std::vector<Tensor>{y.detach(), x.grad(), w1.grad(), w2.grad(), between, rand({3})};
  };
  std::vector<Tensor> plain = gradients(false), again = gradients(true);
  for (size_t i = 0; i < plain.size(); ++i) EXPECT_TRUE(equal(plain[i], again[i])) << i;
}

TEST(Checkpoint, KeepsNothingInside) {
  Tensor x = ones({10000}).requires_grad_();
  TensorFunction deep = [](const std::vector<Tensor>& in) {
    Tensor y = in[0];
    for (int i = 0; i < 10; ++i) y = tanh(y);
    return y;
  };
  int64_t before = memory_stats().live;
  Tensor plain = deep({x});
  int64_t kept = memory_stats().live - before;
  plain = Tensor();
  Tensor y = checkpoint(deep, {x});
  EXPECT_LE(5 * (memory_stats().live - before), kept);
  y.sum().backward();
  EXPECT_TRUE(x.grad().defined());
}

TEST(Checkpoint, NestsAndDifferentiatesTwice) {
  Tensor w = leaf({0.3, -0.2});
  TensorFunction inner = [&](const std::vector<Tensor>& in) { return tanh(in[0] * w); };
  TensorFunction outer = [&](const std::vector<Tensor>& in) { return checkpoint(inner, {in[0] * in[0]}) * in[0]; };
  TensorFunction whole = [&](const std::vector<Tensor>& in) { return checkpoint(outer, in); };
  Tensor x = leaf({0.5, 1.5});
  gradcheck(whole, {x});
  gradgradcheck(whole, {x});
  whole({x}).sum().backward();
  std::vector<Tensor> plain = grad({(tanh(x * x * w) * x).sum()}, {x, w});
  EXPECT_TRUE(allclose(x.grad(), plain[0], 1e-14));
  EXPECT_TRUE(allclose(w.grad(), plain[1], 1e-14));
}

// --- ops from outside the library, and checking them ---------------------------------------------------------------

Tensor cube(const Tensor& x) {
  Tensor y = x.detach() * x.detach() * x.detach();
  return record("cube", {x}, y, Keep::inputs, [](const Tensor& g, const Kept& k) {
    Tensor at = k.input();
    return grads(g * 3.0 * at * at);
  });
}

TEST(CustomOp, IsAnOpLikeAnyOther) {
  LeavesNothingBehind check;
  Tensor x = leaf({1, -2, 0.5});
  TensorFunction fn = [](const std::vector<Tensor>& in) { return cube(in[0]); };
  gradcheck(fn, {x});
  gradgradcheck(fn, {x});
  cube(x).sum().backward();
  EXPECT_EQ(x.grad().to_vector(), (Numbers{3, 12, 0.75}));
  NoGrad guard;
  EXPECT_FALSE(cube(x).requires_grad());
}

TEST(CustomOp, SaysWhatWasNotKept) {
  const auto backward = [](Keep keep, Tensor (*ask)(const Kept&)) {
    const Tensor x = leaf({1, -2, 0.5});
    try {
      const auto rule = [ask](const Tensor& g, const Kept& k) { return grads(g * ask(k)); };
      record("halve", {x}, x.detach() * 0.5, keep, rule).sum().backward();
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const auto input = [](const Kept& k) { return k.input(); };
  const auto output = [](const Kept& k) { return k.output(); };
  EXPECT_EQ(backward(Keep::inputs, input) + backward(Keep::output, output) + backward(Keep::both, output), "");
  EXPECT_EQ(backward(Keep::output, input),
            "halve: its gradient asks for an input, which Keep::inputs or Keep::both would have kept");
  EXPECT_EQ(backward(Keep::inputs, output),
            "halve: its gradient asks for the output, which Keep::output or Keep::both would have kept");
}

// `slope` times the right gradient at one of the elements.
TensorFunction with_wrong_gradient(double slope, double slope_of_slope = 1) {
  return [=](const std::vector<Tensor>& in) {
    Tensor x = in[0].detach();
    return record("wrong", {in[0]}, x * x, Keep::inputs, [=](const Tensor& g, const Kept& k) {
      Tensor factor = tensor({1, slope, 1}, {.dtype = float64});
      Tensor at = k.input();
      Tensor curved = at * slope_of_slope + at.detach() * (1 - slope_of_slope);
      return grads(g * 2.0 * curved * factor);
    });
  };
}

TEST(Gradcheck, SeesOneWrongElement) {
  Tensor x = leaf({0.5, 1.5, -2});
  gradcheck(with_wrong_gradient(1), {x});
  gradgradcheck(with_wrong_gradient(1), {x});
  expect_contains(error_of([&] { gradcheck(with_wrong_gradient(1.00001), {x}); }), {"gradcheck", "element 1"});
  expect_contains(error_of([&] { gradcheck(with_wrong_gradient(std::nan("")), {x}); }), {"gradcheck", "nan"});
  gradcheck(with_wrong_gradient(1, 0.5), {x});
  EXPECT_NE(error_of([&] { gradgradcheck(with_wrong_gradient(1, 0.5), {x}); }), "");
  expect_contains(error_of([&] { gradcheck(with_wrong_gradient(1), {ones({3}).requires_grad_()}); }), {"float64"});
}

// --- looking -------------------------------------------------------------------------------------------------------

struct Bad : nn::Module {
  nn::Linear inner{2, 2};
  void visit(nn::Visitor& v) override { v("inner", inner); }
  const char* type() const override { return "Bad"; }
  Tensor operator()(const Tensor& x) const {
    nn::Call call(*this);
    return call(log(inner(x) * 0.0 - 1.0));
  }
  Tensor root(const Tensor& x) const {
    nn::Call call(*this);
    return call(sqrt(inner(x)));
  }
};
struct Outer : nn::Module {
  Bad bad;
  void visit(nn::Visitor& v) override { v("bad", bad); }
  const char* type() const override { return "Outer"; }
  Tensor operator()(const Tensor& x) const {
    nn::Call call(*this);
    return call(bad(x));
  }
  Tensor root(const Tensor& x) const {
    nn::Call call(*this);
    return call(bad.root(x));
  }
};

TEST(Anomaly, NamesTheOpAndTheModule) {
  Outer model;
  Tensor x = ones({1, 2});
  EXPECT_TRUE(isnan(model(x)).all().item());  // unnoticed without
  {
    AnomalyMode guard;
    expect_contains(error_of([&] { model(x); }), {"bad", "log", "nan"});
    // A finite result whose gradient is not.
    Tensor y = leaf({0, 4});
    Tensor root = sqrt(y).sum();
    expect_contains(error_of([&] { root.backward(); }), {"sqrt", "gradient", "inf"});
    {
      NoGrad no_grad;
      model.bad.inner.weight.fill_(0);
      model.bad.inner.bias.fill_(0);
    }
    Tensor deep = model.root(x).sum();
    expect_contains(error_of([&] { deep.backward(); }), {"bad", "sqrt", "gradient"});
    // x^1.5 has a gradient at 0, but no second derivative: an op of the rule's own.
    Tensor z = leaf({0, 4});
    Tensor slope = grad({pow(z, 1.5).sum()}, {z}, {.create_graph = true})[0];
    expect_contains(error_of([&] { slope.sum().backward(); }), {"in the gradient of pow: pow", "gradient", "inf"});
  }
  Tensor y = leaf({0, 4});
  sqrt(y).sum().backward();
}

TEST(Graph, IsDrawn) {
  Tensor w = leaf({1, 2}), x = tensor({3, 4}, {.dtype = float64});
  Tensor h = w * x, y = tanh(h) + h;
  std::string dot = graph_dot(y, {{"weight", w}, {"hidden", h}});
  expect_contains(dot, {"digraph", "weight [2]", "hidden = mul [2]", "tanh [2]", "add [2]", "->", "}"});
  size_t arrows = 0;
  for (size_t at = dot.find("->"); at != std::string::npos; at = dot.find("->", at + 1)) ++arrows;
  EXPECT_EQ(arrows, 4u);  // weight to hidden, hidden to tanh and add, tanh to add
  std::string mermaid = graph_mermaid(y, {{"weight", w}});
  expect_contains(mermaid, {"flowchart TD", "weight [2]", "-->"});
  EXPECT_NE(error_of([&] { graph_dot(x); }), "");
  // Quotes in a name do not break it.
  expect_contains(graph_dot(y, {{"a\"b", w}}), {"a'b"});
}

// --- training ------------------------------------------------------------------------------------------------------

struct Tied : nn::Module {
  nn::Embedding embed{7, 4};
  nn::Linear out{4, 7};
  Tied() { out.weight = embed.weight; }
  void visit(nn::Visitor& v) override {
    v("embed", embed);
    v("out", out);
  }
  const char* type() const override { return "Tied"; }
  Tensor operator()(const Tensor& index) const {
    nn::Call call(*this);
    return call(out(embed(index)));
  }
};

TEST(Training, TiesAndOptimisersSurviveConversionAndLoading) {
  manual_seed(1);
  Tied model, other;
  EXPECT_EQ(model.named_parameters().size(), 2u);
  optim::SGD optimizer(model.parameters(), {.lr = 0.1});
  model.to(float64);
  model.load_state_dict([&] {
    other.to(float64);
    return other.state_dict();
  }());
  EXPECT_TRUE(equal(model.embed.weight.detach(), other.embed.weight.detach()));
  EXPECT_EQ(model.embed.weight.storage(), model.out.weight.storage());
  EXPECT_EQ(model.out.weight.dtype(), float64);
  Tensor before = model.out.weight.detach().clone();
  cross_entropy(model(tensor({1, 2}, {.dtype = int64})), tensor({3, 4}, {.dtype = int64})).backward();
  Tensor gradient = model.out.weight.grad();
  EXPECT_TRUE(equal(gradient, model.embed.weight.grad()));
  optimizer.step();
  EXPECT_TRUE(allclose(model.embed.weight.detach(), before - gradient * 0.1, 1e-14));
  EXPECT_TRUE(equal(model.embed.weight.detach(), model.out.weight.detach()));
}

}  // namespace
}  // namespace gradus
