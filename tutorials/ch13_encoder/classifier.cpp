// A4's text classifier on made-up reviews: what padding does to it as it is listed, and what sets it right, one thing
// after the other. Then [CLS] against the mean of the words, with one layer and with two, and what [CLS] looks at.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>

#include "optim/optim.h"
#include "tutorials/ch13_encoder/encoder.h"

using namespace gradus;
using namespace ch13;

namespace {

struct Settings {
  int64_t seeds = 3, updates = 700;
  bool usual = true;  // nothing was given on the command line
};

constexpr int64_t features = 32, test_reviews = 500, longest = 80;

struct ArticleOptions {
  bool mask_keys = false, mask_mean = false;
  nn::PositionKind positions = nn::PositionKind::none;
};

//! [article]
// A4 5.2, written so that it runs: embedding, attention, an average over places, one logit.
struct Article : nn::Module {
  nn::Embedding words;  // padding has a row like any word
  nn::Positions positions;
  nn::MultiheadAttention attention{features, 2};
  nn::Linear answer{features, 1};
  ArticleOptions options;
  Article(int64_t vocabulary, const ArticleOptions& o)
      : words(vocabulary, features), positions(o.positions, longest, features), options(o) {}

  // tokens (batch, n), padded: logits (batch).
  Tensor operator()(const Tensor& tokens) const {
    nn::Call call(*this);
    const Tensor there = tokens != double(special.pad);
    nn::MultiheadCall look;
    if (options.mask_keys) look.keep = KeepMask(there.unsqueeze(1).unsqueeze(1));
    const Tensor x = attention(positions(words(tokens)), look).output;
    return call(answer(options.mask_mean ? mean_of_words(x, there) : x.mean({1})).squeeze(1));
  }
  //! [article]
  void visit(nn::Visitor& v) override {
    v("words", words);
    v("positions", positions);
    v("attention", attention);
    v("answer", answer);
  }
  const char* type() const override { return "Article"; }
};

const Vocabulary vocabulary;

// New reviews in each batch, others for each seed.
template <class Model>
void train(Model& model, const Settings& s, bool with_cls, int64_t seed) {
  optim::Adam optimizer(model.parameters(), {.lr = 0.003});
  optim::CosineLR schedule(optimizer, {.steps = s.updates, .warmup = s.updates / 10});
  for (int64_t update = 0; update < s.updates; ++update) {
    const std::vector<Review> reviews = draw_reviews(32, uint64_t(seed) * 1000000 + uint64_t(update));
    const Batch b = make_batch(reviews, all_indices(32), vocabulary, with_cls);
    optimizer.zero_grad();
    binary_cross_entropy_with_logits(model(b.tokens), b.labels).backward();
    optim::clip_grad_norm_(model.parameters(), 1);
    optimizer.step();
    schedule.step();
  }
}

//! [alone]
// The logit of each review by itself: no padding at all.
template <class Model>
Tensor alone(const Model& model, const std::vector<Review>& reviews, bool with_cls) {
  const NoGrad guard;
  std::vector<Tensor> logits;
  for (int64_t i = 0; i < int64_t(reviews.size()); ++i)
    logits.push_back(model(make_batch(reviews, {i}, vocabulary, with_cls).tokens));
  return cat(logits);
}
// The same reviews in a batch with a text of `longest` words.
template <class Model>
Tensor padded(const Model& model, const std::vector<Review>& reviews, bool with_cls) {
  const NoGrad guard;
  const Tensor tokens = make_batch(reviews, all_indices(int64_t(reviews.size())), vocabulary, with_cls).tokens;
  return model(cat({tokens, full({tokens.size(0), longest - tokens.size(1)}, special.pad, {.dtype = int64})}, 1));
}
//! [alone]

struct Result {
  double alone = 0, padded = 0, moved = 0, flipped = 0, lowest = 1;  // lowest: of `alone`, over the seeds
};

template <class Model>
Result measure(const Model& model, bool with_cls) {
  const std::vector<Review> reviews = draw_reviews(test_reviews, 7);
  const Tensor labels = make_batch(reviews, all_indices(test_reviews), vocabulary, with_cls).labels > 0.5;
  const Tensor a = alone(model, reviews, with_cls), p = padded(model, reviews, with_cls);
  const auto mean = [](const Tensor& x) { return x.to(float64).mean().item(); };
  return {mean((a > 0) == labels), mean((p > 0) == labels), abs(a - p).max().item(), mean((a > 0) != (p > 0))};
}

// Trains with each seed, prints the means, and returns the first model.
template <class Make>
auto compare(const char* name, const Settings& s, bool with_cls, const Make& make) {
  using Model = decltype(make());
  std::vector<Model> models;
  Result mean;
  for (int64_t seed = 1; seed <= s.seeds; ++seed) {
    manual_seed(uint64_t(seed));
    models.push_back(make());
    train(models.back(), s, with_cls, seed);
    const Result r = measure(models.back(), with_cls);
    const double share = 1 / double(s.seeds);
    mean = {mean.alone + share * r.alone, mean.padded + share * r.padded, std::max(mean.moved, r.moved),
            mean.flipped + share * r.flipped, std::min(mean.lowest, r.alone)};
  }
  std::printf("%-26s %6.1f%% %6.1f%% %6.1f%% %12.2f %7.1f%%\n", name, 100 * mean.alone, 100 * mean.lowest,
              100 * mean.padded, mean.moved + 0.0, 100 * mean.flipped);
  std::fflush(stdout);
  return std::pair<Model, Result>(std::move(models[0]), mean);
}

// One review with more and more padding.
template <class Model>
void pad_one(const char* name, const Model& model) {
  const NoGrad guard;
  std::printf("%-14s", name);
  for (const int64_t n : {5, 8, 16, 32, 80}) {
    const data::Ids ids = vocabulary.encode({"the", "cast", "was", "superb", "."}, false);
    const Tensor tokens =
        cat({data::pad_rows({ids}, special.pad), full({1, n - 5}, special.pad, {.dtype = int64})}, 1);
    std::printf("%8.2f", model(tokens).item());
  }
  std::printf("\n");
}

//! [looks]
// For each word: how much [CLS] looks at it in the last layer, the mean over heads, and by how much the logit changes
// when the word is hidden from everybody, as padding is.
struct Looks {
  double logit = 0;
  std::vector<double> weights, changes;
};
Looks looks(const Classifier& model, const Words& words) {
  const NoGrad guard;
  const Tensor tokens = data::pad_rows({vocabulary.encode(words, true)}, special.pad);  // (1, n)
  Tensor weights;                                                                       // (1, heads, n, n)
  Looks l;
  l.logit = model(tokens, &weights).item();
  l.weights = weights[0].mean({0})[0].to_vector();  // the row of [CLS]
  for (int64_t i = 0; i < tokens.size(1); ++i) {
    const Tensor others = tokens.clone();
    others[0][i].fill_(special.pad);
    const double change = model(others).item() - l.logit;
    l.changes.push_back(std::abs(change) < 0.005 ? 0 : change);  // no -0.00
  }
  return l;
}
//! [looks]

void print_looks(const Classifier& one, const Classifier& two) {
  for (const Words& words :
       std::vector<Words>{{"the", "plot", "was", "not", "dull", "and", "the", "cast", "was", "superb", "."},
                          {"we", "saw", "it", "on", "monday", ".", "the", "music", "was", "not", "fresh", "."}}) {
    const Looks a = looks(one, words), b = looks(two, words);
    std::printf("\n%-10s    one layer         two layers\n%-10s weight  change   weight  change\n", "", "word");
    for (size_t i = 0; i <= words.size(); ++i)
      std::printf("%-10s %6.2f %7.2f   %6.2f %7.2f\n", i == 0 ? "[CLS]" : words[i - 1].c_str(), a.weights[i],
                  a.changes[i], b.weights[i], b.changes[i]);
    std::printf("%-10s %14.2f %16.2f\n", "its logit", a.logit, b.logit);
  }
}

int run(int argc, char** argv) {
  Settings s;
  CLI::App app("Classifies made-up reviews: A4's classifier as listed and mended, and [CLS] against the mean.");
  app.add_option("--seeds", s.seeds, "trainings of each model")->check(CLI::Range(1, 1000))->capture_default_str();
  app.add_option("--updates", s.updates, "of each training")->check(CLI::Range(2, 1000000))->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  s.usual = argc == 1;

  std::printf("%-26s %7s %7s %7s %12s %8s\n", "right verdicts", "alone", "lowest", "padded", "logits move",
              "flipped");
  const auto article = [&](const char* name, const ArticleOptions& o) {
    return compare(name, s, false, [&] { return Article(vocabulary.size(), o); });
  };
  const auto listed = article("A4 as listed", {});
  const auto keys = article("  keys masked", {.mask_keys = true});
  const auto means = article("  mean masked", {.mask_mean = true});
  const auto both = article("  both masked", {.mask_keys = true, .mask_mean = true});
  const auto placed =
      article("  and positions", {.mask_keys = true, .mask_mean = true, .positions = nn::PositionKind::sinusoidal});
  const auto encoder = [&](const char* name, int64_t layers, Pooling pool) {
    return compare(name, s, true, [&] {
      return Classifier({.vocabulary = vocabulary.size(), .layers = layers, .features = features}, pool);
    });
  };
  const auto one_mean = encoder("encoder, 1 layer, mean", 1, Pooling::mean);
  const auto one_cls = encoder("encoder, 1 layer, [CLS]", 1, Pooling::first);
  const auto two_mean = encoder("encoder, 2 layers, mean", 2, Pooling::mean);
  const auto two_cls = encoder("encoder, 2 layers, [CLS]", 2, Pooling::first);

  std::printf("\nthe cast was superb . padded to the places\n%-14s%8d%8d%8d%8d%8d\n", "", 5, 8, 16, 32, 80);
  pad_one("A4 as listed", listed.first);
  pad_one("both masked", both.first);
  print_looks(one_cls.first, two_cls.first);

  if (!s.usual) return 0;
  for (const Result& r : {listed.second, keys.second, means.second})
    check(r.flipped > 0.05 && r.moved > 1, "padding ought to be seen where a mask is missing");
  for (const Result& r :
       {both.second, placed.second, one_mean.second, one_cls.second, two_mean.second, two_cls.second})
    check(r.flipped == 0 && r.moved < 1e-3, "padding changes a logit by ", r.moved);
  check(listed.second.alone < 0.85 && both.second.alone < 0.9, "without positions \"not\" belongs to no word");
  for (const Result& r : {one_mean.second, two_mean.second, two_cls.second})
    check(r.alone > 0.96, "an encoder is right on ", r.alone, " of the reviews only");
  check(one_cls.second.alone > 0.75, "one layer and [CLS] are right on ", one_cls.second.alone,
        " of the reviews only");
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
