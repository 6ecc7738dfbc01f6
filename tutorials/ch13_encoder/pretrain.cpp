// Learns words from reviews without labels, by guessing those that are hidden; then classifies with few labels, from
// what was learned and from nothing.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "data/text/unicode.h"
#include "examples/text_models/text_models.h"
#include "optim/optim.h"
#include "tutorials/ch13_encoder/encoder.h"

using namespace gradus;
using namespace ch13;

namespace {

struct Settings {
  int64_t seeds = 3, updates = 500, draws = 2;
  double negated = 0, anew_lr = 0.005;
  std::vector<std::string> texts;
  bool usual = true;  // nothing was given on the command line
};

constexpr int64_t tune = 60;  // updates of a fine-tuning
const Vocabulary vocabulary;

//! [model]
// Guesses hidden words: the scores of all words at some places are products with the embeddings.
struct MaskedModel : nn::Module {
  Encoder encoder;
  Tensor bias;  // (vocabulary)
  explicit MaskedModel(const EncoderOptions& o) : encoder(o), bias(zeros({o.vocabulary}, {.requires_grad = true})) {}

  // tokens (batch, n), places (count) among batch x n: scores (count, vocabulary).
  Tensor operator()(const Tensor& tokens, const Tensor& places) const {
    nn::Call call(*this);
    const Tensor rows = encoder(tokens).flatten(0, 1).index_select(0, places);  // (count, features)
    return call(linear(rows, encoder.words.weight, bias));
  }
  //! [model]
  void visit(nn::Visitor& v) override {
    v("encoder", encoder);
    v("bias", bias);
  }
  const char* type() const override { return "MaskedModel"; }
};

enum class Choice { alike, rarer };  // 15% of all words; 40% of rare words, fewer of frequent ones

//! [chances]
// The chance of each word of the vocabulary to be chosen.
std::vector<double> chances_of(Choice choice, const Tensor& text) {
  std::vector<double> counts(size_t(vocabulary.size()), 0), chances(counts.size(), 0);
  for (const double id : text.flatten().to_vector()) counts[size_t(id)] += 1;
  std::fill_n(counts.begin(), first_word, 0);
  const double words = std::accumulate(counts.begin(), counts.end(), 0.0);
  for (size_t id = first_word; id < counts.size(); ++id) {
    const double share = counts[id] / words;
    chances[id] = choice == Choice::alike ? 0.15 : 0.4 * std::min(1.0, std::sqrt(0.01 / std::max(share, 1e-9)));
  }
  return chances;
}
//! [chances]

//! [hide]
struct Hidden {
  Tensor tokens, places, targets;  // (batch, n); where among batch x n words were chosen, (count), and which
};
Hidden hide(const Tensor& tokens, const std::vector<double>& chances, Generator& random) {
  const auto m = text_models::mask_tokens(tokens, chances, first_word, special.mask, -100, random);
  const Tensor places = (m.targets.flatten() != -100.0).nonzero().squeeze(1);
  return {m.tokens, places, m.targets.flatten().index_select(0, places)};
}
//! [hide]

EncoderOptions small() {
  return {.vocabulary = vocabulary.size(), .layers = 2, .heads = 2, .features = 32, .embedding_std = 0.3};
}

Batch draw_batch(const Settings& s, int64_t count, uint64_t seed) {
  const auto reviews = draw_reviews(count, seed, {.negated = s.negated, .asides = 0, .fewest = 2, .most = 4});
  return make_batch(reviews, all_indices(count), vocabulary, true);
}

//! [pretrain]
void pretrain(MaskedModel& model, const Settings& s, Choice choice, uint64_t seed) {
  const std::vector<double> chances = chances_of(choice, draw_batch(s, 1000, seed).tokens);
  optim::AdamW optimizer(model.parameters(), {.lr = 0.01, .betas = {0.9, 0.98}});
  optim::CosineLR schedule(optimizer, {.steps = s.updates, .warmup = s.updates / 10});
  Generator random(seed);
  for (int64_t update = 0; update < s.updates; ++update) {
    const Hidden h = hide(draw_batch(s, 64, seed * 1000000 + uint64_t(update)).tokens, chances, random);
    const Tensor loss = cross_entropy(model(h.tokens, h.places), h.targets);
    optimizer.zero_grad();
    loss.backward();
    optim::clip_grad_norm_(model.parameters(), 1);
    optimizer.step();
    schedule.step();
  }
}
//! [pretrain]

// What a model makes of adjectives that are hidden, one in each of `count` reviews, by the others.
struct Guesses {
  double word = 0, side = 0;  // how often the word itself; of all adjectives' probability, the share on its side
};
Guesses guess_adjectives(const MaskedModel& model, const Settings& s) {
  const NoGrad guard;
  const int64_t count = 500, adjectives = int64_t(good.size() + bad.size());
  Tensor tokens = draw_batch(s, count, 9).tokens;
  const Tensor is_adjective =
      (tokens >= double(first_word)).to(int64) * (tokens < double(first_word + adjectives)).to(int64);
  const Tensor place = is_adjective.argmax(1);  // (count): of the first one in each review
  const Tensor targets = tokens.gather(1, place.unsqueeze(1)).squeeze(1);
  for (int64_t i = 0; i < count; ++i) tokens[i][int64_t(place[i].item())].fill_(double(special.mask));
  const Tensor p = softmax(model(tokens, place + arange(count) * double(tokens.size(1))), -1);
  const Tensor praise = p.narrow(1, first_word, int64_t(good.size())).sum({1});
  const Tensor blame = p.narrow(1, first_word + int64_t(good.size()), int64_t(bad.size())).sum({1});
  const Tensor its = where(targets < double(first_word + int64_t(good.size())), praise, blame);
  return {(p.argmax(1) == targets).to(float64).mean().item(), (its / (praise + blame)).mean().item()};
}

//! [finetune]
// Trains on `labels` reviews, from what was learned before or from nothing, and returns the accuracy on other reviews.
double finetune(const Settings& s, const Encoder* start, Pooling pool, int64_t labels, uint64_t draw) {
  manual_seed(draw);
  Classifier model(small(), pool);
  if (start) copy_state(*start, model.encoder);
  const Batch few = draw_batch(s, labels, 5000 + draw);
  Generator random(draw);
  optim::AdamW optimizer(model.parameters(), {.lr = start ? 0.002 : s.anew_lr});
  optim::CosineLR schedule(optimizer, {.steps = tune, .warmup = tune / 10});
  for (int64_t update = 0; update < tune; ++update) {
    const Tensor which = randint(0, labels, {std::min<int64_t>(labels, 16)}, {.dtype = int64}, &random);
    const Tensor logits = model(few.tokens.index_select(0, which));
    optimizer.zero_grad();
    binary_cross_entropy_with_logits(logits, few.labels.index_select(0, which)).backward();
    optim::clip_grad_norm_(model.parameters(), 1);
    optimizer.step();
    schedule.step();
  }
  const NoGrad guard;
  static const Batch test = draw_batch(s, 500, 7);
  return ((model(test.tokens) > 0) == (test.labels > 0.5)).to(float64).mean().item();
}
//! [finetune]

struct Spread {
  double sum = 0, squares = 0, n = 0;
  void add(double x) { sum += x, squares += x * x, n += 1; }
  double mean() const { return sum / n; }
  double deviation() const {
    return std::sqrt(std::max(0.0, squares / n - mean() * mean()) * n / std::max(1.0, n - 1));
  }
};

void fill(const MaskedModel& model, const std::string& text) {
  const NoGrad guard;
  data::Ids ids = {special.bos};
  int64_t gap = -1;
  for (const std::string& word : data::split(text)) {
    if (word == "[MASK]") gap = int64_t(ids.size());
    ids.push_back(word == "[MASK]" ? special.mask : vocabulary.id(word));
  }
  check(gap >= 0, "there is no [MASK] in \"", text, "\"");
  const Tensor scores = model(data::pad_rows({ids}, special.pad), from_vector<int64_t>({gap}, {1}));
  const auto [best, index] = softmax(scores, -1)[0].topk(4);
  std::printf("%s\n ", text.c_str());
  for (int64_t i = 0; i < 4; ++i)
    std::printf(" %s %.2f", vocabulary.word(int64_t(index[i].item())).c_str(), best[i].item());
  std::printf("\n");
}

int run(int argc, char** argv) {
  Settings s;
  CLI::App app("Pre-trains an encoder by hidden words, and compares what few labels make of it.");
  app.add_option("TEXTS", s.texts, "what to fill the [MASK] of: \"the plot was [MASK] .\"");
  app.add_option("--seeds", s.seeds, "pre-trainings of each kind")->check(CLI::Range(1, 100))->capture_default_str();
  app.add_option("--updates", s.updates, "of a pre-training")->check(CLI::Range(2, 1000000))->capture_default_str();
  app.add_option("--draws", s.draws, "of labels, for each pre-training")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  app.add_option("--negated", s.negated, "share of clauses with a \"not\"")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--anew-lr", s.anew_lr, "learning rate from nothing")
      ->check(CLI::Range(1e-6, 1.0))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  s.usual = argc == 1;
  if (s.texts.empty())
    s.texts = {"the plot was superb and the cast was [MASK] .", "the plot was dull and the cast was [MASK] ."};

  std::printf("hidden adjectives    the word   its side   its side, by seed\n");
  std::vector<MaskedModel> models[2];
  double side[2];
  for (const Choice choice : {Choice::alike, Choice::rarer}) {
    Spread word, its;
    std::string each;
    for (int64_t seed = 1; seed <= s.seeds; ++seed) {
      manual_seed(uint64_t(seed));
      MaskedModel model(small());
      pretrain(model, s, choice, uint64_t(seed));
      const Guesses g = guess_adjectives(model, s);
      word.add(g.word), its.add(g.side);
      char text[16];
      std::snprintf(text, sizeof text, "%6.2f", g.side);
      each += text;
      models[int(choice)].push_back(std::move(model));
    }
    side[int(choice)] = its.mean();
    std::printf("%-18s %9.2f %10.2f %s\n", choice == Choice::alike ? "15% of all words" : "rarer words more",
                word.mean(), its.mean(), each.c_str());
    std::fflush(stdout);
  }
  std::printf("\n");
  for (const std::string& text : s.texts) fill(models[1][0], text);

  std::printf("\naccuracy in percent, and its deviation\n");
  std::printf("labels  from nothing   15%% of all   rarer more    the same, [CLS]\n");
  double few = 0, many = 0;
  for (const int64_t labels : {4, 8, 16, 32, 128}) {
    Spread columns[4];  // from nothing, 15% of all words, rarer words more, the same at [CLS]
    for (int64_t seed = 0; seed < s.seeds; ++seed)
      for (int64_t d = 0; d < s.draws; ++d) {
        const uint64_t draw = uint64_t(seed * s.draws + d + 1);
        const Encoder &alike = models[0][size_t(seed)].encoder, &rarer = models[1][size_t(seed)].encoder;
        columns[0].add(finetune(s, nullptr, Pooling::mean, labels, draw));
        columns[1].add(finetune(s, &alike, Pooling::mean, labels, draw));
        columns[2].add(finetune(s, &rarer, Pooling::mean, labels, draw));
        columns[3].add(finetune(s, &rarer, Pooling::first, labels, draw));
      }
    std::printf("%6d", int(labels));
    for (const Spread& x : columns) std::printf("  %5.1f +- %4.1f", 100 * x.mean(), 100 * x.deviation());
    std::printf("\n");
    std::fflush(stdout);
    if (labels == 8) few = columns[2].mean() - columns[0].mean();
    if (labels == 128) many = columns[2].mean() - columns[0].mean();
  }
  if (!s.usual) return 0;
  check(side[1] > 0.85 && side[0] < side[1], "rarer words ought to teach which adjectives go together");
  check(few > 0.08 && many < few, "a gain of ", few, " by eight labels, of ", many, " by many");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
