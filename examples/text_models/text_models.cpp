#include "examples/text_models/text_models.h"

#include <cmath>

#include "nn/init.h"

namespace text_models {

namespace {

TransformerOptions blocks_of(const GptOptions& o) {
  return {.d_model = o.d_model,
          .heads = o.heads,
          .ffn = o.ffn > 0 ? o.ffn : 4 * o.d_model,
          .encoder_layers = o.layers,
          .dropout = o.dropout,
          .norm_first = true,
          .activation = o.activation,
          .bias = o.bias,
          .attention = {.kv_heads = o.kv_heads, .rotary = o.rotary}};
}

TransformerOptions layers_of(const BertOptions& o) {
  return {.d_model = o.d_model,
          .heads = o.heads,
          .ffn = o.ffn,
          .encoder_layers = o.layers,
          .dropout = o.dropout,
          .activation = exact_gelu};
}

// Every matrix normal with this deviation.
void start_normal(Module& module, double deviation) {
  NoGrad guard;
  for (auto& [name, p] : module.named_parameters())
    if (p.dim() >= 2) normal_(p, 0, deviation);
}

}  // namespace

Gpt::Gpt(const GptOptions& o)
    : options_(o),
      embedding_(o.vocabulary, o.d_model),
      positions_(o.rotary ? PositionKind::none : PositionKind::learned, o.block, o.d_model),
      blocks_(blocks_of(o)) {
  if (!o.tied) head_.emplace(o.d_model, o.vocabulary, LinearOptions{.bias = false});
  start_normal(*this, 0.02);
  NoGrad guard;
  for (const TransformerEncoderLayer& layer : blocks_.layers)
    for (const Tensor& weight : {layer.self_attn.out_proj.weight, layer.linear2.weight})
      normal_(weight, 0, 0.02 / std::sqrt(2.0 * double(o.layers)));
}

Tensor Gpt::score(const Tensor& x) const { return head_ ? (*head_)(x) : linear(x, embedding_.weight); }

Tensor Gpt::operator()(const Tensor& tokens) const {
  Call call(*this);
  check(tokens.dim() == 2 && tokens.size(1) <= options_.block, "Gpt: tokens ", tokens.shape(),
        ", expected (batch, at most ", options_.block, ")");
  const Tensor x = dropout(positions_(embedding_(tokens)), options_.dropout, training());
  return call(score(blocks_(x, {.is_causal = true})));
}

class Gpt::Stream : public TokenStream {
 public:
  explicit Stream(const Gpt& model) : model_(model), caches_(size_t(model.options_.layers)) {}
  Tensor step(const Tensor& tokens) override {
    NoGrad guard;
    const int64_t before = caches_[0].length(), n = tokens.size(1);
    Tensor x = model_.positions_(model_.embedding_(tokens), before);
    for (size_t i = 0; i < caches_.size(); ++i)
      x = model_.blocks_.layers[int64_t(i)](x, {.is_causal = true, .cache = &caches_[i]});
    return model_.score((*model_.blocks_.norm)(x.narrow(1, n - 1, 1)).select(1, 0));
  }
  void reorder(const Tensor& rows) override {
    for (KeyValueCache& cache : caches_) cache.reorder(rows);
  }
  Device device() const override { return model_.device(); }

 private:
  const Gpt& model_;
  std::vector<KeyValueCache> caches_;
};

std::unique_ptr<TokenStream> Gpt::start() const { return std::make_unique<Stream>(*this); }

void Gpt::visit(Visitor& v) {
  v("embedding", embedding_);
  v("positions", positions_);
  v("blocks", blocks_);
  if (head_) v("head", *head_);
}

RecurrentLm::RecurrentLm(const RecurrentLmOptions& o)
    : options_(o),
      embedding_(o.vocabulary, o.embedding),
      layers_(make_recurrent(o.cell, o.embedding, o.hidden, {.num_layers = o.layers, .dropout = o.dropout})),
      output_(o.hidden, o.vocabulary) {}

Tensor RecurrentLm::operator()(const Tensor& tokens) const {
  Call call(*this);
  const Tensor x = dropout(embedding_(tokens), options_.dropout, training());
  return call(output_(dropout((*layers_)(x).output, options_.dropout, training())));
}

class RecurrentLm::Stream : public TokenStream {
 public:
  explicit Stream(const RecurrentLm& model) : model_(model) {}
  Tensor step(const Tensor& tokens) override {
    NoGrad guard;
    const RecurrentOutput out = (*model_.layers_)(model_.embedding_(tokens), {}, state_);
    state_ = out.state;
    return model_.output_(out.output.select(1, -1));
  }
  void reorder(const Tensor& rows) override { state_.reorder(rows); }
  Device device() const override { return model_.device(); }

