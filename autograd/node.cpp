#include "autograd/node.h"

namespace gradus {

Node::Node(const char* op_name, const Tensor& result)
    : op(op_name), shape(result.shape()), dtype(result.dtype()), device(result.device()) {}

namespace {
// Nodes whose last handle went while another node was being destroyed on this thread; null when none is.
using Doomed = SmallVector<std::shared_ptr<Node>, 8>;
thread_local Doomed* doomed = nullptr;
}  // namespace

Node::~Node() {
  Doomed list;
  bool outermost = doomed == nullptr;
  if (outermost) doomed = &list;
  for (auto& input : inputs) {
    if (input.use_count() == 1)
      doomed->push_back(std::move(input));
    else
      input.reset();  // one of several handles; were it the last after all, that node would find `doomed` set
  }
  // These may hold tensors, and so nodes, of their own; what they let go of joins the list.
  rule = nullptr;
  hooks.clear();
  if (grad.node()) doomed->push_back(grad.node());
  grad = Tensor();
  if (!outermost) return;
  while (!list.empty()) {
    std::shared_ptr<Node> next = std::move(list.back());
    list.pop_back();
    next.reset();  // if this was the last handle, its inputs join the list
  }
  doomed = nullptr;
}

//! [restore]
Tensor Node::restore(size_t index, const std::shared_ptr<Node>& place) const {
  const Saved& s = saved[index];
  if (!s.storage) return Tensor();
  if (s.narrowed) return Tensor(Tensor(s.storage, s.layout).to(float32), place);
  check(s.storage->version() == s.version, op, ": a tensor of shape ", s.layout.shape,
        " that its gradient needs was changed in place after the forward pass (version ", s.storage->version(),
        ", expected ", s.version, ")");
  if (s.remake) return Tensor(s.remake(Tensor(s.storage, s.layout)), place);
  return Tensor(s.storage, s.layout, place);
}
//! [restore]

Tensor Kept::input(int i) const {
  check(node_->keep == Keep::inputs || node_->keep == Keep::both, node_->op,
        ": its gradient asks for an input, which Keep::inputs or Keep::both would have kept");
  return node_->restore(size_t(i), grad_enabled() ? node_->inputs[size_t(i)] : nullptr);
}

const Shape& Kept::input_shape(int i) const { return node_->inputs[size_t(i)]->shape; }

Tensor Kept::output() const {
  bool inputs_too = node_->keep == Keep::both;
  check(node_->keep == Keep::output || inputs_too, node_->op,
        ": its gradient asks for the output, which Keep::output or Keep::both would have kept");
  return node_->restore(inputs_too ? node_->inputs.size() : 0, grad_enabled() ? node_ : nullptr);
}

Tensor Kept::extra(int i) const {
  size_t first = (node_->keep == Keep::inputs || node_->keep == Keep::both ? node_->inputs.size() : 0) +
                 (node_->keep == Keep::output || node_->keep == Keep::both ? 1 : 0);
  return node_->restore(first + size_t(i), nullptr);
}

}  // namespace gradus
