#include "nn/transformer.h"

#include <cmath>

#include "nn/init.h"

namespace gradus::nn {

namespace {

MultiheadOptions attention_of(const TransformerOptions& o) {
  MultiheadOptions a = o.attention;
  a.dropout = o.attention_dropout.value_or(o.dropout);
  a.bias = o.bias;
  return a;
}

//! [sub-layer]
// x + dropout(f(x)), normalised before f or after the sum.
template <class F>
Tensor residual(const Tensor& x, const LayerNorm& norm, const TransformerOptions& o, bool training, const F& f) {
  if (o.norm_first) return x + dropout(f(norm(x)), o.dropout, training);
  return norm(x + dropout(f(x), o.dropout, training));
}

template <class Layer>
Tensor feed_forward(const Layer& layer, const Tensor& x) {
  const TransformerOptions& o = layer.options;
  const Tensor inner = o.activation(layer.linear1(x));
  return layer.linear2(dropout(inner, o.activation_dropout.value_or(o.dropout), layer.training()));
}
//! [sub-layer]

MultiheadCall with_weights(MultiheadCall call, bool wanted) {
  call.need_weights = wanted;
  return call;
}

// A decoder layer around whatever its second attention looks at.
template <class Cross>
Tensor decode(const TransformerDecoderLayer& layer, const Tensor& x, const MultiheadCall& self, const Cross& cross,
              Tensor* weights) {
  const TransformerOptions& o = layer.options;
  const bool training = layer.training();
  Tensor y =
      residual(x, layer.norm1, o, training, [&](const Tensor& in) { return layer.self_attn(in, self).output; });
  y = residual(y, layer.norm2, o, training, [&](const Tensor& in) {
    const Attended a = cross(in);
    if (weights) *weights = a.weights.mean({1});
    return a.output;
  });
  return residual(y, layer.norm3, o, training, [&](const Tensor& in) { return feed_forward(layer, in); });
}

}  // namespace

TransformerEncoderLayer::TransformerEncoderLayer(const TransformerOptions& o)
    : self_attn(o.d_model, o.heads, attention_of(o)),
      linear1(o.d_model, o.ffn, {.bias = o.bias}),
      linear2(o.ffn, o.d_model, {.bias = o.bias}),
      norm1({o.d_model}, {.bias = o.bias}),
      norm2({o.d_model}, {.bias = o.bias}),
      options(o) {}

Tensor TransformerEncoderLayer::operator()(const Tensor& x, const MultiheadCall& attention) const {
  Call call(*this);
  const Tensor y =
      residual(x, norm1, options, training(), [&](const Tensor& in) { return self_attn(in, attention).output; });
  return call(residual(y, norm2, options, training(), [&](const Tensor& in) { return feed_forward(*this, in); }));
}

void TransformerEncoderLayer::visit(Visitor& v) {
  v("self_attn", self_attn);
  v("linear1", linear1);
  v("linear2", linear2);
  v("norm1", norm1);
  v("norm2", norm2);
}

TransformerDecoderLayer::TransformerDecoderLayer(const TransformerOptions& o)
    : self_attn(o.d_model, o.heads, attention_of(o)),
      multihead_attn(o.d_model, o.heads, {.dropout = attention_of(o).dropout, .bias = o.bias}),
      linear1(o.d_model, o.ffn, {.bias = o.bias}),
      linear2(o.ffn, o.d_model, {.bias = o.bias}),
      norm1({o.d_model}, {.bias = o.bias}),
      norm2({o.d_model}, {.bias = o.bias}),
      norm3({o.d_model}, {.bias = o.bias}),
      options(o) {}

Tensor TransformerDecoderLayer::operator()(const Tensor& x, const Tensor& memory, const MultiheadCall& self,
                                           const MultiheadCall& cross, Tensor* weights) const {
  Call call(*this);
  return call(decode(
      *this, x, self,
      [&](const Tensor& in) { return multihead_attn(in, memory, memory, with_weights(cross, weights != nullptr)); },
      weights));
}

Tensor TransformerDecoderLayer::operator()(const Tensor& x, const KeyValueCache& memory, const MultiheadCall& self,
                                           const MultiheadCall& cross, Tensor* weights) const {
  Call call(*this);
  return call(decode(
      *this, x, self,
      [&](const Tensor& in) { return multihead_attn(in, memory, with_weights(cross, weights != nullptr)); },
      weights));
}

void TransformerDecoderLayer::visit(Visitor& v) {
  v("self_attn", self_attn);
  v("multihead_attn", multihead_attn);
  v("linear1", linear1);
  v("linear2", linear2);
  v("norm1", norm1);
  v("norm2", norm2);
  v("norm3", norm3);
}

TransformerEncoder::TransformerEncoder(const TransformerOptions& o)
    : layers(o.encoder_layers, [&](int64_t) { return TransformerEncoderLayer(o); }) {
  if (o.norm_first) norm.emplace(Shape{o.d_model}, LayerNormOptions{.bias = o.bias});
}

Tensor TransformerEncoder::operator()(const Tensor& x, const MultiheadCall& attention) const {
  Call call(*this);
  Tensor y = x;
  for (const TransformerEncoderLayer& layer : layers) y = layer(y, attention);
  return call(norm ? (*norm)(y) : y);
}

void TransformerEncoder::visit(Visitor& v) {
  v("layers", layers);
  if (norm) v("norm", *norm);
}

TransformerDecoder::TransformerDecoder(const TransformerOptions& o)
    : layers(o.decoder_layers, [&](int64_t) { return TransformerDecoderLayer(o); }) {
  if (o.norm_first) norm.emplace(Shape{o.d_model}, LayerNormOptions{.bias = o.bias});
}

Tensor TransformerDecoder::operator()(const Tensor& x, const Tensor& memory, const MultiheadCall& self,
                                      const MultiheadCall& cross, Tensor* weights) const {
  Call call(*this);
  Tensor y = x;
  for (int64_t i = 0; i < layers.size(); ++i)
    y = layers[i](y, memory, self, cross, i + 1 == layers.size() ? weights : nullptr);
  return call(norm ? (*norm)(y) : y);
}

void TransformerDecoder::visit(Visitor& v) {
  v("layers", layers);
  if (norm) v("norm", *norm);
}

// --- the model -----------------------------------------------------------------------------------------------------

Transformer::Transformer(const TranslatorOptions& o)
    : options_(o),
      source_embedding_(o.source_vocabulary, o.d_model, {.padding_idx = o.pad}),
      source_positions_(o.positions, o.max_length, o.d_model),
      target_positions_(o.positions, o.max_length, o.d_model),
      encoder_(o),
      decoder_(o) {
  check(!o.shared_embeddings || o.source_vocabulary == o.target_vocabulary,
        "Transformer: shared embeddings need one vocabulary, got ", o.source_vocabulary, " and ", o.target_vocabulary,
        " tokens");
  if (!o.shared_embeddings)
    target_embedding_.emplace(o.target_vocabulary, o.d_model, EmbeddingOptions{.padding_idx = o.pad});
  // Scaled by sqrt(d_model) they begin with variance 1, and as output weights give scores of variance 1.
  NoGrad guard;
  for (Embedding* table : {&source_embedding_, target_embedding_ ? &*target_embedding_ : nullptr}) {
    if (!table) continue;
    normal_(table->weight, 0, 1 / std::sqrt(double(o.d_model)));
    table->weight.select(0, o.pad).zero_();
  }
}

Tensor Transformer::embed(const Embedding& table, const Positions& positions, const Tensor& tokens,
                          int64_t first) const {
  const Tensor x = positions(table(tokens) * std::sqrt(double(options_.d_model)), first);
  return dropout(x, options_.dropout, training());
}

std::optional<KeepMask> Transformer::padding(const Tensor& tokens) const {
  return KeepMask((tokens != double(options_.pad)).unsqueeze(1).unsqueeze(1));
}

Tensor Transformer::operator()(const Tensor& source, const Tensor& target, Tensor* weights) const {
  Call call(*this);
  const std::optional<KeepMask> keep = padding(source);
  const Tensor memory = encoder_(embed_source(source), {.keep = keep});
  const Tensor out = decoder_(embed_target(target, 0), memory, {.is_causal = true}, {.keep = keep}, weights);
  return call(linear(out, target_table().weight));
}

void Transformer::visit(Visitor& v) {
  v("source_embedding", source_embedding_);
  if (target_embedding_) v("target_embedding", *target_embedding_);
  v("source_positions", source_positions_);
  v("target_positions", target_positions_);
  v("encoder", encoder_);
  v("decoder", decoder_);
}

std::string Transformer::describe() const {
  return "d_model=" + std::to_string(options_.d_model) + ", heads=" + std::to_string(options_.heads) +
         ", ffn=" + std::to_string(options_.ffn);
}

// What decoding keeps: each layer's keys and values, of the target so far and of the source.
class Transformer::Stream : public TokenStream {
 public:
  Stream(const Transformer& model, const Tensor& source) : model_(model), keep_(*model.padding(source)) {
    NoGrad guard;
    const Tensor memory = model.encoder_(model.embed_source(source), {.keep = keep_});
    for (const TransformerDecoderLayer& layer : model.decoder_.layers)
      memory_.push_back(layer.multihead_attn.project(memory, memory));
    self_.resize(memory_.size());
  }

