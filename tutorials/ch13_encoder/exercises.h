// What the exercises of chapter 13 ask for.
#pragma once

#include <functional>

#include "autograd/ops.h"
#include "tensor/tensor.h"

namespace ch13 {

// Draws for every place, (batch, n) each: two uniform in [0, 1), and a random word, int64.
struct MaskDraws {
  gradus::Tensor choose, way, other;
};
struct MaskRules {
  double share = 0.15;     // of words that are chosen
  int64_t first_word = 5;  // tokens below are specials: padding, [CLS], [MASK]
  int64_t mask = 4;
  int64_t ignore = -100;  // the target where nothing is asked
};
struct MaskedText {
  gradus::Tensor tokens, targets;  // (batch, n) int64: what is read, and what is asked for
};

struct Exercises {
  // 13.1 ★ The mean over real words. x (batch, n, d), there (batch, n) bool, true at real words: (batch, d). A text
  // without a word gets zeros.
  gradus::Tensor (*mean_of_words)(const gradus::Tensor& x, const gradus::Tensor& there);

  // 13.2 ★ A mask of the keys, bool (batch, 1, 1, n), true at the first lengths[i] places of text i, so that it
  // broadcasts to (batch, heads, queries, n). lengths (batch) int64.
  gradus::Tensor (*keys_of_lengths)(const gradus::Tensor& lengths, int64_t n);

  // 13.3 ★★ BERT's masking. tokens (batch, n) int64. A word is chosen where its draw `choose` is below rules.share;
  // specials never are. A chosen one is read as rules.mask where `way` is below 0.8, as the word `other` where it is
  // below 0.9, and as itself elsewhere. All that are chosen are asked for.
  MaskedText (*mask_words)(const gradus::Tensor& tokens, const MaskDraws& draws, const MaskRules& rules);

  // 13.4 ★★ The mean cross-entropy of the places that are asked for, (): logits (batch, n, vocabulary), targets
  // (batch, n) int64, `ignore` where nothing is asked. Zero where nothing is asked at all.
  gradus::Tensor (*masked_loss)(const gradus::Tensor& logits, const gradus::Tensor& targets, int64_t ignore);

  // 13.5 ★★★ How likely a text is to a model that fills gaps: the sum, over its words, of the logarithm of the word's
  // probability when that word alone is hidden, (). ids (n) int64; those below first_word are neither hidden nor
  // counted. model: tokens (batch, n) to logits (batch, n, vocabulary). It is called once, for all words together.
  gradus::Tensor (*score_text)(const std::function<gradus::Tensor(const gradus::Tensor&)>& model,
                               const gradus::Tensor& ids, int64_t mask, int64_t first_word);
};

}  // namespace ch13
