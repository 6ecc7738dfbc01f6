// Attention on the device against the reference in float64: tiles that are full and that are not, all masks, heads that
// share keys, layouts, dropout; output, log_sum and all three gradients.
#include <cmath>
#include <limits>
#include <ostream>
#include <vector>

#include "tests/cuda/device.h"

namespace gradus {
namespace {

enum class Keep { none, padding, random, columns };  // columns: some queries see nothing
enum class Bias { none, full, row };

struct Case {
  int64_t queries, keys, d, d_value, batch = 1, heads = 1, kv_heads = 1;
  bool causal = false, strided = false;  // strided: (batch, time, heads, d) in memory
  Keep keep = Keep::none;
  Bias bias = Bias::none;
  double dropout = 0, scale = 0.3;
};

std::ostream& operator<<(std::ostream& to, const Case& c) {
  return to << "(" << c.batch << ", " << c.heads << ", " << c.queries << ", " << c.d << ") with (" << c.kv_heads
            << ", " << c.keys << ", " << c.d_value << "), causal " << c.causal << ", strided " << c.strided
            << ", keep " << int(c.keep) << ", bias " << int(c.bias) << ", dropout " << c.dropout << ", scale "
            << c.scale;
}

// What goes in, in float64 on the CPU, but with values that `dtype` has.
struct Inputs {
  Tensor q, k, v, g, keep, bias;
};

Inputs draw(const Case& c, DType dtype) {
  manual_seed(7);
  const auto numbers = [&](const Shape& shape) { return randn(shape).to(dtype).to(float64); };
  Inputs in{numbers({c.batch, c.heads, c.queries, c.d}),
            numbers({c.batch, c.kv_heads, c.keys, c.d}),
            numbers({c.batch, c.kv_heads, c.keys, c.d_value}),
            numbers({c.batch, c.heads, c.queries, c.d_value}),
            {},
            {}};
  if (c.keep == Keep::padding) in.keep = rand({c.batch, 1, 1, c.keys}) < 0.7;
  if (c.keep == Keep::random) in.keep = rand({c.batch, c.heads, c.queries, c.keys}) < 0.5;
  if (c.keep == Keep::columns) in.keep = (rand({c.keys, c.queries}) < 0.2).transpose(0, 1);
  if (c.bias == Bias::full) in.bias = numbers({c.heads, c.queries, c.keys});
  if (c.bias == Bias::row) in.bias = numbers({c.queries, 1});
  return in;
}

struct Results {
  Tensor output, log_sum, dq, dk, dv;
};

// On the CPU in float64, or on the device in `dtype`.
Results run(const Case& c, const Inputs& in, DType dtype, Device device) {
  const auto lay = [&](const Tensor& x) {
    if (!c.strided) return x.to(dtype).to(device);
    return x.transpose(1, 2).contiguous().to(dtype).to(device).transpose(1, 2);
  };
  const auto result = [&](const Tensor& like) { return lay(full(like.shape(), 77, {.dtype = float64})); };
  // (batch, heads, queries, keys) without a copy
  const auto expanded = [&](const Tensor& x) { return x.to(device).expand({c.batch, c.heads, c.queries, c.keys}); };
  const Tensor q = lay(in.q), k = lay(in.k), v = lay(in.v), g = lay(in.g);
  Results r{result(in.g),
            full({c.batch, c.heads, c.queries}, 77, {.dtype = dtype == bfloat16 ? float32 : dtype}).to(device),
            result(in.q), result(in.k), result(in.v)};
  Tensor keep, bias;
  Attention a{.q = q.raw(), .k = k.raw(), .v = v.raw(), .output = r.output.raw(), .log_sum = r.log_sum.raw().data};
  if (in.keep.defined()) keep = expanded(in.keep), a.keep = keep.raw();
  if (in.bias.defined()) bias = expanded(in.bias.to(dtype)), a.bias = bias.raw();
  a.causal = c.causal, a.scale = c.scale, a.dropout = c.dropout, a.state = {11, 5};
  kernels(device, dtype).attention(a);
  kernels(device, dtype).attention_grad(a, g.raw(), r.dq.raw(), r.dk.raw(), r.dv.raw());
  // As they lie, so that the device need not move elements.
  if (c.strided)
    for (Tensor* x : {&r.output, &r.dq, &r.dk, &r.dv}) *x = testing::on_host(x->transpose(1, 2)).transpose(1, 2);
  return r;
}

class CudaAttention : public testing::OnDevice {
 protected:
  // Sums of rounded numbers differ by a few roundings of the largest; bfloat16: weights, gradients of scores and
  // results are rounded to 8 bits, log_sum is not.
  static double roundings(DType dtype) { return dtype == bfloat16 ? 0x1p-7 : dtype == float32 ? 2e-6 : 1e-14; }

