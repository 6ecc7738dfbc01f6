// Products, softmax, dropout, embedding, convolution, pooling, normalisation and losses: against plain loops,
// against values that PyTorch gives for the same inputs, and by finite differences to second order.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "autograd/ops.h"

namespace gradus {
namespace {

constexpr TensorOptions double_options{.dtype = float64};
constexpr TensorOptions double_leaf{.dtype = float64, .requires_grad = true};

// sin(step), sin(2 step), ...: numbers without a pattern that are the same everywhere.
Tensor wave(const Shape& shape, double step, bool requires_grad = false) {
  std::vector<double> values(numel(shape));
  for (size_t i = 0; i < values.size(); ++i) values[i] = std::sin(double(i + 1) * step);
  return from_vector(values, shape, requires_grad);
}

void expect_values(const Tensor& x, const std::vector<double>& expected, double tolerance = 1e-13) {
  std::vector<double> got = x.to_vector();
  ASSERT_EQ(got.size(), expected.size()) << x;
  for (size_t i = 0; i < got.size(); ++i) {
    if (!(std::abs(got[i] - expected[i]) <= tolerance * std::max(1.0, std::abs(expected[i]))))
      ADD_FAILURE() << "element " << i << ": " << got[i] << ", expected " << expected[i];
  }
}
void expect_values(const Tensor& x, const Tensor& expected, double tolerance = 1e-13) {
  EXPECT_EQ(x.shape(), expected.shape());
  expect_values(x, expected.to_vector(), tolerance);
}

template <class F>
void expect_error(F f, const std::string& text) {
  try {
    f();
    ADD_FAILURE() << "no error; expected: " << text;
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()), text);
  }
}

void check_derivatives(const TensorFunction& fn, const std::vector<Tensor>& inputs) {
  EXPECT_NO_THROW(gradcheck(fn, inputs));
  EXPECT_NO_THROW(gradgradcheck(fn, inputs));
}

// --- products ------------------------------------------------------------------------------------------------------

// Every term of an einsum, one after another. `sizes` gives the size each letter has.
Tensor einsum_by_loops(const std::vector<std::string>& terms, const std::string& output,
                       const std::vector<Tensor>& operands, std::map<char, int64_t> sizes) {
  Shape shape;
  for (char c : output) shape.push_back(sizes[c]);
  std::vector<double> result(numel(shape), 0);
  std::vector<std::vector<double>> values;
  for (const Tensor& x : operands) values.push_back(x.to_vector());
  auto place = [&](const std::string& labels, std::map<char, int64_t>& at) {
    int64_t i = 0;
    for (char c : labels) i = i * sizes[c] + at[c];
    return i;
  };
  int64_t count = 1;
  for (auto& [letter, size] : sizes) count *= size;
  for (int64_t n = 0; n < count; ++n) {
    std::map<char, int64_t> at;
    int64_t rest = n;
    for (auto& [letter, size] : sizes) at[letter] = rest % size, rest /= size;
    double product = 1;
    for (size_t k = 0; k < terms.size(); ++k) product *= values[k][place(terms[k], at)];
    result[place(output, at)] += product;
  }
  return from_vector(result, shape);
}

Tensor product_by_loops(const Tensor& a, const Tensor& b) {
  int64_t m = a.size(-2), k = a.size(-1), n = b.size(-1);
  Shape batch = a.shape(), shape;
  batch.erase(batch.size() - 1), batch.erase(batch.size() - 1);
  shape = batch;
  shape.push_back(m), shape.push_back(n);
  std::vector<double> x = a.to_vector(), y = b.to_vector(), result;
  for (int64_t i = 0; i < numel(batch) * m * n; ++i) {
    int64_t matrix = i / (m * n), row = i / n % m, column = i % n;
    double sum = 0;
    for (int64_t j = 0; j < k; ++j) sum += x[(matrix * m + row) * k + j] * y[(matrix * k + j) * n + column];
    result.push_back(sum);
  }
  return from_vector(result, shape);
}

TEST(Matmul, EveryLayoutGivesTheSameProduct) {
  std::vector<Tensor> lefts = {
      wave({2, 3, 4, 5}, .7),
      wave({2, 3, 5, 4}, .7).transpose(-2, -1),
      wave({2, 4, 3, 5}, .7).transpose(1, 2),
      wave({3, 2, 4, 5}, .7).transpose(0, 1),
      wave({4, 5, 2, 3}, .7).permute({2, 3, 0, 1}),
      wave({2, 3, 4, 10}, .7).slice(3, 0, slice_end, 2),
      wave({2, 3, 8, 5}, .7).slice(2, 1, slice_end, 2),
      wave({4, 5}, .7).expand({2, 3, 4, 5}),
      wave({2, 1, 4, 5}, .7).expand({2, 3, 4, 5}),
      wave({1, 3, 4, 5}, .7).expand({2, 3, 4, 5}),
      wave({2, 3, 4, 1}, .7).expand({2, 3, 4, 5}),
      wave({1}, .7).expand({2, 3, 4, 5}),
  };
  std::vector<Tensor> rights = {
      wave({2, 3, 5, 6}, .3),
      wave({2, 3, 6, 5}, .3).transpose(-2, -1),
      wave({3, 5, 6}, .3).expand({2, 3, 5, 6}),
      wave({5, 2, 3, 6}, .3).permute({1, 2, 0, 3}),
      wave({2, 3, 5, 12}, .3).slice(3, 1, slice_end, 2),
      wave({6, 5}, .3).t().expand({2, 3, 5, 6}),
  };
  for (size_t i = 0; i < lefts.size(); ++i) {
    for (size_t j = 0; j < rights.size(); ++j) {
      SCOPED_TRACE("left " + std::to_string(i) + ", right " + std::to_string(j));
      Tensor expected = product_by_loops(lefts[i], rights[j]);
      expect_values(matmul(lefts[i], rights[j]), expected);
      expect_values(matmul(lefts[i].to(float32), rights[j].to(float32)), expected, 1e-5);
    }
    SCOPED_TRACE("left " + std::to_string(i));
    for (const Tensor& w : {wave({5, 6}, .4), wave({6, 5}, .4).t(), wave({5, 12}, .4).slice(1, 0, slice_end, 2)})
      expect_values(matmul(lefts[i], w), product_by_loops(lefts[i], w.expand({2, 3, 5, 6})));
  }
}

