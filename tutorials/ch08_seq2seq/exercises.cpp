// Chapter 08's exercises. `./run grade ch08` judges them; add `--hint 1`, 2 or 3 where you are stuck.
#include "exercises.h"

#include <algorithm>

#include "autograd/ops.h"
#include "data/text/batches.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using ch08::Forced;
using ch08::Found;
using ch08::Ids;
using ch08::NextWord;

namespace {

// 8.1 ★ One row for each sentence, short ones filled up with `pad` at the end; both tensors are
// (batch, longest sentence + 1). At each place the decoder is fed the right token before, `bos` at first, and has to
// predict the right token there, `eos` at last. data::pad_rows(rows, pad) makes a tensor of rows of unlike length.
Forced teacher_force(const std::vector<Ids>& sentences, int64_t pad, int64_t bos, int64_t eos) {
  // BEGIN SOLUTION 8.1
  std::vector<Ids> inputs, targets;
  for (const Ids& sentence : sentences) {
    Ids input = {bos}, target = sentence;
    input.insert(input.end(), sentence.begin(), sentence.end());
    target.push_back(eos);
    inputs.push_back(input);
    targets.push_back(target);
  }
  return {data::pad_rows(inputs, pad), data::pad_rows(targets, pad)};
  // END SOLUTION
  // MISTAKE the decoder is fed the very token that it has to predict
  // - inputs.push_back(input);
  // + inputs.push_back(target);
  // MISTAKE the end is no target, so that nothing ever learns to stop
  // - target.push_back(eos);
  // + target.push_back(pad);
}

// 8.2 ★★ A recurrent layer's outputs (batch, places, hidden), some sentences being shorter than others: lengths (batch)
// int64, each at least 1. Return the output at each sentence's last token, (batch, hidden). Gradients have to flow.
// x.gather(d, index) takes x's element at index[...] along dimension d; index has the shape of the result.
Tensor last_states(const Tensor& outputs, const Tensor& lengths) {
  // BEGIN SOLUTION 8.2
  const int64_t batch = outputs.size(0), hidden = outputs.size(2);
  const Tensor last = lengths - 1;  // (batch)
  return outputs.gather(1, last.reshape({batch, 1, 1}).expand({batch, 1, hidden})).squeeze(1);
  // END SOLUTION
  // MISTAKE the last place of the batch is taken, not that of the sentence: what is there is padding
  // - return outputs.gather(1, last.reshape({batch, 1, 1}).expand({batch, 1, hidden})).squeeze(1);
  // + return outputs.select(1, -1);
  // MISTAKE places are counted from zero: the last of n is n - 1
  // - const Tensor last = lengths - 1;  // (batch)
  // + const Tensor last = lengths;
}

// 8.3 ★★ Cross-entropy of logits (batch, places, words) for targets (batch, places) int64: the mean over all tokens
// that are not `pad`, each counting the same. Gradients have to flow, none of them to padding. Build it from
// log_softmax, gather and arithmetic, without cross_entropy and nll_loss. There is at least one token.
Tensor token_loss(const Tensor& logits, const Tensor& targets, int64_t pad) {
  // BEGIN SOLUTION 8.3
  const Tensor right = log_softmax(logits, -1).gather(-1, targets.unsqueeze(-1)).squeeze(-1);  // (batch, places)
  const Tensor counts = (targets != double(pad)).to(logits.dtype());                           // the same
  return -(right * counts).sum() / counts.sum();
  // END SOLUTION
  // MISTAKE padding is predicted as if it were a word
  // - return -(right * counts).sum() / counts.sum();
  // + return -right.mean();
  // MISTAKE the sum is divided by all places, padding included
  // - return -(right * counts).sum() / counts.sum();
  // + return -(right * counts).mean();
}

// 8.4 ★★ Write the likeliest word, then the likeliest after that, and so on until it is `eos` or there are `max_length`
// words. Return the words without `eos`. next(written) must not be asked about a sentence of max_length words.
Ids greedy(const NextWord& next, int64_t eos, int64_t max_length) {
  // BEGIN SOLUTION 8.4
  Ids words;
  while (int64_t(words.size()) < max_length) {
    const int64_t word = int64_t(next(words).argmax().item());
    if (word == eos) break;
    words.push_back(word);
  }
  return words;
  // END SOLUTION
  // MISTAKE the end is returned as if it were a word
  // - if (word == eos) break;
  // - words.push_back(word);
  // + words.push_back(word);
  // + if (word == eos) break;
  // MISTAKE max_length is not obeyed: a model that never ends would write for ever
  // - while (int64_t(words.size()) < max_length) {
  // + while (true) {
}

// 8.5 ★★★ Begin with one sentence of no words and score 0. At each step go on with each sentence by each word; the
// score is that of the sentence plus the log probability of the word. Sort all of these, best first. Those among the
// first `width` that end in `eos` are finished; of those that do not end in it, the best `width` go on. Sentences of
// max_length words that would go on are finished, too; next(written) must not be asked about them. When none is left
// to go on, return the `width` best of all that finished, best first, without `eos`. No two scores are equal.
std::vector<Found> beam_search(const NextWord& next, int64_t width, int64_t eos, int64_t max_length) {
  // BEGIN SOLUTION 8.5
  const auto is_better = [](const Found& a, const Found& b) { return a.score > b.score; };
  std::vector<Found> going = {{}}, finished;
  for (int64_t length = 1; !going.empty(); ++length) {
    std::vector<Found> longer;
    for (const Found& sentence : going) {
      const std::vector<double> log_p = next(sentence.words).to_vector();
      for (size_t word = 0; word < log_p.size(); ++word) {
        longer.push_back({sentence.words, sentence.score + log_p[word]});
        longer.back().words.push_back(int64_t(word));
      }
    }
    std::sort(longer.begin(), longer.end(), is_better);
    going.clear();
    for (size_t rank = 0; rank < longer.size(); ++rank) {
      Found& sentence = longer[rank];
      if (sentence.words.back() != eos) {
        if (int64_t(going.size()) < width) going.push_back(sentence);
      } else if (int64_t(rank) < width) {
        sentence.words.pop_back();
        finished.push_back(sentence);
      }
    }
    if (length == max_length) {
      finished.insert(finished.end(), going.begin(), going.end());
      going.clear();
    }
  }
  std::sort(finished.begin(), finished.end(), is_better);
  if (int64_t(finished.size()) > width) finished.resize(size_t(width));
  return finished;
  // END SOLUTION
  // MISTAKE only the last word counts: what the sentence cost before is forgotten
  // - longer.push_back({sentence.words, sentence.score + log_p[word]});
  // + longer.push_back({sentence.words, log_p[word]});
  // MISTAKE the search stops when the first sentence ends, though one that goes on may become better
  // - for (int64_t length = 1; !going.empty(); ++length) {
  // + for (int64_t length = 1; !going.empty() && finished.empty(); ++length) {
}

}  // namespace

EXERCISES(ch08::Exercises, teacher_force, last_states, token_loss, greedy, beam_search);