  void compare(const Case& c, DType dtype, double close) {
    SCOPED_TRACE(::testing::PrintToString(c) + " in " + to_string(dtype));
    const Inputs in = draw(c, dtype);
    const Results got = run(c, in, dtype, Device::cuda), right = run(c, in, float64, Device::cpu);
    EXPECT_EQ(testing::difference(got.output, right.output, close), "");
    EXPECT_EQ(testing::difference(got.log_sum, right.log_sum, dtype == float64 ? 1e-14 : 1e-6), "");
    EXPECT_EQ(testing::difference(got.dq, right.dq, close, close), "") << "dq";
    EXPECT_EQ(testing::difference(got.dk, right.dk, close, close), "") << "dk";
    EXPECT_EQ(testing::difference(got.dv, right.dv, close, close), "") << "dv";
  }
  void compare(const Case& c, DType dtype) { compare(c, dtype, roundings(dtype)); }
};

const std::vector<Case> general = {
    {.queries = 80, .keys = 130, .d = 32, .d_value = 32},
    {.queries = 65, .keys = 65, .d = 17, .d_value = 5, .batch = 2, .heads = 2, .causal = true},
    {.queries = 40, .keys = 130, .d = 70, .d_value = 3, .heads = 4, .kv_heads = 2, .causal = true, .strided = true},
    {.queries = 70,
     .keys = 67,
     .d = 16,
     .d_value = 16,
     .batch = 2,
     .heads = 2,
     .keep = Keep::padding,
     .dropout = 0.3},
    {.queries = 9,
     .keys = 131,
     .d = 8,
     .d_value = 130,
     .heads = 2,
     .kv_heads = 2,
     .keep = Keep::random,
     .bias = Bias::full},
    {.queries = 66, .keys = 30, .d = 8, .d_value = 8, .keep = Keep::columns, .bias = Bias::row, .scale = -0.4},
    {.queries = 1, .keys = 1, .d = 1, .d_value = 1, .heads = 3},
};

TEST_F(CudaAttention, Float32EqualsTheReference) {
  for (const Case& c : general) compare(c, float32);
}
TEST_F(CudaAttention, Float64EqualsTheReference) {
  for (const Case& c : general) compare(c, float64);
}
TEST_F(CudaAttention, LargeHeadsEqualTheReference) {
  compare({.queries = 20, .keys = 70, .d = 256, .d_value = 256}, float32);
  compare({.queries = 20, .keys = 70, .d = 131, .d_value = 150, .causal = true}, float64);
}
// What tensor cores do not take goes the way of the other types.
TEST_F(CudaAttention, OddBfloat16EqualsTheReference) {
  for (const Case& c : general) compare(c, bfloat16);
}

TEST_F(CudaAttention, Bfloat16OnTensorCoresEqualsTheReference) {
  for (int64_t d : {int64_t(64), int64_t(128)}) {
    compare({.queries = 80, .keys = 130, .d = d, .d_value = d}, bfloat16);
    compare({.queries = 150, .keys = 150, .d = d, .d_value = d, .causal = true, .strided = true}, bfloat16);
    compare({.queries = 40, .keys = 140, .d = d, .d_value = d, .batch = 2, .heads = 4, .kv_heads = 2, .causal = true},
            bfloat16);
    compare({.queries = 70,
             .keys = 67,
             .d = d,
             .d_value = d,
             .batch = 2,
             .heads = 2,
             .keep = Keep::padding,
             .dropout = 0.3},
            bfloat16);
    compare({.queries = 66,
             .keys = 71,
             .d = d,
             .d_value = d,
             .heads = 2,
             .causal = true,
             .keep = Keep::random,
             .bias = Bias::full},
            bfloat16);
    compare({.queries = 66, .keys = 30, .d = d, .d_value = d, .keep = Keep::columns, .bias = Bias::row}, bfloat16);
  }
  compare({.queries = 33, .keys = 40, .d = 96, .d_value = 24, .heads = 2, .strided = true}, bfloat16);
  compare({.queries = 1, .keys = 1, .d = 8, .d_value = 8}, bfloat16);
}

TEST_F(CudaAttention, NothingOfAnything) {
  for (DType dtype : {float32, bfloat16})
    for (const auto& [queries, keys] : std::vector<std::pair<int64_t, int64_t>>{{3, 0}, {0, 3}, {0, 0}})
      compare({.queries = queries, .keys = keys, .d = 8, .d_value = 8, .heads = 2}, dtype);
}

TEST_F(CudaAttention, NaNStaysWhereItIsSeen) {
  const Case c{.queries = 70, .keys = 70, .d = 64, .d_value = 64, .causal = true};
  for (DType dtype : {float32, bfloat16}) {
    Inputs in = draw(c, dtype);
    in.k.narrow(2, 50, 1).fill_(NAN);
    const Tensor y = testing::on_host(run(c, in, dtype, Device::cuda).output).to(float64);
    EXPECT_EQ(isnan(y.narrow(2, 0, 50)).to(float32).sum().item(), 0);
    EXPECT_EQ(isnan(y.narrow(2, 50, 20)).to(float32).sum().item(), 20 * 64);
  }
}

// Scores of which all but the largest vanish, and some that are infinite.
TEST_F(CudaAttention, LargeScores) {
  Case c{.queries = 20, .keys = 70, .d = 64, .d_value = 64, .scale = 40};
  compare(c, float64, 1e-12);  // roundings of scores of a thousand
  Inputs in = draw(c, bfloat16);
  in.bias = zeros({c.queries, c.keys}, {.dtype = float64});
  in.bias.narrow(1, 3, 60).fill_(-std::numeric_limits<double>::infinity());
  in.bias.narrow(0, 5, 1).fill_(-std::numeric_limits<double>::infinity());
  c.scale = 1;
  for (DType dtype : {float32, bfloat16}) {
    const Results got = run(c, in, dtype, Device::cuda), right = run(c, in, float64, Device::cpu);
    EXPECT_EQ(testing::difference(got.output, right.output, dtype == bfloat16 ? 0x1p-7 : 2e-6), "");
    EXPECT_EQ(testing::difference(got.log_sum, right.log_sum, 1e-6), "");
    EXPECT_EQ(testing::difference(got.dq, right.dq, dtype == bfloat16 ? 0x1p-7 : 4e-6), "");
  }
}

}  // namespace
}  // namespace gradus