TEST(Matmul, RowsAndColumnsOfOne) {
  for (int64_t m : {1, 3})
    for (int64_t k : {1, 4})
      for (int64_t n : {1, 2}) {
        SCOPED_TRACE(to_string(Shape{m, k, n}));
        for (const Tensor& a :
             {wave({7, m, k}, .7), wave({7, k, m}, .7).transpose(1, 2), wave({m, k, 7}, .7).permute({2, 0, 1}),
              wave({7, m, 2 * k}, .7).slice(2, 0, slice_end, 2)})
          for (const Tensor& b : {wave({k, n}, .3), wave({n, k}, .3).t(),
                                  wave({2 * k, 2 * n}, .3).slice(0, 0, slice_end, 2).slice(1, 0, slice_end, 2)})
            expect_values(matmul(a, b), product_by_loops(a, b.expand({7, k, n})));
      }
}

TEST(Matmul, VectorsCountAsRowsAndColumns) {
  Tensor v = wave({3}, .7), w = wave({4}, .3), m = wave({3, 4}, .2), batch = wave({2, 3, 4}, .9);
  EXPECT_EQ(matmul(v, v).shape(), Shape{});
  EXPECT_EQ(matmul(v, m).shape(), Shape{4});
  EXPECT_EQ(matmul(m, w).shape(), Shape{3});
  EXPECT_EQ(matmul(v, batch).shape(), (Shape{2, 4}));
  EXPECT_EQ(matmul(batch, w).shape(), (Shape{2, 3}));
  expect_values(matmul(batch, w), (batch * w).sum({-1}));
  expect_values(matmul(v, batch), (batch * v.unsqueeze(1)).sum({1}));
  expect_values(dot(v, v), (v * v).sum());
  expect_values(outer(v, w), v.unsqueeze(1) * w);
}

TEST(Matmul, NothingToMultiply) {
  expect_values(matmul(wave({2, 0}, 1), wave({0, 3}, 1)), zeros({2, 3}));
  EXPECT_EQ(matmul(wave({0, 2}, 1), wave({2, 3}, 1)).shape(), (Shape{0, 3}));
  EXPECT_EQ(matmul(wave({0, 4, 2}, 1), wave({2, 3}, 1)).shape(), (Shape{0, 4, 3}));
  expect_values(linear(wave({2, 0}, 1), wave({3, 0}, 1), wave({3}, 1)), wave({3}, 1).expand({2, 3}));
  Tensor w = wave({3, 2}, 1, true), x = zeros({0, 2}, double_leaf);
  linear(x, w).sum().backward();
  expect_values(w.grad(), zeros({3, 2}));
}

TEST(Matmul, Derivatives) {
  auto product = [](const std::vector<Tensor>& in) { return matmul(in[0], in[1]); };
  for (auto [a, b] : std::vector<std::pair<Shape, Shape>>{{{2, 3}, {3, 2}},
                                                          {{2, 2, 3}, {3, 2}},
                                                          {{2, 1, 2, 3}, {2, 3, 2}},
                                                          {{2, 3}, {2, 3, 1}},
                                                          {{3}, {3}},
                                                          {{3}, {2, 3, 2}},
                                                          {{2, 2, 3}, {3}}}) {
    SCOPED_TRACE(to_string(a) + to_string(b));
    check_derivatives(product, {wave(a, .7, true), wave(b, .3, true)});
  }
  check_derivatives([](const std::vector<Tensor>& in) { return matmul(in[0].t(), in[1].slice(1, 0, slice_end, 2)); },
                    {wave({3, 2}, .7, true), wave({3, 4}, .3, true)});
  check_derivatives([](const std::vector<Tensor>& in) { return linear(in[0], in[1], in[2]); },
                    {wave({2, 2, 3}, .7, true), wave({2, 3}, .3, true), wave({2}, .2, true)});
  check_derivatives([](const std::vector<Tensor>& in) { return linear(in[0], in[1]); },
                    {wave({3}, .7, true), wave({2, 3}, .3, true)});
  check_derivatives([](const std::vector<Tensor>& in) { return outer(in[0], in[1]); },
                    {wave({3}, .7, true), wave({2}, .3, true)});
}

TEST(Matmul, PromotesAndCounts) {
  EXPECT_EQ(matmul(ones({2, 2}), ones({2, 2}, double_options)).dtype(), float64);
  int64_t before = flops_counted();
  matmul(ones({7, 2, 3}), ones({3, 5}));
  EXPECT_EQ(flops_counted() - before, 2 * 7 * 2 * 3 * 5);
  conv2d(ones({2, 4, 5, 5}), ones({6, 2, 3, 3}), {}, {.groups = 2});
  EXPECT_EQ(flops_counted() - before, 2 * 7 * 2 * 3 * 5 + 2 * 2 * 6 * 3 * 3 * 2 * 3 * 3);
}

TEST(Matmul, Errors) {
  expect_error(
      [] {
        linear(ones({8, 17, 512}), ones({256, 256}));
      },
      "linear: input [8, 17, 512] has 512 features, weight [256, 256] expects 256");
  expect_error(
      [] {
        linear(ones({8, 4}), ones({3, 4}), ones({4}));
      },
      "linear: bias [4] does not fit weight [3, 4], which expects [3]");
  expect_error([] { matmul(ones({2, 3}), ones({2, 3})); }, "matmul: [2, 3] has 3 columns, [2, 3] has 2 rows");
  expect_error(
      [] {
        matmul(ones({}), ones({2, 3}));
      },
      "matmul: operands need at least one dimension, got [] and [2, 3]");
  expect_error(
      [] {
        matmul(ones({2, 3}, {.dtype = int64}), ones({3, 2}, {.dtype = int64}));
      },
      "matmul: needs float32, float64 or bfloat16, got int64");
  expect_error(
      [] {
        matmul(ones({2, 1, 3}), ones({3, 3, 2}));
      },
      "matmul: shapes [2] and [3] do not broadcast: sizes must be equal or 1, counted from the last "
      "dimension");
  expect_error([] { dot(ones({2}), ones({3})); }, "dot: needs two vectors of one length, got [2] and [3]");
}

