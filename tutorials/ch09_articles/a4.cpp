// Article A4: the Transformer, its worked example and its text classifier.
#include <cmath>

#include "nn/embedding.h"
#include "nn/linear.h"
#include "nn/positions.h"
#include "optim/adam.h"
#include "tutorials/ch09_articles/print.h"

using namespace gradus;
using namespace ch09;

namespace {

void example() {
  section("A4 4.3: a query 1, keys and values 1, 2, 3");
  const Tensor scores = tensor({1, 2, 3}), values = tensor({1, 2, 3});
  const Tensor shares = scores / scores.sum();  // what the article takes for a softmax
  const Tensor weights = softmax(scores, 0);    // (3)
  const Tensor output = dot(weights, values);   // (): one number, for one query and values of one number
  const Tensor flat = softmax(scores / std::sqrt(3.0), 0);
  row("article", "weights " + text(shares) + ", output " + text(shares * values));
  row("powers", text(exp(scores)) + ", together " + text(exp(scores).sum()));
  row("right", "weights " + text(weights) + ", output " + text(output));
  row("sqrt(3)", "weights " + text(flat) + ", output " + text(dot(flat, values)));
}

//! [classifier]
struct Classifier : nn::Module {
  nn::Embedding words{10000, 64};
  nn::Positions positions;
  nn::Linear query{64, 2 * 64}, key{64, 2 * 64}, value{64, 2 * 64}, out{2 * 64, 64};  // two heads of 64
  nn::Linear answer{64, 1};
  explicit Classifier(nn::PositionKind kind) : positions(kind, 10, 64) {}

  // Tokens (batch, n) to logits (batch).
  Tensor operator()(const Tensor& tokens) const {
    const Tensor x = positions(words(tokens));                                                   // (batch, n, 64)
    const auto heads = [](const Tensor& y) { return y.unflatten(2, {2, 64}).transpose(1, 2); };  // (batch, 2, n, 64)
    const Tensor seen = scaled_dot_product_attention(heads(query(x)), heads(key(x)), heads(value(x)));
    const Tensor mixed = out(seen.transpose(1, 2).flatten(2));  // (batch, n, 64)
    return answer(mixed.mean({1})).squeeze(1);
  }
  //! [classifier]
  void visit(nn::Visitor& v) override {
    v("words", words);
    v("positions", positions);
    v("query", query);
    v("key", key);
    v("value", value);
    v("out", out);
    v("answer", answer);
  }
  const char* type() const override { return "Classifier"; }
};

// Sentences of ten words, among them word 1 and word 2; the label is whether 1 comes before 2.
std::pair<Tensor, Tensor> sentences(int64_t batch) {
  Tensor tokens = randint(3, 50, {batch, 10}), labels = zeros({batch});
  for (int64_t i = 0; i < batch; ++i) {
    const Tensor places = randperm(10);
    const int64_t first = int64_t(places[0].item()), second = int64_t(places[1].item());
    tokens[i][first].fill_(1);
    tokens[i][second].fill_(2);
    labels[i].fill_(first < second);
  }
  return {tokens, labels};
}

double accuracy_of(nn::PositionKind kind) {
  manual_seed(1);
  Classifier model(kind);
  optim::Adam optimizer(model.parameters(), {.lr = 0.002});
  for (int update = 0; update < 300; ++update) {
    const auto [tokens, labels] = sentences(64);
    optimizer.zero_grad();
    binary_cross_entropy_with_logits(model(tokens), labels).backward();
    optimizer.step();
  }
  const NoGrad guard;
  const auto [tokens, labels] = sentences(1000);
  if (kind == nn::PositionKind::none)
    check(allclose(model(tokens), model(tokens.flip({1})), 1e-3, 1e-3), "without positions order is nothing");
  return ((model(tokens) > 0).to(float32) == labels).to(float32).mean().item();
}

void classifier() {
  section("A4 5.2: the classifier, written right");
  const Classifier model(nn::PositionKind::none);
  const int64_t words = model.words.parameter_count(), answer = model.answer.parameter_count();
  row("weights", std::to_string(model.parameter_count()) + " = " + std::to_string(words) + " + " +
                     std::to_string(model.parameter_count() - words - answer) + " + " + std::to_string(answer));
  row("each of 3",
      std::to_string(model.query.parameter_count()) + ", and out " + std::to_string(model.out.parameter_count()));
  section("A4 2.4: which of two words comes first, told from ten words");
  const double without = accuracy_of(nn::PositionKind::none), with = accuracy_of(nn::PositionKind::sinusoidal);
  row("without", text(100 * without, 0) + "% right: no positions before the attention");
  row("with", text(100 * with, 0) + "% right: positions added to the words");
  check(without < 0.57 && with > 0.9, "positions are what tells the order");
}

}  // namespace

int main() {
  example();
  classifier();
}
