// The tensor: a handle on numbers. Copies share storage and graph place; `clone` copies the numbers.
//
// Members are what concerns a tensor's layout, its elements and its place in the graph, reductions, and in-place
// changes; mathematics is free functions (autograd/ops.h): tanh(x), matmul(a, b), softmax(x, -1). Members that are
// differentiable are defined in autograd/ops, beside their gradient rules.
#pragma once

#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tensor/error.h"
#include "tensor/kernels/view.h"
#include "tensor/shape.h"
#include "tensor/storage.h"

namespace gradus {

struct Node;         // autograd/node.h
struct KernelTable;  // tensor/kernels/table.h

struct TensorOptions {
  DType dtype = float32;
  Device device = Device::cpu;
  bool requires_grad = false;
};

inline constexpr int64_t slice_end = INT64_MAX;  // "to the end" in Tensor::slice

class Tensor {
 public:
  Tensor() = default;  // undefined: no storage; only defined(), assignment and destruction are allowed
  Tensor(std::shared_ptr<Storage> storage, const Layout& layout, std::shared_ptr<Node> node = nullptr)
      : storage_(std::move(storage)), layout_(layout), node_(std::move(node)) {}
  // The same numbers at another place in a graph.
  Tensor(Tensor numbers, std::shared_ptr<Node> node)
      : storage_(std::move(numbers.storage_)), layout_(numbers.layout_), node_(std::move(node)) {}

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return layout_.shape; }
  const Strides& strides() const { return layout_.strides; }
  const Layout& layout() const { return layout_; }
  int dim() const { return layout_.shape.size(); }
  int64_t size(int64_t d) const { return layout_.shape[existing_dim("size", d, dim())]; }
  int64_t numel() const { return gradus::numel(layout_.shape); }
  DType dtype() const { return storage_->dtype(); }
  Device device() const { return storage_->device(); }
  TensorOptions options() const { return {.dtype = dtype(), .device = device()}; }
  bool is_contiguous() const { return layout_.is_contiguous(); }
  const std::shared_ptr<Storage>& storage() const { return storage_; }

  // --- elements ----------------------------------------------------------------------------------------------------
  // What kernels see. Writing through it does not count as an in-place change; ops do that.
  View raw() const;
  // The first element; throws Error unless T is the dtype and the device the CPU. The rest lies as the strides say.
  // (Whoever has it may write: linear no longer keeps a packed form of these numbers.)
  template <class T>
  T* data() const {
    expect_dtype(dtype_of<T>);
    storage_->expose();
    return static_cast<T*>(storage_->data()) + layout_.offset;
  }
  // The only element, as double; throws Error unless there is exactly one.
  double item() const;
  // All elements in row-major order, converted.
  template <class T = double>
  std::vector<T> to_vector() const;

  // --- autograd (autograd/autograd.h) ------------------------------------------------------------------------------
  bool requires_grad() const { return node_ != nullptr; }
  bool is_leaf() const;  // made by the user rather than by an op
  // The same numbers as a leaf of a new graph: `Tensor w = randn({3}).requires_grad_();` (or without, if false).
  [[nodiscard]] Tensor requires_grad_(bool required = true) const;
  Tensor detach() const;  // the same numbers, outside any graph
  // The gradient gathered by backward; undefined before. Only leaves have one.
  Tensor grad() const;
  void set_grad(const Tensor& gradient) const;
  void zero_grad() const;  // forgets the gradient: grad() is undefined again
  // Adds d(this)/d(leaf) into the grad of every leaf. `gradient` (of this shape) may be left out for one element.
  void backward(const Tensor& gradient = {}, bool retain_graph = false) const;
  // Calls `hook` with this tensor's gradient once it is complete; what it returns, if defined, takes its place.
  void register_hook(std::function<Tensor(const Tensor& gradient)> hook) const;
  const std::shared_ptr<Node>& node() const { return node_; }