TEST(Einsum, EqualsLoops) {
  struct Case {
    std::string equation;
    std::vector<std::string> terms;
    std::string output;
  };
  std::map<char, int64_t> all = {{'i', 2}, {'j', 3}, {'k', 4}, {'l', 2}, {'b', 3}};
  for (const Case& c : std::vector<Case>{
           {"ij,jk->ik", {"ij", "jk"}, "ik"},
           {"ij,jk", {"ij", "jk"}, "ik"},
           {"ji", {"ji"}, "ij"},
           {"ji->ij", {"ji"}, "ij"},
           {"ij->", {"ij"}, ""},
           {"ii->i", {"ii"}, "i"},
           {"ii", {"ii"}, ""},
           {"iji->ji", {"iji"}, "ji"},
           {"iii->i", {"iii"}, "i"},
           {"bij,bjk->bik", {"bij", "bjk"}, "bik"},
           {"bij, bjk -> kib", {"bij", "bjk"}, "kib"},
           {"i,j->ji", {"i", "j"}, "ji"},
           {"ij,ij->", {"ij", "ij"}, ""},
           {"ij,ij->ij", {"ij", "ij"}, "ij"},
           {"ij,kl->ik", {"ij", "kl"}, "ik"},
           {"ij,jk,kl->il", {"ij", "jk", "kl"}, "il"},
           {"ij,jk,k->i", {"ij", "jk", "k"}, "i"},
           {"ij,i,j->j", {"ij", "i", "j"}, "j"},
           {"biij,bk->jk", {"biij", "bk"}, "jk"},
           {"...ij,...jk->...ik", {"blij", "bljk"}, "blik"},
           {"i...,j->...j", {"ibk", "j"}, "bkj"},
           {"...j->j...", {"bkj"}, "jbk"},
       }) {
    SCOPED_TRACE(c.equation);
    std::vector<Tensor> operands;
    std::map<char, int64_t> sizes;
    double step = .7;
    for (const std::string& term : c.terms) {
      Shape shape;
      for (char letter : term) shape.push_back(sizes[letter] = all[letter]);
      operands.push_back(wave(shape, step, true));
      step *= .6;
    }
    expect_values(einsum(c.equation, operands), einsum_by_loops(c.terms, c.output, operands, sizes));
    check_derivatives([&](const std::vector<Tensor>& in) { return einsum(c.equation, in); }, operands);
  }
}

TEST(Einsum, SizesOfOneBroadcast) {
  Tensor a = wave({2, 1, 3}, .7), b = wave({4, 3, 5}, .3);
  expect_values(einsum("bij,ijk->bik", {a, b.slice(0, 0, 1)}), einsum("bij,jk->bik", {a, b[0]}));
  expect_values(einsum("...ij,...jk->...ik", {a.unsqueeze(1), b}), matmul(a.unsqueeze(1), b));
  expect_values(einsum("...ij,jk->...ik", {a, b[0]}), matmul(a, b[0]));
}

TEST(Einsum, Errors) {
  Tensor m = ones({2, 3});
  expect_error([&] { einsum("ij,jk->ik", {m}); }, "einsum: \"ij,jk->ik\" names 2 operands, got 1");
  expect_error([&] { einsum("ijk->i", {m}); },
               "einsum: \"ijk\" in \"ijk->i\" names 3 dimensions, the operand has shape [2, 3]");
  expect_error([&] { einsum("i?->i", {m}); }, "einsum: \"i?->i\" has an unexpected '?'");
  expect_error([&] { einsum("i.->i", {m}); }, "einsum: \"i.->i\" has an unexpected '.'");
  expect_error([&] { einsum("ij->ik", {m}); }, "einsum: 'k' is in the output of \"ij->ik\" but in no operand");
  expect_error([&] { einsum("ij->ii", {m}); }, "einsum: 'i' occurs twice in the output of \"ij->ii\"");
  expect_error([&] { einsum("ii->i", {m}); }, "einsum: 'i' in \"ii->i\" names dimensions of sizes 2 and 3");
  expect_error(
      [&] {
        einsum("ij,ji->i", {m, m});
      },
      "einsum: 'j' in \"ij,ji->i\" has size 2 in operand 1 and 3 before it");
}

// --- softmax, dropout, embedding -----------------------------------------------------------------------------------

TEST(Softmax, AnyDimension) {
  Tensor x = wave({2, 3, 4}, .7, true);
  for (int64_t d : {0, 1, 2, -2}) {
    SCOPED_TRACE(d);
    Tensor e = exp(x.detach());
    expect_values(softmax(x, d), e / e.sum({d}, true));
    expect_values(log_softmax(x, d), log(e / e.sum({d}, true)));
    check_derivatives([=](const std::vector<Tensor>& in) { return softmax(in[0], d); }, {x});
    check_derivatives([=](const std::vector<Tensor>& in) { return log_softmax(in[0], d); }, {x});
  }
}

TEST(Softmax, Extremes) {
  expect_values(softmax(tensor({1000, 1000, -1000}), 0), {.5, .5, 0}, 1e-6);
  expect_values(log_softmax(tensor({0, 1000}), 0), {-1000, 0}, 1e-6);
  expect_values(softmax(tensor({-INFINITY, 0}), 0), {0, 1}, 1e-6);
  EXPECT_EQ(softmax(ones({0, 3}), 1).shape(), (Shape{0, 3}));
  EXPECT_EQ(softmax(ones({3, 0}), 1).shape(), (Shape{3, 0}));
  EXPECT_EQ(softmax(full({}, 5), 0).item(), 1);
  expect_error(
      [] {
        softmax(ones({2, 3}), 2);
      },
      "softmax: dimension 2 is out of range for 2 dimensions (allowed: -2 to 1)");
  expect_error([] { log_softmax(arange(3), 0); }, "log_softmax: needs float32 or float64, got int64");
}

TEST(Dropout, KeepsTheMean) {
  manual_seed(1);
  for (double p : {.1, .5, .9}) {
    std::vector<double> y = dropout(ones({100000}), p).to_vector();
    double zeros_seen = 0;
    for (double v : y) {
      zeros_seen += v == 0;
      ASSERT_NEAR(v, v == 0 ? 0 : 1 / (1 - p), 1e-5);
    }
    EXPECT_NEAR(zeros_seen / 1e5, p, 5 * std::sqrt(p * (1 - p) / 1e5));
  }
}

