// From scores to sentences: with what is kept from step to step as without, and against searches that try everything.
#include "nn/decode.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "autograd/ops.h"
#include "examples/text_models/seq2seq.h"
#include "examples/text_models/text_models.h"

namespace gradus::nn {
namespace {

using namespace text_models;

using Sentences = std::vector<std::vector<Hypothesis>>;

// --- kept or computed anew -----------------------------------------------------------------------------------------

// Keeps nothing but the tokens: the whole model runs at each step. Of a translator with its source, or of a model that
// writes a text on.
class Anew : public TokenStream {
 public:
  Anew(const Seq2SeqModel& model, const Tensor& source) : translator_(&model), source_(source) {}
  explicit Anew(const LanguageModel& model) : writer_(&model) {}
  Tensor step(const Tensor& tokens) override {
    NoGrad guard;
    tokens_ = tokens_.defined() ? cat({tokens_, tokens}, 1) : tokens;
    return (writer_ ? (*writer_)(tokens_) : (*translator_)(source_, tokens_, &weights_)).select(1, -1);
  }
  void reorder(const Tensor& rows) override {
    tokens_ = tokens_.index_select(0, rows);
    if (source_.defined()) source_ = source_.index_select(0, rows);
  }
  Tensor attention() const override { return weights_.defined() ? weights_.select(1, -1) : Tensor(); }

