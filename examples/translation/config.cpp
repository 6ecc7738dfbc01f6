#include "config.h"

#include "examples/metadata.h"

namespace translation {

using namespace gradus;

namespace {

size_t index_of(const std::vector<std::string>& names, const std::string& name) {
  const size_t i = size_t(std::find(names.begin(), names.end(), name) - names.begin());
  check(i < names.size(), "'", printable(name), "' is none of ", examples::join(names, ','));
  return i;
}

}  // namespace

Options settle(Options o) {
  const bool grammar = o.data == "grammar", transformer = o.model == "transformer";
  const auto set = [](auto& option, auto none, auto usual) {
    if (option == decltype(usual)(none)) option = usual;
  };
  if (o.tgt.empty()) o.tgt = grammar ? "zh" : "de";
  if (o.tokens.empty()) o.tokens = grammar ? "words" : "bpe";
  if (grammar) o.separate = true;
  set(o.pairs, 0, int64_t(100000));
  set(o.size, 0, int64_t(grammar || transformer ? 128 : 256));
  set(o.layers, 0, int64_t(!transformer ? 1 : grammar ? 2 : 4));
  set(o.ffn, 0, 2 * o.size);
  set(o.dropout, -1, grammar ? 0.1 : 0.3);
  set(o.epochs, 0, int64_t(grammar ? 3 : 20));
  set(o.tokens_per_batch, 0, int64_t(grammar ? 2048 : 4096));
  set(o.lr, 0, transformer ? 0.002 : 0.003);
  set(o.warmup, 0, int64_t(grammar ? 200 : 2000));
  return o;
}

train::Metadata to_metadata(const Options& options) {
  train::Metadata metadata = {{"program", "translation"}};
  each_option([&](const char* name, auto member, const char*) { metadata[name] = examples::text(options.*member); });
  return metadata;
}

Options options_from(const train::Metadata& metadata, const std::string& path) {
  const examples::MetadataReader read = {"translation", metadata, path};
  read.check_program();
  Options options;
  each_option([&](const char* name, auto member, const char*) {
    if (!examples::is_adaptation(member) || metadata.count(name)) read.into(name, options.*member);
  });
  return options;
}

Model make_model(const Options& o, const data::Tokenizer& source, const data::Tokenizer& target) {
  Model model;
  const auto keep = [&](auto made) {
    model.translate = made.get();
    model.module = std::move(made);
  };
  if (o.model == "transformer") {
    const nn::ActivationFunction activations[] = {relu, nn::exact_gelu, silu};
    nn::TranslatorOptions t;
    t.d_model = o.size, t.heads = o.heads, t.ffn = o.ffn, t.encoder_layers = t.decoder_layers = o.layers;
    t.dropout = o.dropout, t.attention_dropout = o.attention_dropout, t.activation_dropout = o.activation_dropout;
    t.norm_first = o.norm_first;
    t.activation = activations[index_of(activation_names, o.activation)];
    t.source_vocabulary = source.size(), t.target_vocabulary = target.size();
    t.shared_embeddings = !o.separate;
    keep(std::make_unique<nn::Transformer>(t));
    return model;
  }
  const nn::Cell cells[] = {nn::Cell::gru, nn::Cell::lstm, nn::Cell::rnn_tanh};
  text_models::Seq2SeqOptions s{.source_vocabulary = source.size(),
                                .target_vocabulary = target.size(),
                                .embedding = o.size,
                                .hidden = o.size,
                                .num_layers = o.layers,
                                .dropout = o.dropout,
                                .cell = cells[index_of(cell_names, o.cell)],
                                .input_feeding = !o.no_input_feeding,
                                .coverage = o.coverage,
                                .teacher_forcing = o.teacher_forcing};
  if (o.model == "seq2seq_attention")
    s.attention = nn::Score(index_of(score_names, o.score));
  else
    s.attention = {};
  keep(std::make_unique<text_models::Seq2Seq>(s));
  return model;
}

}  // namespace translation
