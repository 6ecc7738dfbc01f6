#include "config.h"

#include "examples/metadata.h"

namespace language_model {

using namespace gradus;

train::Metadata to_metadata(const Options& options) {
  train::Metadata metadata = {{"program", "language_model"}};
  each_option([&](const char* name, auto member, const char*) { metadata[name] = examples::text(options.*member); });
  return metadata;
}

Options options_from(const train::Metadata& metadata, const std::string& path) {
  const examples::MetadataReader read = {"language_model", metadata, path};
  read.check_program();
  Options options;
  each_option([&](const char* name, auto member, const char*) {
    if (!examples::is_adaptation(member) || metadata.count(name)) read.into(name, options.*member);
  });
  return options;
}

Model make_model(const Options& o, int64_t vocabulary) {
  Model model;
  const auto keep = [&](auto made) {
    model.predict = made.get();
    model.module = std::move(made);
  };
  if (o.model == "gpt") {
    keep(std::make_unique<text_models::Gpt>(text_models::GptOptions{.vocabulary = vocabulary,
                                                                    .block = o.block,
                                                                    .layers = o.layers,
                                                                    .heads = o.heads,
                                                                    .d_model = o.size,
                                                                    .dropout = o.dropout,
                                                                    .bias = false,
                                                                    .rotary = o.rotary}));
    return model;
  }
  const nn::Cell cell = o.model == "lstm" ? nn::Cell::lstm : o.model == "gru" ? nn::Cell::gru : nn::Cell::rnn_tanh;
  keep(std::make_unique<text_models::RecurrentLm>(text_models::RecurrentLmOptions{.vocabulary = vocabulary,
                                                                                  .cell = cell,
                                                                                  .embedding = o.size,
                                                                                  .hidden = o.size,
                                                                                  .layers = o.layers,
                                                                                  .dropout = o.dropout}));
  return model;
}

}  // namespace language_model
