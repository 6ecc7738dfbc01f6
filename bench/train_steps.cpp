// Whole training steps, the same models as in peer_torch.py: to add one, write an entry here and one there.
// The program's memory is measured in a process of its own for each.
#include <memory>

#include "bench/bench.h"
#include "nn/nn.h"
#include "optim/adam.h"

namespace gradus::bench {
namespace {

// A step of a model that lives as long as the call: gradients forgotten, loss, backward, and Adam unless left out.
template <class Model, class Loss>
Call step(Model model, Loss loss, bool adam = true) {
  auto shared = std::make_shared<Model>(std::move(model));
  auto optimizer = std::make_shared<optim::Adam>(shared->parameters());
  return [=] {
    optimizer->zero_grad();
    loss(*shared).backward();
    if (adam) optimizer->step();
  };
}

nn::Sequential mlp_model() {
  return nn::Sequential{nn::Linear(784, 256), nn::ReLU(), nn::Linear(256, 128), nn::ReLU(), nn::Linear(128, 10)};
}

// Its first two ReLUs are part of the pooling.
nn::Sequential cnn_model() {
  return nn::Sequential{nn::Conv2d(1, 16, 3, {.padding = 1}),
                        nn::MaxPool2d(2, {.relu = true}),
                        nn::Conv2d(16, 32, 3, {.padding = 1}),
                        nn::MaxPool2d(2, {.relu = true}),
                        nn::Flatten(),
                        nn::Linear(32 * 7 * 7, 128),
                        nn::ReLU(),
                        nn::Linear(128, 10)};
}

nn::Sequential tiny_model() {
  return nn::Sequential{nn::Linear(2, 16), nn::ReLU(), nn::Linear(16, 16), nn::ReLU(), nn::Linear(16, 1)};
}

// Images of this shape, ten classes.
Call classify(nn::Sequential model, const Shape& shape, bool adam) {
  Tensor x = randn(shape), y = randint(0, 10, {shape[0]});
  return step(
      std::move(model), [=](nn::Sequential& m) { return cross_entropy(m(x), y); }, adam);
}

Call tiny(bool adam) {
  Tensor x = randn({1, 2});
  return step(
      tiny_model(), [=](nn::Sequential& m) { return m(x).sum(); }, adam);
}

// Teacher forcing, with input feeding: the decoder goes step by step.
nn::Seq2SeqOptions seq2seq_options() { return {.source_vocabulary = 8000, .target_vocabulary = 8000}; }

Call translate(const nn::Seq2SeqOptions& o, int64_t batch, int64_t source_places, int64_t places) {
  const auto words = [&](int64_t n) { return randint(1, o.target_vocabulary, {batch, n}); };  // 0 is padding
  Tensor source = words(source_places), target = words(places), next = words(places).flatten();
  return step(
      nn::Seq2Seq(o), [=](nn::Seq2Seq& m) { return cross_entropy(m(source, target).flatten(0, 1), next); }, true);
}

std::vector<Item> items() {
  // A layer's product counts three times, forward and for both gradients; the first layer's input needs none.
  const double mlp = 2. * 64 * (784 * 256 * 2 + 256 * 128 * 3 + 128 * 10 * 3);
  const double cnn = 2. * 64 * (784 * 9 * 16 * 2 + 196 * 144 * 32 * 3 + 1568 * 128 * 3 + 128 * 10 * 3);
  const double h = 256, encoder = 2 * (2 * h) * 3 * h, decoder = (3 * h) * 3 * h, attention = 2 * h * h + h * h,
               looking = 20 * (h + 2 * h), combine = 3 * h * h, words = h * 8000;
  const double seq2seq = 3 * 2. * 64 * 20 * (encoder + decoder + attention + looking + combine + words);
  std::vector<Item> all;
  auto add = [&](const char* name, double flops, std::function<Call()> make) {
    all.push_back({.group = "steps", .name = name, .flops = flops, .make = std::move(make)});
  };
  add("MLP 784-256-128-10, batch 64", mlp, [] { return classify(mlp_model(), {64, 784}, true); });
  add("MLP 784-256-128-10, batch 64, no Adam", mlp, [] { return classify(mlp_model(), {64, 784}, false); });
  add("CNN 16-pool-32-pool-128-10, batch 64", cnn, [] { return classify(cnn_model(), {64, 1, 28, 28}, true); });
  add("CNN 16-pool-32-pool-128-10, batch 64, no Adam", cnn, [] {
    return classify(cnn_model(), {64, 1, 28, 28}, false);
  });
  add("GRU seq2seq, additive attention, hidden 256, batch 64, 20->20, vocabulary 8000", seq2seq,
      [] { return translate(seq2seq_options(), 64, 20, 20); });
  add("tiny MLP 2-16-16-1, batch 1, forward", 0, [] {
    auto model = std::make_shared<nn::Sequential>(tiny_model());
    return [=, x = randn({1, 2})] { (*model)(x); };
  });
  add("tiny MLP 2-16-16-1, batch 1, no Adam", 0, [] { return tiny(false); });
  add("tiny MLP 2-16-16-1, batch 1", 0, [] { return tiny(true); });
  return all;
}

}  // namespace
}  // namespace gradus::bench

int main(int argc, char** argv) { return gradus::bench::run_items(gradus::bench::items(), argc, argv); }
