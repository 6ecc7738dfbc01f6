// Recurrent layers: Elman 1990 (RNN), Hochreiter and Schmidhuber 1997 (LSTM), Cho et al. 2014 (GRU), with PyTorch's
// weights and order of gates. Batches come first: (batch, time, features).
#pragma once

#include <memory>

#include "nn/module.h"

namespace gradus::nn {

using gradus::Cell;

// What a layer hands on from step to step.
struct RecurrentState {
  Tensor h;                          // (layers * directions, batch, hidden)
  Tensor c;                          // the same of an LSTM's cells; undefined otherwise
  void reorder(const Tensor& rows);  // row i of the batch becomes what row rows[i] was
};

struct RecurrentOptions {
  int64_t num_layers = 1;
  bool bias = true;
  double dropout = 0;          // between layers
  bool bidirectional = false;  // a second set of weights reads each sequence from its end; outputs are joined
};
struct RecurrentOutput {
  Tensor output;         // (batch, time, directions * hidden), zero where a sequence has ended
  RecurrentState state;  // after each sequence's last step
};

// The weights of one cell: uniform within 1 / sqrt(hidden), as PyTorch.
struct RecurrentWeights {
  Tensor ih, hh, bias_ih,
      bias_hh;  // (gates * hidden, input), (gates * hidden, hidden), (gates * hidden) or undefined
  RecurrentWeights(Cell cell, int64_t input_size, int64_t hidden_size, bool bias);
  // x (batch, time, input), state (batch, hidden).
  RecurrentSteps run(Cell cell, const Tensor& x, const RecurrentState& state, const Tensor& lengths = {},
                     bool reverse = false) const;
  void visit(Visitor& v, const std::string& suffix);
};

// One step of one layer, for loops that look at every state. Its weights are weight_ih, weight_hh, bias_ih, bias_hh.
class RecurrentCell : public Module {
 public:
  // x (batch, input); the state before and after it: h and, of an LSTM, c, (batch, hidden). Zero unless given.
  RecurrentState operator()(const Tensor& x, const RecurrentState& state = {}) const;
  void visit(Visitor& v) override { weights_.visit(v, ""); }
  std::string describe() const override;

 protected:
  RecurrentCell(Cell cell, int64_t input_size, int64_t hidden_size, bool bias);

 private:
  Cell cell_;
  int64_t input_, hidden_;
  RecurrentWeights weights_;
};

struct RNNCell : RecurrentCell {
  RNNCell(int64_t input_size, int64_t hidden_size, bool bias = true, bool use_relu = false)
      : RecurrentCell(use_relu ? Cell::rnn_relu : Cell::rnn_tanh, input_size, hidden_size, bias) {}
  const char* type() const override { return "RNNCell"; }
};
struct GRUCell : RecurrentCell {
  GRUCell(int64_t input_size, int64_t hidden_size, bool bias = true)
      : RecurrentCell(Cell::gru, input_size, hidden_size, bias) {}
  const char* type() const override { return "GRUCell"; }
};
struct LSTMCell : RecurrentCell {
  LSTMCell(int64_t input_size, int64_t hidden_size, bool bias = true)
      : RecurrentCell(Cell::lstm, input_size, hidden_size, bias) {}
  const char* type() const override { return "LSTMCell"; }
};

// weight_ih_l0 (gates * hidden, input), weight_hh_l0 (gates * hidden, hidden), bias_ih_l0, bias_hh_l0, then those of
// the other direction ("_reverse") and of further layers. Gates: LSTM input, forget, cell, output; GRU reset, update,
// new.
class Recurrent : public Module {
 public:
  // x (batch, time, input). `lengths` (batch) int64: how long each sequence really is; beyond that nothing changes.
  // `initial` is zero unless given.
  RecurrentOutput operator()(const Tensor& x, const Tensor& lengths = {}, const RecurrentState& initial = {}) const;
  void visit(Visitor& v) override;
  std::string describe() const override;
  int64_t output_size() const { return hidden_ * (options_.bidirectional ? 2 : 1); }

 protected:
  Recurrent(Cell cell, int64_t input_size, int64_t hidden_size, const RecurrentOptions& options);

 private:
  Cell cell_;
  int64_t input_, hidden_;
  RecurrentOptions options_;
  std::vector<RecurrentWeights> weights_;  // by layer, then direction
};

struct RNN : Recurrent {
  RNN(int64_t input_size, int64_t hidden_size, const RecurrentOptions& options = {}, bool use_relu = false)
      : Recurrent(use_relu ? Cell::rnn_relu : Cell::rnn_tanh, input_size, hidden_size, options) {}
  const char* type() const override { return "RNN"; }
};
struct GRU : Recurrent {
  GRU(int64_t input_size, int64_t hidden_size, const RecurrentOptions& options = {})
      : Recurrent(Cell::gru, input_size, hidden_size, options) {}
  const char* type() const override { return "GRU"; }
};
struct LSTM : Recurrent {
  LSTM(int64_t input_size, int64_t hidden_size, const RecurrentOptions& options = {})
      : Recurrent(Cell::lstm, input_size, hidden_size, options) {}
  const char* type() const override { return "LSTM"; }
};

std::unique_ptr<Recurrent> make_recurrent(Cell cell, int64_t input_size, int64_t hidden_size,
                                          const RecurrentOptions& options);

}  // namespace gradus::nn
