// Rows of ops/attention.cpp, ops/recurrent.cpp and ops/additive.cpp.
#include "tests/op_cases.h"

namespace gradus::optable {

namespace {

// Inputs, weight, bias, h0, c0 and lengths; without the latter two, `bounded` being false, goes the bias.
Case sequences(Cell cell, bool bounded, int64_t batch, int64_t time, int64_t hidden, Sample lengths) {
  const int64_t rows = gates_of(cell) * hidden;
  const Sample state = real({batch, hidden}, -1, 1), bias = real({rows}, -1, 1);
  return {real({batch, time, rows}),
          real({rows, hidden}, -1, 1),
          bounded ? bias : constant(bias),
          state,
          cell == Cell::lstm ? state : constant(state),
          std::move(lengths)};
}
Sample lengths(const std::vector<double>& numbers) {
  Sample s = given({int64_t(numbers.size())}, numbers);
  s.dtype = int64;
  return s;
}
template <Cell cell, bool reverse, bool bounded>
Outputs run_cell(X x) {
  const RecurrentSteps r = recurrent(cell, x[0], x[1], bounded ? x[2] : Tensor(), x[3],
                                     cell == Cell::lstm ? x[4] : Tensor(), bounded ? x[5] : Tensor(), reverse);
  if (!r.c.defined()) return std::pair(r.output, r.h);
  return std::vector<Tensor>{r.output, r.h, r.c};
}
// PyTorch's values are those of layers, in nn.safetensors.
template <Cell cell>
void add_cell(Table& t) {
  const std::vector<Case> bounded = {
      sequences(cell, true, 3, 4, 2, lengths({2, 0, 4})), sequences(cell, true, 1, 1, 3, lengths({1})),
      sequences(cell, true, 2, 0, 2, lengths({0, 0})), sequences(cell, true, 0, 2, 2, lengths({}))};
  const RowOptions options = {.check = Check::once, .large = sequences(cell, true, 37, 5, 33, integer({37}, 0, 6))};
  t.add("recurrent", run_cell<cell, false, true>, "", bounded, options);
  t.add("recurrent", run_cell<cell, true, true>, "", bounded, options);
  t.add("recurrent", run_cell<cell, false, false>, "", {sequences(cell, false, 2, 3, 2, lengths({}))}, once);
}

}  // namespace

void add_attention(Table& t) {
  const Sample no_input = constant(real({0}));
  // Masks by name, as bool tensors: PyTorch's true also keeps.
  Sample mask = given({3, 5}, {1, 0, 0, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 1, 1});
  mask.dtype = boolean;
  Sample drop = mask;
  drop.numbers[14] = 0;
  t.add("masked_softmax", [](X x) -> Outputs { return masked_softmax(x[0], KeepMask(x[1])); },
        "torch.softmax(x[0].masked_fill(~x[1], -math.inf), -1)", {{real({3, 5}), mask}, {real({2, 3, 5}), mask}});
  t.add("masked_softmax", [](X x) -> Outputs { return masked_softmax(x[0], KeepMask(DropMask(x[1]))); },
        "torch.softmax(x[0].masked_fill(x[1], -math.inf), -1)", {{real({3, 5}), drop}});
  t.add(
      "operator&", [](X x) -> Outputs { return (KeepMask(x[0]) & KeepMask(DropMask(x[1]))).kept; }, "x[0] & ~x[1]",
      {{optable::mask({3, 5}), optable::mask({5})}}, no_gradient);
  t.add(
      "causal_mask", [](X) -> Outputs { return causal_mask(3, 5).kept; },
      "torch.ones(3, 5, dtype=torch.bool).tril(2)", {{no_input}}, no_gradient);
  t.add(
      "window_mask", [](X) -> Outputs { return window_mask(4, 5, 2, 1).kept; },
      "torch.ones(4, 5, dtype=torch.bool).tril(2).triu(-1)", {{no_input}}, no_gradient);
  t.add(
      "padding_mask", [](X x) -> Outputs { return padding_mask(x[0], 4).kept; },
      "(torch.arange(4) < x[0][:, None])[:, None, None]", {{integer({3}, 0, 5)}}, no_gradient);

  const Sample q = real({2, 3, 4}), k = real({2, 5, 4}), v = real({2, 5, 6});
  t.add("scaled_dot_product_attention", [](X x) -> Outputs { return scaled_dot_product_attention(x[0], x[1], x[2]); },
        "F.scaled_dot_product_attention(x[0], x[1], x[2])",
        {{q, k, v},
         {real({2, 2, 1, 3}), real({2, 2, 7, 3}), real({2, 2, 7, 3})},
         {real({3, 2}), real({1, 2}), real({1, 2})}},
        {.check = Check::once, .large = {real({4, 67, 32}), real({4, 71, 32}), real({4, 71, 32})}});
  t.add(
      "scaled_dot_product_attention",
      [](X x) -> Outputs {
        return scaled_dot_product_attention(x[0], x[1], x[2], {.keep = KeepMask(x[3]), .scale = 0.3});
      },
      "F.scaled_dot_product_attention(x[0], x[1], x[2], attn_mask=x[3], scale=0.3)", {{q, k, v, mask}}, once);
  t.add("scaled_dot_product_attention",
        [](X x) -> Outputs { return scaled_dot_product_attention(x[0], x[1], x[2], {.bias = x[3]}); },
        "F.scaled_dot_product_attention(x[0], x[1], x[2], attn_mask=x[3])", {{q, k, v, real({3, 5})}});
  t.add(
      "scaled_dot_product_attention", [](X x) -> Outputs { return scaled_dot_product_attention(x[0], x[1], x[2]); },
      "F.scaled_dot_product_attention(x[0], x[1], x[2], enable_gqa=True)",
      {{real({2, 4, 3, 2}), real({2, 2, 5, 2}), real({2, 2, 5, 3})}}, once);
  // PyTorch's is_causal lines up the first places of queries and keys, ours the last.
  t.add("scaled_dot_product_attention",
        [](X x) -> Outputs { return scaled_dot_product_attention(x[0], x[1], x[2], {.is_causal = true}); },
        "F.scaled_dot_product_attention(x[0], x[1], x[2], is_causal=True)",
        {{real({2, 4, 3}), real({2, 4, 3}), real({2, 4, 2})}},
        {.check = Check::once, .large = {real({4, 67, 32}), real({4, 67, 32}), real({4, 67, 32})}});
  t.add(
      "scaled_dot_product_attention",
      [](X x) -> Outputs { return scaled_dot_product_attention(x[0], x[1], x[2], {.is_causal = true}); },
      "F.scaled_dot_product_attention(x[0], x[1], x[2], attn_mask=torch.ones(3, 5, dtype=torch.bool).tril(2))",
      {{q, k, v}}, once);
  t.add(
      "scaled_dot_product_attention",
      [](X x) -> Outputs {
        manual_seed(7);
        return scaled_dot_product_attention(x[0], x[1], x[2], {.dropout = 0.4});
      },
      "", {{q, k, v}}, once);
  t.add("attend",
        [](X x) -> Outputs {
          const Attended a = attend(x[0], x[1], x[2]);
          return std::pair(a.output, a.weights);
        },
        "(lambda w: (w @ x[2], w))(torch.softmax(x[0] @ x[1].transpose(1, 2) / 2, -1))", {{q, k, v}});
  t.add("attend",
        [](X x) -> Outputs {
          manual_seed(7);
          return attend(x[0], x[1], x[2], {.is_causal = true, .dropout = 0.4}).output;
        },
        "", {{real({2, 4, 3, 2}), real({2, 2, 5, 2}), real({2, 2, 5, 3})}});
  t.add("rotary", [](X x) -> Outputs { return rotary(x[0], 3); },
        "(lambda a, s: torch.cat([x[0][..., :3] * a.cos() - x[0][..., 3:] * a.sin(), x[0][..., :3] * a.sin() + "
        "x[0][..., 3:] * a.cos()], -1))((torch.arange(3, 3 + x[0].shape[-2])[:, None] * 10000.0 ** "
        "(-torch.arange(3, dtype=torch.float64) / 3)).to(x[0].dtype), 0)",
        {{real({4, 6})}, {real({2, 3, 6})}});
  t.add(
      "alibi_bias", [](X) -> Outputs { return alibi_bias(4, 2, 3); },
      "-(torch.arange(2)[:, None] + 1 - torch.arange(3)).abs().float() * 2.0 ** (-2.0 * torch.arange(1, 5))[:, None, "
      "None]",
      {{no_input}}, no_gradient);
  // Which ones are drawn is ours alone; seeded, they are the same in every call.
  t.add("gumbel_softmax",
        [](X x) -> Outputs {
          manual_seed(7);
          return gumbel_softmax(x[0], 0.7);
        },
        "", {{real({3, 5})}});
  t.add(
      "gumbel_softmax",
      [](X x) -> Outputs {
        manual_seed(7);
        return gumbel_softmax(x[0], 0.7, true);
      },
      "", {{real({3, 5})}}, at_tie);
}

void add_recurrent(Table& t) {
  t.add("additive_scores", [](X x) -> Outputs { return additive_scores(x[0], x[1], x[2]); },
        "torch.tanh(x[0][:, :, None] + x[1][:, None]) @ x[2]",
        {{real({2, 3, 5}), real({2, 4, 5}), real({5})},
         {real({3, 1, 17}), real({3, 2, 17}), real({17})},
         {real({2, 1, 3}), real({2, 0, 3}), real({3})},
         {real({0, 2, 3}), real({0, 2, 3}), real({3})}},
        {.large = {real({9, 5, 70}), real({9, 11, 70}), real({70})}});
  add_cell<Cell::rnn_tanh>(t);
  add_cell<Cell::rnn_relu>(t);
  add_cell<Cell::gru>(t);
  add_cell<Cell::lstm>(t);
}

}  // namespace gradus::optable
