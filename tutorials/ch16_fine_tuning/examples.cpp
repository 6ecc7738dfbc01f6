// How many labelled sentences it takes, for a model from scratch and three ways to go on from a trained reader.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "tune.h"

using namespace ch16;

namespace {

const std::vector<Way> ways = {{.name = "from scratch", .rate = 1e-2, .pretrained = false},
                               {.name = "new head alone", .rate = 3, .freeze = "body"},
                               {.name = "all of it", .rate = 1e-3},
                               {.name = "LoRA, rank 4", .rate = 1e-2, .rank = 4}};
const std::vector<int64_t> sizes = {16, 32, 64, 128, 256};

using Table = std::vector<std::vector<double>>;  // a row for each way, a column for each size

void print(const char* title, const Table& table) {
  std::printf("%s\n%-16s", title, "");
  for (const int64_t size : sizes) std::printf("%7lld", static_cast<long long>(size));
  for (size_t i = 0; i < ways.size(); ++i) {
    std::printf("\n%-16s", ways[i].name);
    for (const double accuracy : table[i]) std::printf("%7.2f", accuracy);
  }
  std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
  std::string from = checkpoint();
  int64_t seeds = 3;
  CLI::App app("Tries the new task with few examples and with more.");
  app.add_option("--from", from, "weights that pretrain --out has written")->capture_default_str();
  app.add_option("--seeds", seeds, "runs of each way")->check(CLI::Range(1, 100))->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    const nn::StateDict trained = load_safetensors(from).tensors;
    const Tests tests = draw_tests(99);
    Table known(ways.size(), std::vector<double>(sizes.size())), other = known;
    for (size_t i = 0; i < ways.size(); ++i)
      for (size_t j = 0; j < sizes.size(); ++j)
        for (int64_t seed = 1; seed <= seeds; ++seed) {
          const Classifier model = tuned(ways[i], trained, sizes[j], uint64_t(seed));
          known[i][j] += doer_accuracy(model, tests.known) / double(seeds);
          other[i][j] += doer_accuracy(model, tests.other) / double(seeds);
        }
    print("examples, and accuracy by nouns that they have", known);
    print("\nby nouns that they have not", other);
    if (from != checkpoint() || seeds != 3) return 0;
    for (size_t j = 0; j < sizes.size(); ++j) {
      check(other[0][j] < 0.4, "nothing tells a model from scratch of what kind a new noun is");
      check(known[3][j] > known[0][j] + 0.03, "a trained body should help");
    }
    check(known[3].back() > 0.95 && other[2].back() > 0.85 && other[1].back() < 0.9, "with all examples");
  } catch (const Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
