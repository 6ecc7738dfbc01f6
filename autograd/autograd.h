// Reverse-mode differentiation: recording ops, walking the tape, and the switches around it.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "autograd/node.h"

namespace gradus {

// --- recording -----------------------------------------------------------------------------------------------------

using Inputs = std::initializer_list<std::reference_wrapper<const Tensor>>;

// Makes `result` the outcome of `op` on `inputs`, with `rule` as its gradient; returns it as it is while recording
// is off or no input requires grad. `keep` and `extras` say what the rule will ask for. This is also how an op is
// added from outside the library:
//
//   Tensor cube(const Tensor& x) {
//     Tensor y = x.detach() * x.detach() * x.detach();  // any way of computing the numbers
//     return record("cube", {x}, y, Keep::inputs, [](const Tensor& g, const Kept& k) {
//       Tensor x = k.input();
//       return grads(g * 3.0 * x * x);
//     });
//   }
Tensor record(const char* op, Inputs inputs, Tensor result, Keep keep, Rule rule, Inputs extras = {});
Tensor record(const char* op, const std::vector<Tensor>& inputs, Tensor result, Keep keep, Rule rule,
              const std::vector<Tensor>& extras = {});

// Sets one of this thread's switches for a scope.
class ThreadSwitch {
 public:
  ThreadSwitch(const ThreadSwitch&) = delete;
  ThreadSwitch& operator=(const ThreadSwitch&) = delete;

 protected:
  ThreadSwitch(bool& on, bool value) : on_(on), before_(std::exchange(on, value)) {}
  ~ThreadSwitch() { on_ = before_; }

 private:
  bool& on_;
  bool before_;
};

// Sets grad_enabled().
struct GradMode : ThreadSwitch {
  explicit GradMode(bool enabled);
};
struct NoGrad : GradMode {
  NoGrad() : GradMode(false) {}
};
struct EnableGrad : GradMode {
  EnableGrad() : GradMode(true) {}
};

// Mixed precision for a scope, for models whose parameters are float32: products and attention take their float32
// operands as bfloat16 and give bfloat16; softmax, layer and RMS norm, cross-entropy and recurrence are computed in
// float32. Other ops, convolutions too, go by their operands. Gradients follow: a parameter's is float32. Meant for a
// GPU; a CPU has no bfloat16 arithmetic but in products. bfloat16 has float32's range, so losses need no scaling
// (Kalamkar et al. 2019, "A study of BFLOAT16 for deep learning training").
struct Autocast : ThreadSwitch {
  explicit Autocast(bool enabled = true);
};
bool autocast_enabled();

// Memory for exactness, for the forward passes in a scope: what gradient rules keep of float32 results of ops is kept
// in bfloat16, rounded to nearest, and a rule is given it as float32 again; several rules share one copy. The results
// themselves go as soon as nobody holds them. Chakrabarti and Moseley 2019, "Backprop with approximate activations for
// memory-efficient network training", with one step of rounding where they quantise.
//
// The forward pass does not change by a bit. Gradients are off by a few thousandths, more where a normalisation meets
// means of many times the deviation, where attention's scores are large, and where the logarithm of 1 - p follows a
// sigmoid, in whose place binary_cross_entropy_with_logits serves better. Kept as they are: leaves and views of them
// (weights), what needs no gradient (a batch's pictures), results of fewer than 4096 elements, whatever an op keeps
// besides its inputs and output (means, log-sums, a recurrent sequence's gates), what maximum, minimum, amax, amin and
// clamp compare, the input of log1p, and the logits of cross_entropy. A later change in place does no harm, the copy
// being the rules' own. checkpoint runs its function within the same scope again. What create_graph records is kept
// whole.
struct KeepInBfloat16 : ThreadSwitch {
  explicit KeepInBfloat16(bool enabled = true);
};
bool keeps_in_bfloat16();

// Whether an op on these should be recorded: recording is on and one of them requires grad.
bool any_requires_grad(Inputs inputs);

// Guards an in-place change of `x`: throws Error naming `op` if that would escape the graph, else counts it.
void begin_inplace(const char* op, const Tensor& x);

// --- gradients -----------------------------------------------------------------------------------------------------

struct GradOptions {
  std::vector<Tensor> grad_outputs = {};  // one for each output; may be left out for outputs of one element
  bool create_graph = false;              // record the gradients too, so that they can be differentiated
  bool retain_graph = false;              // keep what the rules saved, for another pass (create_graph implies it)
  bool allow_unused = false;              // an input the outputs do not depend on: undefined instead of an error
};
// d(sum of outputs)/d(inputs), without touching any .grad. Inputs may be results of ops as well as leaves.
std::vector<Tensor> grad(const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs,
                         const GradOptions& options = {});

// Runs fn(inputs) without keeping what its gradient needs, and once more during backward: memory for time.
// Random ops give the same numbers both times. Tensors that fn captures get their gradients too.
using TensorFunction = std::function<Tensor(const std::vector<Tensor>&)>;
Tensor checkpoint(const TensorFunction& fn, const std::vector<Tensor>& inputs);

// --- checking and looking ------------------------------------------------------------------------------------------

struct GradcheckOptions {
  double step = 1e-6;  // of the central difference
  double atol = 1e-6, rtol = 1e-6;
};
// Compares the gradient of fn, element by element, with central differences. Inputs must be float64; those that
// require grad are checked. Throws Error naming the first element that disagrees (NaN never agrees).
void gradcheck(const TensorFunction& fn, const std::vector<Tensor>& inputs, const GradcheckOptions& options = {});
// The same for the gradient of the gradient.
void gradgradcheck(const TensorFunction& fn, const std::vector<Tensor>& inputs, const GradcheckOptions& options = {});

// While one lives, the first op whose result has a NaN or Inf, or whose gradient rule gives one, throws Error naming
// it and the module it ran in. Must live during the forward pass and the backward pass; costs a pass over results.
class AnomalyMode {
 public:
  AnomalyMode();
  ~AnomalyMode();
  AnomalyMode(const AnomalyMode&) = delete;
  AnomalyMode& operator=(const AnomalyMode&) = delete;
};

bool anomaly_mode();
// Throws Error naming the op and `what` ("result") where an element is not finite.
void check_finite(const char* op, const char* what, const Tensor& t);

// The graph behind `output`, from leaves to it; `names` label tensors one knows.
using Names = std::vector<std::pair<std::string, Tensor>>;
std::string graph_dot(const Tensor& output, const Names& names = {});      // Graphviz
std::string graph_mermaid(const Tensor& output, const Names& names = {});  // Mermaid flowchart

}  // namespace gradus
