// A small encoder of padded texts, and a classifier on top of it.
#pragma once

#include "nn/transformer.h"
#include "tutorials/ch13_encoder/reviews.h"

namespace ch13 {

using namespace gradus;

struct EncoderOptions {
  int64_t vocabulary = 0, max_length = 81, layers = 2, heads = 2, features = 32;
  double embedding_std = 0.02;  // of words at first; positions have 0.02
};

//! [mean]
// The mean over real words. x (batch, n, d), there (batch, n) bool: (batch, d).
inline Tensor mean_of_words(const Tensor& x, const Tensor& there) {
  const Tensor counts = there.to(x.dtype()).unsqueeze(-1);  // (batch, n, 1)
  return (x * counts).sum({1}) / clamp(counts.sum({1}), 1, INFINITY);
}
//! [mean]

//! [encoder]
struct Encoder : nn::Module {
  nn::Embedding words;
  nn::Positions positions;
  nn::LayerNorm norm;
  nn::TransformerEncoder layers;
  explicit Encoder(const EncoderOptions& o)
      : words(o.vocabulary, o.features, {.padding_idx = special.pad}),
        positions(nn::PositionKind::learned, o.max_length, o.features),
        norm(Shape{o.features}),
        layers({.d_model = o.features,
                .heads = o.heads,
                .ffn = 4 * o.features,
                .encoder_layers = o.layers,
                .dropout = 0,
                .activation = nn::exact_gelu}) {
    words.weight.detach().mul_(o.embedding_std);
  }

  // tokens (batch, n), padded: (batch, n, features). The last layer's weights, (batch, heads, n, n), go to `looks`.
  Tensor operator()(const Tensor& tokens, Tensor* looks = nullptr) const {
    nn::Call call(*this);
    const KeepMask keep((tokens != double(special.pad)).unsqueeze(1).unsqueeze(1));  // (batch, 1, 1, n): of the keys
    Tensor x = norm(positions(words(tokens)));
    for (const nn::TransformerEncoderLayer& layer : layers.layers) {
      if (looks) *looks = layer.self_attn(x, {.keep = keep, .need_weights = true}).weights;
      x = layer(x, {.keep = keep});
    }
    return call(x);
  }
  //! [encoder]
  void visit(nn::Visitor& v) override {
    v("words", words);
    v("positions", positions);
    v("norm", norm);
    v("layers", layers);
  }
  const char* type() const override { return "Encoder"; }
};

enum class Pooling { mean, first };  // of the words; what stands at [CLS]

//! [classifier]
struct Classifier : nn::Module {
  Encoder encoder;
  Pooling pool;
  nn::Linear answer;
  Classifier(const EncoderOptions& o, Pooling p) : encoder(o), pool(p), answer(o.features, 1) {}

  // tokens (batch, n), padded, behind [CLS]: logits (batch).
  Tensor operator()(const Tensor& tokens, Tensor* looks = nullptr) const {
    nn::Call call(*this);
    const Tensor x = encoder(tokens, looks);  // (batch, n, features)
    const Tensor text = pool == Pooling::first ? x.select(1, 0) : mean_of_words(x, tokens != double(special.pad));
    return call(answer(text).squeeze(1));
  }
  //! [classifier]
  void visit(nn::Visitor& v) override {
    v("encoder", encoder);
    v("answer", answer);
  }
  const char* type() const override { return "Classifier"; }
};

}  // namespace ch13
