// Writes sentences with the LSTM that characters.cpp has trained.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "nn/decode.h"
#include "tensor/io/safetensors.h"
#include "tutorials/ch07_recurrence/text.h"

using namespace gradus;
using namespace ch07;

namespace {

//! [write]
// `prompt` and what the model writes behind it, up to the end of the line.
std::string write(const CharacterModel& model, const std::string& prompt, double temperature, Generator& random) {
  const NoGrad guard;
  std::string line = prompt;
  nn::RecurrentState state;
  std::vector<int64_t> next = encode("\n" + prompt);  // a line begins behind the end of another
  while (line.size() < 200) {
    const auto [scores, after] = model(from_vector(next, {1, int64_t(next.size())}), state);
    state = after;
    next = {nn::sample_token(scores[0][-1], {.temperature = temperature}, random)};
    if (alphabet[size_t(next[0])] == '\n') break;
    line += alphabet[size_t(next[0])];
  }
  return line;
}
//! [write]

// Whether the line is a sentence whose verb goes with its first noun.
bool agrees(const std::string& line) {
  for (size_t i = 0; i < animals.size(); ++i)
    for (const bool plural : {false, true}) {
      const std::string begin = "the " + animals[i] + (plural ? "s " : " ");
      const std::string end = " " + verbs[i] + (plural ? "." : "s.");
      if (line.starts_with(begin) && line.ends_with(end)) return true;
    }
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Writes sentences, a character at a time.");
  std::string from = GRADUS_CHECKPOINTS "/ch07_characters.safetensors";
  uint64_t seed = 1;
  app.add_option("--from", from, "Weights that characters --out has written")->capture_default_str();
  app.add_option("--seed", seed, "Of the random choices")->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  CharacterModel model(Cell::lstm);
  model.load_state_dict(load_safetensors(from).tensors);
  for (const double temperature : {0.5, 1.0, 1.5}) {
    Generator random(seed);
    std::printf("temperature %.1f\n", temperature);
    const int count = 200;
    int right = 0;
    for (int i = 0; i < count; ++i) {
      const std::string line = write(model, "", temperature, random);
      if (i < 4) std::printf("  %s\n", line.c_str());
      right += agrees(line);
    }
    std::printf("of %d sentences %.0f%% have the verb of their first noun\n\n", count, 100.0 * right / count);
    check(temperature > 1 || right > count / 2, "the sentences should agree with themselves");
  }
  Generator random(seed);
  std::printf("likeliest\n");
  for (const char* prompt : {"the duck at the lions near the cows ", "the ducks at the lion near the cow "})
    std::printf("  %s\n", write(model, prompt, 0, random).c_str());
}
