// Networks of equal depth with and without shortcuts and attention, trained alike on drawn digits.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "data/loader.h"
#include "data/transforms.h"
#include "examples/made_up/digits.h"
#include "model.h"
#include "optim/adam.h"
#include "optim/schedule.h"

using namespace ch06;

namespace {

using Loader = data::DataLoader<data::ImageBatch>;

constexpr int64_t deep = 7;  // blocks in each of two stages

Loader batches(int64_t count, uint64_t seed, const data::LoaderOptions& options) {
  return data::image_loader(examples::digits(count, seed), options, {data::normalize({0.1}, {0.3})});
}

struct Trained {
  Net net;
  double loss, accuracy;  // the mean loss of the last epoch; of test pictures
};

//! [train]
Trained train(Kind kind, int64_t blocks_per_stage, int64_t epochs) {
  manual_seed(1);
  Net net(kind, blocks_per_stage);
  Loader train = batches(3000, 1, {.batch_size = 50, .shuffle = true, .seed = 1});
  optim::AdamW optimizer(net.parameters(), {.lr = 0.004});
  optim::CosineLR schedule(optimizer, {.steps = epochs * train.batches()});
  double loss_of_epoch = 0;
  for (int64_t epoch = 0; epoch < epochs; ++epoch) {
    loss_of_epoch = 0;
    for (const auto& [pictures, labels] : train) {
      const Tensor loss = cross_entropy(net(pictures), labels);
      optimizer.zero_grad();
      loss.backward();
      optimizer.step();
      schedule.step();
      loss_of_epoch += loss.item() / double(train.batches());
    }
  }
  //! [train]
  const NoGrad guard;
  net.eval();
  Loader test = batches(1000, 2, {.batch_size = 250});
  double right = 0;
  for (const auto& [pictures, labels] : test) right += (net(pictures).argmax(1) == labels).to(float64).sum().item();
  return {std::move(net), loss_of_epoch, right / double(test.size())};
}

// Digits 0 to 9, and the weights that each block with spatial attention gives to their places.
std::vector<Tensor> maps_of_digits(const Net& net) {
  const NoGrad guard;
  std::vector<Tensor> seen = {batches(30, 2, {.batch_size = 30}).next()->images.narrow(0, 20, 10)};
  net(seen[0], &seen);
  return seen;
}

void print_ranges(const std::vector<Tensor>& maps) {
  std::printf("\nCBAM's block  places  smallest weight   mean  largest\n");
  for (size_t block = 1; block < maps.size(); ++block) {
    const Tensor& of = maps[block];
    std::printf("%12d  %2d x %2d  %15.2f  %5.2f  %7.2f\n", int(block), int(of.size(2)), int(of.size(3)),
                of.min().item(), of.mean().item(), of.max().item());
  }
}

void print_maps(const std::vector<Tensor>& maps) {
  for (size_t block = 0; block < maps.size(); ++block) {
    std::printf("map %d %s", int(block), to_string(maps[block].shape()).c_str());
    for (const double value : maps[block].to_vector()) std::printf(" %.3f", value);
    std::printf("\n");
  }
}

}  // namespace

int main(int argc, char** argv) {
  int64_t epochs = 3;
  bool maps = false;
  CLI::App app(
      "Trains networks of equal depth on drawn digits: plain, residual, and with attention in their blocks.");
  app.add_option("--epochs", epochs, "how often every picture is shown")->check(CLI::Range(1, 100));
  app.add_flag("--maps", maps, "train only the network with CBAM and print where it looks, for the figure");
  CLI11_PARSE(app, argc, argv);

  if (maps) {
    print_maps(maps_of_digits(train(Kind::cbam, deep, epochs).net));
    return 0;
  }
  struct Row {
    Kind kind;
    int64_t blocks_per_stage;
  };
  std::vector<double> accuracy;
  std::printf("blocks    layers  parameters  training loss  test accuracy\n");
  for (const auto& [kind, blocks] : {Row{Kind::plain, 2}, Row{Kind::plain, deep}, Row{Kind::residual, deep},
                                     Row{Kind::se, deep}, Row{Kind::cbam, deep}}) {
    const Trained trained = train(kind, blocks, epochs);
    std::printf("%-8s  %6d  %10d  %13.2f  %12.1f%%\n", names[size_t(kind)].c_str(), int(4 * blocks + 2),
                int(trained.net.parameter_count()), trained.loss, 100 * trained.accuracy);
    std::fflush(stdout);
    accuracy.push_back(trained.accuracy);
    if (kind == Kind::cbam) print_ranges(maps_of_digits(trained.net));
  }
  if (epochs < 3) return 0;
  check(accuracy[1] < accuracy[0] - 0.1, "the deep plain network is no worse than the shallow one");
  for (size_t i = 2; i < 5; ++i) check(accuracy[i] > 0.9, "a network with shortcuts has learnt too little");
}
