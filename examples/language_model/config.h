// What a run is: the options of the command line, and what a checkpoint keeps of them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/text/tokenizer.h"
#include "examples/adapt.h"
#include "examples/text_models/text_models.h"
#include "train/checkpoint.h"

namespace language_model {

inline const std::vector<std::string> model_names = {"gpt", "lstm", "gru", "rnn"};
inline const std::vector<std::string> token_names = {"characters", "bpe"};

struct Options : examples::Adaptation {
  std::string data = "shakespeare";  // a text file, plain or gzip, or this data set
  std::string tokens = "characters";
  int64_t vocabulary = 2000;  // of bpe
  std::string model = "gpt";
  int64_t layers = 4, heads = 4, size = 128, block = 64;
  bool rotary = false;
  double dropout = 0;
  int64_t steps = 2000, batch = 12, warmup = 100, evaluate_every = 500;
  double lr = 1e-3, min_lr = 0.1, weight_decay = 0.1, clip = 1;
  uint64_t seed = 1;

  // The rest changes no result.
  std::string out = "out/language_model", resume = "", log = "csv";
};

// Calls f(name, member, help) for each option that makes the model what it is.
template <class F>
void each_model_option(F f) {
  f("tokens", &Options::tokens, "what a token is");
  f("vocabulary", &Options::vocabulary, "tokens of bpe");
  f("model", &Options::model, "what to train");
  f("layers", &Options::layers, "layers");
  f("heads", &Options::heads, "heads of gpt");
  f("size", &Options::size, "features of a token");
  f("block", &Options::block, "tokens that are looked at, or trained on, at once");
  f("rotary", &Options::rotary, "rotary positions, so that gpt can write on without end");
  f("dropout", &Options::dropout, "share of features that are dropped");
}

// For each option that a result depends on.
template <class F>
void each_option(F f) {
  f("data", &Options::data, "a text file, plain or gzip, or shakespeare: the data set of that name");
  each_model_option(f);
  f("steps", &Options::steps, "updates");
  f("batch", &Options::batch, "pieces of the text for one update");
  f("warmup", &Options::warmup, "updates until the learning rate is highest");
  f("evaluate-every", &Options::evaluate_every, "updates between looks at the held-out text, about");
  f("lr", &Options::lr, "the highest learning rate");
  f("min-lr", &Options::min_lr, "the last learning rate, as a share of the highest");
  f("weight-decay", &Options::weight_decay, "of matrices");
  f("clip", &Options::clip, "the largest norm of a gradient (0: any)");
  f("seed", &Options::seed, "of everything random");
  examples::each_adaptation_option(f);
}

gradus::train::Metadata to_metadata(const Options& options);
// Throws Error naming `path` where the metadata is not that of this program.
Options options_from(const gradus::train::Metadata& metadata, const std::string& path);

struct Model {
  std::unique_ptr<gradus::nn::Module> module;
  const gradus::nn::LanguageModel* predict;
};
Model make_model(const Options& options, int64_t vocabulary);

}  // namespace language_model
