#include "commands.h"

#include <cmath>
#include <cstdio>

#include "data/dataset.h"
#include "data/loader.h"
#include "data/text/bpe.h"
#include "data/text/unicode.h"
#include "data/unpacked.h"
#include "examples/metadata.h"
#include "optim/optim.h"
#include "tensor/io/file.h"
#include "train/fit.h"

namespace language_model {

using namespace gradus;

namespace {

struct Blocks {
  Tensor tokens, next;  // (batch, block)
};

// The first nine tenths of the text to learn from, the rest to validate with.
struct Corpus {
  std::string training, validation;

  explicit Corpus(const std::string& data) {
    const std::string path = data == "shakespeare" ? data::find_data("tinyshakespeare/input.txt") : data;
    std::string text = data::read_unpacked(path);
    check(data::is_utf8(text), printable(path), ": not UTF-8");
    check(text.find('\0') == text.npos, printable(path), ": has zero bytes: no text");
    if (text.starts_with("\uFEFF")) text.erase(0, 3);  // a byte order mark is no text
    check(text.size() >= 1000, printable(path), ": ", text.size(), " bytes are too few to learn from");
    check(!data::strip(text).empty(), printable(path), ": nothing but white space");
    size_t cut = text.size() / 10 * 9;
    while ((uint8_t(text[cut]) & 0xC0) == 0x80) ++cut;  // not within a character
    training = text.substr(0, cut);
    validation = text.substr(cut);
  }
};

Tensor encode(const data::Tokenizer& tokenizer, const std::string& text) {
  const std::vector<int64_t> ids = tokenizer.encode(text);
  return from_vector(ids, {int64_t(ids.size())});
}

Blocks blocks_at(const Tensor& text, const std::vector<int64_t>& starts, int64_t block) {
  Blocks b;
  std::vector<Tensor> tokens, next;
  for (const int64_t start : starts) {
    tokens.push_back(text.narrow(0, start, block));
    next.push_back(text.narrow(0, start + 1, block));
  }
  return {stack(tokens), stack(next)};
}

// Pieces from anywhere in the text, so many that an epoch is `steps` updates.
data::DataLoader<Blocks> training_loader(const Tensor& text, const Options& o, int64_t steps) {
  check(text.numel() > o.block + 1, "the text has ", text.numel(), " tokens, too few for blocks of ", o.block);
  return {
      steps * o.batch, {.batch_size = o.batch, .seed = o.seed}, [=](std::span<const int64_t> samples, int64_t epoch) {
        std::vector<int64_t> starts;
        for (const int64_t i : samples)
          starts.push_back(data::sample_generator(o.seed, epoch, i).below(text.numel() - o.block));
        return blocks_at(text, starts, o.block);
      }};
}

// The whole text, one block behind the other; of the end, what does not fill one is left out.
data::DataLoader<Blocks> validation_loader(const Tensor& text, int64_t block) {
  return {(text.numel() - 1) / block, {.batch_size = 32}, [=](std::span<const int64_t> samples, int64_t) {
            std::vector<int64_t> starts;
            for (const int64_t i : samples) starts.push_back(i * block);
            return blocks_at(text, starts, block);
          }};
}

train::BatchResult step_of(const Model& model, Blocks& b) {
  const Device device = model.module->device();
  const Tensor logits = (*model.predict)(b.tokens.to(device));
  return {cross_entropy(logits.flatten(0, 1), b.next.to(device).flatten()), b.tokens.size(0)};
}

// Matrices decay, biases and scales do not.
std::unique_ptr<optim::AdamW> make_optimizer(const Options& o, const nn::Module& model) {
  std::vector<Tensor> matrices, others;
  for (const Tensor& p : examples::trained_parameters(model)) (p.dim() >= 2 ? matrices : others).push_back(p);
  optim::AdamWOptions options{.lr = o.lr, .betas = {0.9, 0.99}, .weight_decay = o.weight_decay};
  if (matrices.empty()) {
    matrices.swap(others);
    options.weight_decay = 0;
  }
  auto optimizer = std::make_unique<optim::AdamW>(matrices, options);
  options.weight_decay = 0;
  if (!others.empty()) optimizer->add_group(others, options);
  return optimizer;
}

std::unique_ptr<data::Tokenizer> tokenizer_of(const TensorFile& file, const std::string& path) {
  try {
    return data::parse_tokenizer(examples::MetadataReader{"language_model", file.metadata, path}.get("tokenizer"));
  } catch (const Error& e) {
    fail({printable(path), ": ", e.what()});
  }
}

// A model read back from a checkpoint.
struct Trained {
  train::Metadata metadata;
  Options options;
  std::unique_ptr<data::Tokenizer> tokenizer;
  Model model;

