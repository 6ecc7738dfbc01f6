// Where a layer normalises: how much gradient arrives at each depth before any training, how far one step moves the
// output, and what trainings with and without warm-up make of it.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "nn/init.h"
#include "nn/transformer.h"
#include "optim/optim.h"

using namespace gradus;

namespace {

constexpr int64_t symbols = 16, features = 32, places = 8;
constexpr double rate = 0.005;  // of Adam
constexpr int draws = 5;        // of all weights

// Symbols in, for each place the scores of a symbol out.
struct Stack : nn::Module {
  nn::Embedding embed;
  nn::Positions positions;
  nn::TransformerEncoder encoder;
  nn::Linear name;

  Stack(int64_t layers, bool norm_first)
      : embed(symbols, features),
        positions(nn::PositionKind::sinusoidal, places, features),
        encoder({.d_model = features,
                 .heads = 4,
                 .ffn = 4 * features,
                 .encoder_layers = layers,
                 .dropout = 0,
                 .norm_first = norm_first}),
        name(features, symbols) {
    const NoGrad guard;
    for (const Tensor& p : encoder.parameters())
      if (p.dim() == 2) nn::xavier_uniform_(p);
  }
  Tensor operator()(const Tensor& text) const {
    nn::Call call(*this);
    return call(name(encoder(positions(embed(text)))));
  }
  void visit(nn::Visitor& v) override {
    v("embed", embed);
    v("positions", positions);
    v("encoder", encoder);
    v("name", name);
  }
  const char* type() const override { return "Stack"; }
};

Tensor text_of(int64_t batch) { return randint(0, symbols, {batch, places}); }

// What is to be written is the text from its end to its beginning.
Tensor loss_of(const Stack& model, const Tensor& text) {
  return cross_entropy(model(text).flatten(0, 1), text.flip({1}).flatten());
}

//! [measure]
// Of fresh weights: |d loss / d W|, W the second matrix of the first and of the last layer's feed-forward; and how far
// Adam's first step, which moves every weight by about the learning rate, here 0.0005, moves the encoder's output.
struct Measured {
  double first, last, moved;
};
Measured measure(int64_t layers, bool norm_first) {
  const Stack model(layers, norm_first);
  const Tensor text = text_of(64);
  const auto output = [&] { return model.encoder(model.positions(model.embed(text))).detach(); };
  loss_of(model, text).backward();
  const auto norm = [&](int64_t i) { return model.encoder.layers[i].linear2.weight.grad().norm().item(); };
  const Tensor before = output();
  optim::Adam(model.encoder.parameters(), {.lr = 0.0005}).step();
  return {norm(0), norm(layers - 1), (output() - before).norm().item() / before.norm().item()};
}
//! [measure]

Measured mean(int64_t layers, bool norm_first) {  // geometric, over the draws
  Measured sum{};
  for (int draw = 1; draw <= draws; ++draw) {
    manual_seed(uint64_t(draw));
    const Measured m = measure(layers, norm_first);
    sum = {sum.first + std::log(m.first), sum.last + std::log(m.last), sum.moved + std::log(m.moved)};
  }
  return {std::exp(sum.first / draws), std::exp(sum.last / draws), std::exp(sum.moved / draws)};
}

// The loss of each step.
std::vector<double> train(bool norm_first, int64_t warmup, uint64_t seed) {
  manual_seed(seed);
  Stack model(6, norm_first);
  optim::Adam optimizer(model.parameters(), {.lr = rate});
  optim::Schedule schedule(optimizer, [=](int64_t step, double base) {
    return base * std::min(1.0, double(step + 1) / double(warmup));  // a ramp, then level
  });
  std::vector<double> losses;
  for (int64_t step = 0; step < 300; ++step) {
    const Tensor loss = loss_of(model, text_of(32));
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
    schedule.step();
    losses.push_back(loss.item());
  }
  return losses;
}

double mean_of(const std::vector<double>& losses, size_t end, size_t count) {
  double sum = 0;
  for (size_t i = end - count; i < end; ++i) sum += losses[i];
  return sum / double(count);
}

}  // namespace

int main(int argc, char** argv) {
  bool all = false;
  CLI::App app("Compares layers that normalise before each sub-layer with layers that normalise after it.");
  app.add_flag("--all", all, "print the losses of every ten steps, for the figure");
  CLI11_PARSE(app, argc, argv);

  std::printf("        gradient, norm after  gradient, norm before  output moved by a step\n");
  std::printf("layers     first       last      first        last      after      before\n");
  std::vector<Measured> after, before;
  for (const int64_t layers : {3, 6, 12, 24}) {
    const Measured a = mean(layers, false), b = mean(layers, true);
    std::printf("%6d %9.3f %10.3f %10.3f %11.3f %10.2f %11.2f\n", int(layers), a.first, a.last, b.first, b.last,
                a.moved, b.moved);
    after.push_back(a);
    before.push_back(b);
  }
  std::printf("\nsix layers, loss after 300 steps, of three draws; guessing gives %.2f\n", std::log(double(symbols)));
  std::vector<std::vector<double>> curves;
  std::vector<double> worst, best;
  for (const bool norm_first : {false, true}) {
    for (const int64_t warmup : {1, 150}) {
      std::printf("norm %-6s  %-15s", norm_first ? "before" : "after", warmup == 1 ? "no warm-up" : "warm-up");
      worst.push_back(0), best.push_back(INFINITY);
      for (const uint64_t seed : {1, 2, 3}) {
        const std::vector<double> losses = train(norm_first, warmup, seed);
        const double last = mean_of(losses, losses.size(), 20);
        last < 0.3 ? std::printf("  < 0.3") : std::printf("%7.1f", last);
        std::fflush(stdout);
        worst.back() = std::max(worst.back(), last), best.back() = std::min(best.back(), last);
        if (seed == 1) curves.push_back(losses);
      }
      std::printf("\n");
    }
  }
  if (all)
    for (size_t end = 10; end <= curves[0].size(); end += 10) {
      std::printf("%d", int(end));
      for (const auto& losses : curves) std::printf(",%.3f", mean_of(losses, end, 10));
      std::printf("\n");
    }
  check(after[3].last > 0.7 * after[0].last && before[3].last < 0.65 * before[0].last,
        "the gradients differ from the text");
  for (size_t i = 0; i < after.size(); ++i)
    check(after[i].moved > 1.2 * before[i].moved, "the outputs move otherwise than the text says");
  check(best[0] > 1 && worst[1] < 0.3 && worst[2] < 0.3 && worst[3] < 0.3, "the trainings differ from the text");
}
