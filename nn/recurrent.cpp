#include "nn/recurrent.h"

#include <cmath>

#include "nn/init.h"
#include "nn/repr.h"

namespace gradus::nn {

namespace {

int64_t gates_of(Cell cell) { return cell == Cell::lstm ? 4 : cell == Cell::gru ? 3 : 1; }

// One step: `x` is W_ih x + b_ih (batch, gates * hidden), h and c (batch, hidden).
RecurrentState step(Cell cell, const Tensor& x, const RecurrentState& before, const Tensor& hh, const Tensor& bias) {
  const Tensor recurrent = linear(before.h, hh, bias);
  if (cell == Cell::rnn_tanh) return {tanh(x + recurrent), {}};
  if (cell == Cell::rnn_relu) return {relu(x + recurrent), {}};
  const int64_t hidden = before.h.size(1);
  if (cell == Cell::gru) {
    const std::vector<Tensor> a = x.split(hidden, 1), b = recurrent.split(hidden, 1);
    const Tensor reset = sigmoid(a[0] + b[0]), update = sigmoid(a[1] + b[1]);
    const Tensor fresh = tanh(a[2] + reset * b[2]);
    return {fresh + update * (before.h - fresh), {}};
  }
  const std::vector<Tensor> a = (x + recurrent).split(hidden, 1);
  const Tensor c = sigmoid(a[1]) * before.c + sigmoid(a[0]) * tanh(a[2]);
  return {sigmoid(a[3]) * tanh(c), c};
}

}  // namespace

Recurrent::Recurrent(Cell cell, int64_t input_size, int64_t hidden_size, const RecurrentOptions& options)
    : cell_(cell), input_(input_size), hidden_(hidden_size), options_(options) {
  check(input_ > 0 && hidden_ > 0 && options.num_layers > 0, "Recurrent: input_size ", input_, ", hidden_size ",
        hidden_, " and num_layers ", options.num_layers, " must be positive");
  check(options.dropout >= 0 && options.dropout <= 1, "Recurrent: dropout ", options.dropout,
        " must be between 0 and 1");
  const double bound = 1 / std::sqrt(double(hidden_));
  const auto made = [&](const Shape& shape) {
    return uniform_(empty(shape, {.requires_grad = true}), -bound, bound);
  };
  const int64_t rows = gates_of(cell) * hidden_;
  for (int64_t layer = 0; layer < options.num_layers; ++layer)
    for (int direction = 0; direction < (options.bidirectional ? 2 : 1); ++direction) {
      Weights w{made({rows, layer == 0 ? input_ : output_size()}), made({rows, hidden_}), {}, {}};
      if (options.bias) {
        w.bias_ih = made({rows});
        w.bias_hh = made({rows});
      }
      weights_.push_back(std::move(w));
    }
}

RecurrentOutput Recurrent::run(const Weights& w, const Tensor& x, const Tensor& lengths, bool reverse,
                               const RecurrentState& initial) const {
  const int64_t time = x.size(1);
  const Tensor inputs = linear(x, w.ih, w.bias_ih);                                         // every step's at once
  const Tensor going = lengths.defined() ? arange(time) < lengths.unsqueeze(1) : Tensor();  // (batch, time)
  RecurrentState state = initial;
  std::vector<Tensor> outputs(static_cast<size_t>(time));
  for (int64_t i = 0; i < time; ++i) {
    const int64_t t = reverse ? time - 1 - i : i;
    RecurrentState next = step(cell_, inputs.select(1, t), state, w.hh, w.bias_hh);
    outputs[size_t(t)] = next.h;
    if (lengths.defined()) {  // what has ended stays as it is, and puts out nothing
      const Tensor on = going.select(1, t).unsqueeze(1);
      outputs[size_t(t)] = next.h.masked_fill(logical_not(on), 0);
      next.h = where(on, next.h, state.h);
      if (next.c.defined()) next.c = where(on, next.c, state.c);
    }
    state = next;
  }
  return {time > 0 ? stack(outputs, 1) : empty({x.size(0), 0, hidden_}, x.options()), state};
}

RecurrentOutput Recurrent::operator()(const Tensor& x, const Tensor& lengths, const RecurrentState& initial) const {
  Call call(*this);
  check(x.dim() == 3 && x.size(2) == input_, type(), ": input ", x.shape(), " must be (batch, time, ", input_, ")");
  check(!lengths.defined() || (lengths.shape() == Shape{x.size(0)} && lengths.dtype() == int64), type(),
        ": lengths must be (", x.size(0), ") of int64");
  const int64_t directions = options_.bidirectional ? 2 : 1, cells = options_.num_layers * directions;
  const Shape shape = {cells, x.size(0), hidden_};
  for (const Tensor& s : {initial.h, initial.c})
    check(!s.defined() || s.shape() == shape, type(), ": initial state ", s.defined() ? s.shape() : Shape{},
          ", expected ", shape);
  const Tensor none = zeros({x.size(0), hidden_}, x.options());
  const auto start = [&](int64_t i) -> RecurrentState {
    return {initial.h.defined() ? initial.h[i] : none, cell_ != Cell::lstm   ? Tensor()
                                                       : initial.c.defined() ? initial.c[i]
                                                                             : none};
  };
  Tensor in = x;
  std::vector<Tensor> h, c;
  for (int64_t layer = 0; layer < options_.num_layers; ++layer) {
    if (layer > 0 && training()) in = dropout(in, options_.dropout);
    std::vector<Tensor> outputs;
    for (int64_t d = 0; d < directions; ++d) {
      const int64_t i = layer * directions + d;
      RecurrentOutput o = run(weights_[size_t(i)], in, lengths, d == 1, start(i));
      outputs.push_back(o.output);
      h.push_back(o.state.h);
      if (o.state.c.defined()) c.push_back(o.state.c);
    }
    in = directions == 2 ? cat(outputs, -1) : outputs[0];
  }
  return {call(in), {stack(h), c.empty() ? Tensor() : stack(c)}};
}

void Recurrent::visit(Visitor& v) {
  const size_t directions = options_.bidirectional ? 2 : 1;
  for (size_t i = 0; i < weights_.size(); ++i) {
    const std::string suffix = "_l" + std::to_string(i / directions) + (i % directions == 1 ? "_reverse" : "");
    v("weight_ih" + suffix, weights_[i].ih);
    v("weight_hh" + suffix, weights_[i].hh);
    v("bias_ih" + suffix, weights_[i].bias_ih);
    v("bias_hh" + suffix, weights_[i].bias_hh);
  }
}

void RecurrentState::reorder(const Tensor& rows) {
  for (Tensor* x : {&h, &c})
    if (x->defined()) *x = x->index_select(1, rows);
}

std::unique_ptr<Recurrent> make_recurrent(Cell cell, int64_t input_size, int64_t hidden_size,
                                          const RecurrentOptions& options) {
  if (cell == Cell::lstm) return std::make_unique<LSTM>(input_size, hidden_size, options);
  if (cell == Cell::gru) return std::make_unique<GRU>(input_size, hidden_size, options);
  return std::make_unique<RNN>(input_size, hidden_size, options, cell == Cell::rnn_relu);
}

std::string Recurrent::describe() const {
  std::string text = std::to_string(input_) + ", " + std::to_string(hidden_);
  if (options_.num_layers > 1) text += ", num_layers=" + std::to_string(options_.num_layers);
  if (!options_.bias) text += ", bias=False";
  if (options_.dropout > 0) text += ", dropout=" + repr(options_.dropout);
  if (options_.bidirectional) text += ", bidirectional=True";
  return text;
}

}  // namespace gradus::nn