 private:
  const Seq2SeqModel* translator_ = nullptr;
  const LanguageModel* writer_ = nullptr;
  Tensor source_, tokens_, weights_;
};

void expect_same(const Sentences& kept, const Sentences& anew) {
  ASSERT_EQ(kept.size(), anew.size());
  for (size_t row = 0; row < kept.size(); ++row) {
    ASSERT_EQ(kept[row].size(), anew[row].size());
    for (size_t i = 0; i < kept[row].size(); ++i) {
      EXPECT_EQ(kept[row][i].tokens, anew[row][i].tokens) << "row " << row;
      EXPECT_NEAR(kept[row][i].score, anew[row][i].score, 1e-5);
    }
  }
}

// Sharp choices, not nearly uniform ones; double, as in float32 two ways of rounding may decide a tie differently.
void prepare(Module& model) {
  NoGrad guard;
  for (const Tensor& p : model.parameters()) Tensor(p).mul_(2);
  model.to(float64);
  model.eval();
}

constexpr int batches = 20, rows_each = 50;  // 1,000 prompts

void expect_kept_equals_anew(const LanguageModel& model, int64_t vocabulary) {
  for (int batch = 0; batch < batches; ++batch) {
    // Of any length, the last token being the one that a search begins with.
    const Tensor prompts = randint(3, vocabulary, {rows_each, 1 + default_generator().below(7)});
    for (const int64_t beam : {1, 3}) {
      const auto stream = model.start();
      Anew anew(model);
      (void)stream->step(prompts);
      (void)anew.step(prompts);
      const DecodeOptions o{.max_length = 6, .beam = beam, .n_best = beam};
      expect_same(beam_search(*stream, rows_each, o), beam_search(anew, rows_each, o));
    }
  }
}

void expect_kept_equals_anew(const Seq2SeqModel& model, int64_t vocabulary) {
  for (int batch = 0; batch < batches; ++batch) {
    Tensor source = randint(3, vocabulary, {rows_each, 2 + default_generator().below(6)});
    // Up to all but one place of a row are padding.
    const Tensor length = randint(1, source.size(1) + 1, {rows_each, 1});
    source = source.masked_fill(arange(source.size(1)) >= length, 0);
    for (const int64_t beam : {1, 3}) {
      const auto stream = model.start(source);
      Anew anew(model, source);
      const DecodeOptions o{.max_length = 6, .beam = beam, .n_best = beam};
      expect_same(beam_search(*stream, rows_each, o), beam_search(anew, rows_each, o));
    }
  }
}

TEST(Kept, GptWritesTheSameAsAnew) {
  manual_seed(1);
  for (const bool is_rotary : {false, true}) {
    Gpt model({.vocabulary = 11,
               .block = 16,
               .layers = 2,
               .heads = 4,
               .d_model = 8,
               .rotary = is_rotary,
               .kv_heads = is_rotary ? 2 : 0});
    {
      NoGrad guard;
      for (const Tensor& p : model.parameters()) Tensor(p).mul_(5);  // begins with deviation 0.02
    }
    prepare(model);
    expect_kept_equals_anew(model, 11);
  }
}

TEST(Kept, RecurrentLmWritesTheSameAsAnew) {
  manual_seed(2);
  for (const Cell cell : {Cell::rnn_tanh, Cell::gru, Cell::lstm}) {
    RecurrentLm model({.vocabulary = 11, .cell = cell, .embedding = 8, .hidden = 8, .layers = 2});
    prepare(model);
    expect_kept_equals_anew(model, 11);
  }
}

TEST(Kept, TransformerTranslatesTheSameAsAnew) {
  manual_seed(3);
  for (const bool norm_first : {false, true}) {
    TranslatorOptions o;
    o.d_model = 8, o.heads = 2, o.ffn = 16, o.encoder_layers = o.decoder_layers = 2, o.dropout = 0;
    o.source_vocabulary = 11, o.target_vocabulary = 9;
    o.norm_first = norm_first;
    o.positions = norm_first ? PositionKind::learned : PositionKind::sinusoidal;
    Transformer model(o);
    prepare(model);
    expect_kept_equals_anew(model, 11);
  }
}

TEST(Kept, Seq2SeqTranslatesTheSameAsAnew) {
  manual_seed(4);
  const std::optional<Score> scores[] = {{}, Score::dot, Score::general, Score::additive};
  for (int kind = 0; kind < 4; ++kind) {
    Seq2Seq model({.source_vocabulary = 11,
                   .target_vocabulary = 9,
                   .embedding = 6,
                   .hidden = 6,
                   .num_layers = 1 + kind % 2,
                   .cell = kind % 2 ? Cell::lstm : Cell::gru,
                   .attention = scores[kind],
                   .input_feeding = kind != 2,
                   .coverage = kind == 3});
    prepare(model);
    expect_kept_equals_anew(model, 11);
  }
}

// What a step costs grows with the places that it looks at, never with the square.
TEST(Kept, GptWritesInLinearTime) {
  Gpt model({.vocabulary = 11, .block = 256, .layers = 2, .heads = 2, .d_model = 64});
  model.eval();
  const NoGrad guard;
  const auto stream = model.start();
  const Tensor token = ones({1, 1}, {.dtype = int64});
  std::vector<int64_t> flops;
  for (int place = 0; place < 256; ++place) {
    const int64_t before = flops_counted();
    (void)stream->step(token);
    flops.push_back(flops_counted() - before);
  }
  // Each place adds one key and one value of 64 features to two layers: four flops for each feature.
  for (size_t place = 1; place < flops.size(); ++place) EXPECT_EQ(flops[place] - flops[place - 1], 2 * 4 * 64);
  EXPECT_LT(flops.back(), 3 * flops.front());
}

// --- searches that try everything ----------------------------------------------------------------------------------

// Scores, and looks at a source, that follow from what was written so far and nothing else.
class Dreams : public TokenStream {
 public:
  // `places` of each row's source; the batch is as wide as the widest, the rest padding.
  Dreams(uint64_t seed, int64_t vocabulary, std::vector<int64_t> places)
      : seed_(seed),
        vocabulary_(vocabulary),
        widest_(*std::max_element(places.begin(), places.end())),
        places_(std::move(places)),
        written_(places_.size()) {
    for (size_t i = 0; i < places_.size(); ++i) written_[i].push_back(int64_t(i));  // rows differ
  }
  Tensor step(const Tensor& tokens) override {
    ++steps;
    std::vector<Tensor> logits, looks;
    for (size_t row = 0; row < written_.size(); ++row) {
      for (int64_t t = 0; t < tokens.size(1); ++t) written_[row].push_back(int64_t(tokens[int64_t(row)][t].item()));
      uint64_t hash = seed_;
      for (const int64_t token : written_[row]) hash = (hash ^ uint64_t(token + 1)) * 0x9E3779B97F4A7C15u;
      Generator random(hash >> 8);
      logits.push_back(randn({vocabulary_}, {}, &random) * 2);
      // As many numbers for any width: the first ones are the same.
      const Tensor score = randn({16}, {}, &random).narrow(0, 0, widest_) * 2;
      looks.push_back(softmax(score.masked_fill(arange(widest_) >= double(places_[row]), -1e30), -1));
    }
    looks_ = stack(looks);
    return stack(logits);
  }
  void reorder(const Tensor& rows) override {
    std::vector<std::vector<int64_t>> written;
    std::vector<int64_t> places;
    for (const double row : rows.to_vector()) {
      written.push_back(written_[size_t(row)]);
      places.push_back(places_[size_t(row)]);
    }
    written_ = std::move(written);
    places_ = std::move(places);
  }
  Tensor attention() const override { return looks_; }

