// The exercises of chapter 16: freezing, and low-rank changes.
#include "exercises.h"

#include "autograd/ops.h"
#include "nn/lora.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using ch16::Adapter;
using ch16::Factors;

namespace {

// 16.1 ★ named_modules gives every part with its path, requires_grad_(false) freezes one with all inside it, and
// named_parameters lists all weights, frozen or not.
int64_t freeze(nn::Module& model, const std::string& patterns) {
  // BEGIN SOLUTION 16.1
  bool found = false;
  for (const auto& [path, part] : model.named_modules()) {
    if (!nn::path_matches(patterns, path)) continue;
    part->requires_grad_(false);
    found = true;
  }
  check(found, "freeze: no part matches ", patterns);
  int64_t trained = 0;
  for (const auto& [name, parameter] : model.named_parameters())
    if (parameter.requires_grad()) trained += parameter.numel();
  return trained;
  // END SOLUTION
  // MISTAKE the frozen weights are counted too: named_parameters and parameters list them
  // - if (parameter.requires_grad()) trained += parameter.numel();
  // + trained += parameter.numel();
  // MISTAKE a pattern that matches nothing goes unnoticed
  // - check(found, "freeze: no part matches ", patterns);
  // + (void)found;
}

// 16.2 ★ Two narrow products, by way of `rank` numbers: first with A, then with B.
Tensor adapted(const Tensor& x, const Tensor& weight, const Tensor& bias, const Adapter& adapter) {
  // BEGIN SOLUTION 16.2
  const double scale = adapter.alpha / double(adapter.A.size(0));
  const Tensor change = linear(linear(x, adapter.A), adapter.B);
  return linear(x, weight, bias) + change * scale;
  // END SOLUTION
  // MISTAKE the change is multiplied by alpha, not by alpha over the rank
  // - const double scale = adapter.alpha / double(adapter.A.size(0));
  // + const double scale = adapter.alpha;
  // MISTAKE B A was multiplied out, a matrix as large as the weight
  // - const Tensor change = linear(linear(x, adapter.A), adapter.B);
  // + const Tensor change = linear(x, matmul(adapter.B, adapter.A));
}

// 16.3 ★★ Tensors that require gradients refuse to change in place, unless under NoGrad.
void exchange(Tensor& weight, const Adapter* out, const Adapter* in) {
  // BEGIN SOLUTION 16.3
  const NoGrad guard;
  const auto change = [](const Adapter& a) { return matmul(a.B, a.A) * (a.alpha / double(a.A.size(0))); };
  if (out) weight.sub_(change(*out));
  if (in) weight.add_(change(*in));
  // END SOLUTION
  // MISTAKE the one that was merged is still in there
  // - if (out) weight.sub_(change(*out));
  // + (void)out;
  // MISTAKE the weight is a new tensor: who holds the old one does not see the change
  // - if (in) weight.add_(change(*in));
  // + if (in) weight = weight + change(*in);
}

// 16.4 ★★★ Write out the output of one row, and differentiate it by one element of B, then of A; then all rows add up.
Factors gradients(const Tensor& x, const Tensor& gradient, const Adapter& adapter) {
  // BEGIN SOLUTION 16.4
  const double scale = adapter.alpha / double(adapter.A.size(0));
  const Tensor rows = x.flatten(0, 1), g = gradient.flatten(0, 1) * scale;  // (n, in), (n, out)
  const Tensor narrow = matmul(rows, adapter.A.t());                        // (n, rank)
  const Tensor of_B = matmul(g.t(), narrow);
  const Tensor of_A = matmul(matmul(g, adapter.B).t(), rows);
  return {of_A, of_B};
  // END SOLUTION
  // MISTAKE the gradient of A lacks alpha over the rank
  // - const Tensor of_A = matmul(matmul(g, adapter.B).t(), rows);
  // + const Tensor of_A = matmul(matmul(gradient.flatten(0, 1), adapter.B).t(), rows);
  // MISTAKE the rows' gradients were averaged, not added up
  // - const Tensor rows = x.flatten(0, 1), g = gradient.flatten(0, 1) * scale;  // (n, in), (n, out)
  // + const Tensor rows = x.flatten(0, 1), g = gradient.flatten(0, 1) * (scale / double(x.size(0) * x.size(1)));
}

}  // namespace

EXERCISES(ch16::Exercises, freeze, adapted, exchange, gradients);
