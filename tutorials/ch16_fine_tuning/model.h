// A small decoder that reads sentences of language.h: with the head that it was trained with, and with a new one.
#pragma once

#include <algorithm>
#include <vector>

#include "language.h"
#include "nn/init.h"
#include "nn/nn.h"

namespace ch16 {

constexpr int64_t features = 48;

//! [reader]
struct Reader : nn::Module {
  nn::Embedding embedding{int64_t(vocabulary().size()), features};
  nn::Positions positions{nn::PositionKind::learned, most_words, features};
  nn::TransformerEncoder blocks{
      {.d_model = features, .heads = 4, .ffn = 192, .encoder_layers = 2, .dropout = 0, .norm_first = true}};
  Reader() {
    NoGrad guard;
    nn::normal_(embedding.weight, 0, 0.02);
  }
  // tokens (batch, places): (batch, places, features).
  Tensor operator()(const Tensor& tokens) const {
    nn::Call call(*this);
    return call(blocks(positions(embedding(tokens)), {.is_causal = true}));
  }
  // The old task: scores of the word behind each place, (batch, places, words).
  Tensor next_word(const Tensor& tokens) const { return linear((*this)(tokens), embedding.weight); }
  void visit(nn::Visitor& v) override {
    v("embedding", embedding);
    v("positions", positions);
    v("blocks", blocks);
  }
  const char* type() const override { return "Reader"; }
};
//! [reader]

//! [classifier]
struct Classifier : nn::Module {
  Reader body;                       // to be had trained
  nn::Linear head{features, doers};  // new
  // tokens (batch, places): scores of the kinds, (batch, kinds), from the mean over the places that hold a word.
  Tensor operator()(const Tensor& tokens) const {
    nn::Call call(*this);
    const Tensor word = (tokens != 0.0).to(float32).unsqueeze(-1);  // (batch, places, 1)
    return call(head((body(tokens) * word).sum({1}) / word.sum({1})));
  }
  void visit(nn::Visitor& v) override {
    v("body", body);
    v("head", head);
  }
  const char* type() const override { return "Classifier"; }
};
//! [classifier]

inline Tensor next_word_loss(const Reader& reader, const Batch& batch) {
  const Tensor asked = batch.tokens.narrow(1, 1, most_words - 1);
  const Tensor scores = reader.next_word(batch.tokens.narrow(1, 0, most_words - 1));
  return cross_entropy(scores.flatten(0, 1), asked.flatten(), {.ignore_index = 0});
}

// The share of words that the reader guesses.
inline double next_word_accuracy(const Reader& reader, const Batch& batch) {
  const NoGrad guard;
  const Tensor asked = batch.tokens.narrow(1, 1, most_words - 1), there = (asked != 0.0).to(float64);
  const Tensor guessed = reader.next_word(batch.tokens.narrow(1, 0, most_words - 1)).argmax(-1);
  return ((guessed == asked).to(float64) * there).sum().item() / there.sum().item();
}

inline double doer_accuracy(const Classifier& classifier, const Batch& batch) {
  const NoGrad guard;
  return (classifier(batch.tokens).argmax(-1) == batch.doers).to(float64).mean().item();
}

}  // namespace ch16
