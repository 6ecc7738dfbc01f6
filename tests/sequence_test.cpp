// Attention, recurrence and the models made of them: beside PyTorch's values, beside themselves (padding, caches), and
// beside exhaustive search.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "examples/text_models/seq2seq.h"
#include "examples/text_models/text_models.h"
#include "tests/errors.h"
#include "tests/golden.h"
#include "tutorials/attention_forms/attention_forms.h"

namespace gradus::nn {
namespace {

using namespace text_models;
using attention_forms::HardAttention;
using attention_forms::LocalAttention;
using attention_forms::LowRankAttention;
using gradus::testing::difference;
using gradus::testing::error_of;
using gradus::testing::Golden;

void expect_recurrent(const std::string& name, Recurrent& layer, Golden& g) {
  SCOPED_TRACE(name);
  RecurrentState initial;
  if (g.has("in/h0")) initial.h = g.in("h0");
  if (g.has("in/c0")) initial.c = g.in("c0");
  const RecurrentOutput out = layer(g.in("x"), g.has("in/lengths") ? g.in("lengths") : Tensor(), initial);
  std::map<std::string, Tensor> outputs = {{"output", out.output}, {"h", out.state.h}};
  if (out.state.c.defined()) outputs["c"] = out.state.c;
  g.expect(layer, outputs);
}

template <class Layer>
void expect_recurrent_cases(const std::string& cell) {
  for (const std::string kind : {"", "_packed", "_given", "_all"}) {
    const std::string name = cell + kind;
    Golden g(name);
    RecurrentOptions o;
    if (kind == "_packed" || kind == "_given") o.num_layers = 2;
    o.bidirectional = kind == "_packed" || kind == "_all";
    o.bias = kind != "_given";
    Layer layer = g.load(Layer(5, kind == "_all" ? 3 : 4, o));
    expect_recurrent(name, layer, g);
  }
}

TEST(Recurrent, EqualsPyTorch) {
  expect_recurrent_cases<RNN>("rnn");
  expect_recurrent_cases<GRU>("gru");
  expect_recurrent_cases<LSTM>("lstm");
  Golden g("rnn_relu");
  RNN layer = g.load(RNN(5, 4, {}, true));
  expect_recurrent("rnn_relu", layer, g);
}

template <class Layer>
void expect_cell(const std::string& name, Layer layer) {
  SCOPED_TRACE(name);
  Golden g(name);
  layer = g.load(std::move(layer));
  RecurrentState before{g.in("h0"), {}};
  if (g.has("in/c0")) before.c = g.in("c0");
  const RecurrentState after = layer(g.in("x"), before);
  std::map<std::string, Tensor> outputs = {{"h", after.h}};
  if (after.c.defined()) outputs["c"] = after.c;
  g.expect(layer, outputs);
}

TEST(RecurrentCell, EqualsPyTorch) {
  expect_cell("rnn_cell", RNNCell(5, 4, true, true));
  expect_cell("gru_cell", GRUCell(5, 4, false));
  expect_cell("lstm_cell", LSTMCell(5, 4));
  EXPECT_EQ(GRUCell(5, 4).state_dict()[0].first, "weight_ih");
  EXPECT_NE(error_of([] { return GRUCell(5, 4)(zeros({2, 4})).h; }), "");
}

// What a sequence becomes does not depend on how long its neighbours are, in either direction or layer.
TEST(Recurrent, PaddingChangesNothing) {
  manual_seed(11);
  for (const Cell cell : {Cell::rnn_tanh, Cell::rnn_relu, Cell::gru, Cell::lstm}) {
    const auto layer = make_recurrent(cell, 5, 20, {.num_layers = 2, .bidirectional = true});
    const Tensor x = randn({3, 9, 5});
    const RecurrentOutput all = (*layer)(x, from_vector<int64_t>({4, 9, 0}, {3}));
    const RecurrentOutput alone = (*layer)(x.narrow(0, 0, 1).narrow(1, 0, 4));
    EXPECT_CLOSE(all.output[0].narrow(0, 0, 4), alone.output[0], 1e-6);
    EXPECT_CLOSE(all.state.h.select(1, 0), alone.state.h.select(1, 0), 1e-6);
    EXPECT_EQ(abs(all.output[0].narrow(0, 4, 5)).max().item(), 0);
    EXPECT_EQ(abs(all.output[2]).max().item(), 0);
  }
}

// One step by ops. x: W_ih x + b_ih (batch, gates * hidden); the state before, (batch, hidden).
RecurrentSteps step(Cell cell, const Tensor& x, const RecurrentSteps& before, const Tensor& w, const Tensor& bias) {
  const Tensor a = linear(before.h, w, bias);
  if (cell == Cell::rnn_tanh) return {{}, tanh(x + a), {}};
  if (cell == Cell::rnn_relu) return {{}, relu(x + a), {}};
  const int64_t hidden = before.h.size(1);
  if (cell == Cell::gru) {
    const std::vector<Tensor> in = x.split(hidden, 1), state = a.split(hidden, 1);
    const Tensor reset = sigmoid(in[0] + state[0]), update = sigmoid(in[1] + state[1]);
    const Tensor fresh = tanh(in[2] + reset * state[2]);
    return {{}, fresh + update * (before.h - fresh), {}};
  }
  const std::vector<Tensor> gates = (x + a).split(hidden, 1);
  const Tensor c = sigmoid(gates[1]) * before.c + sigmoid(gates[0]) * tanh(gates[2]);
  return {{}, sigmoid(gates[3]) * tanh(c), c};
}

// All steps by ops.
RecurrentSteps composed(Cell cell, const Tensor& x, const Tensor& w, const Tensor& bias, RecurrentSteps state,
                        const Tensor& lengths, bool reverse) {
  const int64_t time = x.size(1);
  const Tensor going = arange(0, double(time), 1, lengths.options()) < lengths.unsqueeze(1);  // (batch, time)
  std::vector<Tensor> outputs(static_cast<size_t>(time));
  for (int64_t i = 0; i < time; ++i) {
    const int64_t t = reverse ? time - 1 - i : i;
    const Tensor on = going.select(1, t).unsqueeze(1);
    const RecurrentSteps next = step(cell, x.select(1, t), state, w, bias);
    outputs[size_t(t)] = next.h.masked_fill(logical_not(on), 0);
    state.h = where(on, next.h, state.h);
    if (next.c.defined()) state.c = where(on, next.c, state.c);
  }
  return {stack(outputs, 1), state.h, state.c};
}

TEST(Recurrent, EqualsTheComposedForm) {
  manual_seed(12);
  for (const Cell cell : {Cell::rnn_tanh, Cell::rnn_relu, Cell::gru, Cell::lstm})
    for (const bool reverse : {false, true}) {
      const auto made = [](const Shape& shape) { return (randn(shape) * 0.2).detach().requires_grad_(); };
      const int64_t rows = gates_of(cell) * 24;
      std::vector<Tensor> inputs = {made({5, 7, rows}), made({rows, 24}), made({rows}), made({5, 24})};
      if (cell == Cell::lstm) inputs.push_back(made({5, 24}));
      const Tensor c0 = cell == Cell::lstm ? inputs[4] : Tensor(),
                   lengths = from_vector<int64_t>({7, 3, 0, 1, 6}, {5});
      const RecurrentSteps fused = recurrent(cell, inputs[0], inputs[1], inputs[2], inputs[3], c0, lengths, reverse);
      const RecurrentSteps by_ops =
          composed(cell, inputs[0], inputs[1], inputs[2], {{}, inputs[3], c0}, lengths, reverse);
      EXPECT_CLOSE(fused.output, by_ops.output, 1e-5);
      EXPECT_CLOSE(fused.h, by_ops.h, 1e-5);
      if (c0.defined()) {
        EXPECT_CLOSE(fused.c, by_ops.c, 1e-5);
      }
      const Tensor of_output = randn({5, 7, 24}), of_h = randn({5, 24}), of_c = randn({5, 24});
      const auto gradients = [&](const RecurrentSteps& out) {
        Tensor loss = (out.output * of_output).sum() + (out.h * of_h).sum();
        if (out.c.defined()) loss = loss + (out.c * of_c).sum();
        return grad({loss}, inputs);
      };
      const std::vector<Tensor> got = gradients(fused), right = gradients(by_ops);
      for (size_t i = 0; i < inputs.size(); ++i) EXPECT_CLOSE(got[i], right[i], 1e-5);
    }
}

TEST(MultiheadAttention, EqualsPyTorch) {
  for (const std::string name : {"mha", "mha_sizes"}) {
    SCOPED_TRACE(name);
    Golden g(name);
    MultiheadAttention m =
        g.load(name == "mha" ? MultiheadAttention(6, 3) : MultiheadAttention(6, 2, {.kdim = 3, .vdim = 4}));
    const KeepMask keep = KeepMask(DropMask(g("drop").unsqueeze(1).unsqueeze(1))) & KeepMask(DropMask(g("hide")));
    const Tensor query = g.in("query"), key = g.in("key"), value = g.in("value");
    const Attended a = m(query, key, value, {.keep = keep, .need_weights = true});
    EXPECT_CLOSE(m(query, key, value, {.keep = keep}).output, a.output, 1e-13);
    g.expect(m, {{"output", a.output}, {"weights", a.weights}});
  }
}

TEST(Transformer, LayersEqualPyTorch) {
  for (const bool norm_first : {false, true})
    for (const bool use_gelu : {false, true}) {
      const std::string name = std::string(norm_first ? "layer_pre_" : "layer_post_") + (use_gelu ? "gelu" : "relu");
      SCOPED_TRACE(name);
      const TransformerOptions o{.d_model = 6,
                                 .heads = 2,
                                 .ffn = 8,
                                 .dropout = 0,
                                 .norm_first = norm_first,
                                 .activation = use_gelu ? exact_gelu : ActivationFunction(relu),
                                 .bias = !use_gelu || norm_first};
      Golden d("decoder_" + name), e("encoder_" + name);
      const KeepMask keep{DropMask(d("drop").unsqueeze(1).unsqueeze(1))};
      TransformerDecoderLayer decoder = d.load(TransformerDecoderLayer(o));
      const Tensor x = d.in("x"), memory = d.in("memory");
      d.expect(decoder, {{"output", decoder(x, memory, {.keep = causal_mask(4, 4)}, {.keep = keep})}});
      TransformerEncoderLayer encoder = e.load(TransformerEncoderLayer(o));
      e.expect(encoder, {{"output", encoder(e.in("x"), {.keep = keep})}});
    }
}

TEST(Transformer, StacksEqualPyTorch) {
  TransformerOptions o{.d_model = 6, .heads = 2, .ffn = 8, .encoder_layers = 2, .decoder_layers = 2, .dropout = 0};
  Golden post("encoder"), pre("encoder_pre"), d("decoder_pre");
  TransformerEncoder encoder = post.load(TransformerEncoder(o));
  post.expect(encoder, {{"output", encoder(post.in("x"))}});
  o.norm_first = true;
  const KeepMask keep{DropMask(d("drop").unsqueeze(1).unsqueeze(1))};
  TransformerEncoder normed = pre.load(TransformerEncoder(o));
  pre.expect(normed, {{"output", normed(pre.in("x"), {.keep = keep})}});
  TransformerDecoder decoder = d.load(TransformerDecoder(o));
  const Tensor x = d.in("x"), memory = d.in("memory");
  d.expect(decoder, {{"output", decoder(x, memory, {.is_causal = true}, {.keep = keep})}});
}

// --- masks ---------------------------------------------------------------------------------------------------------

// Each of the three dropouts alone: all of what it is asked to drop is gone, and nothing else.
TEST(Transformer, DropsWhatItIsAskedTo) {
  const auto layer = [](double sums, double attention, double inner) {
    manual_seed(3);
    return TransformerEncoderLayer({.d_model = 8,
                                    .heads = 2,
                                    .ffn = 16,
                                    .dropout = sums,
                                    .attention_dropout = attention,
                                    .activation_dropout = inner});
  };
  const Tensor x = randn({2, 5, 8});
  const TransformerEncoderLayer none = layer(0, 0, 0), sums = layer(1, 0, 0), weights = layer(0, 1, 0),
                                inner = layer(0, 0, 1);
  const Tensor attended = none.norm1(x + none.self_attn(x).output);
  EXPECT_CLOSE(sums(x), none.norm2(none.norm1(x)), 1e-6);
  const Tensor only_bias = weights.norm1(x + weights.self_attn.out_proj.bias);
  EXPECT_CLOSE(weights(x), none.norm2(only_bias + none.linear2(relu(none.linear1(only_bias)))), 1e-6);
  EXPECT_CLOSE(inner(x), none.norm2(attended + none.linear2.bias), 1e-6);
}

TEST(Attention, MasksCombineAndEmptyRowsAreZero) {
  EXPECT_TRUE(equal(causal_mask(2, 3).kept, tensor({{1, 1, 0}, {1, 1, 1}}) > 0));
  EXPECT_TRUE(equal(window_mask(3, 3, 1, 0).kept, tensor({{1, 0, 0}, {1, 1, 0}, {0, 1, 1}}) > 0));
  const Tensor lengths = from_vector<int64_t>({2, 0}, {2});
  EXPECT_TRUE(equal(padding_mask(lengths, 3).kept.flatten(0, 2), tensor({{1, 1, 0}, {0, 0, 0}}) > 0));
  EXPECT_TRUE(equal((KeepMask(tensor({1, 0, 1}) > 0) & KeepMask(DropMask(tensor({1, 0, 0}) > 0))).kept,
                    tensor({0, 0, 1}) > 0));
  EXPECT_NE(error_of([] { return KeepMask(ones({2})); }), "");
  EXPECT_NE(error_of([] { return causal_mask(3, 2); }), "");

  manual_seed(1);
  const Tensor q = randn({2, 1, 3, 4}, {.requires_grad = true}), k = randn({2, 1, 3, 4}, {.requires_grad = true}),
               v = randn({2, 1, 3, 4}, {.requires_grad = true});
  const Attended a = attend(q, k, v, {.keep = padding_mask(lengths, 3)});
  EXPECT_EQ(abs(a.output[1]).max().item(), 0);
  (a.output * randn({2, 1, 3, 4})).sum().backward();
  for (const Tensor& x : {q, k, v}) {
    EXPECT_EQ(abs(x.grad()[1]).max().item(), 0);
    EXPECT_TRUE(isfinite(x.grad()).all().item() != 0);
    EXPECT_GT(abs(x.grad()[0]).max().item(), 0);
  }
}

TEST(Attention, GroupedQueriesShareKeys) {
  manual_seed(2);
  const Tensor q = randn({2, 6, 3, 4}), k = randn({2, 2, 5, 4}), v = randn({2, 2, 5, 4});
  const auto repeated = [](const Tensor& x) { return x.unsqueeze(2).expand({2, 2, 3, 5, 4}).reshape({2, 6, 5, 4}); };
  const KeepMask keep(rand({2, 6, 3, 5}) > 0.3);
  const Attended grouped = attend(q, k, v, {.keep = keep}),
                 full = attend(q, repeated(k), repeated(v), {.keep = keep});
  EXPECT_CLOSE(grouped.output, full.output, 1e-6);
  EXPECT_CLOSE(grouped.weights, full.weights, 1e-6);
  EXPECT_NE(error_of([&] { return attend(randn({2, 5, 3, 4}), k, v); }), "");
}

TEST(Attention, ScoresAreWhatThePapersSay) {
  manual_seed(3);
  const Tensor q = randn({2, 3, 4}), memory = randn({2, 5, 6});
  for (const Score score : {Score::general, Score::additive}) {
    ScoredAttention a(4, 6, {.score = score});
    const Attended one = a(q, memory), prepared = a(q, memory, {}, a.prepare(memory));
    EXPECT_CLOSE(one.output, prepared.output, 0);
    EXPECT_CLOSE(one.weights.sum({-1}), ones({2, 3}), 1e-6);
    EXPECT_CLOSE(one.output, matmul(one.weights, memory), 0);
  }
  EXPECT_NE(error_of([] { return ScoredAttention(4, 6, {.score = Score::dot}); }), "");
  ScoredAttention dot(4, 4, {.score = Score::dot});
  const Tensor m = randn({2, 5, 4});
  EXPECT_CLOSE(dot(q, m).weights, softmax(matmul(q, m.transpose(1, 2)), -1), 1e-6);

  LocalAttention local(4, 6, 1);
  const Attended near = local(q, memory, from_vector<int64_t>({5, 3}, {2}));
  EXPECT_EQ((near.weights > 0).to(int64).sum({-1}).max().item() <= 3, true);
  EXPECT_EQ(near.weights.narrow(2, 3, 2)[1].max().item(), 0);  // behind the end of the second memory

  HardAttention hard(4, 6);
  hard.eval();
  EXPECT_CLOSE(hard(q, memory).weights.sum({-1}), ones({2, 3}), 0);
  EXPECT_EQ(hard(q, memory).weights.max().item(), 1);
  hard.train();
  const Tensor query = q.requires_grad_();
  (hard(query, memory).output * randn({2, 3, 6})).sum().backward();
  EXPECT_GT(abs(query.grad()).max().item(), 0);  // straight through
}

TEST(Attention, RotaryProductsDependOnDistance) {
  manual_seed(4);
  const Tensor q = randn({1, 8}, {.dtype = float64}), k = randn({1, 8}, {.dtype = float64});
  const double here = matmul(rotary(q, 3), rotary(k, 1).t()).item(),
               there = matmul(rotary(q, 13), rotary(k, 11).t()).item();
  EXPECT_NEAR(here, there, 1e-12);
  EXPECT_CLOSE(rotary(cat({q, q}, 0), 5)[1].unsqueeze(0), rotary(q, 6), 1e-12);
  EXPECT_CLOSE(alibi_bias(2, 2, 3)[0], tensor({{-1.0 / 16, 0, -1.0 / 16}, {-2.0 / 16, -1.0 / 16, 0}}), 1e-7);
}

TEST(Positions, AreThoseOfThePaper) {
  const Tensor p = sinusoidal_positions(4, 6);
  EXPECT_NEAR(p[2][0].item(), std::sin(2.0), 1e-6);
  EXPECT_NEAR(p[3][5].item(), std::cos(3 / std::pow(10000.0, 4.0 / 6)), 1e-6);
  EXPECT_CLOSE(sinusoidal_positions(2, 6, 2), p.narrow(0, 2, 2), 0);
  RelativeBias bias(2, {.buckets = 8, .max_distance = 16});
  const Tensor b = bias(40, 40);
  EXPECT_CLOSE(b.slice(1, 1).slice(2, 1), b.slice(1, 0, -1).slice(2, 0, -1), 0);  // the same along each diagonal
  EXPECT_NE(b[0][10][9].item(), b[0][9][10].item());
  EXPECT_NE(error_of([] { return Positions(PositionKind::learned, 4, 6)(zeros({1, 5, 6})); }), "");
}

TEST(LowRankAttention, MixesPlaces) {
  manual_seed(5);
  LowRankAttention a(8, 2, 20, 4);
  const Attended out = a(randn({3, 17, 8}), true);
  EXPECT_EQ(out.weights.shape(), (Shape{3, 2, 17, 4}));
  EXPECT_EQ(out.output.shape(), (Shape{3, 17, 8}));
  EXPECT_NE(error_of([&] { return a(randn({1, 21, 8})).output; }), "");
}

TEST(GumbelSoftmax, DrawsAsOftenAsItShould) {
  Generator random(9);
  const Tensor logits = log(tensor({0.1, 0.2, 0.7})).expand({20000, 3});
  EXPECT_CLOSE(gumbel_softmax(logits, 1, true, &random).mean({0}), tensor({0.1, 0.2, 0.7}), 0.02);
}

// --- models --------------------------------------------------------------------------------------------------------

TranslatorOptions small_translator() {
  TranslatorOptions o;
  o.d_model = 16, o.heads = 2, o.ffn = 32, o.encoder_layers = o.decoder_layers = 2, o.dropout = 0;
  o.source_vocabulary = 11, o.target_vocabulary = 9;
  return o;
}

Seq2SeqOptions small_seq2seq() {
  return {.source_vocabulary = 11, .target_vocabulary = 9, .embedding = 8, .hidden = 6};
}

// Calls f with every kind of model that translates, evaluating.
template <class F>
void for_each_translator(const F& f) {
  manual_seed(6);
  for (const bool norm_first : {false, true}) {
    SCOPED_TRACE(norm_first ? "Transformer, pre-norm" : "Transformer");
    TranslatorOptions o = small_translator();
    o.norm_first = norm_first;
    o.positions = norm_first ? PositionKind::learned : PositionKind::sinusoidal;
    Transformer model(o);
    model.eval();
    f(model);
  }
  const std::optional<Score> scores[] = {{}, Score::dot, Score::scaled_dot, Score::general, Score::additive};
  int kind = 0;
  for (const Cell cell : {Cell::rnn_tanh, Cell::rnn_relu, Cell::gru, Cell::lstm})
    for (const std::optional<Score>& score : scores) {
      Seq2SeqOptions o = small_seq2seq();
      o.cell = cell;
      o.attention = score;
      o.num_layers = 1 + kind % 2;
      o.input_feeding = kind % 3 != 0;
      o.coverage = score == Score::additive && kind % 4 != 0;
      SCOPED_TRACE("cell " + std::to_string(int(cell)) + ", " + (score ? to_string(*score) : "no attention") +
                   (o.input_feeding ? ", input feeding" : "") + (o.coverage ? ", coverage" : ""));
      Seq2Seq model(o);
      model.eval();
      f(model);
      ++kind;
    }
}

Tensor ids(std::initializer_list<std::vector<int64_t>> rows) {
  std::vector<int64_t> all;
  for (const auto& row : rows) all.insert(all.end(), row.begin(), row.end());
  return from_vector(all, {int64_t(rows.size()), int64_t(rows.begin()->size())});
}

// Rows of `lengths` random tokens from `low` to below `high`, filled up with 0.
Tensor random_rows(const std::vector<int64_t>& lengths, int64_t low, int64_t high) {
  std::vector<std::vector<int64_t>> rows;
  size_t longest = 0;
  for (const int64_t n : lengths) longest = std::max(longest, size_t(n));
  std::vector<int64_t> all;
  for (const int64_t n : lengths)
    for (size_t i = 0; i < longest; ++i)
      all.push_back(int64_t(i) < n ? low + default_generator().below(high - low) : 0);
  return from_vector(all, {int64_t(lengths.size()), int64_t(longest)});
}

std::vector<int64_t> random_lengths(int64_t rows, int64_t most) {
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < rows; ++i) lengths.push_back(1 + default_generator().below(most));
  return lengths;
}

// An output, and the gradients of all weights of its sum times `up`.
std::vector<Tensor> with_gradients(Module& model, const Tensor& output, const Tensor& up) {
  model.zero_grad();
  (output * up).sum().backward();
  std::vector<Tensor> results = {output.detach()};
  for (const Tensor& p : model.parameters())
    results.push_back(p.grad().defined() ? p.grad().clone() : zeros_like(p.detach()));
  return results;
}

// run(rows, lengths or nothing) gives a module's outputs of a batch, of which row i has `lengths[i]` places; each row
// must come out of the batch as it does alone, its gradients too.
template <class Run>
void expect_rows_alone(Module& model, const std::vector<int64_t>& lengths, const Run& run) {
  const auto part = [](const Tensor& x, int64_t row, int64_t places) {
    const Tensor one = x.narrow(0, row, 1);
    return x.dim() == 3 && places > 0 ? one.narrow(1, 0, places) : one;
  };
  for (int64_t row = 0; row < int64_t(lengths.size()); ++row) {
    const Tensor alone = run(row, true), together = part(run(row, false), row, alone.dim() == 3 ? alone.size(1) : 0);
    const Tensor up = randn(alone.shape()).to(alone.dtype());
    const std::vector<Tensor> a = with_gradients(model, alone, up), b = with_gradients(model, together, up);
    for (size_t i = 0; i < a.size(); ++i)
      EXPECT_FALSE(!(difference(a[i], b[i]) <= 1e-6 * (1 + abs(a[i]).max().item())))
          << "row " << row << ", " << (i == 0 ? "output" : model.named_parameters()[i - 1].first);
  }
}

TEST(Models, PaddingChangesNothing) {
  for_each_translator([](auto& model) {
    for (int round = 0; round < 3; ++round) {
      const std::vector<int64_t> lengths = random_lengths(4, 7), written = random_lengths(4, 6);
      const Tensor source = random_rows(lengths, 3, 11), target = random_rows(written, 1, 9);
      expect_rows_alone(model, lengths, [&](int64_t row, bool alone) {
        if (!alone) return model(source, target);
        return model(source.narrow(0, row, 1).narrow(1, 0, lengths[size_t(row)]),
                     target.narrow(0, row, 1).narrow(1, 0, written[size_t(row)]));
      });
      Tensor weights;
      (void)model(source, target, &weights);
      if (!weights.defined()) continue;
      const Tensor padding = (source == 0.0).unsqueeze(1).expand(weights.shape());
      EXPECT_EQ(abs(weights.masked_fill(logical_not(padding), 0)).max().item(), 0);
      EXPECT_CLOSE(weights.sum({-1}), ones({4, weights.size(1)}), 1e-6);
    }
  });
}

TEST(Models, PaddingChangesNothingForReaders) {
  manual_seed(16);
  Bert bert({.vocabulary = 50, .max_length = 16, .layers = 2, .heads = 2, .d_model = 16, .ffn = 32, .dropout = 0});
  TextClassifier classifier({.vocabulary = 50, .max_length = 16, .d_model = 16, .heads = 2, .dropout = 0});
  for (int round = 0; round < 5; ++round) {
    const std::vector<int64_t> lengths = random_lengths(4, 9);
    const Tensor tokens = random_rows(lengths, 5, 50);
    const auto rows = [&](int64_t row, bool alone) {
      return alone ? tokens.narrow(0, row, 1).narrow(1, 0, lengths[size_t(row)]) : tokens;
    };
    expect_rows_alone(bert, lengths, [&](int64_t row, bool alone) { return bert.predict(bert(rows(row, alone))); });
    expect_rows_alone(classifier, lengths, [&](int64_t row, bool alone) { return classifier(rows(row, alone)); });
  }
}

TEST(Models, PaddingChangesNothingForRecurrentLayers) {
  manual_seed(17);
  for (const Cell cell : {Cell::rnn_tanh, Cell::rnn_relu, Cell::gru, Cell::lstm})
    for (const bool both : {false, true}) {
      SCOPED_TRACE("cell " + std::to_string(int(cell)) + (both ? ", bidirectional" : ""));
      const auto layer = make_recurrent(cell, 5, 4, {.num_layers = 2, .bidirectional = both});
      const std::vector<int64_t> lengths = random_lengths(4, 9);
      int64_t longest = 0;
      for (const int64_t n : lengths) longest = std::max(longest, n);
      const Tensor x = randn({4, longest + 2, 5}), n = from_vector(lengths, {4});  // what lies behind the end is junk
      for (const bool last : {false, true})
        expect_rows_alone(*layer, lengths, [&](int64_t row, bool alone) {
          const RecurrentOutput out =
              alone ? (*layer)(x.narrow(0, row, 1).narrow(1, 0, lengths[size_t(row)])) : (*layer)(x, n);
          return last ? out.state.h.transpose(0, 1).flatten(1, 2) : out.output;
        });
    }
}

TEST(Models, StepByStepIsTheWhole) {
  Generator random(3);
  for_each_translator([&](const Seq2SeqModel& model) {
    NoGrad guard;
    for (int round = 0; round < 20; ++round) {
      const Tensor source = randint(3, 11, {3, 1 + random.below(6)}, {.dtype = int64}, &random);
      const Tensor target = randint(1, 9, {3, 1 + random.below(7)}, {.dtype = int64}, &random);
      const Tensor whole = model(source, target);
      auto stream = model.start(source);
      Tensor order = from_vector<int64_t>({0, 1, 2}, {3});
      for (int64_t t = 0; t < target.size(1); ++t) {
        const Tensor logits = stream->step(target.narrow(1, t, 1).index_select(0, order));
        EXPECT_CLOSE(logits, whole.select(1, t).index_select(0, order), 1e-5);
        const Tensor turn = from_vector<int64_t>({2, 0, 1}, {3});
        stream->reorder(turn);
        order = order.index_select(0, turn);
      }
    }
  });
}

TEST(Models, TokensAheadAreNotSeen) {
  for_each_translator([](const Seq2SeqModel& model) {
    const Tensor source = ids({{7, 8, 2}});
    const Tensor a = model(source, ids({{1, 4, 5, 6}})), b = model(source, ids({{1, 4, 7, 8}}));
    EXPECT_CLOSE(a.narrow(1, 0, 2), b.narrow(1, 0, 2), 1e-6);
    EXPECT_GT(difference(a.select(1, 3), b.select(1, 3)), 1e-4);
  });
}

TEST(Gpt, GeneratesWithCachesWhatItPredictsWithout) {
  manual_seed(8);
  for (const bool is_rotary : {false, true}) {
    Gpt model(
        {.vocabulary = 13, .block = 12, .layers = 2, .heads = 4, .d_model = 16, .rotary = is_rotary, .kv_heads = 2});
    model.eval();
    NoGrad guard;
    const Tensor tokens = randint(0, 13, {2, 12});
    const Tensor whole = model(tokens);
    auto stream = model.start();
    EXPECT_CLOSE(stream->step(tokens.narrow(1, 0, 5)), whole.select(1, 4), 1e-5);
    for (int64_t t = 5; t < 12; ++t) EXPECT_CLOSE(stream->step(tokens.narrow(1, t, 1)), whole.select(1, t), 1e-5);
    EXPECT_NE(error_of([&] { return model(randint(0, 13, {1, 13})); }), "");
    if (!is_rotary) {
      EXPECT_NE(error_of([&] { return stream->step(tokens.narrow(1, 0, 1)); }), "");
    }
  }
}

TEST(Bert, HidesTokensAndIgnoresPadding) {
  manual_seed(9);
  Bert model({.vocabulary = 50, .max_length = 16, .layers = 2, .heads = 2, .d_model = 16, .ffn = 32});
  model.eval();
  const Tensor one = model(ids({{7, 8, 9}})), padded = model(ids({{7, 8, 9, 0, 0}, {5, 6, 7, 8, 9}}));
  EXPECT_CLOSE(one[0], padded[0].narrow(0, 0, 3), 1e-6);
  EXPECT_EQ(model.predict(one).shape(), (Shape{1, 3, 50}));
  Generator random(1);
  const Tensor tokens = randint(5, 50, {100, 100}, {.dtype = int64}, &random);
  std::vector<double> chances(50, 0.15);
  chances[7] = 0;
  chances[8] = 1;
  const MaskedTokens m = mask_tokens(tokens, chances, 5, 4, -100, random);
  const Tensor asked = m.targets != -100.0;
  const auto share_of = [&](const Tensor& some) { return asked.masked_select(some).to(float64).mean().item(); };
  EXPECT_EQ(share_of(tokens == 7.0), 0);
  EXPECT_EQ(share_of(tokens == 8.0), 1);
  EXPECT_NEAR(share_of(tokens > 8.0), 0.15, 0.01);
  EXPECT_TRUE(equal(m.targets.masked_select(asked), tokens.masked_select(asked)));
  EXPECT_NEAR((m.tokens.masked_select(asked) == 4.0).to(float64).mean().item(), 0.8, 0.03);
  EXPECT_NE(error_of([&] { (void)mask_tokens(ids({{50}}), chances, 5, 4, -100, random); }), "");
}

TEST(TextClassifier, AveragesWhatIsThere) {
  manual_seed(10);
  TextClassifier model({.vocabulary = 20, .max_length = 8, .d_model = 16, .heads = 2});
  model.eval();
  Tensor looks;
  const Tensor one = model(ids({{7, 8, 9}}), &looks), padded = model(ids({{7, 8, 9, 0, 0}, {5, 6, 7, 8, 9}}));
  EXPECT_CLOSE(one[0], padded[0], 1e-6);
  EXPECT_NEAR(looks.sum().item(), 1, 1e-6);
}

TEST(TextClassifier, HasTheArticlesParameters) {
  // Embedding(10000, 64), four projections of 64 x 64 with biases in two heads of 64 features, one output: see the
  // fifth source article, whose model counts 673,281 with heads wider than ours.
  TextClassifier model(
      {.vocabulary = 10000, .max_length = 100, .d_model = 64, .heads = 2, .positions = PositionKind::sinusoidal});
  EXPECT_EQ(model.parameter_count(), 640000 + 4 * (64 * 64 + 64) + 2 * 64 + 65);
}

// --- decoding ------------------------------------------------------------------------------------------------------

// The best sentences of all there are up to max_length, by trying them.
void try_all(const Seq2SeqModel& model, const Tensor& source, const DecodeOptions& o, int64_t vocabulary,
             std::vector<int64_t>& tokens, double log_probability, std::vector<Hypothesis>& found) {
  std::vector<int64_t> input = {o.bos};
  input.insert(input.end(), tokens.begin(), tokens.end());
  const Tensor logits = model(source, from_vector(input, {1, int64_t(input.size())}));
  const std::vector<double> p = log_softmax(logits[0].select(0, -1), -1).to_vector();
  const double factor = std::pow((5 + double(tokens.size())) / 6, o.length_penalty);
  if (int64_t(tokens.size()) == o.max_length) {
    found.push_back({tokens, log_probability / factor, {}});
    return;
  }
  for (int64_t token = 0; token < vocabulary; ++token) {
    if (token == o.eos) {
      found.push_back({tokens, (log_probability + p[size_t(token)]) / factor, {}});
      continue;
    }
    tokens.push_back(token);
    try_all(model, source, o, vocabulary, tokens, log_probability + p[size_t(token)], found);
    tokens.pop_back();
  }
}

TEST(BeamSearch, OfFullWidthIsExhaustive) {
  manual_seed(11);
  for (const double penalty : {0.0, 1.0}) {
    TranslatorOptions o = small_translator();
    o.target_vocabulary = 5;
    Transformer model(o);
    model.eval();
    NoGrad guard;
    for (auto& [name, p] : model.named_parameters()) p.mul_(3);  // far from uniform
    const Tensor source = randint(3, 11, {2, 4});
    const DecodeOptions d{.max_length = 4, .beam = 5 * 5 * 5 * 5, .n_best = 4, .length_penalty = penalty};
    auto stream = model.start(source);
    const auto best = beam_search(*stream, 2, d);
    for (int64_t row = 0; row < 2; ++row) {
      std::vector<Hypothesis> all;
      std::vector<int64_t> tokens;
      try_all(model, source.narrow(0, row, 1), d, 5, tokens, 0, all);
      std::stable_sort(all.begin(), all.end(), [](auto& a, auto& b) { return a.score > b.score; });
      ASSERT_EQ(best[size_t(row)].size(), 4u);
      for (size_t i = 0; i < 4; ++i) {
        EXPECT_NEAR(best[size_t(row)][i].score, all[i].score, 1e-4);
        EXPECT_EQ(best[size_t(row)][i].tokens, all[i].tokens);
      }
    }
  }
}

TEST(BeamSearch, OfOneIsGreedyAndRowsDoNotMix) {
  for_each_translator([](const Seq2SeqModel& model) {
    NoGrad guard;
    const Tensor source = randint(3, 11, {4, 5});
    const DecodeOptions d{.max_length = 10, .keep_attention = true};
    auto together = model.start(source);
    const auto all = beam_search(*together, 4, d);
    for (int64_t row = 0; row < 4; ++row) {
      auto alone = model.start(source.narrow(0, row, 1));
      const auto one = beam_search(*alone, 1, d);
      EXPECT_EQ(one[0][0].tokens, all[size_t(row)][0].tokens);
      std::vector<int64_t> greedy = {1};
      while (greedy.size() <= 10) {
        const Tensor logits = model(source.narrow(0, row, 1), from_vector(greedy, {1, int64_t(greedy.size())}));
        const int64_t token = int64_t(logits[0].select(0, -1).argmax().item());
        if (token == 2) break;
        greedy.push_back(token);
      }
      greedy.erase(greedy.begin());
      EXPECT_EQ(greedy, one[0][0].tokens);
      if (one[0][0].attention.defined()) {
        EXPECT_EQ(one[0][0].attention.shape(), (Shape{int64_t(greedy.size()), 5}));
      }
    }
  });
}

TEST(Sampling, KeepsToItsLimits) {
  Generator random(1);
  const Tensor logits = log(tensor({0.5, 0.3, 0.15, 0.05}));
  std::map<int64_t, int> plain, top_k, top_p;
  for (int i = 0; i < 4000; ++i) {
    ++plain[sample_token(logits, {}, random)];
    ++top_k[sample_token(logits, {.top_k = 2}, random)];
    ++top_p[sample_token(logits, {.top_p = 0.81}, random)];
  }
  EXPECT_NEAR(plain[0] / 4000.0, 0.5, 0.03);
  EXPECT_NEAR(plain[3] / 4000.0, 0.05, 0.02);
  EXPECT_EQ(top_k.size(), 2u);
  EXPECT_NEAR(top_k[0] / 4000.0, 0.625, 0.03);
  EXPECT_EQ(top_p.size(), 3u);
  EXPECT_EQ(sample_token(logits, {.temperature = 0}, random), 0);
  EXPECT_EQ(sample_token(logits, {.temperature = 0, .repetition_penalty = 3}, random, {0}),
            1);  // 3 log 0.5 < log 0.3
}

}  // namespace
}  // namespace gradus::nn
