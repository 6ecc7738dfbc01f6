// The graph: one node for each recorded result and one for each leaf. What users call is in autograd.h.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "tensor/inline_function.h"
#include "tensor/pool.h"
#include "tensor/small_vector.h"
#include "tensor/tensor.h"

namespace gradus {

struct Node;
using Remake = Tensor (*)(const Tensor& input);

bool grad_enabled();  // whether this thread records ops
// Whether t's handle is the only way to its numbers, all of its storage, so that they may be changed in place.
bool is_ours_alone(const Tensor& t);

// What a rule kept of a tensor: never a handle, which would tie the graph into a cycle.
struct Saved {
  std::shared_ptr<Storage> storage;
  Layout layout;
  uint64_t version = 0;
  bool narrowed = false;    // a copy in bfloat16 of what is float32: see KeepInBfloat16
  Remake remake = nullptr;  // if set, this makes what is meant of what is saved: see Node
};

enum class Keep : uint8_t { none = 0, inputs = 1, output = 2, both = 3 };

// What a rule is handed besides the gradient. Handles are rebuilt on demand; they are part of the graph exactly
// while gradients of gradients are being recorded.
class Kept {
 public:
  // What a backward pass has gathered for the inputs so far.
  struct Sums {
    virtual Tensor take(int i) = 0;
  };
  Kept(const std::shared_ptr<Node>& node, uint64_t needed, Sums& sums) : node_(node), needed_(needed), sums_(sums) {}
  Tensor input(int i = 0) const;              // needs Keep::inputs
  Tensor output() const;                      // needs Keep::output
  Tensor extra(int i = 0) const;              // what `record` was given as extras; never part of the graph
  const Shape& input_shape(int i = 0) const;  // of an input whose gradient is wanted
  // Whether anybody wants input i's gradient. (Beyond the 64th the answer is always yes.)
  bool needs(int i) const { return i >= 64 || (needed_ >> i & 1); }
  // The gradient that came for input i from elsewhere, if it lies in a buffer that is the pass's alone, else undefined:
  // a rule that takes it adds its own in place and returns the sum, and a pass over both is saved.
  Tensor take_sum(int i) const { return sums_.take(i); }

 private:
  const std::shared_ptr<Node>& node_;
  uint64_t needed_;
  Sums& sums_;
};

// A gradient for one input: a tensor of its shape, undefined for none, or the part of it that is not zero.
// A part keeps `T` selects out of one tensor linear in time: they add into one buffer instead of making T of them.
// Or a product that is still to be made: those for a weight that serves at every step become one of all steps' rows,
// where the sums of many small ones would cost more than they do.
struct Gradient {
  struct Part {
    std::function<void(Tensor& whole)> add;  // adds the part into a zero-initialised whole, in place
    std::function<Tensor()> dense;           // the whole, by differentiable ops
  };
  struct Product {
    Tensor left, right;  // left^T right: (..., rows, m), (..., rows, n)
  };
  Tensor value;
  std::unique_ptr<Part> part;
  std::unique_ptr<Product> product;

  Gradient() = default;
  Gradient(Tensor t) : value(std::move(t)) {}
  Gradient(std::function<void(Tensor&)> add, std::function<Tensor()> dense)
      : part(new Part{std::move(add), std::move(dense)}) {}
  bool defined() const { return value.defined() || part || product; }
};
using Gradients = SmallVector<Gradient, 3>;

// left^T right as the gradient of input i (see Gradient); put off where the rows are few and no graph is made.
Gradient product_gradient(const Tensor& left, const Tensor& right, const Kept& kept, int i);

template <class... G>
Gradients grads(G&&... each) {
  Gradients all;
  (all.emplace_back(std::forward<G>(each)), ...);
  return all;
}

// Maps the gradient of an op's result to those of its inputs, in their order. It may capture numbers, never tensors.
// Written with differentiable ops: recording is off while it runs, unless gradients of gradients are wanted.
using Rule = InlineFunction<Gradients(const Tensor& g, const Kept& kept), 80>;  // a shape fits
using Hook = std::function<Tensor(const Tensor&)>;

struct Node {
  const char* op;  // "leaf" for a leaf
  Rule rule;
  SmallVector<std::shared_ptr<Node>, 2> inputs;  // null where an input needs no gradient
  SmallVector<Saved, 2> saved;                   // inputs, then output, then extras
  Keep keep = Keep::none;
  bool freed = false;       // a backward pass used and dropped what was saved
  bool shows_leaf = false;  // the result is a leaf, or a view of one's numbers
  // How to make the result of the one input once more, where that costs little: rules that need the result then keep
  // the input in its place, which this node keeps anyway, and the result goes when its last handle does.
  Remake remake = nullptr;
  Shape shape;  // of the result
  DType dtype;
  Device device;
  Tensor grad;                    // leaves only
  std::shared_ptr<void> packed;   // leaves only: see ops/packed_weights.cpp
  std::weak_ptr<Storage> narrow;  // the result as rules keep it within KeepInBfloat16, while one does
  uint64_t narrow_version = 0;    // of the result's storage then
  std::vector<Hook> hooks;

  Node(const char* op_name, const Tensor& result);
  // Breaks chains through a worklist: a million ops must neither recurse nor leak.
  ~Node();
  bool is_leaf() const { return !rule && !freed; }
  // The leaf's or the result's handle around saved numbers, after checking that they are as they were.
  Tensor restore(size_t saved_index, const std::shared_ptr<Node>& place) const;
};

}  // namespace gradus
