// A4's text classifier on made-up reviews: what padding does to it as it is listed, and what sets it right, one thing
// after the other. Then [CLS] against the mean of the words, with one layer and with two, and what [CLS] looks at.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>

#include "optim/optim.h"
#include "tensor/kernels/cpu/threads.h"
#include "tutorials/ch13_encoder/encoder.h"

using namespace gradus;
using namespace ch13;

namespace {

struct Settings {
  int64_t seeds = 3, updates = 600;
  double lr = 0.003;
};

constexpr int64_t features = 32;
constexpr int64_t test_reviews = 500;

//! [article]
// A4 5.2, written so that it runs: embedding, attention, an average over places, one logit.
struct Article : nn::Module {
  nn::Embedding words;  // padding has a row like any word
  nn::MultiheadAttention attention{features, 2};
  nn::Linear answer{features, 1};
  bool mask_keys, mask_mean;
  Article(int64_t vocabulary, bool keys, bool mean) : words(vocabulary, features), mask_keys(keys), mask_mean(mean) {}

  // tokens (batch, n), padded: logits (batch).
  Tensor operator()(const Tensor& tokens) const {
    nn::Call call(*this);
    const Tensor there = tokens != double(special.pad);
    nn::MultiheadCall options;
    if (mask_keys) options.keep = KeepMask(there.unsqueeze(1).unsqueeze(1));
    const Tensor x = attention(words(tokens), options).output;
    return call(answer(mask_mean ? mean_of_words(x, there) : x.mean({1})).squeeze(1));
  }
  //! [article]
  void visit(nn::Visitor& v) override {
    v("words", words);
    v("attention", attention);
    v("answer", answer);
  }
  const char* type() const override { return "Article"; }
};

const Vocabulary vocabulary;

// New reviews in each batch, others for each seed.
template <class Model>
void train(Model& model, const Settings& s, bool with_cls, int64_t seed) {
  optim::Adam optimizer(model.parameters(), {.lr = s.lr});
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

//! [padded]
// Logits of each test review alone, and in a batch whose longest text has `n` words.
template <class Model>
Tensor padded_to(const Model& model, const std::vector<Review>& reviews, bool with_cls, int64_t n) {
  const NoGrad guard;
  std::vector<Tensor> logits;
  for (int64_t i = 0; i < int64_t(reviews.size()); ++i) {
    const int64_t words = int64_t(reviews[size_t(i)].words.size()) + with_cls;
    logits.push_back(model(make_batch(reviews, {i}, vocabulary, with_cls, std::max<int64_t>(0, n - words)).tokens));
  }
  return cat(logits);
}
//! [padded]

struct Result {
  double accuracy = 0, accuracy_padded = 0, moved = 0, flipped = 0;
  void add(const Result& r, double share) {
    accuracy += share * r.accuracy;
    accuracy_padded += share * r.accuracy_padded;
    moved += share * r.moved;
    flipped += share * r.flipped;
  }
};

template <class Model>
Result measure(const Model& model, bool with_cls) {
  const std::vector<Review> reviews = draw_reviews(test_reviews, 7);
  const Tensor labels = make_batch(reviews, all_indices(test_reviews), vocabulary, with_cls).labels > 0.5;
  const Tensor alone = padded_to(model, reviews, with_cls, 0), padded = padded_to(model, reviews, with_cls, 80);
  const auto mean = [](const Tensor& x) { return x.to(float64).mean().item(); };
  return {mean((alone > 0) == labels), mean((padded > 0) == labels), abs(alone - padded).max().item(),
          mean((alone > 0) != (padded > 0))};
}

template <class Make>
Result over_seeds(const Settings& s, bool with_cls, const Make& make) {
  Result mean;
  for (int64_t seed = 1; seed <= s.seeds; ++seed) {
    manual_seed(uint64_t(seed));
    auto model = make();
    train(model, s, with_cls, seed);
    const Result r = measure(model, with_cls);
    if (getenv("V")) printf("%d: %.3f ", int(seed), r.accuracy);
    mean.add(r, 1 / double(s.seeds));
  }
  return mean;
}

void print(const char* name, const Result& r) {
  std::printf("%-32s %6.1f%% %8.1f%% %10.4f %8.1f%%\n", name, 100 * r.accuracy, 100 * r.accuracy_padded, r.moved,
              100 * r.flipped);
  std::fflush(stdout);
}

void looks(const Settings& s) {
  manual_seed(1);
  Classifier model({.vocabulary = vocabulary.size()}, Pooling::first);
  train(model, s, true, 1);
  const NoGrad guard;
  for (const Words& words : std::vector<Words>{
           {"the", "plot", "was", "not", "dull", "and", "the", "cast", "was", "superb", "."},
           {"we", "saw", "it", "on", "monday", ".", "the", "music", "was", "not", "fresh", "."},
           {"the", "ending", "was", "really", "clumsy", ",", "the", "script", "was", "not", "witty", "."}}) {
    const Tensor tokens = data::pad_rows({vocabulary.encode(words, true)}, special.pad);
    Tensor weights;
    const double logit = model(tokens, &weights).item();
    const Tensor of_cls = weights[0].mean({0})[0];  // (n): the mean over heads, the row of [CLS]
    std::printf("\n%s: logit %.2f\n", logit > 0 ? "praise" : "blame", logit);
    std::printf("word      weight  logit without\n%-8s %7.2f\n", "[CLS]", of_cls[0].item());
    for (size_t i = 0; i < words.size(); ++i) {
      Words others = words;
      others.erase(others.begin() + int64_t(i));
      std::printf("%-8s %7.2f %9.2f\n", words[i].c_str(), of_cls[int64_t(i) + 1].item(),
                  model(data::pad_rows({vocabulary.encode(others, true)}, special.pad)).item());
    }
  }
}

int run(int argc, char** argv) {
  Settings s;
  CLI::App app("Classifies made-up reviews: A4's classifier as listed and mended, and [CLS] against the mean.");
  app.add_option("--seeds", s.seeds, "trainings of each model")->check(CLI::Range(1, 1000))->capture_default_str();
  app.add_option("--updates", s.updates, "of each training")->check(CLI::Range(2, 1000000))->capture_default_str();
  app.add_option("--lr", s.lr, "the highest learning rate")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (getenv("ONE")) set_num_threads(1);

  std::printf("%-32s %7s %9s %10s %9s\n", "", "alone", "padded", "logit moves", "verdicts");
  const auto article = [](bool keys, bool mean) { return [=] { return Article(vocabulary.size(), keys, mean); }; };
  print("A4 as listed", over_seeds(s, false, article(false, false)));
  print("keys masked", over_seeds(s, false, article(true, false)));
  print("mean masked", over_seeds(s, false, article(false, true)));
  print("both masked", over_seeds(s, false, article(true, true)));
  for (const int64_t layers : {1, 2})
    for (const Pooling pool : {Pooling::mean, Pooling::first})
      print((std::to_string(layers) + (layers == 1 ? " layer, " : " layers, ") +
             (pool == Pooling::mean ? "mean" : "[CLS]"))
                .c_str(),
            over_seeds(s, true, [=] {
              return Classifier({.vocabulary = vocabulary.size(), .layers = layers, .features = features}, pool);
            }));
  looks(s);
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
