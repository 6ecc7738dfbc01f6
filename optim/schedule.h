// Schedules: the learning rate as a function of time.
//
//   optim::CosineLR schedule(optimizer, {.steps = epochs, .warmup = 5});
//   for each epoch: { train; schedule.step(); }
//
// A step may be an epoch or an update, whatever the caller counts. The learning rates the optimiser has when
// the schedule is made are the base; the schedule sets that of step 0 at once. Formulas are PyTorch's closed
// forms; after the last step of a finite schedule the rate stays.
#pragma once

#include <functional>

#include "optim/optimizer.h"

namespace gradus::optim {

// Any function of the step, by itself like PyTorch's LambdaLR (but giving the rate, not a factor). The
// optimiser must outlive it.
class Schedule {
 public:
  using Rule = std::function<double(int64_t step, double base)>;
  // `momentum` moves the optimiser's momentum likewise; throws Error where it has none.
  Schedule(Optimizer& optimizer, Rule lr, Rule momentum = nullptr);

  void step();  // after the optimiser's
  int64_t steps() const { return step_; }
  double lr(int64_t step, int64_t group = 0) const;  // what the rate will be then, for plots

  // "step", "base_lr" (groups) and "base_momentum" (groups), for checkpoints.
  NamedTensors state_dict() const;
  void load_state_dict(const NamedTensors& state);  // throws Error, changing nothing, where it does not fit

 private:
  void apply();

  Optimizer* optimizer_;
  Rule lr_, momentum_;
  std::vector<double> base_lr_, base_momentum_;  // one for each group
  int64_t step_ = 0;
};

// Times gamma every step_size steps.
struct StepLROptions {
  int64_t step_size = 1;
  double gamma = 0.1;
};
struct StepLR : Schedule {
  explicit StepLR(Optimizer& optimizer, const StepLROptions& options);
};

// Times gamma at each milestone.
struct MultiStepLROptions {
  std::vector<int64_t> milestones;
  double gamma = 0.1;
};
struct MultiStepLR : Schedule {
  explicit MultiStepLR(Optimizer& optimizer, const MultiStepLROptions& options);
};

// Warm-up: from start_factor to end_factor times the base over `steps` steps, then as it is.
struct LinearLROptions {
  double start_factor = 1.0 / 3, end_factor = 1;
  int64_t steps = 5;
};
struct LinearLR : Schedule {
  explicit LinearLR(Optimizer& optimizer, const LinearLROptions& options = {});
};

// Half a cosine from the base down to min_lr at `steps` (Loshchilov and Hutter 2017, section 3, without restarts),
// after a linear warm-up over the first `warmup` of those steps, from warmup_factor times the base.
struct CosineLROptions {
  int64_t steps;
  double min_lr = 0;
  int64_t warmup = 0;
  double warmup_factor = 0.01;
};
struct CosineLR : Schedule {
  explicit CosineLR(Optimizer& optimizer, const CosineLROptions& options);
};

// base d_model^-0.5 min(t^-0.5, t warmup^-1.5), t = step + 1: Vaswani et al. 2017, section 5.3, where the base is 1.
struct NoamLROptions {
  int64_t d_model;
  int64_t warmup = 4000;
};
struct NoamLR : Schedule {
  explicit NoamLR(Optimizer& optimizer, const NoamLROptions& options);
};

// Up to the base over `warmup` steps, then down as sqrt(warmup / t): fairseq's inverse_sqrt, the curve of Noam's with
// the highest rate for its base.
struct InverseSqrtLROptions {
  int64_t warmup = 4000;
};
struct InverseSqrtLR : Schedule {
  explicit InverseSqrtLR(Optimizer& optimizer, const InverseSqrtLROptions& options = {});
};

// Up to max_lr over the first pct_start of the steps, then down to almost nothing, along cosines, the
// momentum the other way: Smith and Topin 2018, in PyTorch's form. Ignores the base.
struct OneCycleLROptions {
  double max_lr;
  int64_t steps;
  double pct_start = 0.3;
  double div_factor = 25;         // starts at max_lr / div_factor
  double final_div_factor = 1e4;  // ends at the start / final_div_factor
  bool cycle_momentum = true;     // where the optimiser has one
  double base_momentum = 0.85, max_momentum = 0.95;
};
struct OneCycleLR : Schedule {
  explicit OneCycleLR(Optimizer& optimizer, const OneCycleLROptions& options);
};

// Times `factor` when a measure has not got better for more than `patience` steps.
struct PlateauOptions {
  bool maximize = false;  // an accuracy, say, rather than a loss
  double factor = 0.1;
  int64_t patience = 10;
  double threshold = 1e-4;  // by how much "better" must be, relative to the best so far
  int64_t cooldown = 0;     // steps after a reduction during which nothing is counted
  double min_lr = 0;
  double eps = 1e-8;  // smaller changes of the rate are not made
};
class ReduceLROnPlateau {
 public:
  explicit ReduceLROnPlateau(Optimizer& optimizer, const PlateauOptions& options = {});
  void step(double measure);

  NamedTensors state_dict() const;  // "best", "bad_steps", "cooldown_left"; the rates are in the optimiser's state
  void load_state_dict(const NamedTensors& state);

 private:
  Optimizer* optimizer_;
  PlateauOptions options_;
  double best_;
  int64_t bad_steps_ = 0, cooldown_left_ = 0;
};

}  // namespace gradus::optim
