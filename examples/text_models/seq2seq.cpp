#include "examples/text_models/seq2seq.h"

namespace text_models {

namespace {

// Features of what the decoder looks at: both directions of the encoder side by side; where a score is a mere product
// with the decoder's state, their sum.
int64_t memory_size(const Seq2SeqOptions& o) {
  const bool product = o.attention == Score::dot || o.attention == Score::scaled_dot;
  return product ? o.hidden : 2 * o.hidden;
}

}  // namespace

Seq2Seq::Seq2Seq(const Seq2SeqOptions& o)
    : options_(o),
      source_embedding_(o.source_vocabulary, o.embedding, {.padding_idx = o.pad}),
      target_embedding_(o.target_vocabulary, o.embedding, {.padding_idx = o.pad}),
      encoder_(make_recurrent(o.cell, o.embedding, o.hidden,
                              {.num_layers = o.num_layers, .dropout = o.dropout, .bidirectional = true})),
      decoder_(make_recurrent(o.cell, o.embedding + (o.input_feeding ? o.hidden : 0), o.hidden,
                              {.num_layers = o.num_layers, .dropout = o.dropout})),
      bridge_(2 * o.hidden, o.hidden),
      combine_(memory_size(o) + o.hidden, o.hidden),
      output_(o.hidden, o.target_vocabulary) {
  check(o.attention || !o.coverage, "Seq2Seq: a coverage needs attention");
  check(o.teacher_forcing >= 0 && o.teacher_forcing <= 1, "Seq2Seq: teacher_forcing ", o.teacher_forcing,
        " must be between 0 and 1");
  if (o.attention)
    attention_.emplace(o.hidden, memory_size(o),
                       ScoredAttentionOptions{.score = *o.attention, .coverage = o.coverage});
}

Seq2Seq::Work Seq2Seq::encode(const Tensor& source) const {
  const Tensor there = source != double(options_.pad);  // (batch, places)
  const Tensor x = dropout(source_embedding_(source), options_.dropout, training());
  const RecurrentOutput read = (*encoder_)(x, there.to(int64).sum({1}));
  // Both directions' last states, joined, become the decoder's first: (layers * 2, batch, h) to (layers, batch, h).
  const auto bridged = [&](const Tensor& s) {
    if (!s.defined()) return Tensor();
    const Tensor joined = s.unflatten(0, {options_.num_layers, 2}).permute({0, 2, 1, 3}).flatten(2, 3);
    return tanh(bridge_(joined));
  };
  Work w;
  w.memory = memory_size(options_) == options_.hidden ? read.output.unflatten(-1, {2, -1}).sum({2}) : read.output;
  w.state = {bridged(read.state.h), bridged(read.state.c)};
  const int64_t batch = source.size(0), places = source.size(1);
  if (attention_) {
    w.keep = KeepMask(there.unsqueeze(1));
    w.prepared = attention_->prepare(w.memory);
    if (options_.coverage) w.coverage = zeros({batch, 1, places}, w.memory.options());
  } else {
    const RecurrentState& s = read.state;  // the last layer's two directions
    w.memory = cat({s.h[2 * options_.num_layers - 2], s.h[2 * options_.num_layers - 1]}, 1).unsqueeze(1);
  }
  if (options_.input_feeding) w.seen = zeros({batch, 1, options_.hidden}, w.memory.options());
  return w;
}

//! [decode]
Attended Seq2Seq::decode(const Tensor& tokens, Work& work) const {
  Tensor x = dropout(target_embedding_(tokens), options_.dropout, training());
  if (options_.input_feeding) x = cat({x, work.seen}, -1);
  const RecurrentOutput out = (*decoder_)(x, {}, work.state);
  work.state = out.state;
  Attended looked{work.memory, {}};
  if (attention_) {
    looked = (*attention_)(out.output, work.memory, work.keep, work.prepared, work.coverage);
    if (options_.coverage) work.coverage = work.coverage + looked.weights;
  } else if (tokens.size(1) > 1) {
    looked.output = work.memory.expand({-1, tokens.size(1), -1});
  }
  const Tensor seen = dropout(tanh(combine_(cat({looked.output, out.output}, -1))), options_.dropout, training());
  if (options_.input_feeding) work.seen = seen;
  return {seen, looked.weights};
}
//! [decode]

Tensor Seq2Seq::operator()(const Tensor& source, const Tensor& target, Tensor* weights) const {
  Call call(*this);
  Work work = encode(source);
  const double forcing = training() ? options_.teacher_forcing : 1;
  if (!options_.input_feeding && !options_.coverage && forcing == 1) {  // all steps at once
    const Attended a = decode(target, work);
    if (weights) *weights = a.weights;
    return call(output_(a.output));
  }
  std::vector<Tensor> seen, looks;
  Tensor token = target.narrow(1, 0, 1);
  for (int64_t t = 0; t < target.size(1); ++t) {
    const Attended a = decode(token, work);
    seen.push_back(a.output);
    looks.push_back(a.weights);
    if (t + 1 == target.size(1)) break;
    token = target.narrow(1, t + 1, 1);
    if (forcing < 1 && default_generator().uniform() >= forcing) token = output_(a.output).detach().argmax(-1);
  }
  if (weights && attention_) *weights = cat(looks, 1);
  return call(output_(cat(seen, 1)));
}

void Seq2Seq::Work::reorder(const Tensor& rows) {
  for (Tensor* x : {&memory, &prepared, &seen, &coverage})
    if (x->defined()) *x = x->index_select(0, rows);
  state.reorder(rows);
  if (keep) keep = KeepMask(keep->kept.index_select(0, rows));
}

class Seq2Seq::Stream : public TokenStream {
 public:
  Stream(const Seq2Seq& model, const Tensor& source) : model_(model) {
    NoGrad guard;
    work_ = model.encode(source);
  }
  Tensor step(const Tensor& tokens) override {
    NoGrad guard;
    Attended a;
    for (int64_t t = 0; t < tokens.size(1); ++t) a = model_.decode(tokens.narrow(1, t, 1), work_);
    weights_ = a.weights;
    return model_.output_(a.output.select(1, -1));
  }
  void reorder(const Tensor& rows) override { work_.reorder(rows); }
  Tensor attention() const override { return weights_.defined() ? weights_.select(1, -1) : Tensor(); }
  Device device() const override { return model_.device(); }

 private:
  const Seq2Seq& model_;
  Work work_;
  Tensor weights_;
};

std::unique_ptr<TokenStream> Seq2Seq::start(const Tensor& source) const {
  return std::make_unique<Stream>(*this, source);
}

void Seq2Seq::visit(Visitor& v) {
  v("source_embedding", source_embedding_);
  v("target_embedding", target_embedding_);
  v("encoder", *encoder_);
  v("decoder", *decoder_);
  if (attention_) v("attention", *attention_);
  v("bridge", bridge_);
  v("combine", combine_);
  v("output", output_);
}

}  // namespace text_models
