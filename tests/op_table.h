// Running the op table: a case forward and backward, how results are compared, and the fixture of tests that run once
// for each op.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <set>
#include <sstream>

#include "tests/op_cases.h"

namespace gradus::optable {

// --- comparing -----------------------------------------------------------------------------------------------------

// Of values and gradients, in float32 and in double; no op needs more.
inline constexpr double tolerance32 = 1e-5, tolerance64 = 1e-12;

// "" if |a - b| <= tolerance (1 + max |b|) everywhere; NaN and infinities must agree exactly.
inline std::string difference(const Tensor& a, const Tensor& b, double tolerance) {
  if (a.shape() != b.shape()) return "shape " + to_string(a.shape()) + ", expected " + to_string(b.shape());
  std::vector<double> va = a.to(float64).to_vector(), vb = b.to(float64).to_vector();
  double largest = 0;
  for (double v : vb)
    if (std::isfinite(v)) largest = std::max(largest, std::abs(v));
  double allowed = tolerance * (1 + largest);
  for (size_t i = 0; i < va.size(); ++i) {
    bool same = std::isfinite(vb[i]) ? std::abs(va[i] - vb[i]) <= allowed
                                     : (std::isnan(vb[i]) ? std::isnan(va[i]) : va[i] == vb[i]);
    if (same) continue;
    std::ostringstream out;
    out.precision(17);
    out << "element " << i << " of " << to_string(a.shape()) << " is " << va[i] << ", expected " << vb[i]
        << " within " << allowed;
    return out.str();
  }
  return "";
}

// --- running -------------------------------------------------------------------------------------------------------

struct Result {
  std::vector<Tensor> values;
  std::vector<Tensor> gradients;   // of the inputs that want one, dense
  std::vector<bool> has_gradient;  // which values have a gradient
};

inline std::vector<Tensor> leaves(const Row& row, size_t c, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> made;
  for (size_t i = 0; i < inputs.size(); ++i) {
    bool wanted = row.cases[c][i].wants_gradient() && row.options.check != Check::none;
    made.push_back(inputs[i].requires_grad_(wanted));
  }
  return made;
}

// The gradient that output `i` is given.
inline Tensor output_gradient(const Tensor& y, size_t i) {
  return real(y.shape()).make(y.dtype(), int(20 + i)).to(y.device());
}

inline Result run(const Row& row, size_t c, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> x = leaves(row, c, inputs);
  Outputs y = row.run(x);
  Result result;
  std::vector<Tensor> outputs, output_gradients, wanted;
  for (size_t i = 0; i < y.size(); ++i) {
    result.values.push_back(y[i].detach());
    result.has_gradient.push_back(y[i].requires_grad());
    if (!y[i].requires_grad()) continue;
    outputs.push_back(y[i]);
    output_gradients.push_back(output_gradient(y[i], i));
  }
  for (const Tensor& leaf : x)
    if (leaf.requires_grad()) wanted.push_back(leaf);
  if (!outputs.empty())
    result.gradients = grad(outputs, wanted, {.grad_outputs = output_gradients, .allow_unused = true});
  result.gradients.resize(wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i)
    if (!result.gradients[i].defined()) result.gradients[i] = zeros_like(wanted[i].detach());
  return result;
}

inline void expect_close(const Result& a, const Result& b, double tolerance) {
  ASSERT_EQ(a.values.size(), b.values.size());
  ASSERT_EQ(a.gradients.size(), b.gradients.size());
  for (size_t i = 0; i < a.values.size(); ++i) {
    EXPECT_EQ(a.values[i].dtype(), b.values[i].dtype()) << "output " << i;
    EXPECT_EQ(difference(a.values[i], b.values[i], tolerance), "") << "output " << i;
  }
  for (size_t i = 0; i < a.gradients.size(); ++i) {
    EXPECT_EQ(a.gradients[i].dtype(), b.gradients[i].dtype()) << "gradient " << i;
    EXPECT_EQ(difference(a.gradients[i], b.gradients[i], tolerance), "") << "gradient " << i;
  }
}

// All results with a gradient as one flat tensor, which is what gradcheck takes.
inline TensorFunction joined(const Row& row) {
  return [&row](const std::vector<Tensor>& x) {
    std::vector<Tensor> flat;
    for (const Tensor& y : row.run(x))
      if (y.dtype() == float64) flat.push_back(y.reshape({-1}));
    check(!flat.empty(), row.name(0), ": no output has a gradient; its check should be none");
    return cat(flat);
  };
}

class OpTable : public ::testing::TestWithParam<std::string> {
 protected:
  // Calls f(row, case number) for each case of the op.
  template <class F>
  void each_case(const F& f) {
    for (const Row& row : op_table())
      if (row.op == GetParam())
        for (size_t c = 0; c < row.cases.size(); ++c) {
          SCOPED_TRACE(row.name(c) + ": " + row.torch);
          try {
            f(row, c);
          } catch (const Error& error) {
            ADD_FAILURE() << error.what();
          }
        }
  }
};

inline std::set<std::string> ops_with_rows() {
  std::set<std::string> ops;
  for (const Row& row : op_table()) ops.insert(row.op);
  return ops;
}
// Test names are made of letters, digits and underscores.
inline std::string test_name(const ::testing::TestParamInfo<std::string>& info) {
  static const std::map<char, std::string> words = {{'+', "plus"}, {'-', "minus"}, {'*', "times"}, {'/', "over"},
                                                    {'=', "eq"},   {'!', "not"},   {'<', "less"},  {'>', "greater"},
                                                    {'[', "at"},   {'(', "_"},     {':', "_"}};
  std::string name;
  for (char c : info.param)
    if (words.contains(c))
      name += words.at(c);
    else if (std::isalnum(c) || c == '_')
      name += c;
  return name;
}
}  // namespace gradus::optable
