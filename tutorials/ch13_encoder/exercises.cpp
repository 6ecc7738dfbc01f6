// The exercises of chapter 13: padding, hidden words and what is asked about them.
#include "exercises.h"

#include <cmath>

#include "autograd/ops.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using ch13::MaskDraws, ch13::MaskedText, ch13::MaskRules;

namespace {

// 13.1 ★ Make numbers of `there`, zeros and ones, of x's dtype; a text without a word is divided by one.
Tensor mean_of_words(const Tensor& x, const Tensor& there) {
  // BEGIN SOLUTION 13.1
  const Tensor counts = there.to(x.dtype()).unsqueeze(-1);  // (batch, n, 1)
  const Tensor sum = (x * counts).sum({1});
  return sum / clamp(counts.sum({1}), 1, INFINITY);
  // END SOLUTION
  // MISTAKE the sum of the words is divided by the number of places, not of words
  // - return sum / clamp(counts.sum({1}), 1, INFINITY);
  // + return sum / double(x.size(1));
  // MISTAKE what stands at padding is added up with the words
  // - const Tensor sum = (x * counts).sum({1});
  // + const Tensor sum = x.sum({1});
}

// 13.2 ★ Compare the place of each key with the length of each text, then put in the dimensions of heads and queries.
Tensor keys_of_lengths(const Tensor& lengths, int64_t n) {
  // BEGIN SOLUTION 13.2
  const Tensor kept = arange(n) < lengths.unsqueeze(1);  // (batch, n)
  return kept.unsqueeze(1).unsqueeze(1);
  // END SOLUTION
  // MISTAKE the first place of padding is kept, too
  // - const Tensor kept = arange(n) < lengths.unsqueeze(1);  // (batch, n)
  // + const Tensor kept = arange(n) <= lengths.unsqueeze(1);
  // MISTAKE the mask is true at padding: what is kept and what is dropped are exchanged
  // - return kept.unsqueeze(1).unsqueeze(1);
  // + return logical_not(kept).unsqueeze(1).unsqueeze(1);
}

// 13.3 ★★ Make three masks, (batch, n) bool: chosen, hidden, replaced. `masked_fill` and `where` make of them what is
// read, and `where` what is asked for.
MaskedText mask_words(const Tensor& tokens, const MaskDraws& draws, const MaskRules& rules) {
  // BEGIN SOLUTION 13.3
  const Tensor is_word = tokens >= double(rules.first_word);
  const Tensor chosen = logical_and(draws.choose < rules.share, is_word);
  const Tensor hidden = logical_and(chosen, draws.way < 0.8);
  const Tensor replaced = logical_and(logical_and(chosen, draws.way >= 0.8), draws.way < 0.9);
  const Tensor asked = chosen;
  const Tensor read = where(replaced, draws.other, tokens.masked_fill(hidden, double(rules.mask)));
  return {read, where(asked, tokens, full_like(tokens, double(rules.ignore)))};
  // END SOLUTION
  // MISTAKE only what is read as [MASK] is asked for
  // - const Tensor asked = chosen;
  // + const Tensor asked = hidden;
  // MISTAKE specials are chosen like words
  // - const Tensor chosen = logical_and(draws.choose < rules.share, is_word);
  // + const Tensor chosen = draws.choose < rules.share;
}

// 13.4 ★★ Take the logarithm of the right word's probability at each place; count the places that are asked for.
// `ignore` is no word to look up: put some other number in its place first.
Tensor masked_loss(const Tensor& logits, const Tensor& targets, int64_t ignore) {
  // BEGIN SOLUTION 13.4
  const Tensor asked = targets != double(ignore);
  const Tensor words = where(asked, targets, zeros_like(targets));
  const Tensor right = log_softmax(logits, -1).gather(-1, words.unsqueeze(-1)).squeeze(-1);  // (batch, n)
  const Tensor counts = asked.to(logits.dtype());
  return -(right * counts).sum() / clamp(counts.sum(), 1, INFINITY);
  // END SOLUTION
  // MISTAKE the mean is over all places, not over those that are asked for
  // - return -(right * counts).sum() / clamp(counts.sum(), 1, INFINITY);
  // + return -(right * counts).mean();
  // MISTAKE each text has a mean of its own, so that a word in a text with few gaps weighs more
  // - return -(right * counts).sum() / clamp(counts.sum(), 1, INFINITY);
  // + return -((right * counts).sum({1}) / clamp(counts.sum({1}), 1, INFINITY)).mean();
}

// 13.5 ★★★ With k words, make k copies of the text, (k, n), each with another word hidden; ask the model once; of copy
// i only the word that it hides counts.
Tensor score_text(const std::function<Tensor(const Tensor&)>& model, const Tensor& ids, int64_t mask,
                  int64_t first_word) {
  // BEGIN SOLUTION 13.5
  const Tensor places = (ids >= double(first_word)).nonzero().squeeze(1);  // (k)
  const Tensor own = arange(ids.size(0)) == places.unsqueeze(1);           // (k, n): the word that a copy hides
  const Tensor copies = ids.expand({places.size(0), ids.size(0)});         // (k, n)
  const Tensor tokens = copies.masked_fill(own, double(mask));
  const Tensor log_p = log_softmax(model(tokens), -1).gather(-1, copies.unsqueeze(-1)).squeeze(-1);  // (k, n)
  return (log_p * own.to(log_p.dtype())).sum();
  // END SOLUTION
  // MISTAKE all words are hidden at once, so that none helps to guess another
  // - const Tensor tokens = copies.masked_fill(own, double(mask));
  // + const Tensor tokens = copies.masked_fill(own.any({0}), double(mask));
  // MISTAKE nothing is hidden: the model reads the word that it is asked for
  // - const Tensor tokens = copies.masked_fill(own, double(mask));
  // + const Tensor tokens = copies.clone();
}

}  // namespace

EXERCISES(ch13::Exercises, mean_of_words, keys_of_lengths, mask_words, masked_loss, score_text);
