// Zeros in a trained reader: what pruning by magnitude saves, and what not.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "optim/prune.h"
#include "tune.h"

using namespace ch16;

int main(int argc, char** argv) {
  std::string from = checkpoint();
  CLI::App app("Sets weights of a trained reader to zero.");
  app.add_option("--from", from, "weights that pretrain --out has written")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    const nn::StateDict trained = load_safetensors(from).tensors;
    const Tests tests = draw_tests(99);
    std::printf("weights at zero   next words guessed   million operations   bytes of the file\n");
    std::vector<int64_t> costs, sizes;
    for (const double share : {0.0, 0.5, 0.75, 0.9}) {
      Reader reader;
      reader.load_state_dict(trained);
      std::vector<Tensor> matrices;
      for (const Tensor& p : reader.parameters())
        if (p.dim() == 2) matrices.push_back(p);
      optim::Pruner pruner(matrices);
      pruner.prune(share);
      const int64_t before = flops_counted();
      const double accuracy = next_word_accuracy(reader, tests.old_task);
      costs.push_back(flops_counted() - before);
      sizes.push_back(bytes_of({reader.state_dict(), {}}));
      std::printf("%14.0f%%   %18.3f   %18.0f   %17lld\n", 100 * optim::sparsity(matrices), accuracy,
                  1e-6 * double(costs.back()), static_cast<long long>(sizes.back()));
      check(costs.back() == costs[0] && sizes.back() == sizes[0], "zeros are multiplied and stored as others are");
    }
  } catch (const Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
