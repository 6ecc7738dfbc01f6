// From a model that scores the next token to sentences: greedy, beam search and sampling, one for all models.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "tensor/random.h"
#include "tensor/tensor.h"

namespace gradus::nn {

// A model at work on several rows of tokens, one token after another; what it computed for earlier ones it keeps.
class TokenStream {
 public:
  virtual ~TokenStream() = default;
  // tokens (rows, n) int64 come next in each row: logits (rows, vocabulary) of the token behind the last of them.
  virtual Tensor step(const Tensor& tokens) = 0;
  // Row i goes on where row rows[i] was; rows (any number) int64.
  virtual void reorder(const Tensor& rows) = 0;
  // (rows, source places): where the last step looked in the source; undefined for models that have none.
  virtual Tensor attention() const { return {}; }
  // Where `tokens` and `rows` have to be.
  virtual Device device() const { return Device::cpu; }
};

// A model that reads a source and writes a target.
class Seq2SeqModel {
 public:
  virtual ~Seq2SeqModel() = default;
  virtual Tensor operator()(const Tensor& source, const Tensor& target, Tensor* weights = nullptr) const = 0;
  // A stream with a row for each of source's (rows, places), ready for the first target token.
  virtual std::unique_ptr<TokenStream> start(const Tensor& source) const = 0;
};

// A model that writes one text on.
class LanguageModel {
 public:
  virtual ~LanguageModel() = default;
  // tokens (batch, n): logits (batch, n, vocabulary) of the token behind each.
  virtual Tensor operator()(const Tensor& tokens) const = 0;
  virtual std::unique_ptr<TokenStream> start() const = 0;  // any number of rows, the same in each step
};

struct Hypothesis {
  std::vector<int64_t> tokens;  // without begin and end
  double score = 0;             // log probability, end included, with the penalties
  Tensor attention;             // (tokens, source places), the end's row left out; undefined where there is none
};

struct DecodeOptions {
  int64_t bos = 1, eos = 2;
  int64_t max_length = 200;  // tokens, the end not counted; a sentence cut there counts as ended
  int64_t beam = 1;          // 1: greedy
  int64_t n_best = 1;        // at most `beam`
  // Scores are divided by ((5 + length) / 6)^length_penalty: Wu et al. 2016, section 7. 0: not at all.
  double length_penalty = 0;
  // Adds coverage_penalty * sum_j log(min(1, sum_i attention_ij)): the same section; i counts the end too. Needs
  // attention.
  double coverage_penalty = 0;
  bool keep_attention = false;
};

// The best hypotheses of each row, best first. Beam search ends for a row when nothing that goes on could become better
// than its n_best-th ended hypothesis; with a beam as wide as there are sentences it is exhaustive. Nothing is
// recorded.
std::vector<std::vector<Hypothesis>> beam_search(TokenStream& stream, int64_t rows, const DecodeOptions& options);

struct SampleOptions {
  double temperature = 1;  // logits are divided by it; 0: the likeliest token always
  int64_t top_k = 0;       // among the k likeliest only; 0: all
  double top_p = 1;        // among the likeliest that together have this probability: Holtzman et al. 2020
  double repetition_penalty =
      1;  // logits of tokens seen are divided by it (Keskar et al. 2019), or multiplied, below 0
};
// One token for a row of logits (vocabulary), of which `seen` were seen before.
int64_t sample_token(const Tensor& logits, const SampleOptions& options, Generator& random,
                     const std::vector<int64_t>& seen = {});

}  // namespace gradus::nn
