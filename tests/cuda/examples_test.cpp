// What the example programs do, with small models of each of their kinds: a step of training on the device ends where
// one on the CPU does, and decoding writes the same tokens.
#include <optional>
#include <vector>

#include "data/metrics.h"
#include "data/text/batches.h"
#include "data/transforms.h"
#include "examples/text_models/seq2seq.h"
#include "examples/text_models/text_models.h"
#include "nn/nn.h"
#include "optim/optim.h"
#include "tests/cuda/device.h"
#include "tutorials/attention_forms/attention_forms.h"

namespace gradus {
namespace {

using testing::difference;
using testing::on_device;

class CudaExamples : public testing::OnDevice {};

constexpr double tolerance = 1e-4;
constexpr int64_t vocabulary = 13, pad = 0;

struct Trained {
  double loss = 0, norm = 0;      // the norm is that of all gradients
  std::vector<Tensor> gradients;  // clipped
  nn::StateDict after;            // parameters and buffers
  double loss_after = 0;          // when evaluating
};

// One step of a model that always begins the same.
template <class Make, class Loss>
Trained train(const Make& make, const Loss& loss_of, Device device) {
  manual_seed(1);
  auto model = make();
  model.to(device);
  EXPECT_EQ(model.device(), device);
  // The large eps keeps what is zero but for rounding, as is the gradient of a bias before a normalisation, small.
  optim::AdamW optimizer(model.parameters(), {.lr = 0.1, .eps = 0.01});
  const Tensor loss = loss_of(model, device);
  EXPECT_EQ(loss.device(), device);
  loss.backward();
  Trained t;
  t.loss = loss.item();
  t.norm = optim::clip_grad_norm_(model.parameters(), 0.2);
  for (const Tensor& p : model.parameters()) t.gradients.push_back(p.grad());
  optimizer.step();
  t.after = model.state_dict();
  model.eval();
  const NoGrad guard;
  t.loss_after = loss_of(model, device).item();
  return t;
}

template <class Make, class Loss>
void expect_same_step(const Make& make, const Loss& loss_of) {
  const Trained there = train(make, loss_of, Device::cuda), here = train(make, loss_of, Device::cpu);
  EXPECT_GT(here.norm, 0.2);  // so that clipping does something
  EXPECT_NEAR(there.loss, here.loss, tolerance * std::abs(here.loss));
  EXPECT_NEAR(there.norm, here.norm, tolerance * here.norm);
  EXPECT_NEAR(there.loss_after, here.loss_after, tolerance * std::abs(here.loss_after));
  ASSERT_EQ(there.gradients.size(), here.gradients.size());
  for (size_t i = 0; i < here.gradients.size(); ++i) {
    EXPECT_EQ(there.gradients[i].device(), Device::cuda);
    EXPECT_EQ(difference(there.gradients[i], here.gradients[i], tolerance, 1e-6), "") << "gradient " << i;
  }
  ASSERT_EQ(there.after.size(), here.after.size());
  for (size_t i = 0; i < here.after.size(); ++i) {
    EXPECT_EQ(there.after[i].second.device(), Device::cuda);
    EXPECT_EQ(difference(there.after[i].second, here.after[i].second, tolerance), "") << here.after[i].first;
  }
}

Tensor random_tokens(const Shape& shape, uint64_t seed) {
  Generator random(seed);
  return randint(4, vocabulary, shape, {.dtype = int64}, &random);
}

// Sentences of 6, 3 and 5 tokens.
Tensor sentences() { return data::pad_rows({{4, 9, 6, 7, 12, 2}, {5, 5, 2}, {11, 4, 8, 7, 2}}, pad); }

Tensor next_token_loss(const Tensor& logits, const Tensor& next) {
  return cross_entropy(logits.flatten(0, 1), next.flatten(), {.ignore_index = pad, .label_smoothing = 0.1});
}

template <class Model>
Tensor translation_loss(const Model& model, Device device) {
  const Tensor target = data::pad_rows({{1, 5, 6, 4, 2}, {1, 7, 2}, {1, 12, 8, 2}}, pad).to(device);
  return next_token_loss(model(sentences().to(device), target.narrow(1, 0, 4)), target.narrow(1, 1, 4));
}

template <class Model>
Tensor language_loss(const Model& model, Device device) {
  const Tensor text = random_tokens({2, 9}, 3).to(device);
  return next_token_loss(model(text.narrow(1, 0, 8)), text.narrow(1, 1, 8));
}

nn::Transformer transformer(nn::PositionKind positions = nn::PositionKind::sinusoidal) {
  nn::TranslatorOptions o;
  o.d_model = 16, o.heads = 2, o.ffn = 24, o.encoder_layers = 1, o.decoder_layers = 1, o.dropout = 0.2;
  o.source_vocabulary = o.target_vocabulary = vocabulary, o.positions = positions, o.max_length = 32;
  return nn::Transformer(o);
}

text_models::Seq2Seq seq2seq(std::optional<nn::Score> score = nn::Score::additive, nn::Cell cell = nn::Cell::gru) {
  return text_models::Seq2Seq({.source_vocabulary = vocabulary,
                               .target_vocabulary = vocabulary,
                               .embedding = 6,
                               .hidden = 7,
                               .dropout = 0.1,
                               .cell = cell,
                               .attention = score,
                               .coverage = score == nn::Score::additive});
}

text_models::Gpt gpt(bool rotary = false) {
  return text_models::Gpt(
      {.vocabulary = vocabulary, .block = 24, .layers = 2, .heads = 2, .d_model = 12, .rotary = rotary});
}

text_models::RecurrentLm recurrent_lm(nn::Cell cell) {
  return text_models::RecurrentLm(
      {.vocabulary = vocabulary, .cell = cell, .embedding = 6, .hidden = 9, .layers = 2, .dropout = 0.1});
}

// --- a step of training --------------------------------------------------------------------------------------------

nn::Sequential cnn() {
  nn::Sequential model;
  model.append(nn::Conv2d(2, 4, 3, {.padding = 1, .bias = false}));
  model.append(nn::BatchNorm2d(4));
  model.append(nn::ReLU());
  model.append(nn::MaxPool2d(2));
  model.append(nn::AdaptiveAvgPool2d(3));
  model.append(nn::Flatten());
  model.append(nn::Linear(36, 8));
  model.append(nn::BatchNorm1d(8));
  model.append(nn::ReLU());
  model.append(nn::Dropout(0.3));
  model.append(nn::Linear(8, 5));
  return model;
}

data::ImageBatch images(Device device) {
  Generator random(2);
  data::ImageBatch batch{randn({6, 2, 8, 8}, {}, &random), tensor({3, 1, 0, 4, 4, 2}).to(int64)};
  return {batch.images.to(device), batch.labels.to(device)};
}

TEST_F(CudaExamples, ImagesAreLearnt) {
  expect_same_step(cnn, [](nn::Sequential& model, Device device) {
    const data::ImageBatch batch = images(device);
    Generator random(4);
    const data::Mixup mixed = data::mixup(batch, 0.2, random);
    const Tensor logits = model(mixed.images);
    return cross_entropy(logits, batch.labels) * mixed.weight +
           cross_entropy(logits, mixed.other_labels) * (1 - mixed.weight);
  });
}

TEST_F(CudaExamples, ImagesAreTold) {
  manual_seed(1);
  nn::Sequential model = cnn();
  model.eval();
  const NoGrad guard;
  const data::ImageBatch here = images(Device::cpu), there = images(Device::cuda);
  const Tensor expected = model(here.images);
  model.to(Device::cuda);
  const Tensor logits = model(there.images);
  EXPECT_EQ(difference(logits, expected, tolerance), "");
  for (const Tensor& labels : {here.labels, there.labels}) {
    data::ConfusionMatrix matrix(5), right(5);
    matrix.add(logits, labels);
    right.add(expected, here.labels);
    EXPECT_TRUE(equal(matrix.counts(), right.counts()));
    EXPECT_EQ(data::topk_accuracy(logits, labels, 2), data::topk_accuracy(expected, here.labels, 2));
  }
}

TEST_F(CudaExamples, TranslationIsLearnt) {
  for (const nn::PositionKind kind : {nn::PositionKind::sinusoidal, nn::PositionKind::learned}) {
    SCOPED_TRACE(int(kind));
    expect_same_step([&] { return transformer(kind); }, translation_loss<nn::Transformer>);
  }
  const std::optional<nn::Score> scores[] = {nn::Score::additive, nn::Score::general, nn::Score::scaled_dot, {}};
  for (const auto& score : scores) {
    SCOPED_TRACE(score ? to_string(*score) : "no attention");
    const nn::Cell cell = score == nn::Score::general ? nn::Cell::lstm : nn::Cell::gru;
    expect_same_step([&] { return seq2seq(score, cell); }, translation_loss<text_models::Seq2Seq>);
  }
}

TEST_F(CudaExamples, TextIsLearnt) {
  for (const bool rotary : {false, true})
    expect_same_step([&] { return gpt(rotary); }, language_loss<text_models::Gpt>);
  for (const nn::Cell cell : {nn::Cell::lstm, nn::Cell::gru, nn::Cell::rnn_tanh})
    expect_same_step([&] { return recurrent_lm(cell); }, language_loss<text_models::RecurrentLm>);
}

TEST_F(CudaExamples, HiddenWordsAreLearnt) {
  const auto make = [] {
    return text_models::Bert(
        {.vocabulary = vocabulary, .max_length = 8, .layers = 1, .heads = 2, .d_model = 12, .ffn = 20});
  };
  expect_same_step(make, [](const text_models::Bert& model, Device device) {
    const Tensor places = tensor({1, 4, 6, 13}).to(int64).to(device), words = tensor({9, 12, 5, 4}).to(int64);
    const Tensor encoded = model(sentences().to(device)).flatten(0, 1);
    return cross_entropy(model.predict(encoded.index_select(0, places)), words.to(device));
  });
}

TEST_F(CudaExamples, JudgementsAreLearnt) {
  const auto make = [] {
    return text_models::TextClassifier({.vocabulary = vocabulary, .max_length = 8, .d_model = 8, .heads = 2});
  };
  expect_same_step(make, [](const text_models::TextClassifier& model, Device device) {
    Tensor looks;
    const Tensor logits = model(sentences().to(device), &looks).squeeze(1);
    EXPECT_EQ(looks.device(), device);
    return binary_cross_entropy_with_logits(logits * 3.0, tensor({1, 0, 1}).to(device));
  });
}

TEST_F(CudaExamples, RecurrentLayersKeepTheirState) {
  const auto run = [](Device device) {
    manual_seed(1);
    nn::LSTM layer(5, 6, {.num_layers = 2, .bidirectional = true});
    layer.to(device);
    const Tensor x = randn({3, 7, 5}).to(device), lengths = tensor({7, 2, 4}).to(int64).to(device);
    const nn::RecurrentOutput first = layer(x, lengths), next = layer(x, lengths, first.state);
    return std::vector<Tensor>{first.output, next.output, next.state.h, next.state.c};
  };
  const std::vector<Tensor> there = run(Device::cuda), here = run(Device::cpu);
  for (size_t i = 0; i < here.size(); ++i) EXPECT_EQ(difference(there[i], here[i], tolerance), "") << i;
}

TEST_F(CudaExamples, MasksAndPositionsAreMadeOnTheDevice) {
  const auto expect_same = [](const Tensor& there, const Tensor& here) {
    EXPECT_EQ(there.device(), Device::cuda);
    EXPECT_EQ(difference(there.to(float32), here.to(float32), 1e-6), "");
  };
  expect_same(causal_mask(3, 5, Device::cuda).kept, causal_mask(3, 5).kept);
  expect_same(window_mask(3, 5, 1, 1, Device::cuda).kept, window_mask(3, 5, 1, 1).kept);
  expect_same(alibi_bias(4, 3, 5, Device::cuda), alibi_bias(4, 3, 5));
  expect_same(nn::sinusoidal_positions(5, 6, 2, Device::cuda), nn::sinusoidal_positions(5, 6, 2));
  const Tensor x = randn({2, 5, 6}), lengths = tensor({5, 3}).to(int64);
  expect_same(rotary(on_device(x), 3), rotary(x, 3));
  expect_same(padding_mask(on_device(lengths), 5).kept, padding_mask(lengths, 5).kept);
  nn::RelativeBias relative(2);
  attention_forms::LocalAttention local(6, 6, 2);
  const Tensor bias = relative(3, 5).detach(), looked = local(x, x, lengths).output.detach();
  relative.to(Device::cuda);
  local.to(Device::cuda);
  expect_same(relative(3, 5), bias);
  EXPECT_EQ(difference(local(on_device(x), on_device(x), on_device(lengths)).output, looked, tolerance), "");
}

// --- decoding ------------------------------------------------------------------------------------------------------

std::vector<std::vector<nn::Hypothesis>> translations(const nn::Seq2SeqModel& model, Device device,
                                                      const nn::DecodeOptions& options) {
  const auto stream = model.start(sentences().to(device));
  EXPECT_EQ(stream->device(), device);
  return nn::beam_search(*stream, 3, options);
}

template <class Model>
void expect_same_translations(Model model, bool attends) {
  model.eval();
  for (const int64_t beam : {1, 3}) {
    SCOPED_TRACE(beam);
    const nn::DecodeOptions options{.max_length = 6,
                                    .beam = beam,
                                    .n_best = beam,
                                    .length_penalty = 0.6,
                                    .coverage_penalty = attends ? 0.2 : 0,
                                    .keep_attention = true};
    model.to(Device::cpu);
    const auto here = translations(model, Device::cpu, options);
    model.to(Device::cuda);
    const auto there = translations(model, Device::cuda, options);
    for (size_t row = 0; row < here.size(); ++row) {
      ASSERT_EQ(there[row].size(), here[row].size());
      for (size_t i = 0; i < here[row].size(); ++i) {
        const nn::Hypothesis &h = here[row][i], &t = there[row][i];
        EXPECT_EQ(t.tokens, h.tokens);
        EXPECT_NEAR(t.score, h.score, tolerance);
        EXPECT_EQ(t.attention.defined(), attends && !h.tokens.empty());
        if (!t.attention.defined()) continue;
        EXPECT_EQ(t.attention.device(), Device::cpu);
        EXPECT_EQ(difference(t.attention, h.attention, tolerance), "");
      }
    }
  }
}

TEST_F(CudaExamples, TranslatesAsTheCpuDoes) {
  manual_seed(5);
  expect_same_translations(transformer(), true);
  expect_same_translations(seq2seq(), true);
  expect_same_translations(seq2seq({}, nn::Cell::lstm), false);
}

// 12 tokens drawn behind a beginning.
std::vector<int64_t> written(const nn::LanguageModel& model, Device device) {
  std::vector<int64_t> text = {4, 7, 5};
  Generator random(9);
  const auto stream = model.start();
  EXPECT_EQ(stream->device(), device);
  Tensor logits = stream->step(from_vector(text, {1, 3}).to(device));
  for (int i = 0; i < 12; ++i) {
    text.push_back(nn::sample_token(logits[0], {.top_k = 5, .repetition_penalty = 1.1}, random, text));
    logits = stream->step(from_vector<int64_t>({text.back()}, {1, 1}).to(device));
  }
  return text;
}

template <class Model>
void expect_same_text(Model model) {
  model.eval();
  const std::vector<int64_t> here = written(model, Device::cpu);
  model.to(Device::cuda);
  EXPECT_EQ(written(model, Device::cuda), here);
}

TEST_F(CudaExamples, WritesAsTheCpuDoes) {
  manual_seed(6);
  expect_same_text(gpt());
  expect_same_text(gpt(true));
  expect_same_text(recurrent_lm(nn::Cell::lstm));
  expect_same_text(recurrent_lm(nn::Cell::gru));
}

}  // namespace
}  // namespace gradus
