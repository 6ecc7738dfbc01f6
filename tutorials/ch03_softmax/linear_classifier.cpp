// Chapter 03's program: a linear classifier trained by loops and by the library, on points that lines can part and on
// points that they cannot.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <string>

#include "tutorials/ch03_softmax/miniature.h"
#include "tutorials/ch03_softmax/points.h"

using namespace gradus;
using ch03::Points;

namespace {

constexpr int steps = 200;
constexpr double rate = 0.5;

struct Trained {
  Tensor weight, bias;         // (classes, 2), (classes)
  std::vector<double> losses;  // before each step
};

Trained by_loops(const Points& points) {
  const std::vector<double> x = points.x.to_vector();
  const std::vector<int64_t> y = points.y.to_vector<int64_t>();
  std::vector<ch03::Row> rows;
  for (size_t n = 0; n < y.size(); ++n) rows.push_back({x[2 * n], x[2 * n + 1]});
  const std::vector<size_t> targets(y.begin(), y.end());

  ch03::LinearClassifier classifier{{{0, 0}, {0, 0}, {0, 0}}, {0, 0, 0}};
  std::vector<double> losses;
  for (int step = 0; step < steps; ++step) losses.push_back(ch03::descend(classifier, rows, targets, rate));

  std::vector<double> weight;
  for (const ch03::Row& row : classifier.weight) weight.insert(weight.end(), row.begin(), row.end());
  return {from_vector(weight, {ch03::classes, 2}), from_vector(classifier.bias, {ch03::classes}), losses};
}

//! [library]
Trained by_library(const Points& points) {
  Tensor weight = zeros({ch03::classes, 2}, {.dtype = float64, .requires_grad = true});
  Tensor bias = zeros({ch03::classes}, {.dtype = float64, .requires_grad = true});
  std::vector<double> losses;
  for (int step = 0; step < steps; ++step) {
    const Tensor loss = cross_entropy(linear(points.x, weight, bias), points.y);
    losses.push_back(loss.item());
    loss.backward();
    const NoGrad guard;
    for (Tensor* parameter : {&weight, &bias}) {
      parameter->sub_(parameter->grad(), rate);
      parameter->zero_grad();
    }
  }
  return {weight.detach(), bias.detach(), losses};
}
//! [library]

// How often the nearest of the three middles is a point's own: no classifier does better in the long run.
double best_possible(const Points& points) {
  std::vector<double> middles;
  for (int64_t k = 0; k < ch03::classes; ++k) {
    const double angle = 2 * std::numbers::pi * double(k) / double(ch03::classes);
    middles.insert(middles.end(), {2 * std::cos(angle), 2 * std::sin(angle)});
  }
  return ch03::accuracy(matmul(points.x, from_vector(middles, {ch03::classes, 2}).t()), points);
}

// One line for each point with its class, and for each place of a grid the probability of every class: what figures.py
// draws.
void print_csv(const std::string& name, const Points& points, const Trained& t) {
  const std::vector<double> x = points.x.to_vector(), y = points.y.to_vector();
  for (size_t n = 0; n < y.size(); ++n)
    std::printf("%s,point,%.3f,%.3f,%.0f,,,\n", name.c_str(), x[2 * n], x[2 * n + 1], y[n]);
  const int64_t side = 61;
  const Tensor line = linspace(-5, 5, side, {.dtype = float64});
  const Tensor grid = stack({line.repeat({side}), line.unsqueeze(1).expand({side, side}).reshape({-1})}, 1);
  const std::vector<double> places = grid.to_vector(), p = softmax(linear(grid, t.weight, t.bias), 1).to_vector();
  for (size_t n = 0; n < size_t(side * side); ++n)
    std::printf("%s,grid,%.3f,%.3f,,%.4f,%.4f,%.4f\n", name.c_str(), places[2 * n], places[2 * n + 1], p[3 * n],
                p[3 * n + 1], p[3 * n + 2]);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Trains a linear classifier by loops and by the library.");
  bool csv = false;
  app.add_flag("--csv", csv, "Print the points and where the classes lie, instead of the losses");
  CLI11_PARSE(app, argc, argv);
  Generator generator(2);
  const Points blobs = ch03::blobs(100, generator), unseen = ch03::blobs(1000, generator);
  const Points spirals = ch03::spirals(100, generator);
  const Trained loops = by_loops(blobs), library = by_library(blobs), lost = by_library(spirals);
  if (csv) {
    std::printf("data,kind,x,y,class,p0,p1,p2\n");
    print_csv("blobs", blobs, library);
    print_csv("spirals", spirals, lost);
    return 0;
  }

  std::printf("step   loops  library\n");
  for (const int step : {0, 1, 10, 100, steps - 1})
    std::printf("%4d  %6.4f   %6.4f\n", step, loops.losses[size_t(step)], library.losses[size_t(step)]);
  for (size_t step = 0; step < size_t(steps); ++step)
    check(std::abs(loops.losses[step] - library.losses[step]) < 1e-9, "loops and library should agree at every step");
  check(allclose(loops.weight, library.weight, 1e-9), "loops and library should learn the same weights");

  const auto judged = [](const Trained& t, const Points& p) {
    return ch03::accuracy(linear(p.x, t.weight, t.bias), p);
  };
  const double right = judged(library, unseen), best = best_possible(unseen), on_spirals = judged(lost, spirals);
  std::printf("\nheaps, the points it learnt from   %.1f%% right\n", 100 * judged(library, blobs));
  std::printf("heaps, new points                  %.1f%% right\n", 100 * right);
  std::printf("the same, knowing the middles      %.1f%% right\n", 100 * best);
  std::printf("spirals, the points it learnt from %.1f%% right\n", 100 * on_spirals);
  check(right > best - 0.02, "the classifier should come within two points of the best");
  check(on_spirals < 0.6, "lines should not part the arms of a spiral");
}
