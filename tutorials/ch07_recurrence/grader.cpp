// Judges the exercises of chapter 07 against the library's fused cells and its tape, in float64.
#include <array>
#include <cmath>
#include <tuple>

#include "autograd/ops.h"
#include "exercises.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using ch07::CellWeights;
using ch07::Exercises;
using ch07::LstmState;
using ch07::RnnGradients;
using grading::Grade;

namespace {

Tensor normal(Grade& grade, const Shape& shape) { return randn(shape, {.dtype = float64}, &grade.random()); }

// --- 7.1 -----------------------------------------------------------------------------------------------------------

void grade_clip(const Exercises& student, Grade& grade) {
  for (const double scale : {0.01, 1.0, 30.0}) {
    const std::vector<Tensor> g = {normal(grade, {3, 5}) * scale, normal(grade, {4, 2}).t() * scale,
                                   normal(grade, {}) * scale, zeros({3}, {.dtype = float64})};
    double squares = 0;
    for (const Tensor& each : g) squares += square(each).sum().item();
    const double norm = std::sqrt(squares), limit = 1.5;
    const std::vector<Tensor> got = student.clip(g, limit);
    grade.that(got.size() == g.size(), "there should be as many gradients as were given");
    for (size_t i = 0; i < g.size(); ++i) {
      std::vector<grading::Known> known;
      const double own = g[i].norm().item();
      if (norm <= limit) known.push_back({g[i] * (limit / norm), "small gradients are scaled up to the limit"});
      if (norm > limit) {
        known.push_back({g[i] * (own > limit ? limit / own : 1.0), "each gradient is clipped by a norm of its own"});
        known.push_back({clamp(g[i], -limit, limit), "elements are clipped, which changes the direction"});
      }
      grade.equal("gradient " + std::to_string(i) + " of four with the norm " + std::to_string(norm), got[i],
                  norm > limit ? g[i] * (limit / norm) : g[i], known);
    }
  }
}

// --- 7.2, 7.3 ------------------------------------------------------------------------------------------------------

CellWeights weights(Grade& grade, int64_t gates, int64_t input, int64_t hidden) {
  const int64_t rows = gates * hidden;
  return {normal(grade, {input, rows}).t(), normal(grade, {rows, hidden}), normal(grade, {rows}),
          normal(grade, {rows})};
}

RecurrentSteps library_step(Cell cell, const CellWeights& w, const Tensor& x, const Tensor& h, const Tensor& c = {}) {
  return recurrent(cell, linear(x, w.ih, w.bias_ih).unsqueeze(1), w.hh, w.bias_hh, h, c);
}

// The three parts of a sum of gates, each (batch, hidden).
std::vector<Tensor> parts(const Tensor& x, const Tensor& weight, const Tensor& bias, int64_t gates) {
  return linear(x, weight, bias).chunk(gates, -1);
}

void grade_gru(const Exercises& student, Grade& grade) {
  for (const auto& [batch, input, hidden] : {std::array<int64_t, 3>{1, 1, 1}, {3, 5, 4}, {2, 4, 7}}) {
    const CellWeights w = weights(grade, 3, input, hidden);
    const Tensor x = normal(grade, {batch, input}), h = normal(grade, {hidden, batch}).t();
    const Tensor expected = library_step(Cell::gru, w, x, h).h;
    const std::vector<Tensor> in = parts(x, w.ih, w.bias_ih, 3), state = parts(h, w.hh, w.bias_hh, 3);
    const Tensor reset = sigmoid(in[0] + state[0]), update = sigmoid(in[1] + state[1]);
    const Tensor fresh = tanh(in[2] + reset * state[2]), unreset = tanh(in[2] + state[2]);
    const Tensor early =
        tanh(in[2] + linear(reset * h, w.hh.narrow(0, 2 * hidden, hidden), w.bias_hh.narrow(0, 2 * hidden, hidden)));
    const auto mixed = [&](const Tensor& gate, const Tensor& content) { return gate * h + (1 - gate) * content; };
    grade.equal("a GRU's step of " + std::to_string(hidden) + " units", student.gru_step(w, x, h), expected,
                {{mixed(1 - update, fresh), "the update gate is the wrong way round: 1 keeps the old state"},
                 {mixed(update, unreset), "the reset gate is missing"},
                 {mixed(update, early), "the reset gate acts on h, before the product with the weights"},
                 {mixed(reset, tanh(in[2] + update * state[2])), "the reset and the update gate are exchanged"}});
  }
}

void grade_lstm(const Exercises& student, Grade& grade) {
  for (const auto& [batch, input, hidden] : {std::array<int64_t, 3>{1, 1, 1}, {3, 5, 4}, {2, 4, 7}}) {
    const CellWeights w = weights(grade, 4, input, hidden);
    const Tensor x = normal(grade, {batch, input}), h = normal(grade, {hidden, batch}).t();
    const Tensor c = normal(grade, {batch, hidden});
    const RecurrentSteps expected = library_step(Cell::lstm, w, x, h, c);
    const std::vector<Tensor> in = parts(x, w.ih, w.bias_ih, 4), state = parts(h, w.hh, w.bias_hh, 4);
    const auto gate = [&](size_t i) { return sigmoid(in[i] + state[i]); };
    const Tensor fresh = tanh(in[2] + state[2]);
    const std::string what = " after an LSTM's step of " + std::to_string(hidden) + " units";
    const LstmState got = student.lstm_step(w, x, {h, c});
    grade.equal("c" + what, got.c, expected.c,
                {{gate(0) * c + gate(1) * fresh, "the input gate and the forget gate are exchanged"},
                 {gate(1) * c + gate(0) * sigmoid(in[2] + state[2]), "the new content is a sigmoid, not a tanh"}});
    grade.equal(
        "h" + what, got.h, expected.h,
        {{gate(3) * expected.c, "c goes out without tanh"}, {tanh(expected.c), "the output gate is missing"}});
  }
}

// --- 7.4 -----------------------------------------------------------------------------------------------------------

void grade_truncated(const Exercises& student, Grade& grade) {
  grade.known_error("freed", "the state is not cut from its past");
  const int64_t time = 7, batch = 2, input = 3, hidden = 4;
  const Tensor x = normal(grade, {batch, time, input}).transpose(0, 1), h0 = normal(grade, {batch, hidden});
  const Tensor start_in = normal(grade, {hidden, input}), start_hh = normal(grade, {hidden, hidden}) * 0.7;
  const Tensor aim = normal(grade, {time, batch, hidden});
  for (const int64_t window : {1, 3, 7, 10}) {
    // Losses and gradients, window by window, with `first(state)` as the state that each begins with.
    const auto by_window = [&](auto&& first, int64_t length) {
      const Tensor ih = start_in.detach().requires_grad_(), hh = start_hh.detach().requires_grad_();
      Tensor h = h0, sum = zeros({}, {.dtype = float64});
      for (int64_t t = 0; t < time; ++t) {
        if (t % length == 0) h = first(h);
        h = tanh(linear(x[t], ih) + linear(h, hh));
        sum = sum + square(h - aim[t]).sum();
      }
      const std::vector<Tensor> g = grad({sum}, {ih, hh});
      return std::tuple(sum.item(), g[0], g[1]);
    };
    const auto cut = [](const Tensor& h) { return h.detach(); };
    const auto [loss, of_ih, of_hh] = by_window(cut, window);
    const auto [loss_restarted, restarted_ih, restarted_hh] = by_window([&](const Tensor&) { return h0; }, window);
    const auto [loss_whole, whole_ih, whole_hh] = by_window(cut, time);

    const Tensor ih = start_in.detach().requires_grad_(), hh = start_hh.detach().requires_grad_();
    const auto step = [&](const Tensor& in, const Tensor& h) { return tanh(linear(in, ih) + linear(h, hh)); };
    const auto step_loss = [&](const Tensor& h, int64_t t) { return square(h - aim[t]).sum(); };
    const double got = student.truncated(x, h0, window, step, step_loss);
    const std::string what = " with windows of " + std::to_string(window);
    const std::string begins = "every window begins with h0";
    const std::string uncut = "the gradient is not cut: it goes through all windows";
    grade.equal("the sum of losses" + what, got, loss, {{loss_restarted, begins}});
    grade.that(ih.grad().defined() && hh.grad().defined(), "the weights have no gradient: call backward()");
    grade.equal("the gradient of the input's weights" + what, ih.grad(), of_ih,
                {{restarted_ih, begins}, {whole_ih, uncut}});
    grade.equal("the gradient of the state's weights" + what, hh.grad(), of_hh,
                {{restarted_hh, begins}, {whole_hh, uncut}});
  }
}

// --- 7.5 -----------------------------------------------------------------------------------------------------------

void grade_by_hand(const Exercises& student, Grade& grade) {
  for (const auto& [time, batch, input, hidden] : {std::array<int64_t, 4>{1, 1, 1, 1}, {4, 1, 2, 3}, {5, 3, 4, 2}}) {
    const Tensor x = normal(grade, {batch, time, input}).transpose(0, 1);
    const Tensor dh = normal(grade, {time, batch, hidden});
    const Tensor ih = normal(grade, {hidden, input}).requires_grad_(),
                 bias = normal(grade, {hidden}).requires_grad_();
    const Tensor hh = normal(grade, {hidden, hidden}).t().requires_grad_();
    const Tensor h0 = normal(grade, {batch, hidden}).requires_grad_();
    std::vector<Tensor> states = {h0}, sums;
    for (int64_t t = 0; t < time; ++t) {
      sums.push_back(linear(x[t], ih, bias) + linear(states.back(), hh));
      states.push_back(tanh(sums.back()));
    }
    const Tensor loss = (stack(states).narrow(0, 1, time) * dh).sum();
    const std::vector<Tensor> expected = grad({loss}, {ih, hh, bias, h0}, {.retain_graph = true});
    const std::vector<Tensor> da = grad({loss}, sums);

    const Tensor h = stack(states).detach(), w_hh = hh.detach();
    Tensor direct = zeros({hidden, hidden}, {.dtype = float64});
    for (int64_t t = 0; t < time; ++t) direct = direct + matmul((dh[t] * (1 - square(h[t + 1]))).t(), h[t]);
    const std::string what = " over " + std::to_string(time) + " steps";
    const std::string one = "only one step's share of the weights' gradient is kept";
    const RnnGradients got = student.rnn_gradients(x, h, dh, w_hh);
    grade.equal("the gradient of w_hh" + what, got.hh, expected[1],
                {{direct, "what later steps hand back is left out"},
                 {matmul(da.front().t(), h[0]), one},
                 {matmul(da.back().t(), h[time - 1]), one},
                 {expected[1].t(), "it is transposed"}});
    grade.equal("the gradient of w_ih" + what, got.ih, expected[0],
                {{matmul(da.front().t(), x[0]), one}, {matmul(da.back().t(), x[time - 1]), one}});
    grade.equal("the gradient of the bias" + what, got.bias, expected[2],
                {{da.front().sum({0}), one}, {expected[2] / double(batch), "the samples are averaged, not summed"}});
    grade.equal("the gradient of h[0]" + what, got.h0, expected[3],
                {{matmul(da.front(), w_hh.t()), "w_hh is transposed on the way back"}});
  }
}

const std::vector<grading::Task<Exercises>> tasks = {
    {.number = "7.1",
     .title = "clipping by the norm",
     .stars = 1,
     .grade = grade_clip,
     .hints = {"One norm for all gradients, so that their common direction stays.",
               "Two loops: the first adds up square(g).sum().item(), the second scales.",
               "const double norm = std::sqrt(squares); then g * (max_norm / norm) where norm > max_norm, else g."}},
    {.number = "7.2",
     .title = "a step of a GRU",
     .stars = 2,
     .grade = grade_gru,
     .hints =
         {"Three sums for each unit, two of which become gates by a sigmoid.",
          "Keep what comes from x apart from what comes from h: the reset gate multiplies only the latter, its bias "
          "included.",
          "fresh = tanh(in[2] + reset * state[2]), and the result is update * h + (1 - update) * fresh."}},
    {.number = "7.3",
     .title = "a step of an LSTM",
     .stars = 2,
     .grade = grade_lstm,
     .hints = {"Four sums for each unit: three gates, and new content.",
               "c is the old c times the forget gate plus the new content times the input gate.",
               "c = forget * before.c + in * fresh; h = out * tanh(c)."}},
    {.number = "7.4",
     .title = "truncated backpropagation through time",
     .stars = 2,
     .grade = grade_truncated,
     .hints = {"Two nested loops: over windows, and over the steps of one.",
               "Before each window, take the numbers of the state without its past: h = h.detach().",
               "for (start = 0; start < time; start += window) { h = h.detach(); ... h = step(x[t], h); sum = sum + "
               "loss(h, t); ... sum.backward(); total += sum.item(); }"}},
    {.number = "7.5",
     .title = "backpropagation through time by hand",
     .stars = 3,
     .grade = grade_by_hand,
     .hints = {"The worked example does it for one unit: a loop from the last step to the first.",
               "Two gradients meet at a state: dh[t] from the loss, and what the step after it handed back.",
               "da = (dh[t] + handed_back) * (1 - square(h[t + 1])); the weights add matmul(da.t(), x[t]), "
               "matmul(da.t(), h[t]) and da.sum({0}); then handed_back = matmul(da, w_hh)."}},
};

}  // namespace

int main(int argc, char** argv) { return grading::run("ch07", tasks, argc, argv); }
