#include "commands.h"

#include <algorithm>
#include <cstdio>
#include <iostream>

#include "data/dataset.h"
#include "data/loader.h"
#include "data/text/batches.h"
#include "data/text/corpus.h"
#include "data/text/unicode.h"
#include "data/text/words.h"
#include "examples/metadata.h"
#include "optim/optim.h"
#include "tensor/io/file.h"
#include "train/fit.h"

namespace text_classifier {

using namespace gradus;

namespace {

struct Sentence {
  std::string text;
  int64_t label;  // 1: positive
};

// A tenth each to validate and to test with, the same for every seed of the training.
struct Sentences {
  std::vector<Sentence> training, validation, test;

  explicit Sentences(const std::string& data) {
    std::vector<Sentence> all;
    if (data == "rt-polarity") {
      const std::string stem = data::find_data("rt-polarity") + "/rt-polarity";
      for (const int64_t label : {0, 1})
        for (const std::string& line : data::read_lines(stem + (label ? ".pos" : ".neg")))
          all.push_back({line, label});
    } else {
      for (const data::SentencePair& pair : data::read_tsv(data)) {
        check(pair.target == "0" || pair.target == "1", printable(data), ": line ", all.size() + 1, " has the label ",
              printable(pair.target), ", expected 0 or 1");
        all.push_back({pair.source, pair.target == "1"});
      }
    }
    check(all.size() >= 10, printable(data), ": ", all.size(), " sentences are too few to learn from");
    Generator random(1);
    for (size_t i = all.size(); i > 1; --i) std::swap(all[i - 1], all[size_t(random.below(int64_t(i)))]);
    for (size_t i = 0; i < all.size(); ++i)
      (i % 10 == 0 ? test : i % 10 == 1 ? validation : training).push_back(std::move(all[i]));
  }
};

struct Batch {
  Tensor tokens, labels;  // (batch, longest) int64, (batch) float32
};

// A sentence without words is one unknown word.
data::Ids encode(const data::Tokenizer& tokenizer, const std::string& text, int64_t max_length) {
  data::Ids ids = tokenizer.encode(text);
  if (ids.empty()) ids.push_back(tokenizer.specials().unk);
  if (int64_t(ids.size()) > max_length) ids.resize(size_t(max_length));
  return ids;
}

data::DataLoader<Batch> make_loader(const std::vector<Sentence>& sentences, const data::Tokenizer& tokenizer,
                                    const Options& o, bool shuffle) {
  auto rows = std::make_shared<std::vector<data::Ids>>();
  auto labels = std::make_shared<std::vector<float>>();
  for (const Sentence& s : sentences) {
    rows->push_back(encode(tokenizer, s.text, o.max_length));
    labels->push_back(float(s.label));
  }
  return {int64_t(rows->size()),
          {.batch_size = o.batch, .shuffle = shuffle, .seed = o.seed},
          [rows, labels](std::span<const int64_t> samples, int64_t) -> Batch {
            std::vector<data::Ids> some;
            std::vector<float> answers;
            for (const int64_t i : samples) {
              some.push_back((*rows)[size_t(i)]);
              answers.push_back((*labels)[size_t(i)]);
            }
            return {data::pad_rows(some, 0), from_vector(answers, {int64_t(answers.size())})};
          }};
}

train::BatchResult step_of(const nn::TextClassifier& model, Batch& b) {
  const Tensor logits = model(b.tokens).squeeze(1);
  const Tensor right = (logits.detach() > 0) == (b.labels > 0.5);
  return {binary_cross_entropy_with_logits(logits, b.labels),
          b.labels.numel(),
          {{"accuracy", right.to(float32).mean().item()}}};
}

// A model read back from a checkpoint.
struct Trained {
  Options options;
  std::unique_ptr<data::Tokenizer> tokenizer;
  nn::TextClassifier model;

  explicit Trained(const std::string& checkpoint) : Trained(train::find_checkpoint(checkpoint), 0) {}

