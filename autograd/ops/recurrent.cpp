// Recurrent layers over whole sequences: one kernel forward, one backward.
#include "autograd/ops/common.h"

namespace gradus {
namespace {

// What the kernel is told of a sequence besides its tensors.
struct Reading {
  Cell cell;
  bool reverse;
  int64_t batch, time, hidden;

  int gates() const { return gates_of(cell); }
  int64_t outputs() const { return batch * time * hidden; }
  int64_t states() const { return batch * hidden; }
  // Of output, h and c, which are one after the other in one tensor.
  int64_t results() const { return outputs() + states() * (cell == Cell::lstm ? 2 : 1); }
  Recurrence kernel(const Tensor& w, const Tensor& lengths) const {
    return {.cell = cell,
            .batch = batch,
            .time = time,
            .hidden = hidden,
            .reverse = reverse,
            .lengths = indices_of(lengths),
            .w = data_of(w)};
  }
};

// Where h and c are in all results, or in the gradient of them.
void* h_of(const Reading& r, const Tensor& all) {
  return static_cast<char*>(data_of(all)) + r.outputs() * int64_t(size_of(all.dtype()));
}
void* c_of(const Reading& r, const Tensor& all) {
  return r.cell == Cell::lstm ? static_cast<char*>(h_of(r, all)) + r.states() * int64_t(size_of(all.dtype()))
                              : nullptr;
}

void check_inputs(const Reading& r, const Tensor& x, const Tensor& w, const Tensor& bias, const Tensor& h0,
                  const Tensor& c0, const Tensor& lengths) {
  const char* op = "recurrent";
  check_computable(op, x);
  const int64_t rows = r.gates() * r.hidden;
  check(w.shape() == Shape{rows, r.hidden} && x.size(2) == rows, op, ": ", r.gates(), " gates of ", r.hidden,
        " units need inputs (batch, time, ", rows, ") and weights ", Shape{rows, r.hidden}, ", got ", x.shape(),
        " and ", w.shape());
  check(!bias.defined() || bias.shape() == Shape{rows}, op, ": bias ", bias.defined() ? bias.shape() : Shape{},
        ", expected ", Shape{rows});
  check(c0.defined() == (r.cell == Cell::lstm), op, ": an LSTM has c, other cells have none");
  for (const Tensor& s : {h0, c0})
    check(!s.defined() || s.shape() == Shape{r.batch, r.hidden}, op, ": state ", s.defined() ? s.shape() : Shape{},
          ", expected ", Shape{r.batch, r.hidden});
  if (!lengths.defined()) return;
  check(lengths.shape() == Shape{r.batch} && lengths.dtype() == int64, op, ": lengths must be (", r.batch,
        ") of int64, got ", lengths.shape(), " of ", lengths.dtype());
  check_indices(op, x.device(), lengths, r.time + 1, "lengths, that of the inputs being the last");
}

}  // namespace

RecurrentSteps recurrent(Cell cell, const Tensor& given, const Tensor& weight, const Tensor& bias, const Tensor& h0,
                         const Tensor& c0, const Tensor& lengths, bool reverse) {
  const Tensor inputs = widened(given);
  check(inputs.dim() == 3 && h0.dim() == 2, "recurrent: inputs ", inputs.shape(), " must be (batch, time, gates), h ",
        h0.shape(), " (batch, hidden)");
  const Tensor w = match("recurrent", weight, inputs), b = match("recurrent", bias, inputs),
               h = match("recurrent", h0, inputs), c = match("recurrent", c0, inputs);
  const Reading r{cell, reverse, inputs.size(0), inputs.size(1), h0.size(1)};
  check_inputs(r, inputs, w, b, h, c, lengths);
  const bool recorded = any_requires_grad({inputs, w, b, h, c});
  const auto numbers = [](const Tensor& t) { return t.defined() ? plain(t) : t; };
  const Tensor x = plain(inputs), weights = plain(w), biases = numbers(b), h_first = plain(h), c_first = numbers(c);
  const Tensor ends = numbers(lengths);
  const Tensor y = empty({r.results()}, inputs.options());
  Tensor before, kept;
  if (recorded) {
    before = empty({r.batch * r.time, r.hidden}, inputs.options());
    kept = empty({r.batch * r.time, kept_of(cell) * r.hidden}, inputs.options());
  }
  flops_counted() += 2 * r.outputs() * r.gates() * r.hidden;
  const auto packed = packed_weight(w, r.batch);
  Recurrence run = r.kernel(weights, ends);
  run.x = data_of(x), run.packed_w = packed.get(), run.bias = data_of(biases);
  run.h0 = data_of(h_first), run.c0 = data_of(c_first);
  run.y = data_of(y), run.h = h_of(r, y), run.c = c_of(r, y);
  run.before = data_of(before), run.kept = data_of(kept);
  kernels(x).recurrent(run);
  auto rule = [r](const Tensor& gradient, const Kept& k) {
    check(!grad_enabled(), "recurrent: its gradient cannot be differentiated");
    const Tensor g = plain(gradient), to = k.extra(0), h_before = k.extra(1), of_steps = k.extra(2),
                 w_kept = plain(k.extra(3));
    const TensorOptions options = g.options();
    const Shape gates{r.batch * r.time, r.gates() * r.hidden}, state{r.batch, r.hidden};
    const Tensor dx = empty(gates, options), da = r.cell == Cell::gru ? empty(gates, options) : dx;
    const Tensor dh = empty(state, options), dc = r.cell == Cell::lstm ? empty(state, options) : Tensor();
    Recurrence back = r.kernel(w_kept, to);
    back.before = data_of(h_before), back.kept = data_of(of_steps);
    kernels(g).recurrent_grad(back, data_of(g), h_of(r, g), c_of(r, g), data_of(dx), data_of(da), data_of(dh),
                              data_of(dc));
    flops_counted() += 2 * r.outputs() * r.gates() * r.hidden;
    Gradient dw;
    Tensor db;
    if (k.needs(1)) dw = product_gradient(da, h_before, k, 1);
    if (k.needs(2)) db = da.sum({0});
    return grads(dx.view({r.batch, r.time, gates[1]}), std::move(dw), db, dh, dc);
  };
  const Tensor all = record("recurrent", {inputs, w, b, h, c}, y, Keep::none, rule, {ends, before, kept, w});
  const Shape state{r.batch, r.hidden};
  return {all.narrow(0, 0, r.outputs()).view({r.batch, r.time, r.hidden}),
          all.narrow(0, r.outputs(), r.states()).view(state),
          cell == Cell::lstm ? all.narrow(0, r.outputs() + r.states(), r.states()).view(state) : Tensor()};
}

}  // namespace gradus
