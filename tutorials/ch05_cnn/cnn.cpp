// Trains a small convolutional network to tell ten classes of grey pictures apart, and says how good it is.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "model.h"
#include "tensor/io/safetensors.h"

using namespace ch05;

namespace {

struct Sets {
  data::ImageSet train, test;
};

std::string path_of(const std::string& argument, const char* folder) {
  const size_t colon = argument.find(':');
  return colon == std::string::npos ? data::find_data(folder) : argument.substr(colon + 1);
}

// digits, mnist[:DIR] or fashion_mnist[:DIR].
Sets open(const std::string& argument) {
  const std::string kind = argument.substr(0, argument.find(':'));
  if (argument == "digits") return {examples::digits(6000, 1), examples::digits(2000, 2)};
  if (kind == "mnist") {
    const std::string dir = path_of(argument, "mnist");
    return {data::mnist(dir, data::Split::train), data::mnist(dir, data::Split::test)};
  }
  check(kind == "fashion_mnist", "--data ", argument, ": expected digits, mnist[:DIR] or fashion_mnist[:DIR]");
  const std::string dir = path_of(argument, "fashion-mnist");
  return {data::fashion_mnist(dir, data::Split::train), data::fashion_mnist(dir, data::Split::test)};
}

// The last tenth is not trained on.
Sets hold_out(const data::ImageSet& set) {
  std::vector<int64_t> train, held;
  for (int64_t i = 0; i < set->size(); ++i) (i < set->size() / 10 * 9 ? train : held).push_back(i);
  return {data::subset(set, train), data::subset(set, held)};
}

void print_matrix(const data::ConfusionMatrix& matrix) {
  std::printf("\nconfusion: a row for what it is, a column for the answer\n   ");
  for (int64_t c = 0; c < classes; ++c) std::printf("%5d", int(c));
  for (int64_t t = 0; t < classes; ++t) {
    std::printf("\n%3d", int(t));
    for (int64_t p = 0; p < classes; ++p) std::printf("%5d", int(matrix.count(t, p)));
  }
  std::printf("\n");
}

void print_values(const char* name, const Tensor& x) {
  std::printf("%s %s", name, to_string(x.shape()).c_str());
  for (const double value : x.to_vector()) std::printf(" %.4g", value);
  std::printf("\n");
}

// What tools/figures.py draws: the filters of the first layer, before and after training, and their maps of a picture.
void print_pictures(nn::Sequential& model, const Tensor& first_filters, const Pictures& pictures,
                    const data::ImageSet& test) {
  const NoGrad guard;
  auto loader = pictures.in_order(data::subset(test, {25}));
  const Tensor image = loader.next()->images;
  const auto& layer = model.get<nn::Conv2d>(0);
  print_values("untrained", first_filters);
  print_values("filters", layer.weight);
  print_values("picture", image);
  print_values("maps", relu(model.get<nn::BatchNorm2d>(1)(layer(image))));
}

}  // namespace

int main(int argc, char** argv) {
  std::string name = "digits", save;
  int epochs = 4;
  uint64_t seed = 1;
  bool with_pictures = false;
  CLI::App app("Trains a small convolutional network.");
  app.add_option("--data", name, "digits (drawn on the spot), mnist[:DIR] or fashion_mnist[:DIR]")
      ->capture_default_str();
  app.add_option("--epochs", epochs, "how often every picture is shown")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--seed", seed, "of the starting weights and the order")->capture_default_str();
  app.add_option("--save", save, "a safetensors file for the trained weights");
  app.add_flag("--pictures", with_pictures, "print the filters and their maps, for the figures");
  CLI11_PARSE(app, argc, argv);

  try {
    //! [main]
    const Sets sets = open(name), parts = hold_out(sets.train);
    const Pictures pictures(parts.train);
    manual_seed(seed);
    nn::Sequential model = make_cnn();
    const Tensor first_filters = model.get<nn::Conv2d>(0).weight.detach().clone();
    std::printf("%s\n", nn::summary(model, zeros({1, 1, 28, 28})).c_str());

    optim::AdamW optimizer(model.parameters(), {.lr = 0.002});
    auto batches = pictures.shuffled(parts.train, seed);
    auto held = pictures.in_order(parts.test), tests = pictures.in_order(sets.test);
    for (int epoch = 1; epoch <= epochs; ++epoch) {
      const double loss = train_epoch(model, optimizer, batches);
      std::printf("epoch %d  loss %.3f  validation accuracy %.1f%%\n", epoch, loss,
                  100 * examine(model, held).accuracy());
      std::fflush(stdout);
    }
    const data::ConfusionMatrix matrix = examine(model, tests);
    //! [main]
    std::printf("\n%s", to_string(data::classification_report(matrix), sets.test->classes()).c_str());
    print_matrix(matrix);
    std::printf("\ntest accuracy: %.1f%% of %d pictures\n", 100 * matrix.accuracy(), int(matrix.total()));
    if (with_pictures) print_pictures(model, first_filters, pictures, sets.test);
    if (!save.empty()) save_safetensors(save, {model.state_dict(), {}});
    const bool as_in_the_text = name == "digits" && epochs == 4 && seed == 1;
    check(!as_in_the_text || matrix.accuracy() > 0.94, "too few digits are right");
  } catch (const Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