  int steps = 0;

 private:
  uint64_t seed_;
  int64_t vocabulary_, widest_;
  std::vector<int64_t> places_;
  std::vector<std::vector<int64_t>> written_;
  Tensor looks_;
};

// A sentence that goes on, or has ended.
struct Draft {
  std::vector<int64_t> tokens;
  double log_probability = 0;
  std::vector<Tensor> looks;  // at the real places
};

Hypothesis ended(const Draft& draft, const DecodeOptions& o) {
  double score = draft.log_probability / std::pow((5 + double(draft.tokens.size())) / 6, o.length_penalty);
  for (int64_t j = 0; j < draft.looks[0].numel(); ++j) {
    double seen = 0;
    for (const Tensor& look : draft.looks) seen += look[j].item();
    score += o.coverage_penalty * std::log(std::min(1.0, std::max(seen, 1e-10)));
  }
  return {draft.tokens, score, {}};
}

// `draft` of `row` of `places` with what each token of the vocabulary would add to it, but for the token itself.
std::vector<Draft> ways_on(uint64_t seed, int64_t vocabulary, const std::vector<int64_t>& places, size_t row,
                           const DecodeOptions& o, const Draft& draft) {
  const auto in_each_row = [&](int64_t token) {
    return full({int64_t(places.size()), 1}, double(token), {.dtype = int64});
  };
  Dreams stream(seed, vocabulary, places);
  Tensor logits = stream.step(in_each_row(o.bos));
  for (const int64_t token : draft.tokens) logits = stream.step(in_each_row(token));
  const Tensor look = stream.attention()[int64_t(row)].narrow(0, 0, places[row]);
  std::vector<Draft> ways;
  for (const double p : log_softmax(logits[int64_t(row)], -1).to_vector()) {
    ways.push_back(draft);
    ways.back().log_probability += p;
    ways.back().looks.push_back(look);
  }
  return ways;
}

// Beam search by its definition: no batch, no early end, every way of going on looked at. `row` of `places`.
std::vector<Hypothesis> plain_search(uint64_t seed, int64_t vocabulary, const std::vector<int64_t>& places,
                                     size_t row, const DecodeOptions& o) {
  NoGrad guard;
  std::vector<Draft> going = {{}};
  std::vector<Hypothesis> best;
  for (int64_t length = 0; !going.empty(); ++length) {
    std::vector<std::pair<Draft, int64_t>> all;
    for (const Draft& draft : going) {
      std::vector<Draft> ways = ways_on(seed, vocabulary, places, row, o, draft);
      for (size_t token = 0; token < ways.size(); ++token) all.emplace_back(std::move(ways[token]), int64_t(token));
    }
    std::stable_sort(all.begin(), all.end(),
                     [](auto& a, auto& b) { return a.first.log_probability > b.first.log_probability; });
    going.clear();
    for (size_t i = 0; i < all.size() && int64_t(going.size()) < o.beam; ++i) {
      auto& [draft, token] = all[i];
      if (token == o.eos) {
        if (int64_t(i) < o.beam) best.push_back(ended(draft, o));
        continue;
      }
      draft.tokens.push_back(token);
      going.push_back(std::move(draft));
    }
    if (length + 1 < o.max_length) continue;
    for (const Draft& draft : going) best.push_back(ended(draft, o));
    going.clear();
  }
  std::stable_sort(best.begin(), best.end(), [](auto& a, auto& b) { return a.score > b.score; });
  if (int64_t(best.size()) > o.n_best) best.resize(size_t(o.n_best));
  return best;
}

void expect_search(uint64_t seed, int64_t vocabulary, const DecodeOptions& o, int* saved = nullptr) {
  Generator random(seed);
  const std::vector<int64_t> places = {1 + random.below(4), 1 + random.below(4)};
  Dreams stream(seed, vocabulary, places);
  const Sentences found = beam_search(stream, 2, o);
  for (size_t row = 0; row < 2; ++row) {
    const std::vector<Hypothesis> wanted = plain_search(seed, vocabulary, places, row, o);
    ASSERT_EQ(found[row].size(), wanted.size()) << "seed " << seed;
    for (size_t i = 0; i < wanted.size(); ++i) {
      EXPECT_EQ(found[row][i].tokens, wanted[i].tokens) << "seed " << seed << ", row " << row << ", number " << i;
      EXPECT_NEAR(found[row][i].score, wanted[i].score, 1e-4) << "seed " << seed;
    }
  }
  if (saved) *saved += int(o.max_length) - stream.steps;
}

TEST(BeamSearch, StopsWhenNothingBetterCanCome) {
  int saved = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed)
    expect_search(seed, 5,
                  {.max_length = 7,
                   .beam = 1 + int64_t(seed % 4),
                   .n_best = 1 + int64_t(seed % 4) / 2,
                   .length_penalty = 0.6 * double(seed % 3),
                   .coverage_penalty = seed % 5 < 2 ? 0.3 : 0},
                  &saved);
  EXPECT_GT(saved, 60);  // and it does stop early
}

// Every sentence there is, by recursion.
void try_all(uint64_t seed, int64_t vocabulary, const std::vector<int64_t>& places, size_t row,
             const DecodeOptions& o, const Draft& draft, std::vector<Hypothesis>& all) {
  if (int64_t(draft.tokens.size()) == o.max_length) return all.push_back(ended(draft, o));
  int64_t token = 0;
  for (Draft& more : ways_on(seed, vocabulary, places, row, o, draft)) {
    if (token == o.eos) {
      all.push_back(ended(more, o));
    } else {
      more.tokens.push_back(token);
      try_all(seed, vocabulary, places, row, o, more, all);
    }
    ++token;
  }
}

TEST(BeamSearch, OfFullWidthFindsTheBestOfAll) {
  NoGrad guard;
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    const DecodeOptions o{.max_length = 3,
                          .beam = 4 * 4 * 4,
                          .n_best = 9,
                          .length_penalty = double(seed % 3),
                          .coverage_penalty = seed % 2 ? 0.7 : 0};
    const std::vector<int64_t> places = {3, 1 + int64_t(seed % 4)};
    Dreams stream(seed, 4, places);
    const Sentences found = beam_search(stream, 2, o);
    for (size_t row = 0; row < 2; ++row) {
      std::vector<Hypothesis> all;
      try_all(seed, 4, places, row, o, {}, all);
      EXPECT_EQ(all.size(), 1u + 3 + 9 + 27);
      std::stable_sort(all.begin(), all.end(), [](auto& a, auto& b) { return a.score > b.score; });
      ASSERT_EQ(found[row].size(), 9u);
      for (size_t i = 0; i < 9; ++i) {
        EXPECT_EQ(found[row][i].tokens, all[i].tokens) << "seed " << seed << ", row " << row << ", number " << i;
        EXPECT_NEAR(found[row][i].score, all[i].score, 1e-4);
      }
    }
  }
}

TEST(BeamSearch, PaddingAndNeighboursCoverNothing) {
  // The scores of a sentence are those it has alone, the empty translation's too.
  const DecodeOptions o{.max_length = 4, .beam = 8, .n_best = 8, .coverage_penalty = 0.5};
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Dreams narrow(seed, 4, {2}), wide(seed, 4, {2, 9});
    const Sentences alone = beam_search(narrow, 1, o), together = beam_search(wide, 2, o);
    ASSERT_EQ(alone[0].size(), together[0].size());
    for (size_t i = 0; i < alone[0].size(); ++i) {
      EXPECT_EQ(alone[0][i].tokens, together[0][i].tokens);
      EXPECT_NEAR(alone[0][i].score, together[0][i].score, 1e-5);
    }
  }
}

}  // namespace
}  // namespace gradus::nn
