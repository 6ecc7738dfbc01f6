// Changing what is trained already: low-rank adaptation and pruning.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <map>

#include "nn/nn.h"
#include "optim/optim.h"
#include "tests/errors.h"
#include "tests/golden.h"

namespace gradus {
namespace {

using gradus::testing::error_of;
using gradus::testing::TempDir;
using nn::Linear;

// Numbers in A and B that change something.
void randomize(nn::Module& model) {
  NoGrad guard;
  for (const auto& [name, p] : model.named_parameters())
    if (p.requires_grad()) nn::normal_(p, 0, 0.3);
}

bool same_bits(const Tensor& a, const Tensor& b) {
  const Tensor x = a.contiguous(), y = b.contiguous();
  return x.shape() == y.shape() && std::memcmp(x.raw().data, y.raw().data, size_t(x.numel()) * sizeof(float)) == 0;
}

std::vector<std::string> trained(const nn::Module& model) {
  std::vector<std::string> names;
  for (const auto& [name, p] : model.named_parameters())
    if (p.requires_grad()) names.push_back(name);
  return names;
}

nn::TransformerOptions small() {
  return {.d_model = 8,
          .heads = 2,
          .ffn = 12,
          .encoder_layers = 2,
          .decoder_layers = 1,
          .dropout = 0,
          .attention = {.kv_heads = 1}};
}

nn::TranslatorOptions small_translator() {
  nn::TranslatorOptions o;
  static_cast<nn::TransformerOptions&>(o) = small();
  o.source_vocabulary = o.target_vocabulary = 11;
  return o;
}

// With every kind of matrix that can be adapted, and each way of reading it.
struct Models {
  nn::TransformerEncoder encoder{small()};
  nn::Transformer transformer{small_translator()};
  nn::ScoredAttention scored{8, 8, {.score = nn::Score::additive, .hidden = 5}};
  Tensor x = randn({2, 4, 8}), tokens = from_vector<int64_t>({4, 5, 6, 7, 8, 9, 10, 4}, {2, 4});
  std::vector<std::pair<nn::Module*, std::function<Tensor()>>> all() {
    return {{&encoder, [&] { return encoder(x); }},
            {&transformer, [&] { return transformer(tokens, tokens); }},
            {&scored, [&] { return scored(x, x).output; }}};
  }
};

TEST(Lora, StartsAsTheModel) {
  Models models;
  for (auto& [model, run] : models.all()) {
    const Tensor before = run();
    nn::add_lora(*model, {.rank = 3});
    EXPECT_TRUE(same_bits(run(), before)) << model->type();
    randomize(*model);
    EXPECT_FALSE(gradus::testing::difference(run(), before) < 1e-3) << model->type();
  }
}

TEST(Lora, IsTheDenseFormula) {
  Linear layer(5, 7);
  layer.to(float64);
  const Tensor x = randn({2, 3, 5}, {.dtype = float64});
  nn::add_lora(layer, {.rank = 2, .alpha = 6});
  EXPECT_EQ(layer.lora.A.shape(), (Shape{2, 5}));
  EXPECT_EQ(layer.lora.B.shape(), (Shape{7, 2}));
  EXPECT_EQ(layer.lora.A.dtype(), float64);
  EXPECT_LE(abs(layer.lora.A.detach()).max().item(), 1 / std::sqrt(5.0));
  EXPECT_GT(abs(layer.lora.A.detach()).max().item(), 0.1);
  randomize(layer);
  const Tensor dense = layer.weight + matmul(layer.lora.B, layer.lora.A) * 3;
  EXPECT_CLOSE(layer(x), linear(x, dense, layer.bias), 1e-14);
}

// With other rows of one packed matrix for queries, keys and values, in each kind of call.
TEST(Lora, AdaptsPackedProjections) {
  nn::MultiheadAttention attention(8, 4, {.kv_heads = 2}), merged(8, 4, {.kv_heads = 2});
  attention.to(float64);
  merged.to(float64);
  nn::copy_state(attention, merged);
  nn::add_lora(attention, {.rank = 2});
  EXPECT_EQ(attention.lora.B.shape(), (Shape{16, 2}));
  randomize(attention);
  nn::load_lora(merged, nn::lora_state(attention));
  nn::merge_lora(merged);
  const TensorOptions wide = {.dtype = float64};
  const Tensor x = randn({2, 5, 8}, wide), memory = randn({2, 3, 8}, wide), values = randn({2, 3, 8}, wide);
  const std::vector<std::function<Tensor(const nn::MultiheadAttention&)>> calls = {
      [&](const auto& a) { return a(x).output; },
      [&](const auto& a) { return a(x, memory, memory).output; },
      [&](const auto& a) { return a(x, memory, values).output; },
      [&](const auto& a) {
        NoGrad guard;
        return a(x, a.project(memory, memory)).output;
      },
  };
  for (const auto& call : calls) EXPECT_CLOSE(call(attention), call(merged), 1e-10);
}

TEST(Lora, HasTheRightGradients) {
  nn::MultiheadAttention attention(4, 2);
  attention.to(float64);
  nn::add_lora(attention, {.rank = 2});
  randomize(attention);
  std::vector<Tensor> inputs = {randn({1, 3, 4}, {.dtype = float64}).requires_grad_(),
                                randn({1, 2, 4}, {.dtype = float64}).requires_grad_()};
  for (const auto& [name, p] : attention.named_parameters())
    if (p.requires_grad()) inputs.push_back(p);
  EXPECT_EQ(inputs.size(), 6u);
  gradcheck([&](const std::vector<Tensor>& in) { return attention(in[0]).output; }, inputs);
  gradcheck([&](const std::vector<Tensor>& in) { return attention(in[0], in[1], in[1]).output; }, inputs);
  nn::ScoredAttention additive(3, 4, {.score = nn::Score::additive, .hidden = 5});
  additive.to(float64);
  nn::add_lora(additive, {.rank = 2});
  randomize(additive);
  std::vector<Tensor> more = {randn({1, 2, 3}, {.dtype = float64}).requires_grad_(),
                              randn({1, 3, 4}, {.dtype = float64}).requires_grad_()};
  for (const auto& [name, p] : additive.named_parameters())
    if (p.requires_grad()) more.push_back(p);
  gradcheck([&](const std::vector<Tensor>& in) { return additive(in[0], in[1]).output; }, more);
}

TEST(Lora, MergesAndComesOutAgain) {
  Models models;
  models.x = models.x.to(float64);
  for (auto& [model, run] : models.all()) {
    SCOPED_TRACE(model->type());
    model->to(float64);
    const int64_t parameters = model->parameter_count();
    nn::StateDict before = model->state_dict();
    for (auto& entry : before) entry.second = entry.second.clone();
    nn::add_lora(*model, {.rank = 2});
    randomize(*model);
    const Tensor adapted = run();
    const TensorFile merged = nn::merge_lora(*model);
    EXPECT_EQ(model->parameter_count(), parameters);
    EXPECT_CLOSE(run(), adapted, 1e-10);
    nn::unmerge_lora(*model, merged);
    EXPECT_GT(model->parameter_count(), parameters);
    EXPECT_CLOSE(run(), adapted, 1e-10);
    const nn::StateDict after = model->state_dict();
    const std::map<std::string, Tensor> now(after.begin(), after.end());
    for (const auto& [name, tensor] : before) EXPECT_CLOSE(now.at(name), tensor, 1e-10) << name;
  }
}

// A stream keeps keys and values, and projects one place at a time.
TEST(Lora, IsThereWhenDecodingStepByStep) {
  Models m;
  m.transformer.to(float64);
  nn::add_lora(m.transformer, {.rank = 2});
  randomize(m.transformer);
  const Tensor whole = m.transformer(m.tokens, m.tokens).detach();
  const auto stream = m.transformer.start(m.tokens);
  for (int64_t i = 0; i < 4; ++i) EXPECT_CLOSE(stream->step(m.tokens.narrow(1, i, 1)), whole.select(1, i), 1e-10);
}

TEST(Lora, TrainsNothingElse) {
  Models m;
  nn::add_lora(m.transformer, {.rank = 2, .pattern = "encoder.*.self_attn,*.linear?"});
  EXPECT_EQ(trained(m.transformer),
            (std::vector<std::string>{
                "encoder.layers.0.self_attn.lora_A.weight", "encoder.layers.0.self_attn.lora_B.weight",
                "encoder.layers.0.linear1.lora_A.weight", "encoder.layers.0.linear1.lora_B.weight",
                "encoder.layers.0.linear2.lora_A.weight", "encoder.layers.0.linear2.lora_B.weight",
                "encoder.layers.1.self_attn.lora_A.weight", "encoder.layers.1.self_attn.lora_B.weight",
                "encoder.layers.1.linear1.lora_A.weight", "encoder.layers.1.linear1.lora_B.weight",
                "encoder.layers.1.linear2.lora_A.weight", "encoder.layers.1.linear2.lora_B.weight",
                "decoder.layers.0.linear1.lora_A.weight", "decoder.layers.0.linear1.lora_B.weight",
                "decoder.layers.0.linear2.lora_A.weight", "decoder.layers.0.linear2.lora_B.weight"}));
  int64_t count = 0;
  for (const Tensor& p : m.transformer.parameters())
    if (p.requires_grad()) count += p.numel();
  EXPECT_EQ(count, 2 * 2 * (8 + 16) + 3 * 2 * 2 * (8 + 12));  // rank (in + out) for each matrix
  nn::StateDict before = m.transformer.state_dict();
  for (auto& entry : before) entry.second = entry.second.clone();
  optim::AdamW optimizer(m.transformer.parameters(), {.lr = 0.1, .weight_decay = 0.5});
  for (int i = 0; i < 2; ++i) {  // the first changes B alone, as A's gradient is zero while B is
    optimizer.zero_grad();
    square(m.transformer(m.tokens, m.tokens)).sum().backward();
    optimizer.step();
  }
  for (const auto& [name, p] : m.transformer.named_parameters())
    EXPECT_EQ(p.grad().defined(), p.requires_grad()) << name;
  const nn::StateDict after = m.transformer.state_dict();
  for (size_t i = 0; i < after.size(); ++i)
    EXPECT_EQ(same_bits(after[i].second, before[i].second), after[i].first.find("lora_") == std::string::npos)
        << after[i].first;
}

TEST(Lora, IsSavedApart) {
  TempDir folder;
  Models m, other;
  nn::copy_state(m.encoder, other.encoder);
  nn::add_lora(m.encoder, {.rank = 3, .alpha = 4.5, .pattern = "*.self_attn*"});
  randomize(m.encoder);
  const std::string path = folder / "adapter.safetensors";
  save_safetensors(path, nn::lora_state(m.encoder));
  const TensorFile file = load_safetensors(path);
  EXPECT_EQ(file.tensors.size(), 8u);
  EXPECT_EQ(file.tensors[0].first, "layers.0.self_attn.lora_A.weight");
  EXPECT_EQ(file.metadata.at("rank"), "3");
  EXPECT_EQ(file.metadata.at("alpha"), "4.5");
  nn::load_lora(other.encoder, file);
  EXPECT_TRUE(same_bits(other.encoder(m.x), m.encoder(m.x)));
  EXPECT_EQ(trained(other.encoder), trained(m.encoder));
}

// An optimiser that was made before goes on with the matrices that were converted.
TEST(Lora, IsConvertedWithItsModel) {
  Models m;
  nn::add_lora(m.encoder, {.rank = 2});
  randomize(m.encoder);
  const Tensor before = m.encoder(m.x).detach();
  optim::SGD optimizer(m.encoder.parameters(), {.lr = 0.1});
  m.encoder.to(float64);
  for (const auto& [name, p] : m.encoder.named_parameters()) EXPECT_EQ(p.dtype(), float64) << name;
  const Tensor x = m.x.to(float64), after = m.encoder(x);
  EXPECT_CLOSE(after, before.to(float64), 1e-4);
  square(after).sum().backward();
  optimizer.step();
  const Tensor learnt = m.encoder(x).detach();
  EXPECT_FALSE(gradus::testing::difference(learnt, after.detach()) < 1e-6);
  nn::merge_lora(m.encoder);
  EXPECT_CLOSE(m.encoder(x), learnt, 1e-10);
}

TEST(Lora, SaysWhatIsWrong) {
  Models m;
  nn::TransformerEncoder& encoder = m.encoder;
  const size_t tensors = encoder.state_dict().size();
  EXPECT_EQ(error_of([&] { nn::add_lora(encoder, {.rank = 0}); }), "add_lora: rank 0 and alpha 16 must be positive");
  EXPECT_EQ(error_of([&] { nn::add_lora(encoder, {.pattern = "blocks*"}); }),
            "add_lora: 'blocks*' matches no linear layer and no attention");
  EXPECT_EQ(error_of([&] { nn::merge_lora(encoder); }), "merge_lora: nothing is adapted");
  struct Tied : nn::Module {
    nn::Embedding embed{7, 4};
    Linear out{4, 7};
    Tied() { out.weight = embed.weight; }
    void visit(nn::Visitor& v) override { v("embed", embed), v("out", out); }
    const char* type() const override { return "Tied"; }
  } tied;
  EXPECT_EQ(error_of([&] { nn::add_lora(tied); }),
            "add_lora: out.weight is shared with embed.weight, which merging would change too");

  Models adapted;
  nn::add_lora(adapted.encoder, {.rank = 2, .pattern = "*linear1"});
  EXPECT_EQ(error_of([&] { nn::add_lora(adapted.encoder, {.pattern = "*linear2"}); }),
            "add_lora: layers.0.linear1.lora_A is there already: merge_lora first");
  const TensorFile good = nn::lora_state(adapted.encoder);
  const auto refused = [&](const std::function<void(TensorFile&)>& spoil) {
    TensorFile bad = good;
    spoil(bad);
    return error_of([&] { nn::load_lora(encoder, bad); });
  };
  EXPECT_EQ(refused([](TensorFile& f) { f.metadata.clear(); }), "load_lora: the metadata has no alpha above 0");
  EXPECT_EQ(refused([](TensorFile& f) { f.metadata["alpha"] = "nan"; }),
            "load_lora: the metadata has no alpha above 0");
  EXPECT_EQ(refused([](TensorFile& f) { f.tensors.pop_back(); }),
            "load_lora: of layers.1.linear1.lora_A and lora_B one is missing");
  EXPECT_EQ(refused([](TensorFile& f) {
              f.tensors.back().second = zeros({12, 3});
            }),
            "load_lora: layers.1.linear1.lora_A [2, 8] and lora_B [12, 3] do not fit a weight [12, 8]");
  EXPECT_EQ(refused([](TensorFile& f) { f.tensors.back().second = zeros({}); }),
            "load_lora: layers.1.linear1.lora_A [2, 8] and lora_B [] do not fit a weight [12, 8]");
  EXPECT_EQ(refused([](TensorFile& f) {
              f.tensors.emplace_back("elsewhere.lora_A.weight", zeros({2, 2}));
            }),
            "load_lora: elsewhere.lora_A.weight has no place in this model");
  EXPECT_EQ(refused([](TensorFile& f) { f.tensors.clear(); }), "load_lora: there is no lora_A");
  // None of these has changed anything.
  EXPECT_EQ(encoder.state_dict().size(), tensors);
  EXPECT_EQ(trained(encoder).size(), encoder.named_parameters().size());
}

TEST(Lora, PathsMatchPatterns) {
  for (const auto& [patterns, path] : std::vector<std::pair<std::string, std::string>>{
           {"*", ""}, {"*", "a.b"}, {"a.?.c", "a.1.c"}, {"x,*.c", "a.b.c"}, {"a*c*", "abcab"}, {"a.b", "a.b"}})
    EXPECT_TRUE(nn::path_matches(patterns, path)) << patterns << " " << path;
  for (const auto& [patterns, path] : std::vector<std::pair<std::string, std::string>>{
           {"", "a"}, {"?", ""}, {"a", "ab"}, {"ab", "a"}, {"a.?.c", "a.12.c"}, {"*b", "abc"}, {"x,y", "x,y"}})
    EXPECT_FALSE(nn::path_matches(patterns, path)) << patterns << " " << path;
}

// --- pruning -------------------------------------------------------------------------------------------------------

std::vector<Tensor> two_weights() {
  return {from_vector<float>({1, -2, 3, -4, 5, -6}, {2, 3}).requires_grad_(),
          from_vector<float>({-10, 20, 30, 0.5f}, {4}).requires_grad_()};
}

TEST(Pruner, ZeroesTheSmallestOfAllOrOfEach) {
  std::vector<Tensor> w = two_weights();
  optim::Pruner(w).prune(0.5);
  EXPECT_EQ(w[0].to_vector(), (std::vector<double>{0, 0, 0, 0, 5, -6}));
  EXPECT_EQ(w[1].to_vector(), (std::vector<double>{-10, 20, 30, 0}));
  EXPECT_EQ(optim::sparsity(w), 0.5);
  w = two_weights();
  optim::Pruner(w, optim::PruneScope::each).prune(0.5);
  EXPECT_EQ(w[0].to_vector(), (std::vector<double>{0, 0, 0, -4, 5, -6}));
  EXPECT_EQ(w[1].to_vector(), (std::vector<double>{0, 20, 30, 0}));
  w = two_weights();
  optim::Pruner(w).prune(0);
  EXPECT_EQ(optim::sparsity(w), 0);
  EXPECT_EQ(error_of([&] { optim::Pruner(w).prune(1); }), "Pruner: sparsity 1 must lie in [0, 1)");
  EXPECT_EQ(error_of([&] { optim::Pruner(w).prune(NAN); }), "Pruner: sparsity nan must lie in [0, 1)");
}

TEST(Pruner, KeepsThemAtZeroWhileTheOthersAreTrained) {
  std::vector<Tensor> w = two_weights();
  optim::Pruner pruner(w);
  pruner.prune(0.5);
  optim::SGD optimizer(w, {.lr = 0.1, .momentum = 0.9});
  for (int i = 0; i < 3; ++i) {
    optimizer.zero_grad();
    (w[0].sum() + w[1].sum()).backward();
    optimizer.step();
    EXPECT_EQ(optim::sparsity(w), 0);  // the update moves them all
    pruner.apply();
    EXPECT_EQ(optim::sparsity(w), 0.5);
  }
  EXPECT_LT(w[0].to_vector()[4], 5);
  pruner.prune(0.8);  // those at zero are the smallest
  EXPECT_EQ(w[0].to_vector()[0], 0);
  EXPECT_EQ(optim::sparsity(w), 0.8);
}

// A weight that happens to be zero and is not pruned may grow again, so the masks are saved, not guessed.
TEST(Pruner, IsSavedAndLoaded) {
  std::vector<Tensor> w = two_weights(), v = two_weights();
  optim::Pruner one(w), other(v);
  one.prune(0.5);
  other.load_state_dict(one.state_dict());
  other.apply();
  for (size_t i = 0; i < w.size(); ++i) EXPECT_TRUE(same_bits(w[i].detach(), v[i].detach()));
  optim::NamedTensors turned = one.state_dict();  // names count, not the order
  std::swap(turned[0], turned[1]);
  optim::Pruner(v).load_state_dict(turned);
  optim::NamedTensors bad = one.state_dict();
  bad[1].first = "2";
  EXPECT_EQ(error_of([&] { other.load_state_dict(bad); }), "Pruner: the state to load lacks 1");
  bad = one.state_dict();
  bad[1].second = zeros({3}, {.dtype = boolean});
  EXPECT_EQ(error_of([&] { other.load_state_dict(bad); }), "Pruner: state 1 is bool [3], expected bool [4]");
  bad.pop_back();
  EXPECT_EQ(error_of([&] { other.load_state_dict(bad); }), "Pruner: a state of 1 tensors, expected 2");
}

// A weight that is not a number is seen in what the model computes, and not mended in silence.
TEST(Pruner, PrunesNothingBeforeItIsAsked) {
  const Tensor w = from_vector<float>({1, NAN, -2}, {3}), before = w.clone();
  optim::Pruner({w}).apply();
  EXPECT_TRUE(same_bits(w, before));
}

TEST(Pruner, GrowsGradually) {
  EXPECT_EQ(optim::gradual_sparsity(0.8, 0, 100), 0);
  EXPECT_DOUBLE_EQ(optim::gradual_sparsity(0.8, 50, 100), 0.8 * (1 - 0.125));
  EXPECT_EQ(optim::gradual_sparsity(0.8, 100, 100), 0.8);
  EXPECT_EQ(optim::gradual_sparsity(0.8, 1000, 100), 0.8);
}

}  // namespace
}  // namespace gradus
