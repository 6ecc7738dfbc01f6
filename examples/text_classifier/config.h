// What a run is: the options of the command line, and what a checkpoint keeps of them.
#pragma once

#include <string>
#include <vector>

#include "data/text/tokenizer.h"
#include "examples/text_models/text_models.h"
#include "train/checkpoint.h"

namespace text_classifier {

struct Options {
  std::string data = "rt-polarity";  // this data set, or a file of lines: sentence, tab, 0 or 1
  int64_t fold = 0;
  int64_t size = 64, heads = 2, max_length = 64, min_count = 2;
  double dropout = 0.5, word_dropout = 0.3, embedding_std = 0.1;
  int64_t epochs = 8, batch = 64;
  double lr = 1e-3, weight_decay = 0.01;
  uint64_t seed = 1;

  // The rest changes no result.
  std::string out = "out/text_classifier", resume = "", log = "csv";
};

// Calls f(name, member, help) for each option that a result depends on.
template <class F>
void each_option(F f) {
  f("data", &Options::data, "rt-polarity: the data set of that name, or a file of lines: sentence, tab, 0 or 1");
  f("fold", &Options::fold, "which tenth of the sentences, from 0 to 9, is for the test; the next one validates");
  f("size", &Options::size, "features of a word");
  f("heads", &Options::heads, "heads of the attention");
  f("max-length", &Options::max_length, "words of a sentence that are looked at");
  f("min-count", &Options::min_count, "words that occur less often are unknown");
  f("dropout", &Options::dropout, "share of features that are dropped");
  f("word-dropout", &Options::word_dropout, "share of words that are read as unknown ones");
  f("embedding-std", &Options::embedding_std, "deviation of the embedding's first values");
  f("epochs", &Options::epochs, "times through the sentences");
  f("batch", &Options::batch, "sentences for one update");
  f("lr", &Options::lr, "the highest learning rate");
  f("weight-decay", &Options::weight_decay, "of AdamW");
  f("seed", &Options::seed, "of everything random");
}

gradus::train::Metadata to_metadata(const Options& options);
// Throws Error naming `path` where the metadata is not that of this program.
Options options_from(const gradus::train::Metadata& metadata, const std::string& path);

text_models::TextClassifier make_model(const Options& options, int64_t vocabulary);

}  // namespace text_classifier
