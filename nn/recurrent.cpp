#include "nn/recurrent.h"

#include <cmath>

#include "nn/init.h"
#include "nn/repr.h"

namespace gradus::nn {

RecurrentWeights::RecurrentWeights(Cell cell, int64_t input_size, int64_t hidden_size, bool bias) {
  check(input_size > 0 && hidden_size > 0, "Recurrent: input_size ", input_size, " and hidden_size ", hidden_size,
        " must be positive");
  const double bound = 1 / std::sqrt(double(hidden_size));
  const auto made = [&](const Shape& shape) {
    return uniform_(empty(shape, {.requires_grad = true}), -bound, bound);
  };
  const int64_t rows = gates_of(cell) * hidden_size;
  ih = made({rows, input_size});
  hh = made({rows, hidden_size});
  if (!bias) return;
  bias_ih = made({rows});
  bias_hh = made({rows});
}
//! [run]
RecurrentSteps RecurrentWeights::run(Cell cell, const Tensor& x, const RecurrentState& state, const Tensor& lengths,
                                     bool reverse) const {
  const Tensor none = state.h.defined() && (state.c.defined() || cell != Cell::lstm)
                          ? Tensor()
                          : zeros({x.size(0), hh.size(1)}, x.options());
  return recurrent(cell, linear(x, ih, bias_ih), hh, bias_hh, state.h.defined() ? state.h : none,
                   cell != Cell::lstm  ? Tensor()
                   : state.c.defined() ? state.c
                                       : none,
                   lengths, reverse);
}
//! [run]
void RecurrentWeights::visit(Visitor& v, const std::string& suffix) {
  v("weight_ih" + suffix, ih);
  v("weight_hh" + suffix, hh);
  v("bias_ih" + suffix, bias_ih);
  v("bias_hh" + suffix, bias_hh);
}

RecurrentCell::RecurrentCell(Cell cell, int64_t input_size, int64_t hidden_size, bool bias)
    : cell_(cell), input_(input_size), hidden_(hidden_size), weights_(cell, input_size, hidden_size, bias) {}

RecurrentState RecurrentCell::operator()(const Tensor& x, const RecurrentState& state) const {
  Call call(*this);
  check(x.dim() == 2 && x.size(1) == input_, type(), ": input ", x.shape(), " must be (batch, ", input_, ")");
  const RecurrentSteps after = weights_.run(cell_, x.unsqueeze(1), state);
  return {call(after.h), after.c};
}

std::string RecurrentCell::describe() const {
  return std::to_string(input_) + ", " + std::to_string(hidden_) + (weights_.bias_ih.defined() ? "" : ", bias=False");
}

Recurrent::Recurrent(Cell cell, int64_t input_size, int64_t hidden_size, const RecurrentOptions& options)
    : cell_(cell), input_(input_size), hidden_(hidden_size), options_(options) {
  check(options.num_layers > 0, "Recurrent: num_layers ", options.num_layers, " must be positive");
  check(options.dropout >= 0 && options.dropout <= 1, "Recurrent: dropout ", options.dropout,
        " must be between 0 and 1");
  for (int64_t layer = 0; layer < options.num_layers; ++layer)
    for (int direction = 0; direction < (options.bidirectional ? 2 : 1); ++direction)
      weights_.emplace_back(cell, layer == 0 ? input_ : output_size(), hidden_, options.bias);
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
  const auto start = [&](int64_t i) -> RecurrentState {
    return {initial.h.defined() ? initial.h[i] : Tensor(), initial.c.defined() ? initial.c[i] : Tensor()};
  };
  Tensor in = x;
  std::vector<Tensor> h, c;
  for (int64_t layer = 0; layer < options_.num_layers; ++layer) {
    if (layer > 0 && training()) in = dropout(in, options_.dropout);
    std::vector<Tensor> outputs;
    for (int64_t d = 0; d < directions; ++d) {
      const int64_t i = layer * directions + d;
      const RecurrentSteps steps = weights_[size_t(i)].run(cell_, in, start(i), lengths, d == 1);
      outputs.push_back(steps.output);
      h.push_back(steps.h);
      if (steps.c.defined()) c.push_back(steps.c);
    }
    in = directions == 2 ? cat(outputs, -1) : outputs[0];
  }
  return {call(in), {stack(h), c.empty() ? Tensor() : stack(c)}};
}

void Recurrent::visit(Visitor& v) {
  const size_t directions = options_.bidirectional ? 2 : 1;
  for (size_t i = 0; i < weights_.size(); ++i) {
    const std::string suffix = "_l" + std::to_string(i / directions) + (i % directions == 1 ? "_reverse" : "");
    weights_[i].visit(v, suffix);
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
