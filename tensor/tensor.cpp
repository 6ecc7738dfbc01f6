#include "tensor/tensor.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "tensor/kernels/table.h"

namespace gradus {

const KernelTable& kernels(const Tensor& x) { return kernels(x.device(), x.dtype()); }

View Tensor::raw() const {
  View v;
  v.data = static_cast<char*>(storage_->data()) + layout_.offset * int64_t(size_of(dtype()));
  v.ndim = dim();
  // All eight rather than as many as count: a copy of known size is a few instructions.
  std::copy_n(shape().begin(), max_dims, v.shape);
  std::copy_n(strides().begin(), max_dims, v.strides);
  return v;
}

void Tensor::expect_dtype(DType wanted) const {
  check(device() == Device::cpu, "data: the tensor is on ", device(), "; to(Device::cpu) brings its elements here");
  check(dtype() == wanted, "data: the tensor holds ", dtype(), ", not ", wanted);
}

template <class T>
std::vector<T> Tensor::to_vector() const {
  if (device() != Device::cpu) return detach().to(Device::cpu).to_vector<T>();
  std::vector<T> values(static_cast<size_t>(numel()));
  View to = raw();
  to.data = values.data();
  Strides strides = contiguous_strides(shape());
  std::copy(strides.begin(), strides.end(), to.strides);
  if (!values.empty()) kernels(*this).cast(raw(), dtype_of<T>, to);
  return values;
}
template std::vector<float> Tensor::to_vector() const;
template std::vector<double> Tensor::to_vector() const;
template std::vector<int64_t> Tensor::to_vector() const;
template std::vector<uint8_t> Tensor::to_vector() const;

double Tensor::item() const {
  check(defined(), "item: the tensor is undefined");
  check(numel() == 1, "item: only a tensor of one element has a single value, shape is ", shape());
  return to_vector<double>()[0];
}

// --- creation ------------------------------------------------------------------------------------------------------

static Tensor finish(Tensor x, const TensorOptions& options) {
  return options.requires_grad ? x.requires_grad_() : std::move(x);
}

Tensor empty(const Shape& shape, TensorOptions options) {
  auto storage = make_storage(numel(shape), options.dtype, options.device);  // first: it checks what a layout assumes
  return finish(Tensor(std::move(storage), Layout::contiguous(shape)), options);
}

Tensor full(const Shape& shape, double value, TensorOptions options) {
  Tensor x = empty(shape, {options.dtype, options.device});
  kernels(x).fill(x.raw(), value);
  return finish(x, options);
}

Tensor zeros(const Shape& shape, TensorOptions options) { return full(shape, 0, options); }
Tensor ones(const Shape& shape, TensorOptions options) { return full(shape, 1, options); }
Tensor empty_like(const Tensor& x) {
  return Tensor(make_storage(x.numel(), x.dtype(), x.device()), Layout::contiguous(x.shape()));
}
Tensor zeros_like(const Tensor& x) { return full_like(x, 0); }
Tensor ones_like(const Tensor& x) { return full_like(x, 1); }
Tensor full_like(const Tensor& x, double value) { return full(x.shape(), value, x.options()); }

Tensor arange(double start, double end, double step, TensorOptions options) {
  check(step != 0 && std::isfinite(start) && std::isfinite(end) && std::isfinite(step), "arange: from ", start,
        " to ", end, " in steps of ", step, ": the bounds must be finite and the step not 0");
  double count = std::ceil((end - start) / step);
  check(count < double(INT64_MAX), "arange: from ", start, " to ", end, " in steps of ", step, " is too long");
  Tensor x = empty({int64_t(std::max(count, 0.0))}, {options.dtype, options.device});
  kernels(x).arange(x.raw().data, x.numel(), start, step);
  return finish(x, options);
}

Tensor arange(int64_t end) { return arange(0, double(end), 1, {.dtype = int64}); }

Tensor linspace(double start, double end, int64_t count, TensorOptions options) {
  check(count >= 0, "linspace: the count is ", count, ", expected at least 0");
  // Each half is counted from its own end, so that both ends are met exactly.
  std::vector<double> values(static_cast<size_t>(count));
  double step = count > 1 ? (end - start) / double(count - 1) : 0;
  for (int64_t i = 0; i < count; ++i)
    values[i] = 2 * i < count ? start + step * double(i) : end - step * double(count - 1 - i);
  return finish(from_vector(values, {count}).to(options.dtype).to(options.device), options);
}

Tensor eye(int64_t n, TensorOptions options) { return eye(n, n, options); }

Tensor eye(int64_t rows, int64_t columns, TensorOptions options) {
  Tensor x = zeros({rows, columns}, {options.dtype, options.device});
  x.diagonal().fill_(1);
  return finish(x, options);
}

NestedList::NestedList(std::initializer_list<NestedList> items) {
  shape = {int64_t(items.size())};
  if (items.size() == 0) return;
  for (const NestedList& item : items) {
    check(item.shape == items.begin()->shape, "tensor: lists side by side differ in shape: ", items.begin()->shape,
          " and ", item.shape);
    values.insert(values.end(), item.values.begin(), item.values.end());
  }
  for (int64_t size : items.begin()->shape) shape.push_back(size);
}

Tensor tensor(const NestedList& list, TensorOptions options) {
  return finish(from_vector(list.values, list.shape).to(options.dtype).to(options.device), options);
}

template <class T>
Tensor from_vector(const std::vector<T>& values, const Shape& shape, bool requires_grad) {
  check(numel(shape) == int64_t(values.size()), "from_vector: ", values.size(), " values do not fill shape ", shape);
  return finish(from_memory(values.data(), shape, dtype_of<T>), {.requires_grad = requires_grad});
}
template Tensor from_vector(const std::vector<float>&, const Shape&, bool);
template Tensor from_vector(const std::vector<double>&, const Shape&, bool);
template Tensor from_vector(const std::vector<int64_t>&, const Shape&, bool);
template Tensor from_vector(const std::vector<uint8_t>&, const Shape&, bool);

Tensor from_memory(const void* data, const Shape& shape, DType dtype) {
  Tensor x = empty(shape, {.dtype = dtype});
  if (x.numel() > 0) std::memcpy(x.raw().data, data, x.storage()->bytes());
  return x;
}

}  // namespace gradus