 private:
  const RecurrentLm& model_;
  RecurrentState state_;
};

std::unique_ptr<TokenStream> RecurrentLm::start() const { return std::make_unique<Stream>(*this); }

void RecurrentLm::visit(Visitor& v) {
  v("embedding", embedding_);
  v("layers", *layers_);
  v("output", output_);
}

Bert::Bert(const BertOptions& o)
    : options_(o),
      embedding_(o.vocabulary, o.d_model, {.padding_idx = o.pad}),
      positions_(PositionKind::learned, o.max_length, o.d_model),
      norm_(Shape{o.d_model}),
      encoder_(layers_of(o)),
      transform_(o.d_model, o.d_model),
      transform_norm_(Shape{o.d_model}),
      output_bias_(zeros({o.vocabulary}, {.requires_grad = true})) {
  start_normal(*this, 0.02);
}

Tensor Bert::operator()(const Tensor& tokens) const {
  Call call(*this);
  const Tensor x = dropout(norm_(positions_(embedding_(tokens))), options_.dropout, training());
  return call(encoder_(x, {.keep = KeepMask((tokens != double(options_.pad)).unsqueeze(1).unsqueeze(1))}));
}

Tensor Bert::predict(const Tensor& encoded) const {
  return linear(transform_norm_(gelu(transform_(encoded))), embedding_.weight, output_bias_);
}

void Bert::visit(Visitor& v) {
  v("embedding", embedding_);
  v("positions", positions_);
  v("norm", norm_);
  v("encoder", encoder_);
  v("transform", transform_);
  v("transform_norm", transform_norm_);
  v("output_bias", output_bias_);
}

MaskedTokens mask_tokens(const Tensor& tokens, const std::vector<double>& chances, int64_t specials, int64_t mask,
                         int64_t ignore, Generator& random) {
  const int64_t vocabulary = int64_t(chances.size());
  MaskedTokens m{tokens.clone(), full_like(tokens, double(ignore))};
  int64_t* to = m.tokens.data<int64_t>();
  int64_t* target = m.targets.data<int64_t>();
  for (int64_t i = 0; i < tokens.numel(); ++i) {
    check(to[i] >= 0 && to[i] < vocabulary, "mask_tokens: id ", to[i], " is not in a vocabulary of ", vocabulary);
    if (random.uniform() >= chances[size_t(to[i])]) continue;
    target[i] = to[i];
    const double way = random.uniform();
    if (way < 0.8)
      to[i] = mask;
    else if (way < 0.9)
      to[i] = specials + random.below(vocabulary - specials);
  }
  return m;
}

Tensor masked_mean(const Tensor& x, const Tensor& there) {
  const Tensor weights = there.to(x.dtype()).unsqueeze(-1);
  return (x * weights).sum({1}) / clamp(weights.sum({1}), 1, INFINITY);
}

TextClassifier::TextClassifier(const TextClassifierOptions& o)
    : options_(o),
      embedding_(o.vocabulary, o.d_model, {.padding_idx = o.pad}),
      positions_(o.positions, o.max_length, o.d_model),
      attention_(o.d_model, o.heads, {.dropout = o.dropout}),
      norm_(Shape{o.d_model}),
      output_(o.d_model, o.classes) {
  embedding_.weight.detach().mul_(o.embedding_std);
}

Tensor TextClassifier::operator()(const Tensor& tokens, Tensor* looks) const {
  Call call(*this);
  const Tensor there = tokens != double(options_.pad);
  const Tensor x = dropout(positions_(embedding_(tokens)), options_.dropout, training());
  const Attended a =
      attention_(x, {.keep = KeepMask(there.unsqueeze(1).unsqueeze(1)), .need_weights = looks != nullptr});
  if (looks) *looks = masked_mean(a.weights.mean({1}), there);
  return call(output_(dropout(masked_mean(norm_(x + a.output), there), options_.dropout, training())));
}

void TextClassifier::visit(Visitor& v) {
  v("embedding", embedding_);
  v("positions", positions_);
  v("attention", attention_);
  v("norm", norm_);
  v("output", output_);
}

}  // namespace text_models
