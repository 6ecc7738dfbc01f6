// LoRA on a trained reader: it begins with nothing changed, leaves the weights alone, and goes into them and out again.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "tune.h"

using namespace ch16;

namespace {

double apart(const Tensor& a, const Tensor& b) { return abs(a - b).amax().item(); }

}  // namespace

int main(int argc, char** argv) {
  std::string from = checkpoint();
  CLI::App app("Trains low-rank matrices beside a reader's weights, merges them, and takes them out.");
  app.add_option("--from", from, "weights that pretrain --out has written")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    const nn::StateDict trained = load_safetensors(from).tensors;
    const Tests tests = draw_tests(99);
    const Tensor& tokens = tests.other.tokens;
    Reader reader;
    reader.load_state_dict(trained);
    const NoGrad looking;

    manual_seed(1);
    const Way way{.name = "LoRA, rank 4", .rate = 1e-2, .rank = 4};
    Classifier model = start(way, trained);
    const auto yes = [](bool what) { return what ? "yes" : "no"; };
    const bool nothing = equal(model.body(tokens), reader(tokens));
    std::printf("before training, the body gives the same bits as without LoRA: %s\n", yes(nothing));
    {
      const EnableGrad training;
      Generator random(1);
      train(model, way, sentences(256, random, known_nouns), 1);
    }
    const Tensor weight = model.body.blocks.layers[0].linear1.weight, was = reader.blocks.layers[0].linear1.weight;
    std::printf("after training, the weights beside it have the same bits:         %s\n", yes(equal(weight, was)));
    std::printf("kinds named right %.2f, next words guessed %.3f\n", doer_accuracy(model, tests.other),
                next_word_accuracy(model.body, tests.old_task));

    //! [merge]
    const Tensor beside = model(tokens);
    const TensorFile adapter = nn::merge_lora(model);
    const Tensor merged = model(tokens);
    nn::unmerge_lora(model, adapter);
    //! [merge]
    std::printf("merged, scores move by less than 1e-4: %s\n", yes(apart(beside, merged) < 1e-4));
    std::printf("taken out again, weights come back within 1e-6: %s; bit for bit: %s\n",
                yes(apart(weight, was) < 1e-6), yes(equal(weight, was)));
    check(apart(beside, merged) < 1e-4 && apart(weight, was) < 1e-6, "merging should change nothing");
    check(nothing, "B begins with zeros, so that nothing changes");

    std::printf("\nthe adapter: %zu tensors, rank %s, alpha %s\n", adapter.tensors.size(),
                adapter.metadata.at("rank").c_str(), adapter.metadata.at("alpha").c_str());
    for (const auto& [name, tensor] : adapter.tensors)
      if (name.find("layers.0") != std::string::npos)
        std::printf("  %-53s %s\n", name.c_str(), to_string(tensor.shape()).c_str());
  } catch (const Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
