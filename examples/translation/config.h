// What a run is: the options of the command line, and what a checkpoint keeps of them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/text/tokenizer.h"
#include "examples/adapt.h"
#include "examples/text_models/seq2seq.h"
#include "nn/transformer.h"
#include "train/checkpoint.h"

namespace translation {

inline const std::vector<std::string> model_names = {"seq2seq", "seq2seq_attention", "transformer"};
inline const std::vector<std::string> token_names = {"words", "characters", "bpe"};
inline const std::vector<std::string> schedule_names = {"inverse_sqrt", "cosine", "constant"};
inline const std::vector<std::string> cell_names = {"gru", "lstm", "rnn"};
inline const std::vector<std::string> score_names = {"dot", "scaled_dot", "general", "additive"};
inline const std::vector<std::string> activation_names = {"relu", "gelu", "silu"};

// Options that depend on the data or the model when not given are empty or 0 here; see `settle`.
struct Options : examples::Adaptation {
  std::string data = "grammar";  // grammar, pairs:FILE.tsv or parallel:DIR
  std::string src = "en", tgt = "";
  int64_t pairs = 0;  // of the grammar
  std::string tokens = "";
  int64_t vocabulary = 10000;  // of bpe
  bool separate = false;       // a vocabulary for each language rather than one for both
  int64_t min_count = 1;       // words that occur less often are unknown

  std::string model = "seq2seq_attention";
  int64_t size = 0;  // features: hidden of the recurrent models, d_model of the Transformer
  int64_t layers = 0, heads = 4, ffn = 0;
  double dropout = -1, attention_dropout = 0, activation_dropout = 0;
  std::string cell = "gru", score = "additive", activation = "relu";
  bool no_input_feeding = false, coverage = false, norm_first = false;
  double teacher_forcing = 1;

  int64_t epochs = 0, tokens_per_batch = 0, accumulate = 1;
  double lr = 0, label_smoothing = 0.1, clip = 1, weight_decay = 0;
  std::string schedule = "inverse_sqrt";
  int64_t warmup = 0;
  int64_t average = 1;  // the weights of that many last epochs are averaged
  uint64_t seed = 1;

  // The rest changes no result.
  int64_t workers = 1, save_every = 200;
  std::string out = "out/translation", resume = "", log = "csv";
};

// Calls f(name, member, help) for each option that makes the model what it is.
template <class F>
void each_model_option(F f) {
  f("src", &Options::src, "the language to translate from, and how its files end");
  f("tgt", &Options::tgt, "the language to translate into (default: zh of the grammar, else de)");
  f("tokens", &Options::tokens, "what a token is (default: words of the grammar, else bpe)");
  f("vocabulary", &Options::vocabulary, "tokens of bpe");
  f("separate", &Options::separate, "a vocabulary for each language instead of one for both");
  f("min-count", &Options::min_count, "words that occur less often are unknown");
  f("model", &Options::model, "what to train");
  f("size", &Options::size, "features of a token (default: 128 of the grammar and the Transformer, else 256)");
  f("layers", &Options::layers, "layers of encoder and decoder (default: 1, of the Transformer 2 or 4)");
  f("heads", &Options::heads, "heads of the Transformer");
  f("ffn", &Options::ffn, "inner features of the Transformer (default: twice the size)");
  f("dropout", &Options::dropout, "share of features that are dropped (default: 0.1 of the grammar, else 0.3)");
  f("attention-dropout", &Options::attention_dropout, "share of the Transformer's attention that is dropped");
  f("activation-dropout", &Options::activation_dropout, "share of its inner features that is dropped");
  f("cell", &Options::cell, "of the recurrent models");
  f("score", &Options::score, "how seq2seq_attention compares");
  f("activation", &Options::activation, "of the Transformer");
  f("no-input-feeding", &Options::no_input_feeding, "what was seen at a step is no input of the next");
  f("coverage", &Options::coverage, "attention sees where it looked before");
  f("norm-first", &Options::norm_first, "the Transformer normalises before each sub-layer, not after");
  f("teacher-forcing", &Options::teacher_forcing, "how often the right token, not the model's, is the next input");
}

// For each option that a result depends on: the command line, the checkpoint and --resume are all made of this one
// list.
template <class F>
void each_option(F f) {
  f("data", &Options::data, "what to learn from");
  f("pairs", &Options::pairs, "sentence pairs to make by the grammar (default: 100000)");
  each_model_option(f);
  f("epochs", &Options::epochs, "times through the pairs (default: 3 of the grammar, else 20)");
  f("batch", &Options::tokens_per_batch, "tokens for one update, filling counted (default: 2048 or 4096)");
  f("accumulate", &Options::accumulate, "batches for one update");
  f("lr", &Options::lr, "the highest learning rate (default: 0.003, of the Transformer 0.002)");
  f("label-smoothing", &Options::label_smoothing, "of the loss");
  f("clip", &Options::clip, "the largest norm of a gradient (0: any)");
  f("weight-decay", &Options::weight_decay, "of AdamW");
  f("schedule", &Options::schedule, "how the learning rate changes");
  f("warmup", &Options::warmup,
    "updates until the learning rate is highest (default: 200 of the grammar, else 2000)");
  f("average", &Options::average, "average the weights of the last epochs");
  f("seed", &Options::seed, "of everything random");
  examples::each_adaptation_option(f);
}

// Fills in what depends on the data and the model.
Options settle(Options options);

gradus::train::Metadata to_metadata(const Options& options);
// Throws Error naming `path` where the metadata is not that of this program.
Options options_from(const gradus::train::Metadata& metadata, const std::string& path);

// One of the models, as a module and as what translates.
struct Model {
  std::unique_ptr<gradus::nn::Module> module;
  const gradus::nn::Seq2SeqModel* translate;
};
Model make_model(const Options& options, const gradus::data::Tokenizer& source,
                 const gradus::data::Tokenizer& target);

}  // namespace translation
