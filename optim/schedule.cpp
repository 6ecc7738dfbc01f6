#include "optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace gradus::optim {

namespace {

// The entry called `name`, as numbers; throws Error unless there is one with `count` of them.
std::vector<double> numbers(const NamedTensors& state, const char* name, size_t count) {
  for (const auto& [key, value] : state) {
    if (key != name) continue;
    check(value.defined() && value.numel() == int64_t(count), "schedule: state ", name, " should hold ", count,
          " numbers");
    return value.to_vector<double>();
  }
  check(false, "schedule: the state to load lacks ", name);
  return {};
}

Tensor packed(const std::vector<double>& values) { return from_vector(values, {int64_t(values.size())}); }
Tensor packed(int64_t value) { return from_vector(std::vector<int64_t>{value}, {1}); }

// From `start` at 0 to `end` at 1, along half a cosine.
double cosine_between(double start, double end, double at) {
  return end + (start - end) * (1 + std::cos(std::numbers::pi * at)) / 2;
}

double fraction(int64_t part, int64_t whole) { return whole > 0 ? double(part) / double(whole) : 1; }

StepLROptions checked(const StepLROptions& o) {
  check(o.step_size > 0, "StepLR: step_size ", o.step_size, " must be positive");
  return o;
}

CosineLROptions checked(const CosineLROptions& o) {
  check(o.warmup >= 0 && o.steps > o.warmup, "CosineLR: steps ", o.steps, " must be more than warmup ", o.warmup,
        ", which must not be negative");
  return o;
}

NoamLROptions checked(const NoamLROptions& o) {
  check(o.d_model > 0 && o.warmup > 0, "NoamLR: d_model ", o.d_model, " and warmup ", o.warmup, " must be positive");
  return o;
}

OneCycleLROptions checked(const OneCycleLROptions& o) {
  check(o.steps > 1 && o.pct_start >= 0 && o.pct_start < 1, "OneCycleLR: needs at least two steps, not ", o.steps,
        ", and a pct_start in [0, 1), not ", o.pct_start);
  check(o.max_lr > 0 && o.div_factor > 0 && o.final_div_factor > 0, "OneCycleLR: max_lr ", o.max_lr, ", div_factor ",
        o.div_factor, " and final_div_factor ", o.final_div_factor, " must be positive");
  return o;
}

}  // namespace

Schedule::Schedule(Optimizer& optimizer, Rule lr, Rule momentum)
    : optimizer_(&optimizer), lr_(std::move(lr)), momentum_(std::move(momentum)) {
  for (int64_t g = 0; g < optimizer.groups(); ++g) {
    base_lr_.push_back(optimizer.lr(g));
    if (momentum_) base_momentum_.push_back(optimizer.momentum(g));
  }
  apply();
}

void Schedule::step() {
  ++step_;
  apply();
}

double Schedule::lr(int64_t step, int64_t group) const {
  check(group >= 0 && group < int64_t(base_lr_.size()), "schedule: no group ", group);
  return lr_(step, base_lr_[size_t(group)]);
}

void Schedule::apply() {
  for (size_t g = 0; g < base_lr_.size(); ++g) {
    optimizer_->set_lr(lr_(step_, base_lr_[g]), int64_t(g));
    if (momentum_) optimizer_->set_momentum(momentum_(step_, base_momentum_[g]), int64_t(g));
  }
}

NamedTensors Schedule::state_dict() const {
  NamedTensors state = {{"step", packed(step_)}, {"base_lr", packed(base_lr_)}};
  if (momentum_) state.emplace_back("base_momentum", packed(base_momentum_));
  return state;
}

void Schedule::load_state_dict(const NamedTensors& state) {
  std::vector<double> step = numbers(state, "step", 1), base_lr = numbers(state, "base_lr", base_lr_.size());
  if (momentum_) base_momentum_ = numbers(state, "base_momentum", base_momentum_.size());
  step_ = int64_t(step[0]);
  base_lr_ = base_lr;
  apply();
}

StepLR::StepLR(Optimizer& optimizer, const StepLROptions& options)
    : Schedule(optimizer, [o = checked(options)](int64_t step, double base) {
        return base * std::pow(o.gamma, double(step / o.step_size));
      }) {}

MultiStepLR::MultiStepLR(Optimizer& optimizer, const MultiStepLROptions& o)
    : Schedule(optimizer, [o](int64_t step, double base) {
        auto passed = std::count_if(o.milestones.begin(), o.milestones.end(), [&](int64_t m) { return m <= step; });
        return base * std::pow(o.gamma, double(passed));
      }) {}

