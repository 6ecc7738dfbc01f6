// The backward pass: visit the graph from outputs to leaves, each node once all of its gradient has gathered.
#include <span>
#include <utility>

#include "autograd/autograd.h"
#include "autograd/ops.h"
#include "tensor/kernels/table.h"

namespace gradus {
namespace {

class Pass : private Kept::Sums {
 public:
  // With `wanted` null, gradients go into the leaves' .grad; else into `wanted`, one for each of its nodes.
  Pass(const GradOptions& options, const std::vector<std::shared_ptr<Node>>* wanted)
      : create_graph_(options.create_graph), retain_(options.retain_graph || options.create_graph), wanted_(wanted) {
    if (wanted_) captured_.resize(wanted_->size());
    states_.reserve(few);
    edges_.reserve(2 * few);
  }

  //! [run]
  // `outputs` hold the graph together while it is walked: nodes are known by the handle of whoever led to them.
  void run(std::span<const Tensor> outputs, std::span<const Tensor> given) {
    const Autocast off(false);  // rules go by what was kept; a parameter's gradient is float32
    const KeepInBfloat16 whole(false);
    std::vector<Index> roots = plan(outputs);
    GradMode mode(create_graph_);
    std::vector<Index> ready;
    ready.reserve(few);
    for (size_t i = 0; i < outputs.size(); ++i) accumulate(states_[roots[i]], seed(outputs, given, i));
    for (Index root : roots) queue(root, ready);
    while (!ready.empty()) {
      Index next = ready.back();
      ready.pop_back();
      finish(next, ready);
    }
  }
  //! [run]

  std::vector<Tensor> captured() { return std::move(captured_); }

 private:
  static constexpr size_t few = 32;            // nodes: up to here nothing grows
  static constexpr size_t most_products = 32;  // that wait together: they take memory
  using Index = uint32_t;                      // of a node in states_; 0 where there is none
  struct State {
    const std::shared_ptr<Node>* node = nullptr;
    size_t first_edge = 0;  // its inputs' indices stand in edges_ from here on
    int pending = 0;        // edges over which gradient has yet to come
    bool needed = true;     // leads to something wanted
    bool captured = false;  // is itself wanted
    bool queued = false;
    Tensor gradient;
    std::vector<Gradient::Product> products;  // to be made and added to it
  };

  void queue(Index index, std::vector<Index>& ready) {
    State& s = states_[index];
    if (s.pending > 0 || s.queued) return;
    s.queued = true;
    ready.push_back(index);
  }

  // Where in table_ the node's index is, or may be put.
  size_t place(const Node* node) const {
    size_t at = size_t(reinterpret_cast<uintptr_t>(node) * 0x9e3779b97f4a7c15u >> 32);
    while (table_[at &= table_.size() - 1] && states_[table_[at]].node->get() != node) ++at;
    return at;
  }

  // The node's index, and whether it is met for the first time.
  std::pair<Index, bool> enter(const std::shared_ptr<Node>& node) {
    if (2 * states_.size() >= table_.size()) {
      table_.assign(2 * table_.size(), 0);
      for (Index i = 1; i < states_.size(); ++i) table_[place(states_[i].node->get())] = i;
    }
    Index& index = table_[place(node.get())];
    if (index) return {index, false};
    index = Index(states_.size());
    states_.emplace_back();
    states_.back().node = &node;
    states_.back().first_edge = edges_.size();
    edges_.resize(edges_.size() + node->inputs.size());
    return {index, true};
  }

  std::span<const Index> inputs_of(const State& s) const {
    return {edges_.data() + s.first_edge, (*s.node)->inputs.size()};
  }

