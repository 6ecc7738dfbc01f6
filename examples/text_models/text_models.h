// Models of one text: a decoder alone (Radford et al. 2019, "GPT-2"), an encoder alone (Devlin et al. 2019, "BERT"),
// and a classifier of sentences.
#pragma once

#include "nn/recurrent.h"
#include "nn/transformer.h"

namespace text_models {

using namespace gradus;
using namespace gradus::nn;

struct GptOptions {
  int64_t vocabulary = 0, block = 256;  // tokens, and the most of them that are looked at at once
  int64_t layers = 6, heads = 6, d_model = 384;
  int64_t ffn = 0;  // 0: 4 d_model
  double dropout = 0;
  bool bias = true;
  bool rotary = false;   // rotary positions instead of learned ones
  bool tied = true;      // the embedding serves as the output's weights
  int64_t kv_heads = 0;  // 0: as many as heads
  ActivationFunction activation = exact_gelu;
};

// Predicts each token from those before it. Normalises before each sub-layer and once at the end. Weights begin normal
// with deviation 0.02, those that write into the residual stream with 0.02 / sqrt(2 layers), as GPT-2's.
class Gpt : public Module, public LanguageModel {
 public:
  explicit Gpt(const GptOptions& options);
  // tokens (batch, n) with n <= block.
  Tensor operator()(const Tensor& tokens) const override;
  // Keeps keys and values. Goes on past `block` with rotary positions only; else throws Error.
  std::unique_ptr<TokenStream> start() const override;
  void visit(Visitor& v) override;
  const char* type() const override { return "Gpt"; }
  const GptOptions& options() const { return options_; }

 private:
  class Stream;
  Tensor score(const Tensor& x) const;
  GptOptions options_;
  Embedding embedding_;
  Positions positions_;
  TransformerEncoder blocks_;
  std::optional<Linear> head_;
};

struct RecurrentLmOptions {
  int64_t vocabulary = 0;
  Cell cell = Cell::lstm;
  int64_t embedding = 128, hidden = 256, layers = 2;
  double dropout = 0;
};

// Predicts each token from those before it by what a recurrent layer remembers of them: Mikolov et al. 2010.
class RecurrentLm : public Module, public LanguageModel {
 public:
  explicit RecurrentLm(const RecurrentLmOptions& options);
  Tensor operator()(const Tensor& tokens) const override;
  std::unique_ptr<TokenStream> start() const override;
  void visit(Visitor& v) override;
  const char* type() const override { return "RecurrentLm"; }

 private:
  class Stream;
  RecurrentLmOptions options_;
  Embedding embedding_;
  std::unique_ptr<Recurrent> layers_;
  Linear output_;
};

struct BertOptions {
  int64_t vocabulary = 0, max_length = 128;
  int64_t layers = 4, heads = 4, d_model = 128, ffn = 512;
  double dropout = 0.1;
  int64_t pad = 0;
};

// Reads a whole text, each token seeing all others. tokens (batch, n), padded: (batch, n, d_model).
class Bert : public Module {
 public:
  explicit Bert(const BertOptions& options);
  Tensor operator()(const Tensor& tokens) const;
  // Scores of what stood at each place, (batch, n, vocabulary), from what operator() gives: the masked-token head.
  Tensor predict(const Tensor& encoded) const;
  void visit(Visitor& v) override;
  const char* type() const override { return "Bert"; }
  const BertOptions& options() const { return options_; }

 private:
  BertOptions options_;
  Embedding embedding_;
  Positions positions_;
  LayerNorm norm_;
  TransformerEncoder encoder_;
  Linear transform_;
  LayerNorm transform_norm_;
  Tensor output_bias_;  // (vocabulary); the weights are the embedding's
};

// Each token is asked for with the chance that `chances` (one for each of the vocabulary, 0 for specials) gives it. Of
// these 80% are hidden behind `mask`, 10% behind a random token from id `specials` on, 10% left as they are (Devlin et
// al. 2019, section 3.1). Targets are `ignore` where nothing is asked. Throws Error for an id beyond the vocabulary.
struct MaskedTokens {
  Tensor tokens, targets;
};
MaskedTokens mask_tokens(const Tensor& tokens, const std::vector<double>& chances, int64_t specials, int64_t mask,
                         int64_t ignore, Generator& random);

struct TextClassifierOptions {
  int64_t vocabulary = 0, max_length = 256, d_model = 64, heads = 1, classes = 1;
  double dropout = 0.1;
  double embedding_std = 1;  // of the embedding's first values; a small one is soon overcome by what is learnt
  PositionKind positions = PositionKind::learned;
  int64_t pad = 0;
};

// Embedding, positions, self-attention, the mean of the places that are no padding, and one linear layer: for one class
// the score is the logit of a sigmoid.
class TextClassifier : public Module {
 public:
  explicit TextClassifier(const TextClassifierOptions& options);
  // tokens (batch, n): logits (batch, classes). How much each place is looked at, (batch, n), the mean over heads and
  // queries, is written to `looks` if given.
  Tensor operator()(const Tensor& tokens, Tensor* looks = nullptr) const;
  void visit(Visitor& v) override;
  const char* type() const override { return "TextClassifier"; }

 private:
  TextClassifierOptions options_;
  Embedding embedding_;
  Positions positions_;
  MultiheadAttention attention_;
  LayerNorm norm_;
  Linear output_;
};

// The mean over places that are no padding: x (batch, n, d), there (batch, n) bool.
Tensor masked_mean(const Tensor& x, const Tensor& there);

}  // namespace text_models
