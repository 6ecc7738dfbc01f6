// Trains a small Vision Transformer to tell ten classes of grey pictures apart.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>

#include "model.h"
#include "tensor/io/safetensors.h"

using namespace ch14;

namespace {

struct Sets {
  data::ImageSet train, test;
};

std::string path_of(const std::string& argument, const char* folder) {
  const size_t colon = argument.find(':');
  return colon == std::string::npos ? data::find_data(folder) : argument.substr(colon + 1);
}

// digits, mnist[:DIR] or fashion_mnist[:DIR]; `count` digits to train on.
Sets open(const std::string& argument, int64_t count) {
  const std::string kind = argument.substr(0, argument.find(':'));
  if (argument == "digits") return {examples::digits(count, 1), examples::digits(2000, 2)};
  if (kind == "mnist") {
    const std::string dir = path_of(argument, "mnist");
    return {data::mnist(dir, data::Split::train), data::mnist(dir, data::Split::test)};
  }
  check(kind == "fashion_mnist", "--data ", argument, ": expected digits, mnist[:DIR] or fashion_mnist[:DIR]");
  const std::string dir = path_of(argument, "fashion-mnist");
  return {data::fashion_mnist(dir, data::Split::train), data::fashion_mnist(dir, data::Split::test)};
}

void check_options(const VitOptions& o) {
  check(pixels % o.patch == 0, "--patch ", o.patch, ": does not divide ", pixels, " pixels");
  check(o.features % o.heads == 0, "--heads ", o.heads, ": does not divide ", o.features, " features");
  check(o.places != Places::grid || o.features % 4 == 0, "--features ", o.features,
        ": places on a grid need a multiple of 4");
  check(o.places != Places::along || o.features % 2 == 0, "--features ", o.features,
        ": sinusoids need an even number");
}

}  // namespace

int main(int argc, char** argv) {
  std::string name = "digits", save;
  int64_t count = 6000, epochs = 10, seed = 1;
  double lr = 0.02;
  bool mean = false;
  VitOptions options;
  const std::map<std::string, Places> places = {
      {"none", Places::none}, {"along", Places::along}, {"grid", Places::grid}, {"learned", Places::learned}};
  CLI::App app("Trains a small Vision Transformer.");
  app.add_option("--data", name, "digits (drawn on the spot), mnist[:DIR] or fashion_mnist[:DIR]")
      ->capture_default_str();
  const auto number = [&](const char* option, int64_t& value, const char* what, int64_t least, int64_t most) {
    app.add_option(option, value, what)->check(CLI::Range(least, most))->capture_default_str();
  };
  number("--digits", count, "how many digits to draw for training", 10, 1000000);
  number("--epochs", epochs, "how often every picture is shown", 1, 1000);
  number("--seed", seed, "of the starting weights and the order", 0, 1000000);
  number("--patch", options.patch, "side of a patch in pixels", 1, 28);
  number("--features", options.features, "of a token", 1, 1024);
  number("--layers", options.layers, "of attention", 1, 100);
  number("--heads", options.heads, "of each attention", 1, 1024);
  number("--inner", options.inner, "features between the two linear layers", 1, 8192);
  app.add_option("--lr", lr, "the highest learning rate")->check(CLI::Range(1e-6, 1.0))->capture_default_str();
  app.add_option("--places", options.places, "none, along, grid or learned")
      ->transform(CLI::CheckedTransformer(places))
      ->default_str("learned");
  app.add_flag("--mean", mean, "classify the mean of the patches, not a class token");
  app.add_option("--save", save, "a safetensors file for the trained weights");
  CLI11_PARSE(app, argc, argv);
  options.class_token = !mean;

  try {
    check_options(options);
    const Sets sets = open(name, count);
    const Pictures pictures(sets.train);
    manual_seed(uint64_t(seed));
    Vit model(options);
    std::printf("%s\n", nn::summary(model, zeros({1, 1, pixels, pixels})).c_str());

    auto batches = pictures.shuffled(sets.train, uint64_t(seed)), tests = pictures.in_order(sets.test);
    train(model, batches, epochs * batches.batches(), lr, [&](int epoch, double loss) {
      std::printf("epoch %2d  loss %.3f\n", epoch, loss);
      std::fflush(stdout);
    });
    const double reached = accuracy(model, tests);
    std::printf("\ntest accuracy: %.1f%% of %d pictures\n", 100 * reached, int(sets.test->size()));
    if (!save.empty()) save_safetensors(save, {model.state_dict(), {}});
    check(argc > 1 || reached > 0.8, "too few digits are right");
  } catch (const Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
