// Chapter 04's program: a network of two hidden layers learns the spirals that chapter 03's lines could not part, by
// three optimisers at several learning rates; then the library does the same.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <map>

#include "nn/nn.h"
#include "optim/optim.h"
#include "tutorials/ch03_softmax/points.h"
#include "tutorials/ch04_mlp/miniature.h"

using namespace gradus;
using ch03::Points;

namespace {

constexpr int64_t hidden = 32, batch = 30, per_class = 100;
constexpr int epochs = 40;

// The batches of all epochs, drawn once: every optimiser sees the same points in the same order.
std::vector<Points> batches_of(const Points& points, Generator& generator) {
  std::vector<Points> batches;
  for (int epoch = 0; epoch < epochs; ++epoch)
    for (const Tensor& index : randperm(points.x.size(0), &generator).split(batch))
      batches.push_back({points.x.index_select(0, index), points.y.index_select(0, index)});
  return batches;
}

double loss_of(const ch04::Mlp& model, const Points& points) {
  const NoGrad guard;
  return cross_entropy(model(points.x), points.y).item();
}

//! [train]
// Gives the loss on all points before the first epoch and after each.
template <class Optimiser>
std::vector<double> train(const ch04::Mlp& model, Optimiser optimiser, const std::vector<Points>& batches,
                          const Points& points) {
  const size_t per_epoch = batches.size() / epochs;
  std::vector<double> losses = {loss_of(model, points)};
  for (size_t i = 0; i < batches.size(); ++i) {
    cross_entropy(model(batches[i].x), batches[i].y).backward();
    optimiser.step();
    if ((i + 1) % per_epoch == 0) losses.push_back(loss_of(model, points));
  }
  return losses;
}
//! [train]

const std::vector<std::string> names = {"SGD", "momentum", "Adam"};
const std::vector<double> rates = {1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001};

struct Run {
  std::vector<double> losses;
  double right;  // of the points that were not trained on
  int64_t dead;  // units of the second layer that are zero for every point
};

Run run(const std::string& name, double rate, const std::vector<Points>& batches, const Points& points,
        const Points& unseen) {
  Generator generator(1);
  ch04::Mlp model(2, hidden, ch03::classes, generator);
  const std::vector<Tensor> parameters = ch04::parameters(model);
  Run r;
  if (name == "Adam")
    r.losses = train(model, ch04::Adam(parameters, rate), batches, points);
  else
    r.losses = train(model, ch04::Momentum(parameters, rate, name == "SGD" ? 0 : 0.9), batches, points);
  const NoGrad guard;
  r.right = ch03::accuracy(model(unseen.x), unseen);
  const Tensor activity = relu(model.second(relu(model.first(points.x))));
  r.dead = hidden - int64_t((activity > 0.0).any({0}).to(float64).sum().item());
  return r;
}

// The miniature's weights under the names that the library's Sequential has for them.
nn::StateDict renamed(ch04::Mlp& miniature) {
  const std::map<std::string, std::string> names_there = {{"first", "0"}, {"second", "2"}, {"last", "4"}};
  nn::StateDict state;
  miniature.visit("", [&](const std::string& path, Tensor& parameter) {
    const size_t dot = path.find('.');
    state.emplace_back(names_there.at(path.substr(0, dot)) + path.substr(dot), parameter);
  });
  return state;
}

std::vector<double> train_library(ch04::Mlp& start, double rate, const std::vector<Points>& batches,
                                  const Points& points) {
  //! [library]
  nn::Sequential model{nn::Linear(2, hidden), nn::ReLU(), nn::Linear(hidden, hidden), nn::ReLU(),
                       nn::Linear(hidden, ch03::classes)};
  model.to(float64);
  model.load_state_dict(renamed(start));  // the miniature's first weights
  optim::Adam optimiser(model.parameters(), {.lr = rate});
  //! [library]
  std::vector<double> losses = {cross_entropy(model(points.x), points.y).item()};
  for (size_t i = 0; i < batches.size(); ++i) {
    optimiser.zero_grad();
    cross_entropy(model(batches[i].x), batches[i].y).backward();
    optimiser.step();
    if ((i + 1) % (batches.size() / epochs) == 0) losses.push_back(cross_entropy(model(points.x), points.y).item());
  }
  return losses;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Trains a network on spirals by three optimisers at several learning rates, then by the library.");
  bool csv = false;
  app.add_flag("--csv", csv, "Print the loss after every epoch of every run, instead of the tables");
  CLI11_PARSE(app, argc, argv);
  Generator generator(2);
  const Points points = ch03::spirals(per_class, generator), unseen = ch03::spirals(1000, generator);
  const std::vector<Points> batches = batches_of(points, generator);
  std::map<std::string, std::map<double, Run>> runs;
  for (const std::string& name : names)
    for (const double rate : rates) runs[name][rate] = run(name, rate, batches, points, unseen);

  if (csv) {
    std::printf("optimiser,rate,epoch,loss\n");
    for (const std::string& name : names)
      for (const auto& [rate, r] : runs[name])
        for (size_t epoch = 0; epoch < r.losses.size(); ++epoch)
          std::printf("%s,%g,%zu,%.4f\n", name.c_str(), rate, epoch, r.losses[epoch]);
    return 0;
  }

  Generator same(1);
  ch04::Mlp start(2, hidden, ch03::classes, same);
  int64_t count = 0;
  std::printf("Parameters\n");
  start.visit("", [&](const std::string& path, Tensor& parameter) {
    count += parameter.numel();
    std::printf("  %-14s %-8s %5d\n", path.c_str(), to_string(parameter.shape()).c_str(), int(parameter.numel()));
  });
  std::printf("  %-23s %5d\n\n", "all", int(count));

  std::printf("Loss after %d epochs, and new points judged right\n  rate", epochs);
  for (const std::string& name : names) std::printf("  %16s", name.c_str());
  std::printf("\n");
  for (const double rate : rates) {
    std::printf("%6.3f", rate);
    for (const std::string& name : names) {
      const Run& r = runs[name][rate];
      std::printf("  %8.4f %6.1f%%", r.losses.back(), 100 * r.right);
    }
    std::printf("\n");
  }
  std::printf("units of the second layer that are zero for every point, of %d:\n", int(hidden));
  for (const auto& [name, rate] : {std::pair("momentum", 1.0), std::pair("Adam", 1.0), std::pair("Adam", 0.01)})
    std::printf("  %-8s rate %4g  %2d\n", name, rate, int(runs[name][rate].dead));
  const std::vector<double>& miniature = runs["Adam"][0.01].losses;
  const std::vector<double> library = train_library(start, 0.01, batches, points);
  std::printf("\nAdam, rate 0.01\nepoch  miniature  library\n");
  for (const size_t epoch : {0, 1, 10, 40})
    std::printf("%5zu  %9.4f  %7.4f\n", epoch, miniature[epoch], library[epoch]);
  for (size_t epoch = 0; epoch < library.size(); ++epoch)
    check(std::abs(miniature[epoch] - library[epoch]) < 1e-6, "miniature and library should agree in every epoch");
  check(runs["Adam"][0.01].right > 0.9, "the network should learn the spirals");
}
