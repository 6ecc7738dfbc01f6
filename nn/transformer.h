// The Transformer: Vaswani et al. 2017. Layers carry PyTorch's names and weights; batches come first.
#pragma once

#include "nn/attention.h"
#include "nn/container.h"
#include "nn/decode.h"
#include "nn/embedding.h"
#include "nn/norm.h"
#include "nn/positions.h"

namespace gradus::nn {

using ActivationFunction = Tensor (*)(const Tensor&);
inline Tensor exact_gelu(const Tensor& x) { return gelu(x); }

struct TransformerOptions {
  int64_t d_model = 512, heads = 8, ffn = 2048;
  int64_t encoder_layers = 6, decoder_layers = 6;
  double dropout = 0.1;
  // Of attention's weights and of the inner features of the two linear layers: `dropout` unless given, which is
  // PyTorch's way; Vaswani et al. drop neither.
  std::optional<double> attention_dropout = {}, activation_dropout = {};
  bool norm_first = false;  // normalise before each sub-layer (and once at the end), not after it: Xiong et al. 2020
  ActivationFunction activation = relu;
  bool bias = true;
  MultiheadOptions attention = {};  // dropout and bias are taken from here above
};

// Self-attention, then two linear layers with an activation between, a residual around each.
struct TransformerEncoderLayer : Module {
  MultiheadAttention self_attn;
  Linear linear1, linear2;
  LayerNorm norm1, norm2;
  TransformerOptions options;
  explicit TransformerEncoderLayer(const TransformerOptions& o);
  // x (batch, places, d_model).
  Tensor operator()(const Tensor& x, const MultiheadCall& attention = {}) const;
  void visit(Visitor& v) override;
  const char* type() const override { return "TransformerEncoderLayer"; }
};

// Causal self-attention, attention to what the encoder made of the source, two linear layers.
struct TransformerDecoderLayer : Module {
  MultiheadAttention self_attn, multihead_attn;
  Linear linear1, linear2;
  LayerNorm norm1, norm2, norm3;
  TransformerOptions options;
  explicit TransformerDecoderLayer(const TransformerOptions& o);
  // x (batch, target places, d_model); memory (batch, source places, d_model), or keys and values made of it before.
  // The weights of the attention to the memory are written to `weights` if given.
  Tensor operator()(const Tensor& x, const Tensor& memory, const MultiheadCall& self, const MultiheadCall& cross,
                    Tensor* weights = nullptr) const;
  Tensor operator()(const Tensor& x, const KeyValueCache& memory, const MultiheadCall& self,
                    const MultiheadCall& cross, Tensor* weights = nullptr) const;
  void visit(Visitor& v) override;
  const char* type() const override { return "TransformerDecoderLayer"; }
};

// Layers one after the other, and a last normalisation where they normalise first.
struct TransformerEncoder : Module {
  ModuleList<TransformerEncoderLayer> layers;
  std::optional<LayerNorm> norm;
  explicit TransformerEncoder(const TransformerOptions& o);
  Tensor operator()(const Tensor& x, const MultiheadCall& attention = {}) const;
  void visit(Visitor& v) override;
  const char* type() const override { return "TransformerEncoder"; }
};
struct TransformerDecoder : Module {
  ModuleList<TransformerDecoderLayer> layers;
  std::optional<LayerNorm> norm;
  explicit TransformerDecoder(const TransformerOptions& o);
  Tensor operator()(const Tensor& x, const Tensor& memory, const MultiheadCall& self = {},
                    const MultiheadCall& cross = {}, Tensor* weights = nullptr) const;
  void visit(Visitor& v) override;
  const char* type() const override { return "TransformerDecoder"; }
};

struct TranslatorOptions : TransformerOptions {
  int64_t source_vocabulary = 0, target_vocabulary = 0;
  int64_t pad = 0;
  bool shared_embeddings = false;  // source, target and output use one table; else the last two do
  PositionKind positions = PositionKind::sinusoidal;
  int64_t max_length = 1024;  // of learned positions
};

// The whole of it: tokens of the source and of the target so far in, scores of the next token out. Embeddings are
// scaled by sqrt(d_model), and serve as the output's weights too (section 3.4).
class Transformer : public Module, public Seq2SeqModel {
 public:
  explicit Transformer(const TranslatorOptions& options);

  // source (batch, source places), target (batch, target places): logits (batch, target places, target_vocabulary).
  // The last decoder layer's attention to the source, averaged over heads, is written to `weights` if given.
  Tensor operator()(const Tensor& source, const Tensor& target, Tensor* weights = nullptr) const override;
  std::unique_ptr<TokenStream> start(const Tensor& source) const override;
  void visit(Visitor& v) override;
  const char* type() const override { return "Transformer"; }
  std::string describe() const override;

 private:
  class Stream;
  Tensor embed_source(const Tensor& tokens) const { return embed(source_embedding_, source_positions_, tokens, 0); }
  Tensor embed_target(const Tensor& tokens, int64_t first) const {
    return embed(target_table(), target_positions_, tokens, first);
  }
  Tensor embed(const Embedding& table, const Positions& positions, const Tensor& tokens, int64_t first) const;
  const Embedding& target_table() const {
    return options_.shared_embeddings ? source_embedding_ : *target_embedding_;
  }
  std::optional<KeepMask> padding(const Tensor& tokens) const;

  TranslatorOptions options_;
  Embedding source_embedding_;
  std::optional<Embedding> target_embedding_;
  Positions source_positions_, target_positions_;
  TransformerEncoder encoder_;
  TransformerDecoder decoder_;
};

}  // namespace gradus::nn
