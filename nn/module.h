// What a module is: parameters, buffers and child modules, named by one `visit`.
//
//   struct Linear : Module {
//     Tensor weight, bias;                                   // (out, in), (out)
//     Linear(int64_t in, int64_t out);
//     Tensor operator()(const Tensor& x) const { Call call(*this); return call(linear(x, weight, bias)); }
//     void visit(Visitor& v) override { v("weight", weight); v("bias", bias); }
//     const char* type() const override { return "Linear"; }
//   };
//
// Modules may have any call signature. They move but do not copy: a copy would silently share its weights.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "autograd/ops.h"

namespace gradus::nn {

class Module;

// Is shown a module's members, one call each.
class Visitor {
 public:
  virtual ~Visitor() = default;
  virtual void parameter(const std::string& name,
                         Tensor& tensor) = 0;                        // also undefined ones (a bias left out)
  virtual void buffer(const std::string& name, Tensor& tensor) = 0;  // state that is saved but not trained
  virtual void child(const std::string& name, Module& module) = 0;

  void operator()(const std::string& name, Tensor& tensor) { parameter(name, tensor); }
  void operator()(const std::string& name, Module& module) { child(name, module); }
};

using NamedTensor = std::pair<std::string, Tensor>;
using StateDict = std::vector<NamedTensor>;

class Module {
 public:
  Module() = default;
  Module(Module&&) = default;
  Module& operator=(Module&&) = default;
  virtual ~Module() = default;

  // Shows `v` every parameter, buffer and child, always in the same order.
  virtual void visit(Visitor& v) = 0;
  virtual const char* type() const = 0;  // "Linear"
  // What stands between the brackets when printed: "in_features=784, out_features=10".
  virtual std::string describe() const { return ""; }

  // Parameters with their paths ("layers.0.weight"); one that shares storage with another is listed once, at
  // its first place. Frozen ones are listed too; undefined ones are not.
  std::vector<NamedTensor> named_parameters() const;
  std::vector<Tensor> parameters() const;
  std::vector<NamedTensor> named_buffers() const;
  std::vector<std::pair<std::string, Module*>> named_modules();  // itself first, with the path ""
  int64_t parameter_count() const;                               // elements, tied ones counted once
  Device device() const;                                         // of the parameters; the CPU where there are none

  bool training() const { return training_; }
  void train(bool on = true);  // this and every module inside
  void eval() { train(false); }
  void zero_grad() const;
  // Freezes or thaws every parameter. Thawed ones are new leaves of the graph: give them to an optimiser afterwards.
  void requires_grad_(bool required);
  // Converts every parameter and buffer (for a dtype: those of floating point), and the gradients, in place:
  // optimisers made before and tied weights follow.
  void to(DType dtype);
  void to(Device device);

  // Parameters and buffers in the order of visit, with PyTorch's names; tied ones under each of their names.
  // The tensors share their numbers with the module; clone() them to keep a state.
  StateDict state_dict() const;
  // Copies values in by name, converting their dtype. Throws Error listing all missing, unexpected, doubled
  // and misshapen names; the module is then as it was.
  void load_state_dict(const StateDict& state);

 private:
  bool training_ = true;
  std::map<std::string, Tensor> frozen_;  // its own frozen parameters as they were, by name
};

// A module with nothing to train or save, and nothing inside.
class Stateless : public Module {
 public:
  void visit(Visitor&) override {}
};

// Copies parameters and buffers by name; throws as load_state_dict.
void copy_state(const Module& from, Module& to);

// An indented listing, as PyTorch prints one.
std::string to_string(const Module& module);

// Marks a module as running, for the time of a call. Errors thrown meanwhile begin with the path of the
// modules that run, summary() sees each result, and anomaly mode can say where. Costs two pointer writes.
class Call {
 public:
  explicit Call(const Module& module);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // Hands the result on, showing it to summary(): a tensor, or the first of a pair or tuple.
  template <class Result>
  Result operator()(Result result) const {
    if constexpr (std::is_same_v<Result, Tensor>) {
      observe(result);
    } else if constexpr (requires { observe(std::get<0>(result)); }) {
      observe(std::get<0>(result));
    }
    return result;
  }

 private:
  friend std::string current_path();
  void observe(const Tensor& result) const;

  const Module* module_;
  const Call* outer_;  // the call this one was made in
  int64_t row_ = -1;   // in the table that summary() is making
};

// The path of the running module, from the outermost one that runs: "decoder.layers.1.norm1"; "" for that one
// and outside any. A module that is not part of the one it runs in is passed over.
std::string current_path();

// Runs model(inputs) once without gradients, in eval mode, and tabulates each module called: path, type,
// shape of the output, parameters, bytes of output, flops (of matrix products and convolutions). What a
// module does itself is counted in its row, what modules inside it do in theirs, so columns add up. A module
// called twice has two rows, its parameters counted in the first; those of modules never called count for the
// module they are part of.
std::string summary(Module& model, const std::function<void()>& run);
template <class Model, class... In>
std::string summary(Model& model, const In&... inputs) requires requires {
  model(inputs...);
}
{
  return summary(static_cast<Module&>(model), std::function<void()>([&] { model(inputs...); }));
}

}  // namespace gradus::nn