 private:
  Trained(const std::string& path, int) : Trained(path, load_safetensors(path)) {}
  Trained(const std::string& path, const TensorFile& file)
      : options(options_from(file.metadata, path)),
        tokenizer(
            data::parse_tokenizer(examples::MetadataReader{"text_classifier", file.metadata, path}.get("tokenizer"))),
        model(make_model(options, tokenizer->size())) {
    try {
      train::load_weights(file, model);
    } catch (const Error& e) {
      fail({printable(path), ": ", e.what()});
    }
    model.eval();
  }
};

double accuracy_of(nn::TextClassifier& model, data::DataLoader<Batch>& loader) {
  return train::evaluate(model, loader, [&](Batch& b) { return step_of(model, b); })[1].second;
}

}  // namespace

void train(const Options& o) {
  const Sentences sentences(o.data);
  std::vector<std::string> texts;
  for (const Sentence& s : sentences.training) texts.push_back(s.text);
  const auto tokenizer =
      data::VocabularyTokenizer::train(data::TokenUnit::word, texts, {.min_count = o.min_count, .lowercase = true});
  manual_seed(o.seed);
  nn::TextClassifier model = make_model(o, tokenizer.size());
  auto loader = make_loader(sentences.training, tokenizer, o, true);
  auto validation = make_loader(sentences.validation, tokenizer, o, false);
  optim::AdamW optimizer(model.parameters(), {.lr = o.lr, .weight_decay = o.weight_decay});
  optim::CosineLR schedule(optimizer, {.steps = std::max<int64_t>(2, o.epochs * loader.batches())});
  std::printf("%s: %zu sentences to learn from, %zu to validate and %zu to test with; %lld words\n",
              printable(o.data).c_str(), sentences.training.size(), sentences.validation.size(),
              sentences.test.size(), static_cast<long long>(tokenizer.size()));
  std::printf("%lld parameters\n", static_cast<long long>(model.parameter_count()));
  std::fflush(stdout);
  train::Metadata metadata = to_metadata(o);
  metadata["tokenizer"] = tokenizer.to_json();
  const auto step = [&](Batch& b) { return step_of(model, b); };
  train::fit(model, optimizer, loader, step,
             {.epochs = o.epochs,
              .schedule = &schedule,
              .evaluate = [&] { return train::evaluate(model, validation, step, "val_"); },
              .out = o.out,
              .monitor = "val_accuracy",
              .resume = o.resume,
              .metadata = metadata,
              .tensorboard = o.log == "tensorboard"});
  // The test sentences are looked at once, by the weights that did best on the validation.
  if (file_exists(o.out + "/best.safetensors")) evaluate(o.out + "/best.safetensors");
}

void evaluate(const std::string& checkpoint) {
  Trained trained(checkpoint);
  const Sentences sentences(trained.options.data);
  auto loader = make_loader(sentences.test, *trained.tokenizer, trained.options, false);
  std::printf("test accuracy: %.2f%%\n", 100 * accuracy_of(trained.model, loader));
}

void classify(const ClassifyOptions& options) {
  const Trained trained(options.checkpoint);
  const NoGrad guard;
  const auto one = [&](const std::string& line) {
    const std::string text = data::mend_utf8(line);
    const data::Ids ids = encode(*trained.tokenizer, text, trained.options.max_length);
    Tensor looks;
    const double p = sigmoid(trained.model(data::pad_rows({ids}, 0), &looks)).item();
    std::printf("%s %5.1f%%  %s\n", p > 0.5 ? "positive" : "negative", 100 * std::max(p, 1 - p), text.c_str());
    // The words most looked at, as they were written.
    const std::vector<std::string> words = data::word_tokenize(data::nfc(data::lower(text)));
    const std::vector<double> weight = looks.to_vector();
    std::vector<size_t> order(std::min(words.size(), weight.size()));
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return weight[a] > weight[b]; });
    std::printf("         looked at:");
    for (size_t i = 0; i < order.size() && i < 5; ++i)
      std::printf(" %s %.0f%%", words[order[i]].c_str(), 100 * weight[order[i]]);
    std::printf("\n");
  };
  for (const std::string& sentence : options.sentences) one(sentence);
  if (options.sentences.empty())
    for (std::string line; std::getline(std::cin, line);) {
      one(line);
      std::fflush(stdout);
    }
}

}  // namespace text_classifier
