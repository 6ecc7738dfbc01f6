// Activation checkpointing: Chen, Xu, Zhang and Guestrin, "Training deep nets with sublinear memory cost" (2016).
#include <unordered_set>

#include "autograd/autograd.h"
#include "autograd/ops.h"

namespace gradus {
namespace {

using Nodes = std::vector<std::shared_ptr<Node>>;

// The same numbers as leaves of a graph of their own.
std::vector<Tensor> as_leaves(const std::vector<Tensor>& inputs) {
  std::vector<Tensor> leaves;
  for (const Tensor& x : inputs) leaves.push_back(x.requires_grad() ? x.detach().requires_grad_() : x);
  return leaves;
}

// The leaves behind y that are not among `known`: parameters that the function captured.
Nodes captured_leaves(const Tensor& y, const std::vector<Tensor>& known) {
  std::unordered_set<Node*> seen;
  for (const Tensor& t : known) seen.insert(t.node().get());
  Nodes leaves, stack;
  if (y.node()) stack.push_back(y.node());
  while (!stack.empty()) {
    std::shared_ptr<Node> node = std::move(stack.back());
    stack.pop_back();
    if (!seen.insert(node.get()).second) continue;
    if (node->is_leaf()) leaves.push_back(node);
    for (const auto& input : node->inputs)
      if (input) stack.push_back(input);
  }
  return leaves;
}

// The generator as it was at the first run, for the time of another.
class Replay {
 public:
  explicit Replay(PhiloxState then) : now_(default_generator().state()) { default_generator().set_state(then); }
  ~Replay() { default_generator().set_state(now_); }

 private:
  PhiloxState now_;
};

// A function, the parameters it captured, and how to run it again.
struct Segment {
  TensorFunction fn;
  Nodes captured;
  PhiloxState random_state;
  bool mixed = autocast_enabled(), narrowed = keeps_in_bfloat16();

  // d fn(inputs) / d(inputs that require grad, then captured), given the gradient g of the result. The inputs are
  // leaves, so that nothing behind them is visited.
  std::vector<Tensor> gradients(const std::vector<Tensor>& inputs, const Tensor& g, bool create_graph) const {
    EnableGrad guard;
    Replay replay(random_state);
    const Autocast scope(mixed);
    const KeepInBfloat16 keep(narrowed);
    Tensor y = fn(inputs);
    std::vector<Tensor> wanted;
    for (const Tensor& x : inputs)
      if (x.requires_grad()) wanted.push_back(x);
    for (const auto& leaf : captured) wanted.push_back(Tensor(nullptr, Layout(), leaf));  // a place without numbers
    return grad({y}, wanted, {.grad_outputs = {g}, .create_graph = create_graph, .allow_unused = true});
  }
};

// The same as part of the graph: the gradient is itself a function of the inputs and g, recorded by the same means.
std::vector<Tensor> recorded_gradients(const Segment& segment, const std::vector<Tensor>& inputs, const Tensor& g) {
  std::vector<Shape> shapes;
  for (const Tensor& x : inputs)
    if (x.requires_grad()) shapes.push_back(x.shape());
  for (const auto& leaf : segment.captured) shapes.push_back(leaf->shape);
  TensorFunction flat = [segment, shapes](const std::vector<Tensor>& in) {
    std::vector<Tensor> parts = segment.gradients({in.begin(), in.end() - 1}, in.back(), grad_enabled());
    for (size_t i = 0; i < parts.size(); ++i)
      parts[i] = parts[i].defined() ? parts[i].reshape({-1}) : zeros({numel(shapes[i])}, in.back().options());
    return cat(parts);
  };
  std::vector<Tensor> with_g = inputs, found;
  with_g.push_back(g);
  Tensor joined = checkpoint(flat, with_g);
  int64_t from = 0;
  for (const Shape& shape : shapes) {
    found.push_back(joined.narrow(0, from, numel(shape)).reshape(shape));
    from += numel(shape);
  }
  return found;
}

}  // namespace

Tensor checkpoint(const TensorFunction& fn, const std::vector<Tensor>& inputs) {
  if (!grad_enabled()) return fn(inputs);
  Segment segment{fn, {}, default_generator().state()};
  std::vector<Tensor> leaves = as_leaves(inputs), all = inputs;
  Tensor result;
  {
    Tensor y = fn(leaves);
    segment.captured = captured_leaves(y, leaves);
    result = y.detach();
  }
  for (const auto& leaf : segment.captured) all.push_back(Tensor(nullptr, Layout(), leaf));

  size_t count = inputs.size();
  auto rule = [segment, count](const Tensor& g, const Kept& k) {
    std::vector<Tensor> again, found;
    for (size_t i = 0; i < count; ++i) again.push_back(k.needs(int(i)) ? k.input(int(i)) : k.input(int(i)).detach());
    if (!grad_enabled()) {
      for (size_t i = 0; i < count; ++i)
        if (k.needs(int(i))) again[i] = again[i].requires_grad_();
      found = segment.gradients(again, g, false);
    } else {
      found = recorded_gradients(segment, again, g);
    }
    Gradients gradients;
    size_t next = 0;
    for (size_t i = 0; i < count; ++i) gradients.push_back(k.needs(int(i)) ? found[next++] : Tensor());
    while (next < found.size()) gradients.push_back(found[next++]);
    return gradients;
  };
  return record("checkpoint", all, result, Keep::inputs, rule);
}

}  // namespace gradus
