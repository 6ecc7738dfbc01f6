// Exercises of chapter 07: cells, gradients through time, and keeping them in bounds.
#include "exercises.h"

#include <algorithm>
#include <cmath>

#include "autograd/ops.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using ch07::CellWeights;
using ch07::LstmState;
using ch07::RnnGradients;
using ch07::RnnStep;
using ch07::StepLoss;

namespace {

// 7.1 ★ Think of all gradients as one long vector; its norm is the root of the sum of all squares of all elements.
// Where it is above max_norm, multiply every gradient by max_norm / norm. Where it is not, give them back as they are.
std::vector<Tensor> clip(const std::vector<Tensor>& gradients, double max_norm) {
  // BEGIN SOLUTION 7.1
  double squares = 0;
  for (const Tensor& g : gradients) squares += square(g).sum().item();
  const double norm = std::sqrt(squares);
  std::vector<Tensor> clipped;
  for (const Tensor& g : gradients) clipped.push_back(norm > max_norm ? g * (max_norm / norm) : g);
  return clipped;
  // END SOLUTION
  // MISTAKE each gradient is clipped by a norm of its own
  // - for (const Tensor& g : gradients) clipped.push_back(norm > max_norm ? g * (max_norm / norm) : g);
  // + for (const Tensor& g : gradients) {
  // +   const double own = g.norm().item();
  // +   clipped.push_back(own > max_norm ? g * (max_norm / own) : g);
  // + }
  // MISTAKE small gradients are scaled up to the limit
  // - for (const Tensor& g : gradients) clipped.push_back(norm > max_norm ? g * (max_norm / norm) : g);
  // + for (const Tensor& g : gradients) clipped.push_back(g * (max_norm / norm));
}

// 7.2 ★★ The GRU of the text, as the library has it: rows of the weights are the reset gate, the update gate and the
// new state, in this order. from_input.chunk(3, -1) cuts (batch, 3 hidden) into three of (batch, hidden).
Tensor gru_step(const CellWeights& w, const Tensor& x, const Tensor& h) {
  // BEGIN SOLUTION 7.2
  const Tensor from_input = linear(x, w.ih, w.bias_ih), from_state = linear(h, w.hh, w.bias_hh);
  const std::vector<Tensor> in = from_input.chunk(3, -1), state = from_state.chunk(3, -1);
  const Tensor reset = sigmoid(in[0] + state[0]);
  const Tensor update = sigmoid(in[1] + state[1]);
  const Tensor fresh = tanh(in[2] + reset * state[2]);
  return update * h + (1 - update) * fresh;
  // END SOLUTION
  // MISTAKE the update gate is the wrong way round: 1 keeps the old state
  // - return update * h + (1 - update) * fresh;
  // + return (1 - update) * h + update * fresh;
  // MISTAKE the reset gate is missing
  // - const Tensor fresh = tanh(in[2] + reset * state[2]);
  // + const Tensor fresh = tanh(in[2] + state[2]);
}

// 7.3 ★★ The LSTM of the text: rows of the weights are the input gate, the forget gate, the new content and the output
// gate, in this order.
LstmState lstm_step(const CellWeights& w, const Tensor& x, const LstmState& before) {
  // BEGIN SOLUTION 7.3
  const std::vector<Tensor> sums = (linear(x, w.ih, w.bias_ih) + linear(before.h, w.hh, w.bias_hh)).chunk(4, -1);
  const Tensor in = sigmoid(sums[0]), forget = sigmoid(sums[1]);
  const Tensor fresh = tanh(sums[2]), out = sigmoid(sums[3]);
  const Tensor c = forget * before.c + in * fresh;
  return {out * tanh(c), c};
  // END SOLUTION
  // MISTAKE the input gate and the forget gate are exchanged
  // - const Tensor c = forget * before.c + in * fresh;
  // + const Tensor c = in * before.c + forget * fresh;
  // MISTAKE c goes out without tanh
  // - return {out * tanh(c), c};
  // + return {out * c, c};
}

// 7.4 ★★ h = step(x[t], h) is one step, loss(h, t) the loss of step t, a number of shape (). Add up the losses of steps
// 0 to window - 1 and call backward() on the sum; go on from the last state with the next window, and so on. The last
// window may be shorter. The state goes from window to window, the gradient does not: see Tensor::detach().
double truncated(const Tensor& x, const Tensor& h0, int64_t window, const RnnStep& step, const StepLoss& loss) {
  // BEGIN SOLUTION 7.4
  const int64_t time = x.size(0);
  Tensor h = h0;
  double total = 0;
  for (int64_t start = 0; start < time; start += window) {
    h = h.detach();
    Tensor sum = zeros({}, x.options());
    for (int64_t t = start; t < std::min(start + window, time); ++t) {
      h = step(x[t], h);
      sum = sum + loss(h, t);
    }
    sum.backward();
    total += sum.item();
  }
  return total;
  // END SOLUTION
  // MISTAKE the state is not cut from its past
  // - h = h.detach();
  // MISTAKE every window begins with h0
  // - h = h.detach();
  // + h = h0.detach();
}

// 7.5 ★★★ The RNN h[t+1] = tanh(x[t] w_ih^T + h[t] w_hh^T + bias), where h[0] is the state before the first step. All
// states are given, and dh[t] is the gradient that h[t+1] gets from the loss directly, not by way of later steps. Go
// back from the last step with ops on numbers, no tape. Weights serve every step and every sample.
RnnGradients rnn_gradients(const Tensor& x, const Tensor& h, const Tensor& dh, const Tensor& w_hh) {
  // BEGIN SOLUTION 7.5
  const int64_t time = x.size(0), hidden = w_hh.size(0);
  RnnGradients sum{.ih = zeros({hidden, x.size(2)}, x.options()),
                   .hh = zeros({hidden, hidden}, x.options()),
                   .bias = zeros({hidden}, x.options()),
                   .h0 = {}};
  Tensor handed_back = zeros_like(h[0]);
  for (int64_t t = time - 1; t >= 0; --t) {
    const Tensor at_state = dh[t] + handed_back;
    const Tensor da = at_state * (1 - square(h[t + 1]));
    sum.ih = sum.ih + matmul(da.t(), x[t]);
    sum.hh = sum.hh + matmul(da.t(), h[t]);
    sum.bias = sum.bias + da.sum({0});
    handed_back = matmul(da, w_hh);
  }
  sum.h0 = handed_back;
  return sum;
  // END SOLUTION
  // MISTAKE what later steps hand back is left out
  // - const Tensor at_state = dh[t] + handed_back;
  // + const Tensor at_state = dh[t];
  // MISTAKE only one step's share of the weights' gradient is kept
  // - sum.hh = sum.hh + matmul(da.t(), h[t]);
  // + sum.hh = matmul(da.t(), h[t]);
}

}  // namespace

EXERCISES(ch07::Exercises, clip, gru_step, lstm_step, truncated, rnn_gradients);
