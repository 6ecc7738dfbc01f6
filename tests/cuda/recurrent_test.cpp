// Recurrent layers and additive attention on the device against the reference in float64: all cells, both directions,
// sequences that end early, sizes that are no multiple of a block's.
#include <array>
#include <string>
#include <vector>

#include "tests/cuda/device.h"

namespace gradus {
namespace {

using testing::pointer;

struct Layer {
  Cell cell;
  int64_t batch, time, hidden;
  bool reverse, bounded, bias;
};

std::ostream& operator<<(std::ostream& to, const Layer& l) {
  return to << "cell " << int(l.cell) << ", batch " << l.batch << ", time " << l.time << ", hidden " << l.hidden
            << ", reverse " << l.reverse << ", bounded " << l.bounded << ", bias " << l.bias;
}

// y, h, c, before, dx, da, dh0, dc0; on the CPU in float64 or on the device in `dtype`, from values that `dtype` has.
std::vector<Tensor> run(const Layer& l, DType dtype, Device device) {
  manual_seed(3);
  const int64_t gates = gates_of(l.cell) * l.hidden;
  const DType computed = device == Device::cpu ? float64 : dtype;
  const auto numbers = [&](const Shape& shape, double scale = 1) {
    return (randn(shape) * scale).to(dtype).to(computed).to(device);
  };
  const auto result = [&](const Shape& shape) { return full(shape, 77, {.dtype = computed}).to(device); };
  const Tensor x = numbers({l.batch, l.time, gates}), w = numbers({gates, l.hidden}, 1 / std::sqrt(double(l.hidden)));
  const Tensor bias = numbers({gates}), h0 = numbers({l.batch, l.hidden}), c0 = numbers({l.batch, l.hidden});
  const Tensor gy = numbers({l.batch, l.time, l.hidden}), gh = numbers({l.batch, l.hidden});
  const Tensor gc = numbers({l.batch, l.hidden});
  std::vector<int64_t> ends;
  for (int64_t b = 0; b < l.batch; ++b) ends.push_back(b * 5 % (l.time + 1));  // some none, some all
  const Tensor lengths = from_vector(ends, {l.batch}).to(device);

  const Tensor y = result({l.batch, l.time, l.hidden}), h = result({l.batch, l.hidden}),
               c = result({l.batch, l.hidden});
  const Tensor before = result({l.batch, l.time, l.hidden}),
               kept = result({l.batch, l.time, kept_of(l.cell) * l.hidden});
  const Tensor dx = result({l.batch, l.time, gates}),
               da = l.cell == Cell::gru ? result({l.batch, l.time, gates}) : dx;
  const Tensor dh0 = result({l.batch, l.hidden}), dc0 = result({l.batch, l.hidden});
  const bool has_c = l.cell == Cell::lstm;
  Recurrence r{.cell = l.cell,
               .batch = l.batch,
               .time = l.time,
               .hidden = l.hidden,
               .reverse = l.reverse,
               .lengths = l.bounded ? static_cast<int64_t*>(pointer(lengths)) : nullptr};
  r.x = pointer(x), r.w = pointer(w), r.bias = l.bias ? pointer(bias) : nullptr, r.h0 = pointer(h0);
  r.y = pointer(y), r.h = pointer(h), r.before = pointer(before), r.kept = pointer(kept);
  if (has_c) r.c0 = pointer(c0), r.c = pointer(c);
  const KernelTable& table = kernels(device, computed);
  table.recurrent(r);
  table.recurrent_grad(r, pointer(gy), pointer(gh), has_c ? pointer(gc) : nullptr, pointer(dx), pointer(da),
                       pointer(dh0), has_c ? pointer(dc0) : nullptr);
  return {y, h, c, before, dx, da, dh0, dc0};
}

class CudaRecurrent : public testing::OnDevice {};

TEST_F(CudaRecurrent, EqualsTheReference) {
  for (const Cell cell : {Cell::rnn_tanh, Cell::rnn_relu, Cell::gru, Cell::lstm})
    for (const auto& [batch, time, hidden] :
         std::vector<std::array<int64_t, 3>>{{1, 1, 1}, {2, 3, 5}, {33, 4, 9}, {3, 2, 70}, {4, 0, 8}, {0, 3, 8}})
      for (const bool other : {false, true})
        for (DType dtype : {float32, float64}) {
          const Layer l{cell, batch, time, hidden, other, other, !other};
          SCOPED_TRACE(::testing::PrintToString(l) + " in " + to_string(dtype));
          const std::vector<Tensor> got = run(l, dtype, Device::cuda), right = run(l, dtype, Device::cpu);
          const char* names[] = {"y", "h", "c", "before", "dx", "da", "dh0", "dc0"};
          for (size_t i = 0; i < right.size(); ++i)
            EXPECT_EQ(testing::difference(got[i], right[i], dtype == float32 ? 2e-6 : 1e-14), "") << names[i];
        }
}

TEST_F(CudaRecurrent, AdditiveScoresEqualTheReference) {
  for (const auto& [batch, queries, keys, n] :
       std::vector<std::array<int64_t, 4>>{{1, 1, 1, 1}, {2, 3, 17, 40}, {3, 18, 5, 33}, {1, 4, 0, 8}, {0, 2, 3, 4}})
    for (DType dtype : {float32, float64}) {
      const auto results = [&](Device device) {
        manual_seed(4);
        const DType computed = device == Device::cpu ? float64 : dtype;
        const auto numbers = [&](const Shape& shape) { return randn(shape).to(dtype).to(computed).to(device); };
        const Tensor q = numbers({batch, queries, n}), k = numbers({batch, keys, n}), v = numbers({n});
        const Tensor g = numbers({batch, queries, keys}), y = numbers({batch, queries, keys});
        const Tensor dq = numbers({batch, queries, n}), dk = numbers({batch, keys, n}), dv = numbers({n});
        const KernelTable& table = kernels(device, computed);
        table.additive_scores(pointer(q), pointer(k), pointer(v), batch, queries, keys, n, pointer(y));
        table.additive_scores_grad(pointer(q), pointer(k), pointer(v), pointer(g), batch, queries, keys, n,
                                   pointer(dq), pointer(dk), pointer(dv));
        return std::vector<Tensor>{y, dq, dk, dv};
      };
      const std::vector<Tensor> got = results(Device::cuda), right = results(Device::cpu);
      for (size_t i = 0; i < right.size(); ++i)
        EXPECT_EQ(testing::difference(got[i], right[i], dtype == float32 ? 2e-6 : 1e-14), "")
            << i << " of " << batch << ", " << queries << ", " << keys << ", " << n << " in " << to_string(dtype);
    }
}

}  // namespace
}  // namespace gradus
