// The backward pass: visit the graph from outputs to leaves, each node once all of its gradient has gathered.
#include <unordered_map>

#include "autograd/autograd.h"
#include "autograd/ops.h"
#include "tensor/kernels/table.h"

namespace gradus {
namespace {

// Whether nobody else can see t's numbers, so that they may be changed in place.
bool is_ours_alone(const Tensor& t) {
  return t.storage().use_count() == 1 && t.is_contiguous() && t.storage()->count() == t.numel();
}

class Pass {
 public:
  // With `wanted` null, gradients go into the leaves' .grad; else into `wanted`, one for each of its nodes.
  Pass(const GradOptions& options, const std::vector<std::shared_ptr<Node>>* wanted)
      : create_graph_(options.create_graph), retain_(options.retain_graph || options.create_graph), wanted_(wanted) {
    if (wanted_) captured_.resize(wanted_->size());
  }

  void run(const std::vector<Tensor>& outputs, const std::vector<Tensor>& given) {
    plan(outputs);
    GradMode mode(create_graph_);
    std::vector<std::shared_ptr<Node>> ready;
    for (size_t i = 0; i < outputs.size(); ++i) accumulate(state(outputs[i].node()), seed(outputs, given, i));
    for (size_t i = 0; i < outputs.size(); ++i) {
      State& s = state(outputs[i].node());
      if (s.pending == 0 && !s.queued) {
        s.queued = true;
        ready.push_back(outputs[i].node());
      }
    }
    while (!ready.empty()) {
      std::shared_ptr<Node> node = std::move(ready.back());
      ready.pop_back();
      finish(node, ready);
    }
  }

  std::vector<Tensor> captured() { return std::move(captured_); }

 private:
  struct State {
    Tensor gradient;
    int pending = 0;     // edges over which gradient has yet to come
    bool needed = true;  // leads to something wanted
    bool queued = false;
  };
  State& state(const std::shared_ptr<Node>& node) { return states_.find(node.get())->second; }

  static Tensor seed(const std::vector<Tensor>& outputs, const std::vector<Tensor>& given, size_t i) {
    const Tensor& y = outputs[i];
    if (i < given.size() && given[i].defined()) {
      check(given[i].shape() == y.shape(), "backward: the gradient's shape ", given[i].shape(),
            " is not the output's, ", y.shape());
      check(given[i].dtype() == y.dtype(), "backward: the gradient is ", given[i].dtype(), ", the output ",
            y.dtype());
      return given[i];
    }
    check(y.numel() == 1, "backward: an output of shape ", y.shape(),
          " needs a gradient to start from; only one of a single element can do without");
    return ones_like(y);
  }

  // Finds every node behind the outputs, the number of edges into each, and (for `wanted`) which lead somewhere.
  void plan(const std::vector<Tensor>& outputs) {
    std::vector<Node*> order;  // depth first, each after its inputs
    std::vector<std::pair<Node*, size_t>> stack;
    for (const Tensor& y : outputs) {
      check(y.requires_grad(), "backward: the output does not require grad: nothing that it depends on does");
      if (states_.try_emplace(y.node().get()).second) stack.push_back({y.node().get(), 0});
      while (!stack.empty()) {
        auto& [node, next] = stack.back();
        if (next == node->inputs.size()) {
          order.push_back(node);
          stack.pop_back();
          continue;
        }
        Node* input = node->inputs[next++].get();
        if (input && states_.try_emplace(input).second) stack.push_back({input, 0});
      }
    }
    if (wanted_) {
      for (auto& [node, s] : states_) s.needed = false;
      for (const auto& w : *wanted_)
        if (auto found = states_.find(w.get()); found != states_.end()) found->second.needed = true;
    }
    for (Node* node : order) {
      State& s = states_.find(node)->second;
      for (const auto& input : node->inputs) {
        if (!input) continue;
        State& behind = states_.find(input.get())->second;
        if (wanted_ && behind.needed) s.needed = true;
      }
    }
    for (Node* node : order)
      if (states_.find(node)->second.needed)
        for (const auto& input : node->inputs)
          if (input) ++states_.find(input.get())->second.pending;
  }

