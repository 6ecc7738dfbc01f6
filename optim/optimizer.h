// What every optimiser is: groups of parameters, each with options of its own, and a state for each parameter.
//
//   optim::AdamW optimizer(model.parameters(), {.lr = 3e-4, .weight_decay = 0.1});
//   for (...) {
//     optimizer.zero_grad();
//     loss(model(x), y).backward();
//     optimizer.step();
//   }
//
// Several backward calls between zero_grad and step add up: gradient accumulation.
#pragma once

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "autograd/autograd.h"
#include "optim/sweep.h"
#include "tensor/kernels/table.h"

namespace gradus::optim {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

// Knows its parameters by handle, so that `Module::to` and loading weights change nothing for it. Schedules
// point at it, so it stays where it was made.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // Updates each parameter by its gradient, in place; those without one are left alone, as are the gradients.
  // Throws Error, changing nothing, where the shape or dtype of a gradient is not its parameter's.
  void step();
  void zero_grad() const;

  virtual const char* type() const = 0;  // "AdamW"
  int64_t groups() const { return int64_t(groups_.size()); }
  std::vector<Tensor> parameters(int64_t group) const;
  double lr(int64_t group = 0) const;
  void set_lr(double lr, int64_t group = 0);
  // What some schedules move against the learning rate: SGD's and RMSprop's momentum, Adam's first beta.
  bool has_momentum() const;
  double momentum(int64_t group = 0) const;  // throws Error without has_momentum()
  void set_momentum(double momentum, int64_t group = 0);

  // What a checkpoint needs: per group its number of parameters, learning rate and momentum, per parameter its number
  // of steps and PyTorch's state tensors ("groups.0.lr", "state.3.exp_avg"). They share their numbers with this.
  NamedTensors state_dict() const;
  // The inverse; copies. Throws Error naming what is missing, unknown or misshapen, and changes nothing then.
  void load_state_dict(const NamedTensors& state);

 protected:
  static constexpr int max_states = 3;
  struct Slot {
    Tensor parameter;
    int64_t steps = 0;
    std::array<Tensor, max_states> state = {};  // contiguous, of the parameter's shape; undefined until needed
  };
  // Numbers in row-major order; null for none.
  struct Numbers {
    void* data = nullptr;
    size_t element = 0;  // bytes
    void* operator+(int64_t i) const { return data ? static_cast<char*>(data) + size_t(i) * element : nullptr; }
  };
  // What an update sees of one parameter.
  struct Update {
    const KernelTable& kernels;
    Numbers parameter, gradient;
    Slot& slot;  // its `steps` counts this one already

    // A state's numbers; it begins with `value` everywhere.
    Numbers state(int i, double value = 0) const;
  };

  Optimizer() = default;
  // Throws Error for tensors that are undefined, results of ops, not of floating point, or known already.
  void add_slots(const std::vector<Tensor>& parameters);

  // What changes elements of the parameter. It runs later, for several pieces at a time, on several threads.
  virtual Sweep::Body update(int64_t group, const Update& u) = 0;
  virtual std::vector<const char*> state_names() const = 0;
  virtual double& lr_of(int64_t group) = 0;
  virtual double* momentum_of(int64_t) { return nullptr; }
  int64_t checked(int64_t group) const;  // throws Error for a group there is not

 private:
  std::vector<std::vector<Slot>> groups_;
};

// The options of each group. `Options` has `lr` and `void check() const`, which throws Error for bad values.
template <class Options>
class OptimizerOf : public Optimizer {
 public:
  // May be changed between steps.
  Options& options(int64_t group = 0) { return options_[size_t(checked(group))]; }
  void add_group(const std::vector<Tensor>& parameters, const Options& options) {
    options.check();
    add_slots(parameters);
    options_.push_back(options);
  }

 protected:
  OptimizerOf(const std::vector<Tensor>& parameters, const Options& options) { add_group(parameters, options); }
  double& lr_of(int64_t group) override { return options(group).lr; }

 private:
  std::vector<Options> options_;
};

}  // namespace gradus::optim