  static Tensor seed(std::span<const Tensor> outputs, std::span<const Tensor> given, size_t i) {
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
  // Gives the indices of the outputs' nodes.
  std::vector<Index> plan(std::span<const Tensor> outputs) {
    std::vector<Index> roots, order;  // order: depth first, each after its inputs
    std::vector<std::pair<Index, size_t>> stack;
    order.reserve(few);
    stack.reserve(few);
    for (const Tensor& y : outputs) {
      check(y.requires_grad(), "backward: the output does not require grad: nothing that it depends on does");
      auto [root, is_new] = enter(y.node());
      roots.push_back(root);
      if (is_new) stack.push_back({root, 0});
      while (!stack.empty()) {
        auto& [index, next] = stack.back();
        const Node& node = **states_[index].node;
        if (next == node.inputs.size()) {
          order.push_back(index);
          stack.pop_back();
          continue;
        }
        size_t edge = states_[index].first_edge + next;
        const std::shared_ptr<Node>& input = node.inputs[next++];
        if (!input) continue;
        auto [behind, unseen] = enter(input);
        edges_[edge] = behind;
        if (unseen) stack.push_back({behind, 0});
      }
    }
    if (wanted_) {
      for (State& s : states_) s.needed = false;
      for (const auto& w : *wanted_)
        if (Index found = table_[place(w.get())]) states_[found].needed = states_[found].captured = true;
      for (Index index : order)
        for (Index behind : inputs_of(states_[index]))
          if (behind && states_[behind].needed) states_[index].needed = true;
    }
    for (Index index : order)
      if (states_[index].needed)
        for (Index behind : inputs_of(states_[index])) ++states_[behind].pending;
    return roots;
  }

  // Of the node whose rule runs.
  Tensor take(int i) override {
    Tensor& sum = states_[inputs_of(states_[running_])[size_t(i)]].gradient;
    return !create_graph_ && is_ours_alone(sum) ? std::move(sum) : Tensor();
  }

  void accumulate(State& s, Gradient g) {
    Tensor& sum = s.gradient;
    if (g.product) {
      s.products.push_back(std::move(*g.product));
      if (s.products.size() == most_products) make_products(s);
      return;
    }
    if (g.part && create_graph_) g = Gradient(g.part->dense());
    if (g.part) {
      if (!is_ours_alone(sum)) sum = sum.clone();
      g.part->add(sum);
    } else if (!sum.defined()) {
      sum = std::move(g.value);
    } else if (!create_graph_ && is_ours_alone(sum)) {
      kernels(sum).binary(Binary::add, sum.raw(), g.value.raw(), sum.raw());
    } else {
      sum = sum + g.value;
    }
  }

  // Makes what was put off: all of it as one product, whose rows follow each other.
  void make_products(State& s) {
    if (s.products.empty()) return;
    std::vector<Tensor> left, right;
    for (Gradient::Product& p : std::exchange(s.products, {})) {
      left.push_back(std::move(p.left));
      right.push_back(std::move(p.right));
    }
    const bool one = left.size() == 1;
    const Tensor a = one ? left[0] : cat(left, -2), b = one ? right[0] : cat(right, -2);
    accumulate(s, matmul(a.transpose(-2, -1), b));
  }

  // The node has all of its gradient: hand it to whoever waits for it, and through the rule to the inputs.
  void finish(Index index, std::vector<Index>& ready) {
    State& s = states_[index];
    const std::shared_ptr<Node>& node = *s.node;
    make_products(s);
    Tensor g = std::move(s.gradient);
    if (g.defined())
      for (const Hook& hook : node->hooks)
        if (Tensor changed = hook(g); changed.defined()) g = changed;
    if (s.captured) {
      for (size_t i = 0; i < wanted_->size(); ++i)
        if ((*wanted_)[i] == node) captured_[i] = g;
    } else if (!wanted_ && node->is_leaf() && g.defined()) {
      add_to_leaf(*node, std::move(g));
    }
    if (node->is_leaf() || !s.needed) return;

    check(!node->freed, "backward: an earlier pass freed what ", node->op,
          " kept; that pass needs retain_graph = true for another to follow");
    std::span<const Index> inputs = inputs_of(s);
    uint64_t needs = 0;
    for (size_t i = 0; i < inputs.size() && i < 64; ++i)
      if (inputs[i] && states_[inputs[i]].needed) needs |= uint64_t(1) << i;
    Gradients gradients;
    running_ = index;
    if (g.defined() && needs) gradients = node->rule(g, Kept(node, needs, *this));
    g = Tensor();
    check(gradients.empty() || gradients.size() == inputs.size(), node->op, ": the gradient rule gave ",
          gradients.size(), " gradients for ", inputs.size(), " inputs");
    if (!retain_) {
      node->rule = nullptr;
      node->saved.clear();
      node->freed = true;
    }
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!inputs[i]) continue;
      State& behind = states_[inputs[i]];
      if (behind.needed && i < gradients.size() && gradients[i].defined()) {
        Gradient& gradient = gradients[i];
        const Node& input = **behind.node;
        if (gradient.value.defined()) {
          check(gradient.value.shape() == input.shape, node->op, ": the gradient rule gave shape ",
                gradient.value.shape(), " for input ", i, " of shape ", input.shape);
          check(gradient.value.dtype() == input.dtype, node->op, ": the gradient rule gave ", gradient.value.dtype(),
                " for input ", i, " of ", input.dtype);
        } else if (gradient.part && !create_graph_ && !behind.gradient.defined()) {
          behind.gradient = zeros(input.shape, {.dtype = input.dtype, .device = input.device});
        }
        accumulate(behind, std::move(gradient));
      }
      --behind.pending;
      queue(inputs[i], ready);
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
  Index running_ = 0;  // whose rule runs
  const std::vector<std::shared_ptr<Node>>* wanted_;
  std::vector<Tensor> captured_;
  std::vector<State> states_{1};  // of every node behind the outputs; the first stands for none
  std::vector<Index> edges_;
  std::vector<Index> table_ = std::vector<Index>(64);  // open addressing by the node's address: see place
};

}  // namespace

void Tensor::backward(const Tensor& gradient, bool retain_graph) const {
  Tensor y = *this;  // stays, whatever hooks do to this handle
  Pass({.retain_graph = retain_graph}, nullptr).run({&y, 1}, {&gradient, 1});
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
