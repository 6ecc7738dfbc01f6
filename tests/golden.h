// PyTorch's values, as the tools/golden_*.py wrote them.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>

#include "autograd/ops.h"
#include "nn/module.h"
#include "tensor/io/safetensors.h"
#include "tests/paths.h"

namespace gradus::testing {

inline double difference(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) return INFINITY;
  return a.numel() == 0 ? 0 : abs(a.to(float64) - b.to(float64)).max().item();
}
// NaN is close to nothing.
#define EXPECT_CLOSE(a, b, tolerance) \
  EXPECT_FALSE(!(gradus::testing::difference(a, b) <= tolerance)) << #a " and " #b ":\n" << a << "\n" << b

// Of one case in a file of tests/golden. Looks at everything PyTorch computed: the outputs, and the gradients of each
// input and weight.
class Golden {
 public:
  explicit Golden(const std::string& name, const std::string& file = "nn.safetensors")
      : name_(name), file_(load_safetensors(source_dir() + "/tests/golden/" + file)) {}

  Tensor operator()(const std::string& key) const {
    const Tensor* found = file_.find(key);
    EXPECT_TRUE(found) << "no golden tensor " << key;
    return found ? *found : Tensor();
  }
  bool has(const std::string& key) const { return file_.find(name_ + "/" + key) != nullptr; }
  Tensor in(const std::string& key) {
    Tensor x = (*this)(name_ + "/in/" + key);
    if (x.dtype() != float64) return x;
    return inputs_[key] = x.requires_grad_();
  }
  // The module with PyTorch's weights, found by their names.
  template <class M>
  M load(M module) const {
    module.to(float64);
    nn::StateDict state;
    const std::string prefix = name_ + "/state/";
    for (const auto& [name, tensor] : file_.tensors)
      if (name.starts_with(prefix)) state.emplace_back(name.substr(prefix.size()), tensor);
    module.load_state_dict(state);
    return module;
  }
  void expect(nn::Module& module, const std::map<std::string, Tensor>& outputs, double tolerance = 1e-12) {
    expect(outputs, tolerance);
    for (const auto& [key, p] : module.named_parameters()) {
      SCOPED_TRACE(name_ + " " + key);
      EXPECT_CLOSE(p.grad(), (*this)(name_ + "/grad/" + key), 10 * tolerance);
    }
  }
  void expect(const std::map<std::string, Tensor>& outputs, double tolerance = 1e-12) {
    Tensor loss;
    for (const auto& [key, value] : outputs) {
      EXPECT_CLOSE(value, (*this)(name_ + "/out/" + key), tolerance);
      const Tensor term = (value * (*this)(name_ + "/dout/" + key)).sum();
      loss = loss.defined() ? loss + term : term;
    }
    loss.backward();
    for (const auto& [key, x] : inputs_) EXPECT_CLOSE(x.grad(), (*this)(name_ + "/grad/" + key), 10 * tolerance);
  }

 private:
  std::string name_;
  TensorFile file_;
  std::map<std::string, Tensor> inputs_;
};

}  // namespace gradus::testing
