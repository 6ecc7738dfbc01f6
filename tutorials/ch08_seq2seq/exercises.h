// What the exercises of chapter 08 ask for.
#pragma once

#include <functional>
#include <vector>

#include "tensor/tensor.h"

namespace ch08 {

using Ids = std::vector<int64_t>;  // a sentence as numbers, without begin and end

struct Forced {
  gradus::Tensor input, target;  // (batch, places) int64
};

// A model at work on one sentence: log probabilities (words), float64, of what follows what was written so far.
using NextWord = std::function<gradus::Tensor(const Ids& written)>;

struct Found {
  Ids words;         // without the end
  double score = 0;  // the log probability of all of it, the end included
};

struct Exercises {
  // 8.1 ★ What a decoder is fed in training, and what it has to predict there.
  Forced (*teacher_force)(const std::vector<Ids>& sentences, int64_t pad, int64_t bos, int64_t eos);

  // 8.2 ★★ The state after each sentence's last token. outputs: (batch, places, hidden), lengths: (batch) int64.
  // Returns (batch, hidden).
  gradus::Tensor (*last_states)(const gradus::Tensor& outputs, const gradus::Tensor& lengths);

  // 8.3 ★★ The mean cross-entropy of the tokens that are no padding. logits: (batch, places, words), targets:
  // (batch, places) int64. Returns ().
  gradus::Tensor (*token_loss)(const gradus::Tensor& logits, const gradus::Tensor& targets, int64_t pad);

  // 8.4 ★★ The sentence that takes the likeliest word at each step.
  Ids (*greedy)(const NextWord& next, int64_t eos, int64_t max_length);

  // 8.5 ★★★ Up to `width` sentences by beam search, best first.
  std::vector<Found> (*beam_search)(const NextWord& next, int64_t width, int64_t eos, int64_t max_length);
};

}  // namespace ch08
