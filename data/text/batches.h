// Sentences of unlike length as batches of one shape.
#pragma once

#include <functional>
#include <vector>

#include "data/loader.h"
#include "data/text/corpus.h"
#include "data/text/tokenizer.h"

namespace gradus::data {

using Ids = std::vector<int64_t>;

// (rows, longest) int64, short rows filled up with `pad` at the end.
Tensor pad_rows(const std::vector<Ids>& rows, int64_t pad);

// Groups samples of like length: places in a batch, the filling counted, are at most `max_tokens`, unless one sample
// alone has more. Every sample is in one batch; samples of equal length are in random order.
std::vector<std::vector<int64_t>> batches_by_tokens(const std::vector<int64_t>& lengths, int64_t max_tokens,
                                                    uint64_t seed);

struct PairBatch {
  Tensor source;          // (batch, source length): the sentence, eos, pads
  Tensor source_lengths;  // (batch), eos counted
  Tensor target_in;       // (batch, target length): bos, the sentence, pads
  Tensor target_out;      // the sentence, eos, pads: what to predict from target_in
  int64_t tokens;         // of target_out, pads left out
};

// A sentence pair as numbers.
struct PairIds {
  Ids source, target;
};
// Every pair encoded; `source` and `target` may be one tokeniser. Pairs with more than `max_length` tokens on one side
// are left out (0: none are).
std::vector<PairIds> encode_pairs(const std::vector<SentencePair>& pairs, const Tokenizer& source,
                                  const Tokenizer& target, int64_t max_length = 0);

PairBatch make_pair_batch(const std::vector<PairIds>& pairs, std::span<const int64_t> samples,
                          const Specials& specials);

struct PairLoaderOptions {
  int64_t max_tokens = 4096;  // per batch, of the longer side, filling counted
  bool shuffle = true;        // the batches, anew in each epoch
  int64_t workers = 0;
  uint64_t seed = 0;
};
// What the loader calls a sample is a batch here.
DataLoader<PairBatch> pair_loader(std::vector<PairIds> pairs, const Specials& specials,
                                  const PairLoaderOptions& options);

}  // namespace gradus::data