TEST(Dropout, SameSeedSameMaskAndGradient) {
  Tensor x = ones({5, 7}, double_leaf);
  manual_seed(3);
  Tensor first = dropout(x, .4), second = dropout(x, .4);
  manual_seed(3);
  EXPECT_TRUE(equal(first, dropout(x, .4)));
  EXPECT_FALSE(equal(first, second));
  first.sum().backward();
  EXPECT_TRUE(equal(x.grad(), first));
  check_derivatives(
      [](const std::vector<Tensor>& in) {
        manual_seed(5);
        return square(dropout(in[0].t(), .5));
      },
      {wave({3, 4}, .7, true)});
}

TEST(Dropout, Edges) {
  Tensor x = tensor({1, 2, INFINITY});
  EXPECT_TRUE(equal(dropout(x, 0), x));
  EXPECT_TRUE(equal(dropout(x, .5, false), x));
  expect_values(dropout(tensor({1, 2, 3}), 1), {0, 0, 0});
  EXPECT_EQ(dropout(ones({0, 3}), .5).shape(), (Shape{0, 3}));
  for (double p : {-.1, 1.1}) EXPECT_THROW(dropout(x, p), Error);
  expect_error([&] { dropout(x, NAN); }, "dropout: p must be between 0 and 1, got nan");
}

TEST(Embedding, RowsAndTheirGradient) {
  Tensor w = wave({5, 3}, .7, true), index = from_vector<int64_t>({4, 0, 4, 2}, {2, 2});
  Tensor y = embedding(index, w);
  EXPECT_EQ(y.shape(), (Shape{2, 2, 3}));
  expect_values(y[1][0], w[4]);
  y.sum().backward();
  expect_values(w.grad().select(1, 0), {1, 0, 1, 0, 2});
  for (int64_t padding : {4, -1}) {
    w.zero_grad();
    embedding(index.t(), w, padding).sum().backward();
    expect_values(w.grad().select(1, 0), {1, 0, 1, 0, 0});
  }
  w.zero_grad();
  embedding(from_vector<int64_t>({}, {0, 2}), w).sum().backward();
  expect_values(w.grad(), zeros({5, 3}));
  check_derivatives([=](const std::vector<Tensor>& in) { return square(embedding(index, in[0])); }, {w});
  // The row of padding counts in the value but not in the gradient, so only the second order can be checked.
  EXPECT_NO_THROW(
      gradgradcheck([=](const std::vector<Tensor>& in) { return square(embedding(index, in[0], 4)); }, {w}));
}

TEST(Embedding, Errors) {
  Tensor w = ones({10, 3});
  expect_error(
      [&] {
        embedding(from_vector<int64_t>({1, 2, 10}, {3}), w);
      },
      "embedding: index 10 at position 2 is out of range for 10 entries");
  expect_error([&] { embedding(from_vector<int64_t>({-1}, {1}), w); },
               "embedding: index -1 at position 0 is out of range for 10 entries");
  expect_error([&] { embedding(ones({2}), w); }, "embedding: indices must be int64, got float32");
  expect_error([&] { embedding(arange(2), w, 10); }, "embedding: padding_idx 10 is out of range for 10 entries");
  expect_error([&] { embedding(arange(2), ones({3})); }, "embedding: weight must be (entries, features), got [3]");
}

// --- convolution and pooling ---------------------------------------------------------------------------------------

double at(const std::vector<double>& x, const Shape& s, int64_t a, int64_t b, int64_t h, int64_t w) {
  if (h < 0 || h >= s[2] || w < 0 || w >= s[3]) return 0;
  return x[((a * s[1] + b) * s[2] + h) * s[3] + w];
}

Tensor conv_by_loops(const Tensor& x, const Tensor& weight, const ConvOptions& o) {
  Shape xs = x.shape(), ws = weight.shape();
  std::vector<double> in = x.to_vector(), k = weight.to_vector(), y;
  int64_t out_h = (xs[2] + 2 * o.padding.h - o.dilation.h * (ws[2] - 1) - 1) / o.stride.h + 1;
  int64_t out_w = (xs[3] + 2 * o.padding.w - o.dilation.w * (ws[3] - 1) - 1) / o.stride.w + 1;
  for (int64_t b = 0; b < xs[0]; ++b)
    for (int64_t c = 0; c < ws[0]; ++c)
      for (int64_t h = 0; h < out_h; ++h)
        for (int64_t w = 0; w < out_w; ++w) {
          double sum = 0;
          for (int64_t d = 0; d < ws[1]; ++d)
            for (int64_t i = 0; i < ws[2]; ++i)
              for (int64_t j = 0; j < ws[3]; ++j)
                sum += at(k, ws, c, d, i, j) * at(in, xs, b, c / (ws[0] / o.groups) * ws[1] + d,
                                                  h * o.stride.h - o.padding.h + i * o.dilation.h,
                                                  w * o.stride.w - o.padding.w + j * o.dilation.w);
          y.push_back(sum);
        }
  return from_vector(y, {xs[0], ws[0], out_h, out_w});
}

const std::vector<ConvOptions> conv_settings = {
    {},
    {.padding = 1},
    {.stride = 2},
    {.dilation = 2},
    {.groups = 2},
    {.stride = {1, 2}, .padding = {2, 0}, .dilation = {2, 1}, .groups = 2},
    {.stride = {3, 1}, .padding = {0, 1}},
};

TEST(Conv2d, EqualsLoops) {
  for (const ConvOptions& o : conv_settings) {
    Tensor x = wave({2, 4, 7, 6}, .7), w = wave({6, 4 / o.groups, 3, 2}, .3), b = wave({6}, .9);
    Tensor expected = conv_by_loops(x, w, o) + b.reshape({1, 6, 1, 1});
    expect_values(conv2d(x, w, b, o), expected);
    expect_values(conv2d(x.to(float32), w.to(float32), b.to(float32), o), expected, 1e-5);
    Tensor turned = wave({7, 6, 4, 2}, .7).permute({3, 2, 0, 1});
    expect_values(conv2d(turned, w.flip({2}), {}, o), conv_by_loops(turned, w.flip({2}), o));
  }
}