  explicit Trained(const std::string& checkpoint, Device device = Device::cpu)
      : Trained(train::find_checkpoint(checkpoint), load_safetensors(train::find_checkpoint(checkpoint)), device) {}
  Trained(const std::string& path, const TensorFile& file, Device device) : metadata(file.metadata) {
    options = options_from(file.metadata, path);
    tokenizer = tokenizer_of(file, path);
    try {
      model = make_model(options, tokenizer->size());
      examples::add_lora(*model.module, options);
      train::load_weights(file, *model.module);
    } catch (const Error& e) {
      fail({printable(path), ": ", e.what()});
    }
    model.module->to(device);
    model.module->eval();
  }
};

}  // namespace

void train(const Options& o, Device device) {
  examples::check_adaptation(o);
  const Corpus corpus(o.data);
  std::shared_ptr<data::Tokenizer> tokenizer;
  if (!o.from.empty())
    tokenizer = tokenizer_of(load_safetensors(examples::origin_of(o)), examples::origin_of(o));
  else if (o.tokens == "bpe")
    tokenizer = std::make_shared<data::BytePairTokenizer>(
        data::BytePairTokenizer::train({corpus.training}, {.size = o.vocabulary}));
  else
    tokenizer = std::make_shared<data::VocabularyTokenizer>(
        data::VocabularyTokenizer::train(data::TokenUnit::character, {corpus.training}));
  const Tensor training = encode(*tokenizer, corpus.training), held_out = encode(*tokenizer, corpus.validation);

  manual_seed(o.seed);
  const Model model = make_model(o, tokenizer->size());
  const std::vector<nn::Module*> frozen =
      examples::adapt(*model.module, o, [&] { return Trained(o.from).model.module; });
  model.module->to(device);
  // Epochs of one length, each with a look at the held-out text behind it.
  const int64_t epochs = (o.steps + o.evaluate_every - 1) / o.evaluate_every;
  const int64_t epoch_steps = epochs > 0 ? (o.steps + epochs - 1) / epochs : 1, steps = epochs * epoch_steps;
  auto loader = training_loader(training, o, epoch_steps);
  auto validation = validation_loader(held_out, o.block);
  check(validation.size() > 0, "the held-out text has ", held_out.numel(), " tokens, too few for blocks of ",
        o.block);
  const auto optimizer = make_optimizer(o, *model.module);
  optim::CosineLR schedule(
      *optimizer,
      {.steps = std::max<int64_t>(steps, 2), .min_lr = o.lr * o.min_lr, .warmup = std::min(o.warmup, steps / 2)});
  std::printf("%s: %lld tokens to learn from, %lld to validate with, %lld different ones\n",
              printable(o.data).c_str(), static_cast<long long>(training.numel()),
              static_cast<long long>(held_out.numel()), static_cast<long long>(tokenizer->size()));
  const double unknown = (training == double(tokenizer->specials().unk)).to(float64).sum().item();
  if (!o.from.empty() && unknown > 0)
    std::printf("%.2f%% of them are unknown to the model begun with\n", 100 * unknown / double(training.numel()));
  std::printf("%s: %lld parameters%s, %lld updates of %lld x %lld tokens\n", o.model.c_str(),
              static_cast<long long>(model.module->parameter_count()), examples::trained_text(*model.module).c_str(),
              static_cast<long long>(steps), static_cast<long long>(o.batch), static_cast<long long>(o.block));
  std::fflush(stdout);
  train::Metadata metadata = to_metadata(o);
  metadata["tokenizer"] = tokenizer->to_json();
  const auto step = [&](Blocks& b) {
    for (nn::Module* module : frozen) module->eval();
    return step_of(model, b);
  };
  train::fit(*model.module, *optimizer, loader, step,
             {.epochs = epochs,
              .clip_grad_norm = o.clip,
              .schedule = &schedule,
              .evaluate = [&] { return train::evaluate(*model.module, validation, step, "val_"); },
              .out = o.out,
              .save_every = 200,
              .monitor = "val_loss",
              .minimize = true,
              .resume = o.resume,
              .metadata = metadata,
              .tensorboard = o.log == "tensorboard"});
  if (o.lora > 0) examples::save_adapter(o.out, *model.module, metadata);
}

void merge(const examples::MergeOptions& options) {
  Trained trained(options.checkpoint);
  if (!options.adapter.empty()) {
    const nn::StateDict base = examples::plain_state(*trained.model.module);
    trained = {options.adapter, examples::with_adapter(base, options.adapter), Device::cpu};
  }
  examples::save_merged(options.out, *trained.model.module, trained.metadata);
}

void evaluate(const std::string& checkpoint, Device device) {
  Trained trained(checkpoint, device);
  const Corpus corpus(trained.options.data);
  const Tensor text = encode(*trained.tokenizer, corpus.validation);
  auto loader = validation_loader(text, trained.options.block);
  const double loss =
      train::evaluate(*trained.model.module, loader, [&](Blocks& b) { return step_of(trained.model, b); })[0].second;
  const double bytes = double(corpus.validation.size()) / double(text.numel());
  std::printf("validation loss %.4f a token, perplexity %.2f, %.3f bits a byte\n", loss, std::exp(loss),
              loss / std::log(2.0) / bytes);
}

void generate(const GenerateOptions& o, Device device) {
  const Trained trained(o.checkpoint, device);
  std::vector<int64_t> ids = trained.tokenizer->encode(data::mend_utf8(o.prompt));
  check(!ids.empty(), "--prompt: needs a character at least");
  const bool gpt = trained.options.model == "gpt", endless = !gpt || trained.options.rotary;
  const int64_t block = trained.options.block;
  Generator random(o.seed);
  const std::vector<int64_t> nothing;  // what sampling need not know of
  // What is written shows up at once; a character cut in two waits for its other half. A token is decoded behind those
  // shown last, as it may read differently at the beginning of a text.
  size_t before = 0, shown = 0;
  const auto show = [&] {
    const auto from = ids.begin() + int64_t(before);
    const std::string known = trained.tokenizer->decode({from, ids.begin() + int64_t(shown)}),
                      all = trained.tokenizer->decode({from, ids.end()});
    if (all.ends_with("\uFFFD")) return;
    std::fputs(all.substr(std::min(known.size(), all.size())).c_str(), stdout);
    std::fflush(stdout);
    before = shown;
    shown = ids.size();
  };
  show();
  std::unique_ptr<nn::TokenStream> stream;
  int64_t used = 0;  // places of the stream
  for (int64_t i = 0; i < o.tokens; ++i) {
    std::vector<int64_t> input = {ids.back()};
    if (!stream || (!endless && used == block)) {
      // At the beginning, with what of the prompt the model can look at; and where learned positions end: then it
      // begins again with the last half of them.
      const int64_t kept = std::min(int64_t(ids.size()), !gpt      ? int64_t(ids.size())
                                                         : !stream ? block
                                                                   : (block + 1) / 2);
      stream = trained.model.predict->start();
      input.assign(ids.end() - kept, ids.end());
      used = 0;
    }
    used += int64_t(input.size());
    const Tensor logits = stream->step(from_vector(input, {1, int64_t(input.size())}).to(device));
    ids.push_back(nn::sample_token(logits[0],
                                   {.temperature = o.temperature,
                                    .top_k = o.top_k,
                                    .top_p = o.top_p,
                                    .repetition_penalty = o.repetition_penalty},
                                   random, o.repetition_penalty == 1 ? nothing : ids));
    show();
  }
  std::printf("\n");
}

}  // namespace language_model