  // --- views: they share storage -----------------------------------------------------------------------------------
  // One size may be -1. reshape copies where no view can do it; view throws Error there.
  Tensor reshape(const Shape& shape) const;
  Tensor view(const Shape& shape) const;
  Tensor flatten(int64_t first = 0, int64_t last = -1) const;
  Tensor unflatten(int64_t d, const Shape& sizes) const;
  Tensor squeeze() const;  // every dimension of size 1
  Tensor squeeze(int64_t d) const;
  Tensor unsqueeze(int64_t d) const;
  Tensor transpose(int64_t d0, int64_t d1) const;
  Tensor t() const;  // of a matrix
  Tensor permute(const Dims& order) const;
  Tensor expand(const Shape& shape) const;  // -1 keeps a size
  Tensor select(int64_t d, int64_t index) const;
  Tensor narrow(int64_t d, int64_t start, int64_t length) const;
  // [start, end) in steps > 0; negative bounds count from the end, bounds outside are clipped, as in Python.
  Tensor slice(int64_t d, int64_t start, int64_t end = slice_end, int64_t step = 1) const;
  std::vector<Tensor> split(int64_t size, int64_t d = 0) const;  // the last may be smaller
  std::vector<Tensor> split(const Dims& sizes, int64_t d = 0) const;
  std::vector<Tensor> chunk(int64_t count, int64_t d = 0) const;
  // Windows of `size` every `step` along d: (..., windows, ..., size).
  Tensor unfold(int64_t d, int64_t size, int64_t step) const;
  Tensor diagonal() const;  // of the last two dimensions: (..., min(m, n))
  Tensor operator[](int64_t index) const { return select(0, index); }

  // --- copies ------------------------------------------------------------------------------------------------------
  Tensor clone() const;
  Tensor contiguous() const;  // itself where it already is
  Tensor to(DType dtype) const;
  Tensor to(Device device) const;
  Tensor repeat(const Dims& times) const;
  Tensor flip(const Dims& dims) const;
  Tensor roll(int64_t shift, int64_t d) const;
  Tensor tril(int64_t diagonal = 0) const;
  Tensor triu(int64_t diagonal = 0) const;

  // --- indexing ----------------------------------------------------------------------------------------------------
  Tensor index_select(int64_t d, const Tensor& index) const;  // index: (k), int64
  Tensor gather(int64_t d, const Tensor& index) const;        // index: like the result
  Tensor scatter_add(int64_t d, const Tensor& index, const Tensor& source) const;
  Tensor index_add(int64_t d, const Tensor& index, const Tensor& source) const;
  Tensor masked_fill(const Tensor& mask, double value) const;  // mask: bool, broadcast to this
  Tensor masked_select(const Tensor& mask) const;              // (number of true)
  Tensor nonzero() const;                                      // (count, dim), int64

  // --- reductions: over `dims`, all of them if empty ---------------------------------------------------------------
  Tensor sum(const Dims& dims = {}, bool keepdim = false) const;
  Tensor mean(const Dims& dims = {}, bool keepdim = false) const;
  Tensor prod(const Dims& dims = {}, bool keepdim = false) const;
  Tensor amax(const Dims& dims = {}, bool keepdim = false) const;  // gradient shared equally among equals
  Tensor amin(const Dims& dims = {}, bool keepdim = false) const;
  Tensor max() const { return amax(); }
  Tensor min() const { return amin(); }
  std::pair<Tensor, Tensor> max(int64_t d, bool keepdim = false) const;  // values, indices (the first of equals)
  std::pair<Tensor, Tensor> min(int64_t d, bool keepdim = false) const;
  // Divides by count - correction: 1 is Bessel's (PyTorch's default), 0 the biased estimate.
  Tensor var(const Dims& dims = {}, int64_t correction = 1, bool keepdim = false) const;
  Tensor std(const Dims& dims = {}, int64_t correction = 1, bool keepdim = false) const;
  Tensor norm(double p = 2, const Dims& dims = {},
              bool keepdim = false) const;  // (sum |x|^p)^(1/p); p may be INFINITY
  Tensor logsumexp(const Dims& dims = {}, bool keepdim = false) const;
  Tensor any(const Dims& dims = {}, bool keepdim = false) const;
  Tensor all(const Dims& dims = {}, bool keepdim = false) const;
  Tensor argmax(int64_t d, bool keepdim = false) const;
  Tensor argmin(int64_t d, bool keepdim = false) const;
  Tensor argmax() const;  // in the flattened tensor
  Tensor argmin() const;
  Tensor cumsum(int64_t d) const;
  std::pair<Tensor, Tensor> sort(int64_t d = -1, bool descending = false) const;  // stable; NaN counts as largest
  std::pair<Tensor, Tensor> topk(int64_t k, int64_t d = -1, bool largest = true) const;