  Tensor step(const Tensor& tokens) override {
    NoGrad guard;
    const int64_t before = self_.empty() ? 0 : self_[0].length();
    Tensor x = model_.embed_target(tokens, before);
    for (size_t i = 0; i < self_.size(); ++i)
      x = model_.decoder_.layers[int64_t(i)](x, memory_[i], {.is_causal = true, .cache = &self_[i]}, {.keep = keep_},
                                             i + 1 == self_.size() ? &weights_ : nullptr);
    if (model_.decoder_.norm) x = (*model_.decoder_.norm)(x);
    return linear(x.select(1, -1), model_.target_table().weight);
  }

  void reorder(const Tensor& rows) override {
    for (KeyValueCache& cache : self_) cache.reorder(rows);
    for (KeyValueCache& cache : memory_) cache.reorder(rows);
    keep_ = KeepMask(keep_.kept.index_select(0, rows));
  }

  Tensor attention() const override { return weights_.select(1, -1); }
  Device device() const override { return model_.device(); }

 private:
  const Transformer& model_;
  KeepMask keep_;
  std::vector<KeyValueCache> self_, memory_;
  Tensor weights_;
};

std::unique_ptr<TokenStream> Transformer::start(const Tensor& source) const {
  return std::make_unique<Stream>(*this, source);
}

}  // namespace gradus::nn
