// Recording: how the result of an op becomes part of the graph, and when it does not.
#include <atomic>
#include <utility>

#include "autograd/autograd.h"
#include "tensor/kernels/table.h"

namespace gradus {
namespace {

thread_local constinit bool recording = true, autocasting = false, narrowing = false;
std::atomic<int> anomaly_modes{0};

// Smaller results take more time to convert than their bytes are worth.
constexpr int64_t least_narrowed = 4096;

// Whether rules keep a copy of t in bfloat16. `source`: the node whose result it is, or null. Of an expanded tensor a
// copy would be larger than the original.
bool pays_to_narrow(const Tensor& t, const Node* source) {
  return narrowing && source && !source->shows_leaf && t.dtype() == float32 && t.numel() >= least_narrowed &&
         t.storage()->count() >= t.numel();
}

void save(Node& node, const Tensor& t, Node* source = nullptr) {
  if (!t.defined()) return node.saved.emplace_back();
  const uint64_t version = t.storage()->version();
  // A result that was changed in place is not what would be made again.
  if (source && source->remake && version == 0 && !source->saved.empty()) {
    const Saved& input = source->saved[0];
    if (!input.narrowed && !input.remake)
      return node.saved.emplace_back(input.storage, input.layout, input.version, false, source->remake);
  }
  if (!pays_to_narrow(t, source)) return node.saved.emplace_back(t.storage(), t.layout(), version);
  std::shared_ptr<Storage> copy = source->narrow.lock();
  if (!copy || source->narrow_version != version) {
    copy = t.detach().contiguous().to(bfloat16).storage();
    source->narrow = copy, source->narrow_version = version;
  }
  node.saved.emplace_back(std::move(copy), Layout::contiguous(t.shape()), version, true);
}

// The watched op whose rule runs. The results of the rule's own ops are not looked at then: the error is to name what
// the user called.
thread_local const std::string* in_rule_of = nullptr;

// The rule that also looks at the gradients it gives, and knows which module the op ran in; or in whose rule, where
// the gradient is recorded too.
Rule watched(const char* op, Rule rule) {
  std::string path = error_context ? error_context() : "";
  std::string name = in_rule_of     ? "in the gradient of " + *in_rule_of + ": " + op
                     : path.empty() ? op
                                    : path + ": " + op;
  return [name, rule = std::move(rule)](const Tensor& g, const Kept& kept) {
    struct Scope {
      const std::string* before;
      ~Scope() { in_rule_of = before; }
    };
    Gradients gradients;
    {
      Scope scope{std::exchange(in_rule_of, &name)};
      gradients = rule(g, kept);
    }
    if (anomaly_mode())
      for (const Gradient& each : gradients) check_finite(name.c_str(), "gradient", each.value);
    return gradients;
  };
}

// The common part of both overloads; `each(list, f)` calls f with every tensor of a list.
template <class List, class Each>
Tensor record_any(const char* op, const List& inputs, Tensor result, Keep keep, Rule rule, const List& extras,
                  Each each) {
  bool watch = anomaly_mode();
  if (watch && !in_rule_of) check_finite(op, "result", result);
  bool wanted = false;
  if (recording) each(inputs, [&](const Tensor& t) { wanted |= t.requires_grad(); });
  if (!wanted) return result;
  auto node = std::allocate_shared<Node>(Pooled<Node>(), op, result);
  node->rule = watch ? watched(op, std::move(rule)) : std::move(rule);
  node->keep = keep;
  each(inputs, [&](const Tensor& t) {
    node->inputs.push_back(t.node());
    node->shows_leaf |= t.node() && t.node()->shows_leaf && t.storage() == result.storage();
  });
  if (keep == Keep::inputs || keep == Keep::both)
    each(inputs, [&](const Tensor& t) { save(*node, t, t.node().get()); });
  if (keep == Keep::output || keep == Keep::both) save(*node, result, node.get());
  each(extras, [&](const Tensor& t) { save(*node, t); });
  return Tensor(std::move(result), std::move(node));
}

}  // namespace

Tensor record(const char* op, Inputs inputs, Tensor result, Keep keep, Rule rule, Inputs extras) {
  auto each = [](const Inputs& list, auto f) {
    for (const Tensor& t : list) f(t);
  };
  return record_any(op, inputs, std::move(result), keep, std::move(rule), extras, each);
}

Tensor record(const char* op, const std::vector<Tensor>& inputs, Tensor result, Keep keep, Rule rule,
              const std::vector<Tensor>& extras) {
  auto each = [](const std::vector<Tensor>& list, auto f) {
    for (const Tensor& t : list) f(t);
  };
  return record_any(op, inputs, std::move(result), keep, std::move(rule), extras, each);
}

bool grad_enabled() { return recording; }
bool is_ours_alone(const Tensor& t) {
  return t.storage().use_count() == 1 && t.is_contiguous() && t.storage()->count() == t.numel();
}
GradMode::GradMode(bool enabled) : ThreadSwitch(recording, enabled) {}
bool autocast_enabled() { return autocasting; }
Autocast::Autocast(bool enabled) : ThreadSwitch(autocasting, enabled) {}
bool keeps_in_bfloat16() { return narrowing; }
KeepInBfloat16::KeepInBfloat16(bool enabled) : ThreadSwitch(narrowing, enabled) {}

bool any_requires_grad(Inputs inputs) {
  if (!recording) return false;
  for (const Tensor& t : inputs)
    if (t.requires_grad()) return true;
  return false;
}

void begin_inplace(const char* op, const Tensor& x) {
  check(!(recording && x.requires_grad()), op, ": an in-place change of a tensor that requires grad (shape ",
        x.shape(), ") cannot be recorded; use NoGrad, or the function that returns a new tensor");
  for (int d = 0; d < x.dim(); ++d)
    check(x.strides()[d] != 0 || x.shape()[d] <= 1, op, ": several elements of an expanded tensor (shape ", x.shape(),
          ") are one number in memory; change a clone of it");
  x.storage()->bump_version();
}

AnomalyMode::AnomalyMode() { ++anomaly_modes; }
AnomalyMode::~AnomalyMode() { --anomaly_modes; }
bool anomaly_mode() { return anomaly_modes.load(std::memory_order_relaxed) > 0; }

void check_finite(const char* op, const char* what, const Tensor& t) {
  if (!t.defined() || (t.dtype() != float32 && t.dtype() != float64)) return;
  std::vector<double> values = t.to_vector<double>();
  for (size_t i = 0; i < values.size(); ++i)
    check(values[i] - values[i] == 0, op, ": the ", what, " (shape ", t.shape(), ") has ", values[i], " at element ",
          i);
}

// --- a tensor's place in the graph ---------------------------------------------------------------------------------

bool Tensor::is_leaf() const { return !node_ || node_->is_leaf(); }

Tensor Tensor::requires_grad_(bool required) const {
  check(!required || is_floating(dtype()), "requires_grad_: only floating point tensors have gradients, this one is ",
        dtype());
  if (!required) return detach();
  if (node_ && node_->is_leaf()) return *this;
  check(!node_, "requires_grad_: the tensor is the result of ", node_ ? node_->op : "", " and records already");
  Tensor leaf(storage_, layout_, std::allocate_shared<Node>(Pooled<Node>(), "leaf", *this));
  leaf.node_->shows_leaf = true;
  return leaf;
}

Tensor Tensor::detach() const { return Tensor(storage_, layout_); }

Tensor Tensor::grad() const { return node_ ? node_->grad : Tensor(); }

void Tensor::set_grad(const Tensor& gradient) const {
  check(node_ && node_->is_leaf(), "set_grad: the tensor is not a leaf that requires grad");
  check(!gradient.defined() || gradient.shape() == shape(), "set_grad: gradient ",
        gradient.defined() ? gradient.shape() : Shape{}, " for a tensor of shape ", shape());
  node_->grad = gradient;
}

void Tensor::zero_grad() const {
  if (node_) node_->grad = Tensor();
}

void Tensor::register_hook(std::function<Tensor(const Tensor&)> hook) const {
  check(node_ != nullptr, "register_hook: the tensor does not require grad");
  node_->hooks.push_back(std::move(hook));
}

}  // namespace gradus
