#include "config.h"

#include "examples/metadata.h"

namespace text_classifier {

using namespace gradus;

train::Metadata to_metadata(const Options& options) {
  train::Metadata metadata = {{"program", "text_classifier"}};
  each_option([&](const char* name, auto member, const char*) { metadata[name] = examples::text(options.*member); });
  return metadata;
}

Options options_from(const train::Metadata& metadata, const std::string& path) {
  const examples::MetadataReader read = {"text_classifier", metadata, path};
  read.check_program();
  Options options;
  each_option([&](const char* name, auto member, const char*) { read.into(name, options.*member); });
  return options;
}

text_models::TextClassifier make_model(const Options& o, int64_t vocabulary) {
  return text_models::TextClassifier({.vocabulary = vocabulary,
                                      .max_length = o.max_length,
                                      .d_model = o.size,
                                      .heads = o.heads,
                                      .dropout = o.dropout,
                                      .embedding_std = o.embedding_std});
}

}  // namespace text_classifier
