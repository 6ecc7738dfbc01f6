// The recurrent kernels of each instruction set against the reference, and against themselves: threads, packed weights,
// neighbours in the batch.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "tests/isas.h"

namespace gradus {
namespace {

using Floats = std::vector<float>;

constexpr Cell cells[] = {Cell::rnn_tanh, Cell::rnn_relu, Cell::gru, Cell::lstm};

Floats numbers(int64_t count, uint32_t seed, double scale) {
  std::mt19937 random(seed);
  Floats x(static_cast<size_t>(count));
  for (float& v : x) v = float(scale * (double(random()) / 2147483648.0 - 1));
  return x;
}

// A layer and a batch, and all that the kernels make of them.
struct Layer {
  Recurrence r;
  bool packed = false;
  std::vector<int64_t> lengths;
  Floats x, w, bias, h0, c0, gy, gh, gc;

  Layer(Cell cell, int64_t batch, int64_t time, int64_t hidden, bool reverse, std::vector<int64_t> ends)
      : r{.cell = cell, .batch = batch, .time = time, .hidden = hidden, .reverse = reverse, .lengths = nullptr},
        lengths(std::move(ends)) {
    const int64_t rows = gates_of(cell) * hidden, states = batch * hidden;
    x = numbers(batch * time * rows, 1, 1), w = numbers(rows * hidden, 2, 1.5 / std::sqrt(double(hidden)));
    bias = numbers(rows, 3, 1), h0 = numbers(states, 4, 1), c0 = numbers(states, 5, 1);
    gy = numbers(states * time, 6, 1), gh = numbers(states, 7, 1), gc = numbers(states, 8, 1);
  }

  // y, h, c, before, dx, da, dh0 and dc0, in that order.
  std::vector<Floats> operator()(const KernelTable& table) const {
    const int64_t states = r.batch * r.hidden, rows = gates_of(r.cell) * r.hidden, steps = r.batch * r.time;
    const auto made = [](int64_t n) { return Floats(static_cast<size_t>(n), NAN); };
    std::vector<Floats> out = {made(steps * r.hidden), made(states),       made(states), made(steps * r.hidden),
                               made(steps * rows),     made(steps * rows), made(states), made(states)};
    Floats kept = made(steps * kept_of(r.cell) * r.hidden), panels = made(packed_size(r.hidden, rows));
    const bool has_c = r.cell == Cell::lstm;
    Recurrence one = r;
    if (!lengths.empty()) one.lengths = lengths.data();
    one.x = x.data(), one.w = w.data(), one.bias = bias.data(), one.h0 = h0.data();
    one.y = out[0].data(), one.h = out[1].data(), one.before = out[3].data(), one.kept = kept.data();
    if (has_c) one.c0 = c0.data(), one.c = out[2].data();
    if (packed) {
      table.pack({const_cast<float*>(w.data()), 3, {1, r.hidden, rows}, {0, 1, r.hidden}}, panels.data());
      one.packed_w = panels.data();
    }
    table.recurrent(one);
    float* da = r.cell == Cell::gru ? out[5].data() : out[4].data();
    table.recurrent_grad(one, gy.data(), gh.data(), gc.data(), out[4].data(), da, out[6].data(),
                         has_c ? out[7].data() : nullptr);
    if (r.cell != Cell::gru) out[5].clear();
    if (!has_c) out[2].clear(), out[7].clear();
    return out;
  }
};

void expect_close(const std::vector<Floats>& y, const std::vector<Floats>& expected, double tolerance) {
  const char* names[] = {"y", "h", "c", "before", "dx", "da", "dh0", "dc0"};
  for (size_t k = 0; k < expected.size(); ++k) {
    ASSERT_EQ(y[k].size(), expected[k].size());
    double largest = 1;
    for (float v : expected[k]) largest = std::max(largest, std::abs(double(v)));
    for (size_t i = 0; i < y[k].size(); ++i)
      ASSERT_TRUE(std::abs(double(y[k][i]) - expected[k][i]) <= tolerance * largest)
          << names[k] << "[" << i << "] is " << y[k][i] << ", expected " << expected[k][i];
  }
}

class RecurrentKernels : public testing::EachIsa {
 protected:
  static const KernelTable& table() { return kernels(Device::cpu, float32); }
};

TEST_P(RecurrentKernels, EqualTheReference) {
  std::mt19937 random(9);
  for (const Cell cell : cells)
    for (const auto& [batch, time, hidden] : std::vector<std::array<int64_t, 3>>{{1, 1, 1},
                                                                                 {2, 3, 5},
                                                                                 {15, 4, 16},
                                                                                 {3, 2, 33},
                                                                                 {37, 5, 20},
                                                                                 {2, 3, 300},
                                                                                 {4, 0, 8},
                                                                                 {0, 3, 8},
                                                                                 {29, 1, 70}})
      for (const bool reverse : {false, true})
        for (const bool bounded : {false, true}) {
          SCOPED_TRACE(::testing::Message()
                       << "cell " << int(cell) << ", batch " << batch << ", time " << time << ", hidden " << hidden
                       << (reverse ? ", reverse" : "") << (bounded ? ", bounded" : ""));
          std::vector<int64_t> ends;
          for (int64_t b = 0; bounded && b < batch; ++b)  // none, one, all, or any
            ends.push_back(b % 4 == 0   ? time
                           : b % 4 == 1 ? 0
                           : b % 4 == 2 ? std::min<int64_t>(1, time)
                                        : int64_t(random() % uint32_t(time + 1)));
          Layer run(cell, batch, time, hidden, reverse, ends);
          const auto expected = reference([&] { return run(table()); });
          expect_close(run(table()), expected, 1e-5);
          run.packed = true;
          expect_close(run(table()), expected, 1e-5);
        }
}

TEST_P(RecurrentKernels, HaveTheSameBitsForAnyNumberOfThreads) {
  for (const Cell cell : cells) {
    const Layer run(cell, 67, 5, 48, false, {});
    set_num_threads(1);
    const auto one = run(table());
    for (const int threads : {2, 4}) {
      set_num_threads(threads);
      expect_close(run(table()), one, 0);
    }
  }
}

// A sequence does not know its neighbours, nor how much longer these are.
TEST_P(RecurrentKernels, RowsAreIndependent) {
  for (const Cell cell : cells)
    for (const bool reverse : {false, true}) {
      const int64_t hidden = 21, rows = gates_of(cell) * hidden;
      const Layer many(cell, 3, 7, hidden, reverse, {4, 7, 2});
      Layer alone(cell, 1, 4, hidden, reverse, {});
      const auto first = [](Floats& to, const Floats& from) { std::copy_n(from.begin(), to.size(), to.begin()); };
      first(alone.x, many.x);
      first(alone.h0, many.h0);
      first(alone.c0, many.c0);
      const Floats together = many(table())[0], single = alone(table())[0];
      ASSERT_EQ(alone.x.size(), size_t(4 * rows));
      for (int64_t i = 0; i < 7 * hidden; ++i)
        ASSERT_EQ(together[size_t(i)], i < 4 * hidden ? single[size_t(i)] : 0) << i;
    }
}

GRADUS_EACH_ISA(RecurrentKernels);

}  // namespace
}  // namespace gradus