LinearLR::LinearLR(Optimizer& optimizer, const LinearLROptions& o)
    : Schedule(optimizer, [o](int64_t step, double base) {
        double at = fraction(std::min(step, o.steps), o.steps);
        return base * (o.start_factor + (o.end_factor - o.start_factor) * at);
      }) {}

CosineLR::CosineLR(Optimizer& optimizer, const CosineLROptions& options)
    : Schedule(optimizer, [o = checked(options)](int64_t step, double base) {
        if (step < o.warmup) return base * (o.warmup_factor + (1 - o.warmup_factor) * fraction(step, o.warmup));
        return cosine_between(base, o.min_lr, fraction(std::min(step, o.steps) - o.warmup, o.steps - o.warmup));
      }) {}

NoamLR::NoamLR(Optimizer& optimizer, const NoamLROptions& options)
    : Schedule(optimizer, [o = checked(options)](int64_t step, double base) {
        double t = double(step + 1), warmup = double(o.warmup);
        return base / std::sqrt(double(o.d_model)) * std::min(1 / std::sqrt(t), t / (warmup * std::sqrt(warmup)));
      }) {}

namespace {

// A value that goes from `start` through `peak` to `end`. PyTorch's phases end at pct_start * steps - 1
// (which need not be a whole number) and at steps - 1.
Schedule::Rule one_cycle(const OneCycleLROptions& o, double start, double peak, double end) {
  double turn = std::max(o.pct_start * double(o.steps) - 1, 0.0), last = double(o.steps) - 1;
  return [=](int64_t step, double) {
    double t = std::min(double(step), last);
    return t < turn ? cosine_between(start, peak, t / turn) : cosine_between(peak, end, (t - turn) / (last - turn));
  };
}

}  // namespace

InverseSqrtLR::InverseSqrtLR(Optimizer& optimizer, const InverseSqrtLROptions& o)
    : Schedule(optimizer, [o](int64_t step, double base) {
        const double t = double(step + 1), warmup = double(o.warmup);
        return base * std::min(t / warmup, std::sqrt(warmup / t));
      }) {
  check(o.warmup > 0, "InverseSqrtLR: warmup ", o.warmup, " must be positive");
}

OneCycleLR::OneCycleLR(Optimizer& optimizer, const OneCycleLROptions& o)
    : Schedule(optimizer,
               one_cycle(checked(o), o.max_lr / o.div_factor, o.max_lr, o.max_lr / o.div_factor / o.final_div_factor),
               o.cycle_momentum && optimizer.has_momentum()
                   ? one_cycle(o, o.max_momentum, o.base_momentum, o.max_momentum)
                   : Rule()) {}

ReduceLROnPlateau::ReduceLROnPlateau(Optimizer& optimizer, const PlateauOptions& options)
    : optimizer_(&optimizer), options_(options), best_(options.maximize ? -INFINITY : INFINITY) {
  check(options.factor > 0 && options.factor < 1, "ReduceLROnPlateau: factor ", options.factor,
        " must be between 0 and 1");
}

void ReduceLROnPlateau::step(double measure) {
  bool better =
      options_.maximize ? measure > best_ * (1 + options_.threshold) : measure < best_ * (1 - options_.threshold);
  if (better) {
    best_ = measure;
    bad_steps_ = 0;
  } else {
    ++bad_steps_;
  }
  if (cooldown_left_ > 0) {
    --cooldown_left_;
    bad_steps_ = 0;
  }
  if (bad_steps_ <= options_.patience) return;
  for (int64_t g = 0; g < optimizer_->groups(); ++g) {
    double before = optimizer_->lr(g), after = std::max(before * options_.factor, options_.min_lr);
    if (before - after > options_.eps) optimizer_->set_lr(after, g);
  }
  cooldown_left_ = options_.cooldown;
  bad_steps_ = 0;
}

NamedTensors ReduceLROnPlateau::state_dict() const {
  return {{"best", packed(std::vector<double>{best_})},
          {"bad_steps", packed(bad_steps_)},
          {"cooldown_left", packed(cooldown_left_)}};
}

void ReduceLROnPlateau::load_state_dict(const NamedTensors& state) {
  double best = numbers(state, "best", 1)[0], bad_steps = numbers(state, "bad_steps", 1)[0];
  cooldown_left_ = int64_t(numbers(state, "cooldown_left", 1)[0]);
  best_ = best;
  bad_steps_ = int64_t(bad_steps);
}

}  // namespace gradus::optim
