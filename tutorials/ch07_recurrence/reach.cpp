// How far back a gradient reaches: what one factor a step does, and the norms of gradients at the states of an RNN, a
// GRU and an LSTM, one hundred steps back from the loss.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <map>

#include "nn/nn.h"

using namespace gradus;

namespace {

constexpr int64_t hidden = 64, inputs = 16, batch = 8, steps = 100;

//! [norms]
// The norm of the gradient at the state `back` steps before the last, for back = 0, 1, ...; that at the last is 1. The
// loss is a sum of the last h with random weights. An LSTM's state is h and c together.
std::vector<double> gradient_norms(const nn::RecurrentCell& cell, Generator& generator) {
  const Tensor x = randn({steps, batch, inputs}, {.dtype = float64}, &generator);
  const Tensor weights = randn({batch, hidden}, {.dtype = float64}, &generator);
  std::vector<nn::RecurrentState> states = {cell(x[0])};
  for (int64_t t = 1; t < steps; ++t) states.push_back(cell(x[t], states.back()));

  std::vector<Tensor> handed_on;
  for (const nn::RecurrentState& state : states) {
    handed_on.push_back(state.h);
    if (state.c.defined()) handed_on.push_back(state.c);
  }
  const Tensor loss = (states.back().h * weights).sum();
  const std::vector<Tensor> gradients = grad({loss}, handed_on, {.allow_unused = true});

  const size_t parts = handed_on.size() / states.size();
  std::vector<double> norms;
  for (size_t back = 0; back < states.size(); ++back) {
    double squares = 0;
    for (size_t i = 0; i < parts; ++i) {
      const Tensor& g = gradients[(states.size() - 1 - back) * parts + i];
      if (g.defined()) squares += square(g).sum().item();
    }
    norms.push_back(std::sqrt(squares) / weights.norm().item());
  }
  return norms;
}
//! [norms]

// An RNN whose W_hh is normal with standard deviation gain / sqrt(hidden). Its input is quiet, so that W_hh decides.
std::vector<double> rnn(double gain) {
  Generator generator(1);
  manual_seed(1);
  nn::RNNCell cell(inputs, hidden);
  cell.to(float64);
  const double deviation = gain / std::sqrt(double(hidden));
  for (auto& [name, weight] : cell.named_parameters()) {
    const NoGrad guard;
    if (name == "weight_hh") weight.copy_(normal({hidden, hidden}, 0, deviation, {.dtype = float64}, &generator));
    if (name == "weight_ih") weight.mul_(0.1);
  }
  return gradient_norms(cell, generator);
}

// A gated cell with PyTorch's first weights, and `add` added to the bias of its second gate: the LSTM's forget gate,
// the GRU's update gate.
template <class CellModule>
std::vector<double> gated(double add) {
  Generator generator(1);
  manual_seed(1);
  CellModule cell(inputs, hidden);
  cell.to(float64);
  for (auto& [name, weight] : cell.named_parameters()) {
    const NoGrad guard;
    if (name == "bias_ih") weight.narrow(0, hidden, hidden).add_(add);
  }
  return gradient_norms(cell, generator);
}

void factors(const char* title, const std::vector<double>& values, bool gate) {
  std::printf("%s\n%8s%s", title, gate ? "bias" : "w", gate ? "    gate" : "");
  for (const int back : {1, 10, 50, 100}) std::printf("  %7d", back);
  std::printf("\n");
  for (const double value : values) {
    const double factor = gate ? 1 / (1 + std::exp(-value)) : value;
    std::printf("%8.1f", value);
    if (gate) std::printf("  %6.4f", factor);
    for (const int back : {1, 10, 50, 100}) std::printf("  %7.1e", std::pow(factor, back));
    std::printf("\n");
  }
  std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("How far back gradients reach in recurrent networks.");
  bool csv = false;
  app.add_flag("--csv", csv, "Print the norms of every step");
  CLI11_PARSE(app, argc, argv);

  const std::vector<std::pair<std::string, std::vector<double>>> runs = {{"RNN 0.5", rnn(0.5)},
                                                                         {"RNN 1", rnn(1)},
                                                                         {"RNN 4", rnn(4)},
                                                                         {"GRU", gated<nn::GRUCell>(0)},
                                                                         {"LSTM", gated<nn::LSTMCell>(0)},
                                                                         {"GRU +3", gated<nn::GRUCell>(3)},
                                                                         {"LSTM +3", gated<nn::LSTMCell>(3)}};
  std::map<std::string, std::vector<double>> norms(runs.begin(), runs.end());
  if (csv) {
    std::printf("cell,back,norm\n");
    for (const auto& [name, values] : runs)
      for (size_t back = 0; back < values.size(); ++back)
        std::printf("%s,%zu,%.4e\n", name.c_str(), back, values[back]);
    return 0;
  }

  factors("one factor a step: w to the power of the number of steps back", {0.5, 0.9, 1, 1.1, 1.5}, false);
  std::printf("norm of the gradient, so many steps back\n    back");
  for (const auto& [name, values] : runs) std::printf("  %7s", name.c_str());
  std::printf("\n");
  for (const size_t back : {0, 1, 10, 20, 50, 99}) {
    std::printf("%8zu", back);
    for (const auto& [name, values] : runs) std::printf("  %7.1e", values[back]);
    std::printf("\n");
  }
  std::printf("\n");
  factors("a forget gate that stays where its bias puts it", {0, 1, 3, 5}, true);

  check(norms["RNN 0.5"].back() < 1e-20, "a small W_hh should make gradients vanish");
  check(norms["RNN 4"].back() > 10, "a large W_hh should make them explode");
  check(norms["LSTM"].back() < 1e-10, "a forget gate of a half forgets");
  check(norms["LSTM +3"].back() > 1e8 * norms["LSTM"].back(), "the forget gate's bias should carry gradients far");
}
