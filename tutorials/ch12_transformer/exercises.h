// What the exercises of chapter 12 ask for.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tensor/tensor.h"

namespace ch12 {

using Words = std::vector<std::string>;
using Sublayer = std::function<gradus::Tensor(const gradus::Tensor&)>;  // (batch, places, d) to the same

// The gradients of layer normalisation, of the shapes of what they belong to.
struct NormGradients {
  gradus::Tensor x, weight, bias;
};

// n-grams of a candidate: how many it has, and how many of them the reference has, too.
struct Matches {
  int64_t matches, total;
};

struct Exercises {
  // 12.1 ★ A sub-layer within its shortcut, normalised before. x (batch, places, d), weight and bias (d): of the
  // layer normalisation. Returns (batch, places, d).
  gradus::Tensor (*before)(const gradus::Tensor& x, const gradus::Tensor& weight, const gradus::Tensor& bias,
                           const Sublayer& f);

  // 12.2 ★★ A word's pieces after one merge of byte-pair encoding: each `left` with `right` behind it is one piece.
  Words (*merge)(const Words& pieces, const std::string& left, const std::string& right);

  // 12.3 ★★ The smoothed cross-entropy, the mean over tokens that are no padding. logits (batch, places, pieces),
  // targets (batch, places) int64. Returns ().
  gradus::Tensor (*smoothed_loss)(const gradus::Tensor& logits, const gradus::Tensor& targets, double smoothing,
                                  int64_t pad);

  // 12.4 ★★ What BLEU counts of a corpus: candidates[i] is a translation whose reference is references[i].
  Matches (*ngram_matches)(const std::vector<Words>& candidates, const std::vector<Words>& references, int64_t n);

  // 12.5 ★★★ The gradients of y = weight (x - mean) / sqrt(variance + eps) + bias. x and g (batch, places, d), g being
  // the gradient of y; weight (d).
  NormGradients (*layer_norm_gradients)(const gradus::Tensor& g, const gradus::Tensor& x,
                                        const gradus::Tensor& weight, double eps);
};

}  // namespace ch12
