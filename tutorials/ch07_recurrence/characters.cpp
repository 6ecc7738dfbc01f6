// Character models with three kinds of recurrent layer learn the sentences of text.h, one character after another.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "optim/optim.h"
#include "tensor/io/safetensors.h"
#include "tutorials/ch07_recurrence/text.h"

using namespace gradus;
using namespace ch07;

namespace {

constexpr int64_t batch = 32, window = 64;

// Sentences one after another, cut into `batch` rows of equal length: (batch, characters).
Tensor rows_of_text(int64_t characters, Generator& random) {
  std::string text;
  while (int64_t(text.size()) < batch * characters) text += sentence(random.below(most_phrases + 1), random).text;
  text.resize(size_t(batch * characters));
  return from_vector(encode(text), {batch, characters});
}

//! [train]
// Reads `text` (batch, characters) once, a window at a time. Gives the mean loss of the last tenth of the windows.
double train(const CharacterModel& model, const Tensor& text, double rate) {
  optim::Adam optimiser(model.parameters(), {.lr = rate});
  const int64_t windows = (text.size(1) - 1) / window;
  nn::RecurrentState state;  // zero before the first window
  double sum = 0;
  for (int64_t i = 0; i < windows; ++i) {
    const Tensor tokens = text.narrow(1, i * window, window);
    const Tensor next = text.narrow(1, i * window + 1, window);  // what follows each of them
    const auto [scores, after] = model(tokens, state);
    const Tensor loss = cross_entropy(scores.flatten(0, 1), next.reshape({-1}));
    optimiser.zero_grad();
    loss.backward();
    optim::clip_grad_norm_(model.parameters(), 1);
    optimiser.step();
    // The next window goes on from here, but its gradient ends here.
    state = {after.h.detach(), after.c.defined() ? after.c.detach() : Tensor()};
    if (i >= windows - windows / 10) sum += loss.item();
  }
  return sum / double(windows / 10);
}
//! [train]

// The lowest loss that any model can reach on long texts: nats for a character.
double entropy(Generator& random) {
  double nats = 0, characters = 0;
  for (int i = 0; i < 20000; ++i) {
    const Sentence s = sentence(random.below(most_phrases + 1), random);
    nats -= s.log_probability;
    characters += double(s.text.size());
  }
  return nats / characters;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Trains character models with an RNN, a GRU and an LSTM on sentences that it makes up.");
  int64_t windows = 1000;
  double rate = 0.01;
  std::string out;
  app.add_option("--windows", windows, "How many windows of text are read, one update each")->capture_default_str();
  app.add_option("--rate", rate, "Adam's learning rate")->capture_default_str();
  app.add_option("--out", out, "Write the LSTM's weights to this file");
  CLI11_PARSE(app, argc, argv);
  check(windows >= 10, "--windows ", windows, " must be at least ten");

  Generator random(1), unseen(2);
  const Tensor text = rows_of_text(windows * window + 1, random);
  std::vector<std::vector<Sentence>> tests(size_t(most_phrases + 1));
  for (size_t phrases = 0; phrases < tests.size(); ++phrases)
    for (int i = 0; i < 400; ++i) tests[phrases].push_back(sentence(int64_t(phrases), unseen));

  std::printf("the lowest loss possible   %.3f\n\n", entropy(unseen));
  std::printf("                    verbs right, with so many phrases before them\n");
  std::printf("      weights   loss      0      1      2      3      4\n");
  for (const auto& [name, cell] :
       {std::pair("RNN", Cell::rnn_tanh), std::pair("GRU", Cell::gru), std::pair("LSTM", Cell::lstm)}) {
    manual_seed(1);
    CharacterModel model(cell);
    if (getenv("BIAS") && cell != Cell::rnn_tanh) {
      const NoGrad guard;
      for (auto& [n, p] : model.named_parameters())
        if (n == "layer.bias_ih_l0") p.narrow(0, hidden_size, hidden_size).add_(atof(getenv("BIAS")));
    }
    const double loss = train(model, text, rate);
    std::printf("%-4s  %7d  %.3f", name, int(model.parameter_count()), loss);
    double worst = 1;
    for (const std::vector<Sentence>& test : tests) {
      const double right = verbs_right(model, test);
      std::printf("  %4.0f%%", 100 * right);
      worst = std::min(worst, right);
    }
    std::printf("\n");
    std::fflush(stdout);
    if (cell == Cell::lstm && !out.empty()) save_safetensors(out, {.tensors = model.state_dict(), .metadata = {}});
  }
}