  // --- in place: not recorded, so they throw Error on a tensor that requires grad unless under NoGrad --------------
  Tensor& copy_(const Tensor& source);  // broadcast and converted
  Tensor& fill_(double value);
  Tensor& zero_() { return fill_(0); }
  Tensor& add_(const Tensor& other, double alpha = 1);
  Tensor& add_(double value);
  Tensor& sub_(const Tensor& other, double alpha = 1) { return add_(other, -alpha); }
  Tensor& mul_(const Tensor& other);
  Tensor& mul_(double factor);
  Tensor& div_(const Tensor& other);

 private:
  void expect_dtype(DType wanted) const;

  std::shared_ptr<Storage> storage_;
  Layout layout_;
  std::shared_ptr<Node> node_;
};

// The kernels for x's device and dtype.
const KernelTable& kernels(const Tensor& x);

// --- creation ------------------------------------------------------------------------------------------------------
Tensor empty(const Shape& shape, TensorOptions options = {});  // uninitialised
Tensor zeros(const Shape& shape, TensorOptions options = {});
Tensor ones(const Shape& shape, TensorOptions options = {});
Tensor full(const Shape& shape, double value, TensorOptions options = {});
Tensor empty_like(const Tensor& x);  // contiguous
Tensor zeros_like(const Tensor& x);
Tensor ones_like(const Tensor& x);
Tensor full_like(const Tensor& x, double value);
// start, start + step, ... before end.
Tensor arange(double start, double end, double step = 1, TensorOptions options = {});
Tensor arange(int64_t end);                                                            // int64
Tensor linspace(double start, double end, int64_t count, TensorOptions options = {});  // both ends included
Tensor eye(int64_t n, TensorOptions options = {});
Tensor eye(int64_t rows, int64_t columns, TensorOptions options = {});

// A number or lists of them, all equally long: tensor({{1, 2}, {3, 4}}) has shape (2, 2).
struct NestedList {
  std::vector<double> values;
  Shape shape;
  template <class T>
  requires std::is_arithmetic_v<T> NestedList(T value) : values{double(value)} {}
  NestedList(std::initializer_list<NestedList> items);  // throws Error where the lists are ragged
};
Tensor tensor(const NestedList& values, TensorOptions options = {});
// From a flat list in row-major order.
template <class T>
Tensor from_vector(const std::vector<T>& values, const Shape& shape, bool requires_grad = false);
// A copy of `numel(shape)` elements at `data`.
Tensor from_memory(const void* data, const Shape& shape, DType dtype);

// --- printing ------------------------------------------------------------------------------------------------------
struct PrintOptions {
  int precision = 4;
  int64_t threshold = 1000;  // above this many elements only the edges are shown
  int64_t edge = 3;
  int width = 100;
};
std::string to_string(const Tensor& x, const PrintOptions& options);
std::string to_string(const Tensor& x);
std::ostream& operator<<(std::ostream& out, const Tensor& x);

}  // namespace gradus