TEST(Conv2d, Derivatives) {
  for (const ConvOptions& o : conv_settings) {
    check_derivatives([&](const std::vector<Tensor>& in) { return conv2d(in[0], in[1], in[2], o); },
                      {wave({1, 2, 5, 4}, .7, true), wave({2, 2 / o.groups, 3, 2}, .3, true), wave({2}, .9, true)});
    check_derivatives([&](const std::vector<Tensor>& in) { return conv_transpose2d(in[0], in[1], in[2], o); },
                      {wave({1, 2, 3, 2}, .7, true), wave({2, 1, 3, 3}, .3, true), wave({o.groups}, .9, true)});
  }
}

TEST(Conv2d, NoImages) {
  Tensor w = wave({2, 3, 3, 3}, .7, true), b = wave({2}, .7, true), x = zeros({0, 3, 5, 5}, double_leaf);
  Tensor y = conv2d(x, w, b);
  EXPECT_EQ(y.shape(), (Shape{0, 2, 3, 3}));
  y.sum().backward();
  expect_values(w.grad(), zeros({2, 3, 3, 3}));
  expect_values(b.grad(), {0, 0});
}

TEST(Conv1d, IsConv2dOfHeightOne) {
  ConvOptions o{.stride = 2, .padding = 1, .dilation = 2};
  Tensor x = wave({2, 3, 9}, .7, true), w = wave({4, 3, 3}, .3, true), b = wave({4}, .9, true);
  ConvOptions flat{.stride = {1, 2}, .padding = {0, 1}, .dilation = {1, 2}};
  expect_values(conv1d(x, w, b, o),
                (conv_by_loops(x.unsqueeze(2), w.unsqueeze(2), flat) + b.reshape({1, 4, 1, 1})).squeeze(2));
  check_derivatives([&](const std::vector<Tensor>& in) { return conv1d(in[0], in[1], in[2], o); }, {x, w, b});
}

TEST(ConvTranspose2d, IsTheAdjointOfConv2d) {
  for (const ConvOptions& o : conv_settings) {
    Tensor x = wave({2, 4, 7, 6}, .7), w = wave({6, 4 / o.groups, 3, 2}, .3);
    Tensor y = conv2d(x, w, {}, o), g = wave(y.shape(), .2);
    Pair missing((7 + 2 * o.padding.h - o.dilation.h * 2 - 1) % o.stride.h,
                 (6 + 2 * o.padding.w - o.dilation.w - 1) % o.stride.w);
    Tensor back = conv_transpose2d(g, w, {}, o, missing);
    EXPECT_EQ(back.shape(), x.shape());
    EXPECT_NEAR((y * g).sum().item(), (x * back).sum().item(), 1e-12);
  }
}

TEST(ConvTranspose2d, EqualsPyTorch) {
  Tensor y = conv_transpose2d(wave({1, 2, 2, 3}, .7), wave({2, 1, 3, 2}, .3), tensor({.5, -.5}),
                              {.stride = {2, 3}, .padding = {1, 0}, .dilation = {1, 2}, .groups = 2}, {1, 2});
  EXPECT_EQ(y.shape(), (Shape{1, 2, 4, 11}));
  expect_values(y[0][0][0], {1.00463305007127, 0.5, 1.10043606437694, 1.2719292915851, 0.5, 1.41847766560509,
                             1.17617512553856, 0.5, 1.30454486908976, 0.5, 0.5});
  expect_values(y[0][1][3], {-0.603636807057707, -0.5, -0.790730000903816, -0.655879283983235, -0.5,
                             -0.937284644905141, -0.634809297970448, -0.5, -0.878177487646523, -0.5, -0.5});
}

TEST(Conv2d, Errors) {
  Tensor x = ones({8, 3, 28, 28}), w = ones({16, 4, 3, 3});
  expect_error([&] { conv2d(x, w); },
               "conv2d: input [8, 3, 28, 28] has 3 channels, weight [16, 4, 3, 3] in 1 group expects 4");
  expect_error([&] { conv2d(x[0], w); }, "conv2d: input must be (batch, channels, height, width), got [3, 28, 28]");
  expect_error(
      [&] {
        conv2d(ones({1, 1, 4, 4}), ones({1, 1, 7, 7}), {}, {.padding = 1});
      },
      "conv2d: input [1, 1, 4, 4] with padding (1, 1) is smaller than the kernel (7, 7) with dilation (1, "
      "1)");
  expect_error(
      [&] {
        conv2d(x, ones({16, 3, 3, 3}), ones({3}));
      },
      "conv2d: bias [3] does not fit 16 output channels");
  expect_error(
      [&] {
        conv2d(x, ones({16, 3, 3, 3}), {}, {.stride = {0, 1}});
      },
      "conv2d: stride must be positive, got (0, 1)");
  expect_error(
      [&] {
        conv2d(x, ones({16, 3, 3, 3}), {}, {.groups = 3});
      },
      "conv2d: weight [16, 3, 3, 3] must have four dimensions, none of them 0, and a first size that 3 "
      "groups divide");
  expect_error([&] { conv1d(x, w); }, "conv1d: input must be (batch, channels, length), got [8, 3, 28, 28]");
  expect_error([&] { conv_transpose2d(x, w); },
               "conv_transpose2d: input [8, 3, 28, 28] has 3 channels, weight [16, 4, 3, 3] expects 16");
  expect_error(
      [&] {
        conv_transpose2d(x, ones({3, 4, 3, 3}), {}, {}, 1);
      },
      "conv_transpose2d: output_padding (1, 1) must be smaller than stride (1, 1) or dilation (1, 1)");
}

TEST(Pooling, EqualsPyTorch) {
  Tensor x = wave({1, 1, 5, 5}, .7);
  PoolOptions o{.kernel = 3, .stride = Pair(2), .padding = 1};
  expect_values(max_pool2d(x, o),
                {0.98544972998846, 0.98544972998846, 0.656986598718789, 0.988168233877, 0.854598908088281,
                 0.99060735569487, 0.845746831142934, 0.669569762196601, 0.99060735569487});
  expect_values(avg_pool2d(x, o),
                {-0.0249289964235299, 0.0651935440867705, 0.0731117135188249, -0.178730676051221, -0.0782923901828772,
                 0.120866969763446, -0.049827739277746, -0.097940488537678, -0.0225573245731321});
  expect_values(avg_pool2d(x, o, false),
                {-0.0560902419529423, 0.0977903161301558, 0.164501355417356, -0.268096014076832, -0.0782923901828772,
                 0.181300454645169, -0.112112413374928, -0.146910732806517, -0.0507539802895473});
  Tensor y = adaptive_avg_pool2d(wave({1, 5, 7}, .7), {2, 3});
  EXPECT_EQ(y.shape(), (Shape{1, 2, 3}));
  expect_values(y, {0.00648889376064669, 0.381358191886659, 0.123147830832508, -0.147450666631126, -0.37651784043207,
                    0.0194593434527108});
}

