// How many labelled sentences it takes, for a model from scratch and three ways to go on from a trained reader.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "tune.h"

using namespace ch16;

int main(int argc, char** argv) {
  std::string from = checkpoint();
  int64_t seeds = 3;
  CLI::App app("Tries the new task with few and with many examples.");
  app.add_option("--from", from, "weights that pretrain --out has written")->capture_default_str();
  app.add_option("--seeds", seeds, "runs of each way")->check(CLI::Range(1, 100))->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    const nn::StateDict trained = load_safetensors(from).tensors;
    const Tests tests = draw_tests(99);
    const std::vector<Way> ways = {{.name = "from scratch", .rate = 1e-2, .pretrained = false},
                                   {.name = "new head alone", .rate = 1e-1, .freeze = "body"},
                                   {.name = "all of it", .rate = 1e-2},
                                   {.name = "LoRA, rank 4", .rate = 1e-2, .rank = 4}};
    const std::vector<int64_t> sizes = {16, 32, 64, 128, 256};
    for (const bool known : {true, false}) {
      static std::vector<std::vector<double>> others;  // of the second table, found with the first
      std::printf("%s\n%-16s", known ? "nouns that the examples have" : "\nnouns that they have not", "");
      for (const int64_t size : sizes) std::printf("%7lld", static_cast<long long>(size));
      std::printf("\n");
      for (size_t i = 0; i < ways.size(); ++i) {
        if (known) others.emplace_back();
        std::printf("%-16s", ways[i].name);
        for (size_t j = 0; j < sizes.size(); ++j) {
          double mean = 0;
          if (known) {
            double other = 0;
            for (int64_t seed = 1; seed <= seeds; ++seed) {
              const Classifier model = tuned(ways[i], trained, sizes[j], uint64_t(seed));
              mean += doer_accuracy(model, tests.known) / double(seeds);
              other += doer_accuracy(model, tests.other) / double(seeds);
            }
            others[i].push_back(other);
          } else {
            mean = others[i][j];
          }
          std::printf("%7.2f", mean);
        }
        std::printf("\n");
        std::fflush(stdout);
      }
    }
  } catch (const Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
