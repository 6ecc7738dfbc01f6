// What you write in chapter 07: see exercises.cpp.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "tensor/tensor.h"

namespace ch07 {

// Of a cell with g gates (an RNN 1, a GRU 3, an LSTM 4), the gates' rows one after another.
struct CellWeights {
  gradus::Tensor ih, hh;            // (g * hidden, input), (g * hidden, hidden)
  gradus::Tensor bias_ih, bias_hh;  // (g * hidden)
};

struct LstmState {
  gradus::Tensor h, c;  // (batch, hidden)
};

struct RnnGradients {
  gradus::Tensor ih, hh, bias;  // of the weights: (hidden, input), (hidden, hidden), (hidden)
  gradus::Tensor h0;            // (batch, hidden)
};

using RnnStep = std::function<gradus::Tensor(const gradus::Tensor& x, const gradus::Tensor& h)>;
using StepLoss = std::function<gradus::Tensor(const gradus::Tensor& h, int64_t t)>;

struct Exercises {
  // 7.1 ★ The gradients, scaled down together where their common norm is above max_norm.
  std::vector<gradus::Tensor> (*clip)(const std::vector<gradus::Tensor>& gradients, double max_norm);

  // 7.2 ★★ The state after one step of a GRU. x (batch, input), h (batch, hidden). Returns (batch, hidden).
  gradus::Tensor (*gru_step)(const CellWeights& w, const gradus::Tensor& x, const gradus::Tensor& h);

  // 7.3 ★★ The state after one step of an LSTM. x (batch, input).
  LstmState (*lstm_step)(const CellWeights& w, const gradus::Tensor& x, const LstmState& before);

  // 7.4 ★★ Truncated backpropagation through time: leaves gradients with the weights inside `step` and `loss`.
  // x (time, batch, input), h0 (batch, hidden). Returns the sum of all losses.
  double (*truncated)(const gradus::Tensor& x, const gradus::Tensor& h0, int64_t window, const RnnStep& step,
                      const StepLoss& loss);

  // 7.5 ★★★ Backpropagation through time by hand. x (time, batch, input), h (time + 1, batch, hidden), dh (time, batch,
  // hidden), w_hh (hidden, hidden).
  RnnGradients (*rnn_gradients)(const gradus::Tensor& x, const gradus::Tensor& h, const gradus::Tensor& dh,
                                const gradus::Tensor& w_hh);
};

}  // namespace ch07