TEST(Pooling, Derivatives) {
  Tensor x = wave({2, 2, 5, 6}, .7, true);
  PoolOptions overlapping{.kernel = {3, 2}, .stride = Pair(2, 1), .padding = {1, 1}};
  for (const PoolOptions& o : {PoolOptions{.kernel = 2}, overlapping}) {
    for (bool relu : {false, true})
      check_derivatives([&](const std::vector<Tensor>& in) { return square(max_pool2d(in[0], o, relu)); }, {x});
    for (bool all : {true, false})
      check_derivatives([&](const std::vector<Tensor>& in) { return square(avg_pool2d(in[0], o, all)); }, {x});
  }
  check_derivatives([&](const std::vector<Tensor>& in) { return square(adaptive_avg_pool2d(in[0], {2, 4})); }, {x});
  check_derivatives(
      [&](const std::vector<Tensor>& in) { return square(max_pool2d(in[0].transpose(2, 3), {.kernel = 2})); }, {x});
}

TEST(Pooling, NaNWinsAndEmptyBatches) {
  Tensor x = tensor({{{1, 2}, {NAN, 3}}});
  EXPECT_TRUE(std::isnan(max_pool2d(x, {.kernel = 2}).item()));
  EXPECT_EQ(max_pool2d(ones({0, 3, 4, 4}), {.kernel = 2}).shape(), (Shape{0, 3, 2, 2}));
  EXPECT_EQ(avg_pool2d(ones({0, 3, 4, 4}), {.kernel = 2}).shape(), (Shape{0, 3, 2, 2}));
}

TEST(Pooling, Errors) {
  expect_error(
      [] {
        max_pool2d(ones({1, 1, 2, 2}), {.kernel = 3});
      },
      "max_pool2d: input [1, 1, 2, 2] with padding (0, 0) is smaller than the kernel (3, 3)");
  expect_error(
      [] {
        avg_pool2d(ones({1, 1, 2, 2}), {.kernel = 2, .padding = 2});
      },
      "avg_pool2d: padding (2, 2) must be at most half of kernel (2, 2)");
  expect_error(
      [] {
        max_pool2d(ones({2, 2}), {.kernel = 2});
      },
      "max_pool2d: input must be (batch, channels, height, width) or (channels, height, width), got [2, 2]");
  expect_error(
      [] {
        adaptive_avg_pool2d(ones({1, 2, 2}), 0);
      },
      "adaptive_avg_pool2d: output size must be positive, got (0, 0)");
}

// --- normalisation -------------------------------------------------------------------------------------------------

TEST(Norm, EqualsPyTorch) {
  Tensor x = wave({4, 3}, .7), w = tensor({1, 2, 3}, double_options), b = tensor({.1, .2, .3}, double_options);
  expect_values(layer_norm(x, {3}, w, b),
                {-1.22255800854252, 2.38830127381171, 0.985222114909984, 1.37656857072897, -0.0225892981569707,
                 -3.19582176495146, -0.987532532248437, -0.278184163412164, 4.27987384186356, -1.19529089294694,
                 2.47683275662534, 0.77062354390282},
                1e-12);
  expect_values(rms_norm(x, w),
                {0.764319521104576, 2.33833525722343, 3.07241379490388, 0.581697854916524, -1.21825115899043,
                 -4.54040320806189, -1.45702037636985, -1.87239230164103, 0.0748072587842563, 0.778157618169956,
                 2.34084117004668, 3.03664938724238},
                1e-12);
  Tensor y = group_norm(wave({2, 4, 3}, .7), 2, tensor({1, 2, 3, 4}, double_options),
                        tensor({.1, .2, .3, .4}, double_options));
  expect_values(y[1],
                {1.66651534042201, 0.203795347721974, -0.891182587721261, -2.20686646673307, -0.666263588118112,
                 2.11487385400573, 2.12165992916281, 3.53768377004716, 2.89873692854693, 0.67376811738599,
                 -3.35585364681135, -6.32868864091717},
                1e-12);
}

TEST(BatchNorm, TrainsItsStatisticsAsPyTorch) {
  Tensor x = wave({3, 2, 2}, .7), w = tensor({2, -1}, double_options), b = tensor({.5, .25}, double_options);
  Tensor mean = tensor({.1, -.2}, double_options), var = tensor({1.5, .5}, double_options);
  expect_values(batch_norm(x, mean, var, w, b, true, .3, 1e-3),
                {1.9343334400582, 2.98908745350666, -0.557936302654712, 0.124528306866611, -1.1412312107416,
                 -2.75100977166897, 1.82666875042499, 1.37293461092988, -0.00498227248813244, 1.97380236133384,
                 -0.719383820979083, -0.546811544587687},
                1e-12);
  expect_values(mean, {0.124055445816304, -0.0686377295863297}, 1e-12);
  expect_values(var, {1.20035612892539, 0.565302141108075}, 1e-12);
  expect_values(batch_norm(x, mean, var, w, b, false, .3, 1e-3),
                {1.44914581036532, 2.07179570293397, -0.988284835462801, -0.286358173035492, -0.36644339336516,
                 -1.31673932515658, 1.46432273240733, 0.997649317080326, 0.304315162956113, 1.47244538474829,
                 -1.15433640225992, -0.976842829252727},
                1e-12);
  expect_values(mean, {0.124055445816304, -0.0686377295863297}, 1e-12);
}

TEST(BatchNorm, ConstantChannelKeepsVarianceAtZero) {
  Tensor mean = zeros({1}), var = zeros({1});
  expect_values(batch_norm(full({4, 1}, 3), mean, var, {}, {}, true, 1.0), zeros({4, 1}), 1e-6);
  EXPECT_GE(var.item(), 0);
  EXPECT_LE(var.item(), 1e-11);
  EXPECT_EQ(mean.item(), 3);
}

