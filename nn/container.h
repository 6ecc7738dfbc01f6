// Modules made of modules.
#pragma once

#include <memory>

#include "nn/module.h"

namespace gradus::nn {

// One module after the other, each taking the result of the one before: Sequential{Linear(784, 256), ReLU(),
// Linear(256, 10)}. They may be of any type that can be called with a tensor and returns one. With braces C++ makes
// them from left to right; in parentheses the order is the compiler's, and with it which layer draws which weights.
class Sequential : public Module {
 public:
  template <std::derived_from<Module>... M>
  explicit Sequential(M... modules) {
    (append(std::move(modules)), ...);
  }

  template <std::derived_from<Module> M>
  void append(M module) {
    steps_.push_back({std::make_unique<M>(std::move(module)),
                      [](Module& m, Tensor&& x) -> Tensor { return static_cast<M&>(m)(std::move(x)); }});
  }
  int64_t size() const { return int64_t(steps_.size()); }
  Module& operator[](int64_t i) const;  // throws Error unless 0 <= i < size()
  template <class M>
  M& get(int64_t i) const {  // throws Error where it is of another type
    M* module = dynamic_cast<M*>(&(*this)[i]);
    check(module, "Sequential: module ", i, " is a ", (*this)[i].type());
    return *module;
  }

  Tensor operator()(const Tensor& x) const;
  void visit(Visitor& v) override;
  const char* type() const override { return "Sequential"; }

 private:
  struct Step {
    std::unique_ptr<Module> module;
    Tensor (*run)(Module& module, Tensor&& x);
  };
  std::vector<Step> steps_;
};

// Modules of one type in a row; how they are called is up to the owner.
template <std::derived_from<Module> M>
class ModuleList : public Module {
 public:
  ModuleList() = default;
  // make(0), ..., make(count - 1).
  template <class Make>
  ModuleList(int64_t count, Make make) {
    for (int64_t i = 0; i < count; ++i) modules_.push_back(make(i));
  }

  void append(M module) { modules_.push_back(std::move(module)); }
  int64_t size() const { return int64_t(modules_.size()); }
  M& operator[](int64_t i) { return modules_[checked(i)]; }
  const M& operator[](int64_t i) const { return modules_[checked(i)]; }
  auto begin() { return modules_.begin(); }
  auto end() { return modules_.end(); }
  auto begin() const { return modules_.begin(); }
  auto end() const { return modules_.end(); }

  void visit(Visitor& v) override {
    for (size_t i = 0; i < modules_.size(); ++i) v(std::to_string(i), modules_[i]);
  }
  const char* type() const override { return "ModuleList"; }

 private:
  size_t checked(int64_t i) const {
    check(i >= 0 && i < size(), "ModuleList: no module ", i, " among ", size());
    return size_t(i);
  }

  std::vector<M> modules_;
};

// Joins the dimensions from start_dim to end_dim into one: (batch, ...) to (batch, n).
struct Flatten : Stateless {
  int64_t start_dim, end_dim;
  explicit Flatten(int64_t start = 1, int64_t end = -1) : start_dim(start), end_dim(end) {}

  Tensor operator()(const Tensor& x) const {
    Call call(*this);
    return call(x.flatten(start_dim, end_dim));
  }
  const char* type() const override { return "Flatten"; }
  std::string describe() const override;
};

}  // namespace gradus::nn
