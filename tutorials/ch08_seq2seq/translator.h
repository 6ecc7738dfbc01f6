// The chapter's model: one recurrent layer reads a sentence into one vector, another writes its translation from there.
#pragma once

#include "autograd/ops.h"
#include "data/text/tokenizer.h"
#include "nn/decode.h"
#include "nn/embedding.h"
#include "nn/linear.h"
#include "nn/recurrent.h"

namespace ch08 {

using namespace gradus;

inline constexpr data::Specials special;  // the ids of padding, begin and end: pad, bos, eos

//! [translator]
struct Translator : nn::Module {
  nn::Embedding source_embedding, target_embedding;
  nn::GRU encoder, decoder;
  nn::Linear output;

  Translator(int64_t source_words, int64_t target_words, int64_t embedding, int64_t hidden)
      : source_embedding(source_words, embedding, {.padding_idx = special.pad}),
        target_embedding(target_words, embedding, {.padding_idx = special.pad}),
        encoder(embedding, hidden),
        decoder(embedding, hidden),
        output(hidden, target_words) {}

  // source (batch, source places) to the one vector that is kept of each sentence: state.h (1, batch, hidden).
  nn::RecurrentState encode(const Tensor& source) const {
    const Tensor lengths = (source != double(special.pad)).to(int64).sum({1});  // (batch)
    return encoder(source_embedding(source), lengths).state;
  }
  // tokens (batch, n), read on from `state`: logits (batch, n, target_words) of what follows each.
  Tensor decode(const Tensor& tokens, nn::RecurrentState& state) const {
    const nn::RecurrentOutput read = decoder(target_embedding(tokens), {}, state);
    state = read.state;
    return output(read.output);
  }
  //! [translator]
  // The teacher-forced pass: source (batch, source places), target_in (batch, n) to logits (batch, n, target_words).
  //! [forward]
  Tensor operator()(const Tensor& source, const Tensor& target_in) const {
    nn::Call call(*this);
    nn::RecurrentState state = encode(source);
    return call(decode(target_in, state));
  }
  //! [forward]

  void visit(nn::Visitor& v) override {
    v("source_embedding", source_embedding);
    v("target_embedding", target_embedding);
    v("encoder", encoder);
    v("decoder", decoder);
    v("output", output);
  }
  const char* type() const override { return "Translator"; }
};

// The decoder at work, a token at a time, on several sentences at once: what nn::beam_search drives.
//! [stream]
struct Writer : nn::TokenStream {
  const Translator& model;
  nn::RecurrentState state;

  Writer(const Translator& translator, const Tensor& source) : model(translator) {
    const NoGrad guard;
    state = model.encode(source);
  }
  // tokens (rows, 1), the last of each row: logits (rows, target_words) of the next.
  Tensor step(const Tensor& tokens) override {
    const NoGrad guard;
    return model.decode(tokens, state).select(1, -1);
  }
  // Row i goes on from where row rows[i] was: a hypothesis that is dropped takes its state along.
  void reorder(const Tensor& rows) override { state.reorder(rows); }
};
//! [stream]

}  // namespace ch08