TEST(Norm, Derivatives) {
  Tensor x = wave({3, 4}, .7, true), w = wave({4}, .3, true), b = wave({4}, .9, true);
  check_derivatives([](const std::vector<Tensor>& in) { return layer_norm(in[0], {4}, in[1], in[2]); }, {x, w, b});
  check_derivatives([](const std::vector<Tensor>& in) { return layer_norm(in[0], {3, 4}); }, {x});
  check_derivatives([](const std::vector<Tensor>& in) { return layer_norm(in[0].t(), {3}, in[1]); },
                    {x, wave({3}, .2, true)});
  check_derivatives([](const std::vector<Tensor>& in) { return rms_norm(in[0], in[1]); }, {x, w});
  check_derivatives([](const std::vector<Tensor>& in) { return rms_norm(in[0].t()); }, {x});
  Tensor images = wave({2, 4, 3}, .7, true);
  check_derivatives([](const std::vector<Tensor>& in) { return group_norm(in[0], 2, in[1], in[2]); }, {images, w, b});
  for (bool training : {true, false}) {
    auto normed = [=](const std::vector<Tensor>& in) {
      return batch_norm(in[0], full({4}, .1, double_options), full({4}, 2, double_options), in[1], in[2], training);
    };
    check_derivatives(normed, {images, w, b});
    check_derivatives(normed, {x, w, b});
  }
  check_derivatives([](const std::vector<Tensor>& in) { return batch_norm(in[0], {}, {}, {}, {}, true); }, {images});
}

TEST(Norm, NothingToNormalise) {
  Tensor w = ones({3}, double_leaf), b = ones({3}, double_leaf);
  Tensor y = layer_norm(zeros({0, 3}, double_leaf), {3}, w, b);
  EXPECT_EQ(y.shape(), (Shape{0, 3}));
  y.sum().backward();
  expect_values(w.grad(), {0, 0, 0});
  expect_values(b.grad(), {0, 0, 0});
}

TEST(Norm, Errors) {
  expect_error(
      [] {
        layer_norm(ones({2, 3}), {4});
      },
      "layer_norm: input [2, 3] does not end in the normalised shape [4]");
  expect_error([] { layer_norm(ones({2, 3}), {3}, ones({2})); }, "layer_norm: weight [2] does not fit, expected [3]");
  expect_error([] { rms_norm(ones({2, 3}), ones({2})); }, "rms_norm: weight [2] does not fit, expected [3]");
  expect_error(
      [] {
        group_norm(ones({2, 3, 4}), 2);
      },
      "group_norm: 2 groups do not divide the 3 channels of input [2, 3, 4]");
  expect_error(
      [] {
        batch_norm(ones({1, 3}), {}, {}, {}, {}, true);
      },
      "batch_norm: training needs more than one value per channel, got input [1, 3]");
  expect_error(
      [] {
        batch_norm(ones({2, 3}), {}, {}, {}, {}, false);
      },
      "batch_norm: needs running statistics when not training");
  expect_error(
      [] {
        batch_norm(ones({2, 3}), ones({2}), ones({3}), {}, {}, true);
      },
      "batch_norm: running_mean [2] does not fit, expected [3]");
}

// --- losses --------------------------------------------------------------------------------------------------------

TEST(CrossEntropy, EqualsPyTorch) {
  Tensor x = wave({4, 3}, .7, true), target = from_vector<int64_t>({2, 0, -100, 1}, {4});
  Tensor w = tensor({.5, 2, 1.5}, double_options);
  constexpr Reduction none = Reduction::none, sum = Reduction::sum;
  expect_values(cross_entropy(x, target, {.reduction = none}),
                {1.07614650830638, 0.589410460396569, 0, 0.95283152597641});
  expect_values(cross_entropy(x, target), {0.872796164893121});
  expect_values(cross_entropy(x, target, {.weight = w}), {0.95364701115267});
  expect_values(cross_entropy(x, target, {.weight = w, .reduction = sum}), {3.81458804461068});
  expect_values(cross_entropy(x, target, {.label_smoothing = .1, .reduction = none}),
                {1.07937155217544, 0.652488303743736, 0, 0.968323224674641});
  expect_values(cross_entropy(x, target, {.weight = w, .label_smoothing = .1, .reduction = none}),
                {1.59178449108868, 0.449869056549508, 0, 1.8543391104298});
  expect_values(cross_entropy(x, target, {.label_smoothing = .1}), {0.900061026864604});
  Tensor loss = cross_entropy(x, target, {.weight = w, .label_smoothing = .1});
  expect_values(loss, {0.973998164516997});
  loss.backward();
  expect_values(x.grad(),
                {0.0973897565362204, 0.126190683401864, -0.223580439938085, -0.0357795989000331, 0.0240762735673655,
                 0.0117033253326675, 0, 0, 0, 0.129679801834076, -0.280270372537959, 0.150590570703883});
  Tensor places = wave({2, 3, 2}, .9), each = from_vector<int64_t>({0, 2, 1, 1}, {2, 2});
  expect_values(cross_entropy(places, each, {.weight = w}), {1.07065263322703});
  Tensor losses = cross_entropy(places, each, {.weight = w, .reduction = none});
  EXPECT_EQ(losses.shape(), (Shape{2, 2}));
  expect_values(losses, {0.313612439358779, 3.14268577696022, 0.971605130041643, 1.99601245300156});
  expect_values(nll_loss(log_softmax(x, 1), target, {.weight = w, .reduction = none}),
                {1.61421976245957, 0.294705230198285, 0, 1.90566305195282});
}

TEST(CrossEntropy, Derivatives) {
  Tensor x = wave({4, 3}, .7, true), target = from_vector<int64_t>({2, 0, 7, 1}, {4});
  for (Reduction reduction : {Reduction::none, Reduction::mean, Reduction::sum})
    for (double smoothing : {0.0, .2})
      check_derivatives(
          [=](const std::vector<Tensor>& in) {
            return cross_entropy(in[0], target,
                                 {.ignore_index = 7, .label_smoothing = smoothing, .reduction = reduction});
          },
          {x});
  check_derivatives(
      [](const std::vector<Tensor>& in) {
        return cross_entropy(in[0], from_vector<int64_t>({0, 2, 1, 1}, {2, 2}),
                             {.weight = tensor({.5, 2, 1.5}, double_options)});
      },
      {wave({2, 3, 2}, .9, true)});
}

