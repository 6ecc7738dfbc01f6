// Teaches a small decoder to guess the next word of made-up sentences: the reader that chapter 16 goes on from.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "model.h"
#include "optim/optim.h"
#include "tensor/io/safetensors.h"

using namespace ch16;

int main(int argc, char** argv) {
  std::string out;
  int64_t steps = 1500;
  CLI::App app("Teaches a small decoder to guess the next word.");
  app.add_option("--steps", steps, "updates, of 64 new sentences each")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.add_option("--out", out, "a safetensors file for the trained weights");
  CLI11_PARSE(app, argc, argv);
  try {
    Generator random(16), others(17);
    const Batch test = sentences(500, others);
    for (int64_t i = 0; i < 4; ++i) {
      std::printf(i == 0 ? "it reads:" : "         ");
      for (const std::string& word : sentence(others).words) std::printf(" %s", word.c_str());
      std::printf("\n");
    }
    manual_seed(16);
    const Reader reader;
    std::printf("%lld weights\n", static_cast<long long>(reader.parameter_count()));
    optim::AdamW optimizer(reader.parameters(), {.lr = 4e-3});
    optim::CosineLR schedule(optimizer, {.steps = steps, .warmup = 50});
    for (int64_t step = 0; step <= steps; ++step) {
      if (step % 500 == 0) {
        std::printf("after %4lld updates: %.3f of the next words\n", static_cast<long long>(step),
                    next_word_accuracy(reader, test));
        std::fflush(stdout);
      }
      if (step == steps) break;
      const Tensor loss = next_word_loss(reader, sentences(64, random));
      optimizer.zero_grad();
      loss.backward();
      optim::clip_grad_norm_(reader.parameters(), 1);
      optimizer.step();
      schedule.step();
    }
    check(steps != 1500 || next_word_accuracy(reader, test) > 0.35, "the reader should guess more words");
    if (!out.empty()) save_safetensors(out, {reader.state_dict(), {{"made_by", "ch16/pretrain"}}});
  } catch (const Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
