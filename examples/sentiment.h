// Sentences with labels, 1 where they praise and 0 where they blame: what the programs that learn sentiment share.
#pragma once

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "autograd/ops.h"
#include "data/dataset.h"
#include "data/loader.h"
#include "data/text/batches.h"
#include "data/text/corpus.h"
#include "data/text/unicode.h"
#include "examples/arguments.h"
#include "train/fit.h"

namespace examples {

struct Sentence {
  std::string text;
  int64_t label;
};

inline void shuffle(std::vector<Sentence>& sentences, uint64_t seed) {
  gradus::Generator random(seed);
  for (size_t i = sentences.size(); i > 1; --i)
    std::swap(sentences[i - 1], sentences[size_t(random.below(int64_t(i)))]);
}

// A tenth each to validate and to test with, the same for every seed of the training.
struct Sentences {
  std::vector<Sentence> training, validation, test;

  // `data`: rt-polarity (Pang and Lee 2005), or a file of lines: sentence, tab, 0 or 1. `fold`, from 0 to 9, says which
  // tenth is for the test; the next one validates.
  Sentences(const std::string& data, int64_t fold) {
    using gradus::check, gradus::printable;
    std::vector<Sentence> all;
    if (data == "rt-polarity") {
      const std::string stem = gradus::data::find_data("rt-polarity") + "/rt-polarity";
      for (const int64_t label : {0, 1})
        for (const std::string& line : gradus::data::read_lines(stem + (label ? ".pos" : ".neg")))
          all.push_back({line, label});
    } else {
      for (const gradus::data::SentencePair& pair : gradus::data::read_tsv(data)) {
        check(pair.target == "0" || pair.target == "1", printable(data), ": line ", all.size() + 1, " has the label ",
              printable(pair.target), ", expected 0 or 1");
        all.push_back({pair.source, pair.target == "1"});
      }
    }
    check(all.size() >= 10, printable(data), ": ", all.size(), " sentences are too few to learn from");
    for (const int64_t label : {0, 1})
      check(std::any_of(all.begin(), all.end(), [&](const Sentence& s) { return s.label == label; }), printable(data),
            ": no sentence has the label ", label);
    shuffle(all, 1);
    for (size_t i = 0; i < all.size(); ++i) {
      const size_t tenth = (i + 10 - size_t(fold)) % 10;
      (tenth == 0 ? test : tenth == 1 ? validation : training).push_back(std::move(all[i]));
    }
  }
};

inline std::vector<std::string> texts_of(const std::vector<Sentence>& sentences) {
  std::vector<std::string> texts;
  for (const Sentence& s : sentences) texts.push_back(s.text);
  return texts;
}

// At most `max_length` tokens. A sentence without words is one unknown word.
inline gradus::data::Ids encode(const gradus::data::Tokenizer& tokenizer, const std::string& text,
                                int64_t max_length) {
  gradus::data::Ids ids = tokenizer.encode(text);
  if (ids.empty()) ids.push_back(tokenizer.specials().unk);
  if (int64_t(ids.size()) > max_length) ids.resize(size_t(max_length));
  return ids;
}

struct SentenceBatch {
  gradus::Tensor tokens, labels;  // (batch, longest) int64, (batch) float32
};

// Of the words a share may be read as unknown ones, others in each epoch: "word dropout" of Iyyer et al. 2015.
inline gradus::data::DataLoader<SentenceBatch> sentence_loader(const std::vector<Sentence>& sentences,
                                                               const gradus::data::Tokenizer& tokenizer,
                                                               int64_t max_length,
                                                               const gradus::data::LoaderOptions& options,
                                                               double word_dropout = 0) {
  auto rows = std::make_shared<std::vector<gradus::data::Ids>>();
  auto labels = std::make_shared<std::vector<float>>();
  for (const Sentence& s : sentences) {
    rows->push_back(encode(tokenizer, s.text, max_length));
    labels->push_back(float(s.label));
  }
  const gradus::data::Specials named = tokenizer.specials();
  return {int64_t(rows->size()), options,
          [=, seed = options.seed](std::span<const int64_t> samples, int64_t epoch) -> SentenceBatch {
            std::vector<gradus::data::Ids> some;
            std::vector<float> answers;
            for (const int64_t i : samples) {
              some.push_back((*rows)[size_t(i)]);
              answers.push_back((*labels)[size_t(i)]);
              if (word_dropout == 0) continue;
              gradus::Generator random = gradus::data::sample_generator(seed, epoch, i);
              for (int64_t& id : some.back())
                if (random.uniform() < word_dropout) id = named.unk;
            }
            return {gradus::data::pad_rows(some, named.pad), gradus::from_vector(answers, {int64_t(answers.size())})};
          }};
}

// `model` gives the logit that a sentence praises, (batch, 1).
template <class Model>
gradus::train::BatchResult sentiment_step(const Model& model, const SentenceBatch& batch) {
  const gradus::Tensor labels = batch.labels.to(model.device());
  const gradus::Tensor logits = model(batch.tokens.to(model.device())).squeeze(1);
  const gradus::Tensor right = (logits.detach() > 0) == (labels > 0.5);
  return {gradus::binary_cross_entropy_with_logits(logits, labels),
          labels.numel(),
          {{"accuracy", right.to(gradus::float32).mean().item()}}};
}

template <class Model>
double accuracy(Model& model, gradus::data::DataLoader<SentenceBatch>& loader) {
  return gradus::train::evaluate(model, loader, [&](SentenceBatch& b) { return sentiment_step(model, b); })[1].second;
}

// "positive  93.1%  TEXT"
inline void print_judgement(double positive, const std::string& text) {
  std::printf("%s %5.1f%%  %s\n", positive > 0.5 ? "positive" : "negative", 100 * std::max(positive, 1 - positive),
              text.c_str());
}

// Calls one(text) for each of `given`, or, where there is none, for each line of standard input.
template <class F>
void each_text(const std::vector<std::string>& given, const F& one) {
  for (const std::string& text : given) one(gradus::data::mend_utf8(text));
  if (!given.empty()) return;
  for (std::string line; read_line(line);) {
    one(gradus::data::mend_utf8(line));
    std::fflush(stdout);
  }
}

}  // namespace examples