TEST(CrossEntropy, EverythingIgnored) {
  Tensor x = wave({2, 3}, .7, true), target = from_vector<int64_t>({-100, -100}, {2});
  EXPECT_TRUE(std::isnan(cross_entropy(x, target).item()));
  Tensor sum = cross_entropy(x, target, {.reduction = Reduction::sum});
  EXPECT_EQ(sum.item(), 0);
  sum.backward();
  expect_values(x.grad(), zeros({2, 3}));
}

TEST(CrossEntropy, LargeLogits) {
  Tensor x = tensor({{1e4, -1e4}, {0, 1e4}}), target = from_vector<int64_t>({1, 1}, {2});
  expect_values(cross_entropy(x, target, {.reduction = Reduction::none}), {2e4, 0});
}

TEST(CrossEntropy, Errors) {
  Tensor x = ones({4, 10});
  expect_error(
      [&] {
        cross_entropy(x, from_vector<int64_t>({1, 2, 12, 3}, {4}));
      },
      "cross_entropy: index 12 at position 2 is out of range for 10 classes");
  expect_error([&] { cross_entropy(x, arange(3)); }, "cross_entropy: input [4, 10] expects target [4], got [3]");
  expect_error([&] { cross_entropy(x, ones({4})); }, "cross_entropy: indices must be int64, got float32");
  expect_error([&] { cross_entropy(x, arange(4), {.weight = ones({4})}); },
               "cross_entropy: weight [4] does not fit 10 classes");
  expect_error([&] { cross_entropy(x, arange(4), {.label_smoothing = 2}); },
               "cross_entropy: label_smoothing must be between 0 and 1, got 2");
  expect_error([&] { nll_loss(x, arange(4), {.label_smoothing = .1}); },
               "nll_loss: has no label_smoothing; cross_entropy has");
  expect_error([&] { cross_entropy(ones({10}), arange(1)); },
               "cross_entropy: input must be (batch, classes) or (batch, classes, ...), got [10]");
}

TEST(Losses, EqualPyTorch) {
  Tensor x = wave({4, 3}, .7, true), y = wave({4, 3}, .3), p = sigmoid(y);
  expect_values(mse_loss(x, y), {1.20244103774598});
  expect_values(l1_loss(x, y), {0.930166449591367});
  expect_values(smooth_l1_loss(x, y, .5), {0.697971544332097});
  expect_values(smooth_l1_loss(x, y, 0), {0.930166449591367});
  expect_values(mse_loss(x, y, Reduction::sum), {12 * 1.20244103774598});
  EXPECT_EQ(mse_loss(x, y, Reduction::none).shape(), (Shape{4, 3}));
  Tensor w = tensor({.5, 2, 1.5}, double_options), positive = tensor({3, 1, .5}, double_options);
  Tensor bce = binary_cross_entropy_with_logits(x, p, w, positive);
  expect_values(bce, {1.09255974174303});
  bce.backward();
  expect_values(x.grad(), {-0.0130183490126573, 0.0151103642394641, 0.0148438060541543, -0.0305392175723943,
                           -0.0528955458039354, -0.0218822288769632, -0.0606001935912774, -0.0525836647136179,
                           0.00612443223409903, -0.0100877397009688, 0.0446801353240522, 0.0460952607565432});
  std::vector<double> q = softmax(y, 1).to_vector();
  q[0] = 0;
  Tensor log_p = log_softmax(x, 1), truth = from_vector(q, {4, 3});
  expect_values(kl_div(log_p, truth), {0.0329361196531112});
  expect_values(kl_div(log_p, truth, Reduction::mean, false, true), {0.0988083589593337});
  expect_values(kl_div(log_p, log_softmax(y, 1), Reduction::sum, true), {0.376078955816139});
}

TEST(Losses, Derivatives) {
  Tensor x = wave({2, 3}, .7, true), y = wave({2, 3}, .3, true);
  using In = const std::vector<Tensor>&;
  check_derivatives([](In in) { return mse_loss(in[0], in[1]); }, {x, y});
  check_derivatives([](In in) { return l1_loss(in[0], in[1], Reduction::sum); }, {x, y});
  check_derivatives([](In in) { return smooth_l1_loss(in[0], in[1], .5, Reduction::none); }, {x, y});
  check_derivatives([](In in) { return binary_cross_entropy_with_logits(in[0], sigmoid(in[1]), in[2], in[3]); },
                    {x, y, wave({3}, .2, true), wave({3}, .4, true)});
  check_derivatives([](In in) { return kl_div(in[0], sigmoid(in[1])); }, {x, y});
  check_derivatives([](In in) { return kl_div(in[0], in[1], Reduction::sum, true); }, {x, y});
}

TEST(Losses, LogitsOfAnySizeStayFinite) {
  Tensor x = tensor({-1e4, -30, 0, 30, 1e4}, {.requires_grad = true}), zero = zeros({5}), one = ones({5});
  Tensor to_zero = binary_cross_entropy_with_logits(x, zero, {}, {}, Reduction::none);
  expect_values(to_zero, {0, 0, std::log(2), 30, 1e4}, 1e-6);
  expect_values(binary_cross_entropy_with_logits(x, one, {}, {}, Reduction::none), {1e4, 30, std::log(2), 0, 0},
                1e-6);
  to_zero.sum().backward();
  expect_values(x.grad(), {0, 0, .5, 1, 1}, 1e-6);
  EXPECT_GT(to_zero.to_vector()[1], 0);  // exp(-30), not rounded away against 30
}

TEST(Losses, NoProbabilityNoDivergence) {
  expect_values(kl_div(tensor({-1, -2}), tensor({0, 1}), Reduction::none), {0, 2}, 1e-6);
}

TEST(Losses, Errors) {
  expect_error(
      [] {
        mse_loss(ones({8, 1}), ones({8}));
      },
      "mse_loss: input [8, 1] and target [8] must have the same shape");
  expect_error([] { smooth_l1_loss(ones({8}), ones({8}), -1); }, "smooth_l1_loss: beta must not be negative, got -1");
}

}  // namespace
}  // namespace gradus
