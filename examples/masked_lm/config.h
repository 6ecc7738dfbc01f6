// What a run is: the options of the command line, and what a checkpoint keeps of them.
#pragma once

#include <string>

#include "examples/text_models/text_models.h"
#include "train/checkpoint.h"

namespace masked_lm {

// Of `train`.
struct Options {
  std::string data = "rt-polarity", more = "";
  int64_t fold = 0;
  int64_t layers = 2, heads = 4, size = 128, ffn = 128, max_length = 64, min_count = 2;
  double share = 0.75, frequent = 1e-3, dropout = 0.1;
  int64_t epochs = 25, batch = 1024;
  double lr = 2e-3, weight_decay = 0.01;
  uint64_t seed = 1;

  // The rest changes no result.
  std::string out = "out/masked_lm", resume = "", log = "csv";
};

// Calls f(name, member, help) for each option that a result depends on.
template <class F>
void each_option(F f) {
  f("data", &Options::data,
    "a file of one sentence a line, plain or gzip, or rt-polarity: the sentences of that data set that finetune "
    "neither validates nor tests with");
  f("more", &Options::more, "a file of further sentences to learn from; none of them is held out");
  f("fold", &Options::fold,
    "which tenth of the sentences, from 0 to 9, finetune will test with; the next one validates");
  f("layers", &Options::layers, "layers of the encoder");
  f("heads", &Options::heads, "heads of the attention");
  f("size", &Options::size, "features of a word");
  f("ffn", &Options::ffn, "features between the two linear layers of a layer");
  f("max-length", &Options::max_length, "words of a sentence that are looked at");
  f("min-count", &Options::min_count, "words that occur less often are unknown");
  f("share", &Options::share, "share of the words that are hidden");
  f("frequent", &Options::frequent, "words that are a larger part of all are hidden less often (1: none)");
  f("dropout", &Options::dropout, "share of features that are dropped");
  f("epochs", &Options::epochs, "times through the sentences");
  f("batch", &Options::batch, "words for one update, the filling of short sentences counted");
  f("lr", &Options::lr, "the highest learning rate");
  f("weight-decay", &Options::weight_decay, "of AdamW");
  f("seed", &Options::seed, "of everything random");
}

// Of `finetune`.
struct TuneOptions {
  std::string data = "rt-polarity";
  double labels = 1, dropout = 0.7, word_dropout = 0.4;
  int64_t epochs = 30, batch = 32;
  double lr = 3e-4, weight_decay = 0.01;
  uint64_t seed = 1;

  // Where to begin, which is of no account once there is a checkpoint to resume.
  std::string from = "out/masked_lm";
  bool from_nothing = false;

  std::string out = "out/masked_lm/classifier", resume = "", log = "csv";
};

template <class F>
void each_tune_option(F f) {
  f("data", &TuneOptions::data, "rt-polarity: the data set of that name, or a file of lines: sentence, tab, 0 or 1");
  f("labels", &TuneOptions::labels, "share of the sentences to learn from that are used");
  f("dropout", &TuneOptions::dropout, "share of features that are dropped");
  f("word-dropout", &TuneOptions::word_dropout, "share of words that are read as unknown ones");
  f("epochs", &TuneOptions::epochs, "times through these sentences");
  f("batch", &TuneOptions::batch, "sentences for one update");
  f("lr", &TuneOptions::lr, "the highest learning rate");
  f("weight-decay", &TuneOptions::weight_decay, "of AdamW");
  f("seed", &TuneOptions::seed, "of everything random");
}

// A checkpoint of `train` holds the program's name, its options, and the tokeniser as "tokenizer"; one of `finetune`
// all that its encoder's held, under another name of the program, and its own options.
gradus::train::Metadata to_metadata(const Options& options);
gradus::train::Metadata to_metadata(const TuneOptions& options, gradus::train::Metadata encoder);
bool is_finetuned(const gradus::train::Metadata& metadata);
// These throw Error naming `path` where the metadata is not of `train`, or not of `finetune`.
Options options_from(const gradus::train::Metadata& metadata, const std::string& path);
TuneOptions tune_options_from(const gradus::train::Metadata& metadata, const std::string& path);
// The options of a classifier's encoder.
Options encoder_options_from(const gradus::train::Metadata& metadata, const std::string& path);

text_models::Bert make_encoder(const Options& options, int64_t vocabulary);

// The encoder with a linear layer on the mean of what it makes of a sentence's words.
class Classifier : public gradus::nn::Module {
 public:
  text_models::Bert encoder;
  gradus::nn::Linear output;

  Classifier(const Options& options, int64_t vocabulary, double dropout);
  // tokens (batch, n), padded: the logit that a sentence praises, (batch, 1).
  gradus::Tensor operator()(const gradus::Tensor& tokens) const;
  void visit(gradus::nn::Visitor& v) override;
  const char* type() const override { return "Classifier"; }

 private:
  double dropout_;
};

}  // namespace masked_lm
