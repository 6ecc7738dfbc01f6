#include "commands.h"

#include <algorithm>
#include <cstdio>

#include "data/text/words.h"
#include "examples/metadata.h"
#include "examples/sentiment.h"
#include "optim/optim.h"
#include "tensor/io/file.h"

namespace text_classifier {

using namespace gradus;

namespace {

data::DataLoader<examples::SentenceBatch> make_loader(const std::vector<examples::Sentence>& sentences,
                                                      const data::Tokenizer& tokenizer, const Options& o,
                                                      bool training) {
  return examples::sentence_loader(sentences, tokenizer, o.max_length,
                                   {.batch_size = o.batch, .shuffle = training, .seed = o.seed},
                                   training ? o.word_dropout : 0);
}

// A model read back from a checkpoint.
struct Trained {
  Options options;
  std::unique_ptr<data::Tokenizer> tokenizer;
  text_models::TextClassifier model;

  Trained(const std::string& checkpoint, Device device) : Trained(train::find_checkpoint(checkpoint), 0) {
    model.to(device);
  }

 private:
  Trained(const std::string& path, int) : Trained(path, load_safetensors(path)) {}
  Trained(const std::string& path, const TensorFile& file)
      : options(options_from(file.metadata, path)),
        tokenizer(
            data::parse_tokenizer(examples::MetadataReader{"text_classifier", file.metadata, path}.get("tokenizer"))),
        model(make_model(options, tokenizer->size())) {
    try {
      train::load_weights(file, model);
    } catch (const Error& e) {
      fail({printable(path), ": ", e.what()});
    }
    model.eval();
  }
};

}  // namespace

void train(const Options& o, Device device) {
  const examples::Sentences sentences(o.data, o.fold);
  const auto tokenizer = data::VocabularyTokenizer::train(
      data::TokenUnit::word, examples::texts_of(sentences.training), {.min_count = o.min_count, .lowercase = true});
  manual_seed(o.seed);
  text_models::TextClassifier model = make_model(o, tokenizer.size());
  model.to(device);
  auto loader = make_loader(sentences.training, tokenizer, o, true);
  auto validation = make_loader(sentences.validation, tokenizer, o, false);
  optim::AdamW optimizer(model.parameters(), {.lr = o.lr, .weight_decay = o.weight_decay});
  optim::CosineLR schedule(optimizer, {.steps = std::max<int64_t>(2, o.epochs * loader.batches())});
  std::printf("%s: %zu sentences to learn from, %zu to validate and %zu to test with; %lld words\n",
              printable(o.data).c_str(), sentences.training.size(), sentences.validation.size(),
              sentences.test.size(), static_cast<long long>(tokenizer.size()));
  std::printf("%lld parameters\n", static_cast<long long>(model.parameter_count()));
  std::fflush(stdout);
  train::Metadata metadata = to_metadata(o);
  metadata["tokenizer"] = tokenizer.to_json();
  const auto step = [&](examples::SentenceBatch& b) { return examples::sentiment_step(model, b); };
  train::fit(model, optimizer, loader, step,
             {.epochs = o.epochs,
              .schedule = &schedule,
              .evaluate = [&] { return train::evaluate(model, validation, step, "val_"); },
              .out = o.out,
              .monitor = "val_accuracy",
              .resume = o.resume,
              .metadata = metadata,
              .tensorboard = o.log == "tensorboard"});
  // The test sentences are looked at once, by the weights that did best on the validation.
  if (file_exists(o.out + "/best.safetensors")) evaluate(o.out + "/best.safetensors", device);
}

void evaluate(const std::string& checkpoint, Device device) {
  Trained trained(checkpoint, device);
  const examples::Sentences sentences(trained.options.data, trained.options.fold);
  auto loader = make_loader(sentences.test, *trained.tokenizer, trained.options, false);
  std::printf("test accuracy: %.2f%%\n", 100 * examples::accuracy(trained.model, loader));
}

void export_ids(const std::string& checkpoint, const std::string& file) {
  const Trained trained(checkpoint, Device::cpu);
  const examples::Sentences sentences(trained.options.data, trained.options.fold);
  std::string lines;
  const auto add = [&](const char* part, const std::vector<examples::Sentence>& some) {
    for (const examples::Sentence& s : some) {
      lines += part + ("\t" + std::to_string(s.label)) + "\t";
      for (const int64_t id : examples::encode(*trained.tokenizer, s.text, trained.options.max_length))
        lines += std::to_string(id) + " ";
      lines.back() = '\n';
    }
  };
  add("training", sentences.training);
  add("validation", sentences.validation);
  add("test", sentences.test);
  write_file(file, lines);
}

void classify(const ClassifyOptions& options, Device device) {
  const Trained trained(options.checkpoint, device);
  const NoGrad guard;
  examples::each_text(options.sentences, [&](const std::string& text) {
    const data::Ids ids = examples::encode(*trained.tokenizer, text, trained.options.max_length);
    Tensor looks;
    examples::print_judgement(sigmoid(trained.model(data::pad_rows({ids}, 0).to(device), &looks)).item(), text);
    // The words most looked at, as they were written.
    const std::vector<std::string> words = data::word_tokenize(data::nfc(data::lower(text)));
    const std::vector<double> weight = looks.to_vector();
    std::vector<size_t> order(std::min(words.size(), weight.size()));
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return weight[a] > weight[b]; });
    std::printf("         looked at:");
    for (size_t i = 0; i < order.size() && i < 5; ++i)
      std::printf(" %s %.0f%%", words[order[i]].c_str(), 100 * weight[order[i]]);
    std::printf("\n");
  });
}

}  // namespace text_classifier
