// Two tasks that need to know where words stand: name the word before, with four ways of telling positions; name the
// words before and after, with one head and with more.
#include <cstdio>
#include <string>

#include "nn/attention.h"
#include "nn/embedding.h"
#include "nn/positions.h"
#include "optim/adam.h"

using namespace gradus;
using nn::PositionKind;

namespace {

constexpr int64_t words = 12, features = 32, places = 10;

//! [model]
struct Neighbours : nn::Module {
  nn::Embedding embed;
  nn::Positions positions;
  nn::MultiheadAttention attention;
  nn::Linear name;  // of the word before, and of the word after
  Neighbours(PositionKind kind, bool rotary, int64_t heads)
      : embed(words, features),
        positions(kind, 2 * places, features),
        attention(features, heads, {.rotary = rotary}),
        name(features, 2 * words) {}

  // (batch, places) to logits (batch, places, 2, words) and weights (batch, heads, places, places).
  Attended operator()(const Tensor& text) const {
    nn::Call call(*this);
    Attended a = attention(positions(embed(text)), {.need_weights = true});
    a.output = call(name(a.output).unflatten(-1, {2, words}));
    return a;
  }
  void visit(nn::Visitor& v) override {
    v("embed", embed);
    v("positions", positions);
    v("attention", attention);
    v("name", name);
  }
  const char* type() const override { return "Neighbours"; }
};
//! [model]

// Random words and the neighbours of those that have both: (batch, n), (batch, n - 2, sides).
struct Example {
  Tensor text, answers;
};
Example draw(int64_t batch, int64_t n, int64_t sides) {
  const Tensor text = randint(0, words, {batch, n});
  const Tensor before = text.narrow(1, 0, n - 2), after = text.narrow(1, 2, n - 2);
  return {text, sides == 1 ? before.unsqueeze(-1) : stack({before, after}, -1)};
}
// Logits of the places and sides that are asked for: (batch, n - 2, sides, words).
Tensor asked(const Tensor& logits, const Example& e) {
  return logits.narrow(1, 1, e.answers.size(1)).narrow(2, 0, e.answers.size(2));
}

void train(Neighbours& model, int64_t sides) {
  optim::Adam optimizer(model.parameters(), {.lr = 0.01});
  for (int step = 0; step < 400; ++step) {
    const Example e = draw(32, places, sides);
    const Tensor loss = cross_entropy(asked(model(e.text).output, e).flatten(0, 2), e.answers.flatten());
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
  }
}

double accuracy(const Neighbours& model, int64_t n, int64_t sides) {
  const NoGrad guard;
  const Example e = draw(200, n, sides);
  return (asked(model(e.text).output, e).argmax(-1) == e.answers).to(float64).mean().item();
}

// The mean weight that a head gives to the word `distance` places after its own, of words that have two on either side.
double weight_at(const Neighbours& model, int64_t head, int64_t distance) {
  const NoGrad guard;
  const Tensor weights = model(draw(200, places, 1).text).weights.mean(0)[head];  // (queries, keys)
  return weights.narrow(0, 2, places - 4).narrow(1, 2 + distance, places - 4).diagonal().mean().item();
}

}  // namespace

int main() {
  std::printf("the word before, by one head         mean weight by distance\n");
  std::printf("positions     10 places 20 places     -2    -1     0     1     2\n");
  for (const char* name : {"none", "sinusoidal", "learned", "rotary"}) {
    manual_seed(11);
    const std::string kind = name;
    Neighbours model(kind == "sinusoidal" ? PositionKind::sinusoidal
                     : kind == "learned"  ? PositionKind::learned
                                          : PositionKind::none,
                     kind == "rotary", 1);
    train(model, 1);
    const double reached = accuracy(model, places, 1), twice = accuracy(model, 2 * places, 1);
    std::printf("%-14s %8.2f %9.2f  ", name, reached, twice);
    for (int64_t distance = -2; distance <= 2; ++distance) std::printf("%6.2f", weight_at(model, 0, distance));
    std::printf("\n");
    check(kind == "none" ? reached < 0.4 : reached > 0.95, name, ": an accuracy of ", reached);
    check(kind == "rotary" ? twice > 0.9 : twice < 0.8, name, ": an accuracy of ", twice, " at twice the length");
    check(kind == "none" || weight_at(model, 0, -1) > 0.5, name, ": the weight is elsewhere");
  }

  std::printf("\nthe words before and after, rotary positions\n");
  std::printf("heads accuracy  each head's weight before  each head's weight after\n");
  for (const int64_t heads : {1, 2, 4}) {
    manual_seed(11);
    Neighbours model(PositionKind::none, true, heads);
    train(model, 2);
    const double reached = accuracy(model, places, 2);
    std::printf("%5d %8.2f  ", int(heads), reached);
    for (int64_t head = 0; head < heads; ++head) std::printf("%6.2f", weight_at(model, head, -1));
    std::printf("%*s", int(6 * (4 - heads)) + 2, "");
    for (int64_t head = 0; head < heads; ++head) std::printf("%6.2f", weight_at(model, head, 1));
    std::printf("\n");
    check(heads == 1 ? reached < 0.9 : reached > 0.95, heads, " heads: an accuracy of ", reached);
  }
}
