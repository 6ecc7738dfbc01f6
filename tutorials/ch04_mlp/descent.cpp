// Chapter 04's worked example: three ways down a ravine of two numbers, without the library.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "tensor/error.h"

namespace {

//! [rules]
// What a rule remembers of a number p between steps; g is the slope of the loss at p.
struct State {
  double m = 0, v = 0;
  int t = 0;
};
using Rule = void (*)(double& p, double g, State& s, double rate);

void sgd(double& p, double g, State&, double rate) { p -= rate * g; }

void momentum(double& p, double g, State& s, double rate) {
  s.m = 0.9 * s.m + g;
  p -= rate * s.m;
}

void adam(double& p, double g, State& s, double rate) {
  const double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  ++s.t;
  s.m = beta1 * s.m + (1 - beta1) * g;
  s.v = beta2 * s.v + (1 - beta2) * g * g;
  const double mean = s.m / (1 - std::pow(beta1, s.t));
  const double square = s.v / (1 - std::pow(beta2, s.t));
  p -= rate * mean / (std::sqrt(square) + eps);
}
//! [rules]

//! [ravine]
// Steep across (y), flat along (x).
double height(double x, double y) { return 0.5 * (x * x + 100 * y * y); }
//! [ravine]

struct Walk {
  Rule rule;
  double rate, x = 10, y = 1;
  State of_x = {}, of_y = {};

  void step() {
    const double slope_x = x, slope_y = 100 * y;
    rule(x, slope_x, of_x, rate);
    rule(y, slope_y, of_y, rate);
  }
};

struct Named {
  std::string name;
  Rule rule;
  double rate;
};
const std::vector<Named> chosen = {{"SGD", sgd, 0.018}, {"momentum", momentum, 0.003}, {"Adam", adam, 0.5}};

void first_steps() {
  std::printf("rule");
  for (const Named& n : chosen) std::printf("  %8s, rate %5g", n.name.c_str(), n.rate);
  std::printf("\nstep");
  for (size_t i = 0; i < chosen.size(); ++i) std::printf("  %9s %10s", "x", "y");
  std::printf("\n");
  std::vector<Walk> walks;
  for (const Named& n : chosen) walks.push_back({n.rule, n.rate});
  for (int step = 0; step <= 3; ++step) {
    std::printf("%4d", step);
    for (Walk& w : walks) {
      std::printf("  %9.4f %10.4f", w.x, w.y);
      w.step();
    }
    std::printf("\n");
  }
}

// Adam's first steps along x, with what it remembers.
void adam_by_hand() {
  std::printf(
      "\nAdam along x, rate 0.5\nstep         g         m         v  m / (1 - beta1^t)  v / (1 - beta2^t)         "
      "x\n");
  double x = 10;
  State s;
  for (int step = 1; step <= 2; ++step) {
    const double slope = x;
    adam(x, slope, s, 0.5);
    std::printf("%4d %9.4f %9.4f %9.4f %18.4f %18.4f %9.4f\n", step, slope, s.m, s.v, s.m / (1 - std::pow(0.9, step)),
                s.v / (1 - std::pow(0.999, step)), x);
  }
}

constexpr int all = 2000;

// How many steps it takes until the height stays below 0.01, or -1 if it is not there after all of them.
int steps_down(Rule rule, double rate) {
  Walk w{rule, rate};
  int last_above = 0;
  for (int step = 1; step <= all; ++step) {
    w.step();
    if (!(height(w.x, w.y) < 0.01)) last_above = step;
  }
  return last_above == all ? -1 : last_above + 1;
}

void by_rate() {
  std::printf("\nSteps until the height stays below 0.01, %d tried\n  rate       SGD  momentum      Adam\n", all);
  for (const double rate : {0.001, 0.003, 0.01, 0.018, 0.025, 0.1, 0.3, 1.0, 3.0}) {
    std::printf("%6.3f", rate);
    for (const Rule rule : {sgd, momentum, adam}) {
      const int steps = steps_down(rule, rate);
      std::printf(" %9s", steps < 0 ? "never" : std::to_string(steps).c_str());
    }
    std::printf("\n");
  }
  gradus::check(steps_down(sgd, 0.018) > 0 && steps_down(sgd, 0.025) < 0, "SGD should diverge beyond rate 2 / 100");
}

// Adam's first step does not know how steep the slope is.
void scale() {
  std::printf("\nSlope      first step of SGD  of Adam (rate 0.1 both)\n");
  for (const double slope : {0.001, 1.0, 1000.0}) {
    double by_sgd = 0, by_adam = 0;
    State s, a;
    sgd(by_sgd, slope, s, 0.1);
    adam(by_adam, slope, a, 0.1);
    std::printf("%8.3f %18.4f %8.4f\n", slope, by_sgd, by_adam);
  }
}

void print_csv() {
  std::printf("rule,rate,step,x,y\n");
  for (const Named& n : chosen) {
    Walk w{n.rule, n.rate};
    for (int step = 0; step <= 60; ++step) {
      std::printf("%s,%g,%d,%.4f,%.4f\n", n.name.c_str(), n.rate, step, w.x, w.y);
      w.step();
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Goes down a ravine by three rules.");
  bool csv = false;
  app.add_flag("--csv", csv, "Print the places along the way, instead of the tables");
  CLI11_PARSE(app, argc, argv);
  if (csv) {
    print_csv();
    return 0;
  }
  first_steps();
  adam_by_hand();
  by_rate();
  scale();
}
