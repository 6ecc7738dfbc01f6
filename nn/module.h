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

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "autograd/ops.h"

namespace gradus::nn {

class Module;

// Is shown a module's members, one call each.
class Visitor {
 public:
  virtual ~Visitor() = default;
  virtual void parameter(const std::string& name, Tensor& tensor) = 0;  // also undefined ones (a bias left out)
  virtual void buffer(const std::string& name, Tensor& tensor) = 0;     // state that is saved but not trained
  virtual void child(const std::string& name, Module& module) = 0;

  void operator()(const std::string& name, Tensor& tensor) { parameter(name, tensor); }
  void operator()(const std::string& name, Module& module) { child(name, module); }
};

using NamedTensor = std::pair<std::string, Tensor>;
using StateDict = std::vector<NamedTensor>;  // in the order of visit

class Module {
 public:
  Module() = default;
  Module(Module&&) = default;
  Module& operator=(Module&&) = default;
  virtual ~Module() = default;

  virtual void visit(Visitor& v) = 0;
  virtual const char* type() const = 0;  // "Linear"
  // What stands between the brackets when printed: "in_features=784, out_features=10".
  virtual std::string describe() const { return ""; }

  // Parameters with their paths ("layers.0.weight"); one that is tied to another is listed once, at its first place.
  std::vector<NamedTensor> named_parameters() const;
  std::vector<Tensor> parameters() const;
  std::vector<NamedTensor> named_buffers() const;
  std::vector<std::pair<std::string, Module*>> named_modules();  // itself first, with the path ""
  int64_t parameter_count() const;

  bool training() const { return training_; }
  void train(bool on = true);  // this and every module inside
  void eval() { train(false); }
  void zero_grad() const;
  void requires_grad_(bool required);  // freezes or thaws every parameter
  // Converts the storage of every parameter and buffer (floating point ones, for a dtype) in place: optimisers and
  // tied weights follow.
  void to(DType dtype);
  void to(Device device);

  // Parameters and buffers, with PyTorch's names; tied ones under each of their names.
  StateDict state_dict() const;
  // Copies values in by name. Throws Error listing missing, unexpected and misshapen names; changes nothing then.
  void load_state_dict(const StateDict& state);

 private:
  bool training_ = true;
};

// Copies parameters and buffers by name.
void copy_state(const Module& from, Module& to);

// An indented listing, as PyTorch prints one.
std::string to_string(const Module& module);

// Marks a module as running, for the time of a call. Errors thrown meanwhile begin with the path of the modules that
// run, summary() sees each result, and anomaly mode can say where.
class Call {
 public:
  explicit Call(const Module& module);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  Tensor operator()(Tensor result) const;  // hands the result on to an observer, if there is one
  template <class Result>
  Result operator()(Result result) const {
    return result;
  }

 private:
  const Module* module_;
};

// The path of the running module, from the outermost one that runs: "decoder.layers.1.norm1"; "" outside any.
std::string current_path();

// Runs model(inputs) once without gradients and tabulates each module called: path, type, output shape, parameters,
// bytes of output, flops. Usage: summary(model, [&] { model(x); }).
std::string summary(Module& model, const std::function<void()>& run);
template <class Model, class... In>
std::string summary(Model& model, const In&... inputs)
  requires requires { model(inputs...); }
{
  return summary(static_cast<Module&>(model), std::function<void()>([&] { model(inputs...); }));
}

}  // namespace gradus::nn