  void accumulate(State& s, Gradient g) {
    Tensor& sum = s.gradient;
    if (g.add && create_graph_) g = Gradient(g.dense());
    if (g.add) {
      if (!is_ours_alone(sum)) sum = sum.clone();
      g.add(sum);
    } else if (!sum.defined()) {
      sum = std::move(g.value);
    } else if (!create_graph_ && is_ours_alone(sum)) {
      kernels(sum).binary(Binary::add, sum.raw(), g.value.raw(), sum.raw());
    } else {
      sum = sum + g.value;
    }
  }

  // `node` has all of its gradient: hand it to whoever waits for it, and through the rule to the inputs.
  void finish(const std::shared_ptr<Node>& node, std::vector<std::shared_ptr<Node>>& ready) {
    State& s = state(node);
    Tensor g = std::move(s.gradient);
    if (g.defined())
      for (const Hook& hook : node->hooks)
        if (Tensor changed = hook(g); changed.defined()) g = changed;
    if (wanted_) {
      for (size_t i = 0; i < wanted_->size(); ++i)
        if ((*wanted_)[i] == node) captured_[i] = g;
    } else if (node->is_leaf() && g.defined()) {
      add_to_leaf(*node, std::move(g));
    }
    if (node->is_leaf() || !s.needed) return;

    check(!node->freed, "backward: an earlier pass freed what ", node->op,
          " kept; that pass needs retain_graph = true for another to follow");
    uint64_t needs = 0;
    for (size_t i = 0; i < node->inputs.size() && i < 64; ++i)
      if (node->inputs[i] && (!wanted_ || state(node->inputs[i]).needed)) needs |= uint64_t(1) << i;
    Gradients gradients;
    if (g.defined() && needs) gradients = node->rule(g, Kept(node, needs));
    g = Tensor();
    check(gradients.empty() || gradients.size() == node->inputs.size(), node->op, ": the gradient rule gave ",
          gradients.size(), " gradients for ", node->inputs.size(), " inputs");
    if (!retain_) {
      node->rule = nullptr;
      node->saved.clear();
      node->freed = true;
    }
    for (size_t i = 0; i < node->inputs.size(); ++i) {
      const std::shared_ptr<Node>& input = node->inputs[i];
      if (!input) continue;
      State& behind = state(input);
      if (behind.needed && i < gradients.size() && gradients[i].defined()) {
        Gradient& part = gradients[i];
        if (part.value.defined()) {
          check(part.value.shape() == input->shape, node->op, ": the gradient rule gave shape ", part.value.shape(),
                " for input ", i, " of shape ", input->shape);
        } else if (!create_graph_ && !behind.gradient.defined()) {
          behind.gradient = zeros(input->shape, {.dtype = input->dtype, .device = input->device});
        }
        accumulate(behind, std::move(part));
      }
      if (--behind.pending == 0 && !behind.queued) {
        behind.queued = true;
        ready.push_back(input);
      }
    }
  }

  void add_to_leaf(Node& leaf, Tensor g) {
    if (!leaf.grad.defined())
      leaf.grad = create_graph_ || is_ours_alone(g) ? std::move(g) : g.clone();
    else if (!create_graph_ && is_ours_alone(leaf.grad))
      kernels(g).binary(Binary::add, leaf.grad.raw(), g.raw(), leaf.grad.raw());
    else
      leaf.grad = leaf.grad + g;
  }

  bool create_graph_, retain_;
  const std::vector<std::shared_ptr<Node>>* wanted_;
  std::vector<Tensor> captured_;
  std::unordered_map<Node*, State> states_;
};

}  // namespace

void Tensor::backward(const Tensor& gradient, bool retain_graph) const {
  Pass({.retain_graph = retain_graph}, nullptr).run({*this}, {gradient});
}

std::vector<Tensor> grad(const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs,
                         const GradOptions& options) {
  check(!outputs.empty() && !inputs.empty(), "grad: outputs and inputs must not be empty");
  std::vector<std::shared_ptr<Node>> wanted;
  for (size_t i = 0; i < inputs.size(); ++i) {
    check(inputs[i].requires_grad(), "grad: input ", i, " does not require grad");
    wanted.push_back(inputs[i].node());
  }
  Pass pass(options, &wanted);
  pass.run(outputs, options.grad_outputs);
  std::vector<Tensor> gradients = pass.captured();
  for (size_t i = 0; i < inputs.size(); ++i)
    check(gradients[i].defined() || options.allow_unused, "grad: the outputs do not depend on input ", i,
          "; allow_unused = true gives an undefined gradient for it");
  return gradients;
}

}  // namespace gradus
