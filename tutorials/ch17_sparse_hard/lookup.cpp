// Looking up one of eight places: softly, by a hard choice with a gradient through Gumbel-softmax, and by one without.
#include <cstdio>

#include "nn/embedding.h"
#include "optim/adam.h"
#include "tutorials/attention_forms/attention_forms.h"

using namespace gradus;

namespace {

constexpr int64_t places = 8, values = 10, features = 32;

enum class Look { soft, hard, no_gradient };

struct Lookup : nn::Module {
  Look look;
  nn::Embedding ask, name, value;  // of what is asked for, and of each place: its name and what it holds
  attention_forms::HardAttention attention;
  nn::Linear answer;
  explicit Lookup(Look how)
      : look(how),
        ask(places, features),
        name(places, features),
        value(values, features),
        attention(features, features),
        answer(features, values) {}

  //! [lookup]
  Attended attend_to(const Tensor& query, const Tensor& memory) const {
    if (look == Look::soft) return attention.score(query, memory);
    if (look == Look::hard) return attention(query, memory);
    const Tensor scores = attention.score.scores(query, memory);
    const Tensor weights = one_hot(scores.argmax(-1), places).to(scores.dtype());  // whole numbers: no gradient
    return {matmul(weights, memory), weights};
  }
  //! [lookup]

  // asked (batch), names (batch, places), held (batch, places), all int64.
  Attended operator()(const Tensor& asked, const Tensor& names, const Tensor& held) const {
    nn::Call call(*this);
    Attended a = attend_to(ask(asked).unsqueeze(1), name(names) + value(held));
    a.output = call(answer(a.output.squeeze(1)));
    return a;
  }
  void visit(nn::Visitor& v) override {
    v("ask", ask);
    v("name", name);
    v("value", value);
    v("attention", attention);
    v("answer", answer);
  }
  const char* type() const override { return "Lookup"; }
};

struct Example {
  Tensor asked, names, held, answer;
};
Example draw(int64_t batch) {
  const Tensor names = rand({batch, places}).sort(-1).second;  // in random order
  const Tensor held = randint(0, values, {batch, places});
  const Tensor place = randint(0, places, {batch, 1});
  return {names.gather(1, place).squeeze(1), names, held, held.gather(1, place).squeeze(1)};
}

void train(Lookup& model) {
  optim::Adam optimizer(model.parameters(), {.lr = 0.01});
  for (int step = 0; step < 1500; ++step) {
    const Example e = draw(64);
    const Tensor loss = cross_entropy(model(e.asked, e.names, e.held).output, e.answer);
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
  }
}

}  // namespace

int main() {
  std::printf("%-14s %9s %9s\n", "look", "accuracy", "places");
  for (const auto& [look, name] :
       {std::pair{Look::soft, "soft"}, {Look::hard, "hard"}, {Look::no_gradient, "no gradient"}}) {
    manual_seed(17);
    Lookup model(look);
    train(model);
    model.eval();
    const NoGrad guard;
    const Example e = draw(2000);
    const Attended a = model(e.asked, e.names, e.held);
    const double accuracy = (a.output.argmax(-1) == e.answer).to(float64).mean().item();
    const double seen = (a.weights > 0.01).to(float64).sum(-1).mean().item();
    std::printf("%-14s %9.2f %9.1f\n", name, accuracy, seen);
    check(look == Look::no_gradient ? accuracy < 0.5 : accuracy > 0.9, name, ": an accuracy of ", accuracy);
    check(look == Look::soft || seen == 1, name, ": looks at ", seen, " places");
  }
}
