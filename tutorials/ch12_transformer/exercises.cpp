// The exercises of chapter 12: what a Transformer is made of, trained with and judged by.
#include "exercises.h"

#include <algorithm>
#include <map>

#include "autograd/ops.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using ch12::Matches;
using ch12::NormGradients;
using ch12::Sublayer;
using ch12::Words;

namespace {

// 12.1 ★ f sees x normalised over its last dimension (layer_norm(x, {d}, weight, bias)); the shortcut is x as it came.
Tensor before(const Tensor& x, const Tensor& weight, const Tensor& bias, const Sublayer& f) {
  // BEGIN SOLUTION 12.1
  return x + f(layer_norm(x, {x.size(-1)}, weight, bias));
  // END SOLUTION
  // MISTAKE the sum is normalised, and not what the sub-layer sees: that is the norm after
  // - return x + f(layer_norm(x, {x.size(-1)}, weight, bias));
  // + return layer_norm(x + f(x), {x.size(-1)}, weight, bias);
  // MISTAKE the shortcut is normalised, too: nothing carries x through as it came
  // - return x + f(layer_norm(x, {x.size(-1)}, weight, bias));
  // + const Tensor y = layer_norm(x, {x.size(-1)}, weight, bias);
  // + return y + f(y);
}

// 12.2 ★★ Go from left to right. A piece that a merge has made is not merged again in the same pass: of "a a a" with
// the pair (a, a) comes "aa a".
Words merge(const Words& pieces, const std::string& left, const std::string& right) {
  // BEGIN SOLUTION 12.2
  Words merged;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const bool both = i + 1 < pieces.size() && pieces[i] == left && pieces[i + 1] == right;
    merged.push_back(both ? left + right : pieces[i]);
    if (both) ++i;
  }
  return merged;
  // END SOLUTION
  // MISTAKE the right piece is not taken away: its letters are there twice
  // - if (both) ++i;
  // + static_cast<void>(both);
  // MISTAKE only the first occurrence is merged
  // - if (both) ++i;
  // + if (!both) continue;
  // + merged.insert(merged.end(), pieces.begin() + int64_t(i) + 2, pieces.end());
  // + break;
}

// 12.3 ★★ With s for `smoothing` and K pieces: of each token, (1 - s) times minus the log probability of the target,
// plus s times the mean of minus all K log probabilities. log_softmax(x, -1) and gather(-1, index) will help. Targets
// may be padding: leave those tokens out of the sum, and out of what it is divided by.
Tensor smoothed_loss(const Tensor& logits, const Tensor& targets, double smoothing, int64_t pad) {
  // BEGIN SOLUTION 12.3
  const Tensor losses = -log_softmax(logits, -1);                             // (batch, places, pieces)
  const Tensor right = losses.gather(-1, targets.unsqueeze(-1)).squeeze(-1);  // (batch, places)
  const Tensor of_token = (1 - smoothing) * right + smoothing * losses.mean(-1);
  const Tensor counts = (targets != double(pad)).to(logits.dtype());
  return (of_token * counts).sum() / counts.sum();
  // END SOLUTION
  // MISTAKE the losses of all pieces are added up, where their mean belongs
  // - const Tensor of_token = (1 - smoothing) * right + smoothing * losses.mean(-1);
  // + const Tensor of_token = (1 - smoothing) * right + smoothing * losses.sum(-1);
  // MISTAKE padding is smoothed, too: it counts in the loss
  // - return (of_token * counts).sum() / counts.sum();
  // + return ((1 - smoothing) * right * counts + smoothing * losses.mean(-1)).sum() / counts.sum();
}

// 12.4 ★★ Sum over the corpus. Of each sentence: how often each n-gram (n words in a row) occurs in the candidate, and
// in its reference; it matches as often as it is in both, the smaller of the two numbers. Words are at least one
// letter long and have no spaces.
Matches ngram_matches(const std::vector<Words>& candidates, const std::vector<Words>& references, int64_t n) {
  // BEGIN SOLUTION 12.4
  const auto count = [n](const Words& words) {
    std::map<Words, int64_t> counts;
    for (int64_t i = 0; i + n <= int64_t(words.size()); ++i) ++counts[{words.begin() + i, words.begin() + i + n}];
    return counts;
  };
  Matches found{0, 0};
  for (size_t i = 0; i < candidates.size(); ++i) {
    std::map<Words, int64_t> wanted = count(references[i]);
    for (const auto& [ngram, times] : count(candidates[i])) {
      found.matches += std::min(times, wanted[ngram]);
      found.total += times;
    }
  }
  return found;
  // END SOLUTION
  // MISTAKE nothing is clipped: a word that is repeated matches each time
  // - found.matches += std::min(times, wanted[ngram]);
  // + found.matches += wanted[ngram] > 0 ? times : 0;
  // MISTAKE an n-gram counts once, however often it occurs
  // - found.matches += std::min(times, wanted[ngram]);
  // + found.matches += wanted[ngram] > 0 ? 1 : 0;
}

// 12.5 ★★★ With n = (x - mean) / sqrt(variance + eps), the bias gets the sum of g, the weight the sum of g n, over all
// rows. For x, let h = g weight. Mean and variance depend on every number of the row, so that h loses two parts: its
// mean over the row, and n times the mean of h n. What is left is divided by the root.
NormGradients layer_norm_gradients(const Tensor& g, const Tensor& x, const Tensor& weight, double eps) {
  // BEGIN SOLUTION 12.5
  const Tensor away = x - x.mean({-1}, true);
  const Tensor root = sqrt(square(away).mean({-1}, true) + eps);
  const Tensor n = away / root, h = g * weight;
  const Tensor dx = (h - h.mean({-1}, true) - n * (h * n).mean({-1}, true)) / root;
  return {dx, (g * n).sum({0, 1}), g.sum({0, 1})};
  // END SOLUTION
  // MISTAKE mean and variance are taken for constants
  // - const Tensor dx = (h - h.mean({-1}, true) - n * (h * n).mean({-1}, true)) / root;
  // + const Tensor dx = h / root;
  // MISTAKE the variance is taken for a constant
  // - const Tensor dx = (h - h.mean({-1}, true) - n * (h * n).mean({-1}, true)) / root;
  // + const Tensor dx = (h - h.mean({-1}, true)) / root;
}

}  // namespace

EXERCISES(ch12::Exercises, before, merge, smoothed_loss, ngram_matches, layer_norm_gradients);
