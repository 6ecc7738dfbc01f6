#include "config.h"

#include "examples/metadata.h"

namespace masked_lm {

using namespace gradus;

namespace {

const char* const pretrained = "masked_lm";
const char* const finetuned = "masked_lm finetune";

// What `finetune` keeps has names of its own, beside those of its encoder.
std::string tune_key(const std::string& name) { return "finetune." + name; }

Options read_options(const char* program, const train::Metadata& metadata, const std::string& path) {
  const examples::MetadataReader read = {program, metadata, path};
  read.check_program();
  Options options;
  each_option([&](const char* name, auto member, const char*) { read.into(name, options.*member); });
  return options;
}

}  // namespace

train::Metadata to_metadata(const Options& options) {
  train::Metadata metadata = {{"program", pretrained}};
  each_option([&](const char* name, auto member, const char*) { metadata[name] = examples::text(options.*member); });
  return metadata;
}

train::Metadata to_metadata(const TuneOptions& options, train::Metadata encoder) {
  encoder["program"] = finetuned;
  each_tune_option(
      [&](const char* name, auto member, const char*) { encoder[tune_key(name)] = examples::text(options.*member); });
  return encoder;
}

bool is_finetuned(const train::Metadata& metadata) {
  const auto program = metadata.find("program");
  return program != metadata.end() && program->second == finetuned;
}

Options options_from(const train::Metadata& metadata, const std::string& path) {
  return read_options(pretrained, metadata, path);
}

Options encoder_options_from(const train::Metadata& metadata, const std::string& path) {
  return read_options(finetuned, metadata, path);
}

TuneOptions tune_options_from(const train::Metadata& metadata, const std::string& path) {
  const examples::MetadataReader read = {finetuned, metadata, path};
  read.check_program();
  TuneOptions options;
  each_tune_option([&](const char* name, auto member, const char*) { read.into(tune_key(name), options.*member); });
  return options;
}

text_models::Bert make_encoder(const Options& o, int64_t vocabulary) {
  return text_models::Bert({.vocabulary = vocabulary,
                            .max_length = o.max_length,
                            .layers = o.layers,
                            .heads = o.heads,
                            .d_model = o.size,
                            .ffn = o.ffn,
                            .dropout = o.dropout});
}

Classifier::Classifier(const Options& options, int64_t vocabulary, double dropout)
    : encoder(make_encoder(options, vocabulary)), output(options.size, 1), dropout_(dropout) {}

Tensor Classifier::operator()(const Tensor& tokens) const {
  nn::Call call(*this);
  const Tensor mean = text_models::masked_mean(encoder(tokens), tokens != double(encoder.options().pad));
  return call(output(gradus::dropout(mean, dropout_, training())));
}

void Classifier::visit(nn::Visitor& v) {
  v("encoder", encoder);
  v("output", output);
}

}  // namespace masked_lm
