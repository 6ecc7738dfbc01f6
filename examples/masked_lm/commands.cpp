#include "commands.h"

#include <cmath>
#include <numeric>

#include "examples/metadata.h"
#include "examples/sentiment.h"
#include "optim/optim.h"

namespace masked_lm {

using namespace gradus;

namespace {

// Every twentieth line is held out to validate with.
struct Lines {
  std::vector<std::string> training, held_out;

  explicit Lines(const Options& o) {
    std::vector<std::string> all = o.data == "rt-polarity"
                                       ? examples::texts_of(examples::Sentences(o.data, o.fold).training)
                                       : data::read_lines(o.data);
    std::erase_if(all, [](const std::string& line) { return data::strip(line).empty(); });
    check(all.size() >= 20, printable(o.data), ": ", all.size(), " sentences are too few to learn from");
    for (size_t i = 0; i < all.size(); ++i) (i % 20 == 19 ? held_out : training).push_back(std::move(all[i]));
    if (o.more.empty()) return;
    for (std::string& line : data::read_lines(o.more)) training.push_back(std::move(line));
  }
};

// The chance of each word to be hidden: the share, less for words that are more than `frequent` of all, by the rule of
// Mikolov et al. 2013, section 2.3, equation 5. Those, "the" and "of", say little of what a sentence is about.
std::vector<double> chances_of(const std::vector<std::string>& lines, const data::Tokenizer& tokenizer,
                               const Options& o) {
  std::vector<double> counts(size_t(tokenizer.size()), 0);
  for (const std::string& line : lines)
    for (const int64_t id : tokenizer.encode(line)) counts[size_t(id)] += 1;
  std::fill_n(counts.begin(), data::special_names.size(), 0);
  const double words = std::accumulate(counts.begin(), counts.end(), 0.0);
  for (double& count : counts) count = count > 0 ? o.share * std::min(1.0, std::sqrt(o.frequent * words / count)) : 0;
  return counts;
}

struct MaskedBatch {
  Tensor tokens;           // (batch, longest), some of them hidden
  Tensor places, targets;  // where among batch x longest, and what stood there: (hidden) each
};

// Batches of sentences of like length, other words hidden in each epoch: Liu et al. 2019 ("RoBERTa"), section 4.1.
// Sentences without a known word have nothing to hide and are left out; of all others `hidden` words are, on average.
struct MaskedLines {
  double hidden = 0;
  data::DataLoader<MaskedBatch> loader;

  MaskedLines(const std::vector<std::string>& lines, const data::Tokenizer& tokenizer,
              const std::vector<double>& chances, const Options& o, uint64_t seed, bool shuffle)
      : loader(make(lines, tokenizer, chances, o, seed, shuffle)) {}

 private:
  data::DataLoader<MaskedBatch> make(const std::vector<std::string>& lines, const data::Tokenizer& tokenizer,
                                     const std::vector<double>& chances, const Options& o, uint64_t seed,
                                     bool shuffle) {
    const int64_t specials = int64_t(data::special_names.size());
    const auto rows = std::make_shared<std::vector<data::Ids>>();
    std::vector<int64_t> lengths;
    for (const std::string& line : lines) {
      data::Ids ids = examples::encode(tokenizer, line, o.max_length);
      double expected = 0;
      for (const int64_t id : ids) expected += chances[size_t(id)];
      if (expected == 0) continue;
      hidden += expected;
      lengths.push_back(int64_t(ids.size()));
      rows->push_back(std::move(ids));
    }
    check(hidden > 0, printable(o.data), ": no sentence ", shuffle ? "" : "that is held out ",
          "has a word that occurs at least --min-count times");
    const auto batches =
        std::make_shared<const std::vector<std::vector<int64_t>>>(data::batches_by_tokens(lengths, o.batch, seed));
    return {int64_t(batches->size()),
            {.batch_size = 1, .shuffle = shuffle, .seed = seed},
            [=, named = tokenizer.specials()](std::span<const int64_t> chosen, int64_t epoch) -> MaskedBatch {
              std::vector<data::Ids> some;
              for (const int64_t i : (*batches)[size_t(chosen[0])]) some.push_back((*rows)[size_t(i)]);
              const Tensor tokens = data::pad_rows(some, named.pad);
              Generator random = data::sample_generator(seed, epoch, chosen[0]);
              text_models::MaskedTokens masked;
              std::vector<int64_t> places, targets;
              while (places.empty()) {  // short sentences may come out with nothing hidden
                masked = text_models::mask_tokens(tokens, chances, specials, named.mask, -1, random);
                const int64_t* target = masked.targets.data<int64_t>();
                for (int64_t i = 0; i < tokens.numel(); ++i)
                  if (target[i] >= 0) {
                    places.push_back(i);
                    targets.push_back(target[i]);
                  }
              }
              const Shape shape = {int64_t(places.size())};
              return {masked.tokens, from_vector(places, shape), from_vector(targets, shape)};
            }};
  }
};

// Words are scored only where one is hidden: the scores of all would cost seven times as much.
train::BatchResult step_of(const text_models::Bert& model, const MaskedBatch& b) {
  const Device device = model.device();
  const Tensor places = b.places.to(device), targets = b.targets.to(device);
  const Tensor scores = model.predict(model(b.tokens.to(device)).flatten(0, 1).index_select(0, places));
  const Tensor right = scores.detach().argmax(-1) == targets;
  return {cross_entropy(scores, targets), targets.numel(), {{"accuracy", right.to(float32).mean().item()}}};
}

// A checkpoint of either kind, read.
struct Checkpoint {
  std::string path;
  TensorFile file;

  explicit Checkpoint(const std::string& given) : path(train::find_checkpoint(given)), file(load_safetensors(path)) {}

  std::unique_ptr<data::Tokenizer> tokenizer() const {
    return naming_path([&] {
      return data::parse_tokenizer(examples::MetadataReader{"masked_lm", file.metadata, path}.get("tokenizer"));
    });
  }
  void load_into(nn::Module& model) const {
    naming_path([&] { train::load_weights(file, model); });
  }

 private:
  template <class F>
  auto naming_path(const F& f) const -> decltype(f()) {
    try {
      return f();
    } catch (const Error& e) {
      fail({printable(path), ": ", e.what()});
    }
  }
};

// Models read back from their checkpoints.
struct Pretrained {
  Options options;
  std::unique_ptr<data::Tokenizer> tokenizer;
  text_models::Bert model;

  Pretrained(const Checkpoint& c, Device device)
      : options(options_from(c.file.metadata, c.path)),
        tokenizer(c.tokenizer()),
        model(make_encoder(options, tokenizer->size())) {
    c.load_into(model);
    model.to(device);
    model.eval();
  }
};

struct Finetuned {
  Options encoder;
  TuneOptions options;
  std::unique_ptr<data::Tokenizer> tokenizer;
  Classifier model;

  Finetuned(const Checkpoint& c, Device device)
      : encoder(encoder_options_from(c.file.metadata, c.path)),
        options(tune_options_from(c.file.metadata, c.path)),
        tokenizer(c.tokenizer()),
        model(encoder, tokenizer->size(), options.dropout) {
    c.load_into(model);
    model.to(device);
    model.eval();
  }
  double accuracy_on(const std::vector<examples::Sentence>& sentences) {
    auto loader = examples::sentence_loader(sentences, *tokenizer, encoder.max_length, {.batch_size = options.batch});
    return examples::accuracy(model, loader);
  }
};

}  // namespace

void train(const Options& o, Device device) {
  const Lines lines(o);
  const auto tokenizer = data::VocabularyTokenizer::train(data::TokenUnit::word, lines.training,
                                                          {.min_count = o.min_count, .lowercase = true});
  manual_seed(o.seed);
  text_models::Bert model = make_encoder(o, tokenizer.size());
  model.to(device);
  const std::vector<double> chances = chances_of(lines.training, tokenizer, o);
  MaskedLines training(lines.training, tokenizer, chances, o, o.seed, true);
  // The same words are hidden whatever the seed.
  MaskedLines held_out(lines.held_out, tokenizer, chances, o, 0, false);
  const int64_t updates = o.epochs * training.loader.batches();
  optim::AdamW optimizer(model.parameters(), {.lr = o.lr, .betas = {0.9, 0.98}, .weight_decay = o.weight_decay});
  optim::CosineLR schedule(optimizer, {.steps = std::max<int64_t>(2, updates), .warmup = updates / 20});
  std::printf("%s: %zu sentences to learn from, %zu held out; %lld words\n", printable(o.data).c_str(),
              lines.training.size(), lines.held_out.size(), static_cast<long long>(tokenizer.size()));
  std::printf("%lld parameters, %lld updates of up to %lld words; about %.0f are hidden in an epoch\n",
              static_cast<long long>(model.parameter_count()), static_cast<long long>(updates),
              static_cast<long long>(o.batch), training.hidden);
  std::fflush(stdout);
  train::Metadata metadata = to_metadata(o);
  metadata["tokenizer"] = tokenizer.to_json();
  const auto step = [&](MaskedBatch& b) { return step_of(model, b); };
  train::fit(model, optimizer, training.loader, step,
             {.epochs = o.epochs,
              .clip_grad_norm = 1,
              .schedule = &schedule,
              .evaluate = [&] { return train::evaluate(model, held_out.loader, step, "val_"); },
              .out = o.out,
              .save_every = 200,
              .monitor = "val_loss",
              .minimize = true,
              .resume = o.resume,
              .metadata = metadata,
              .tensorboard = o.log == "tensorboard",
              .samples_per_epoch = std::max<int64_t>(1, std::llround(training.hidden))});
}

void evaluate(const std::string& checkpoint, Device device) {
  const Checkpoint c(checkpoint);
  if (is_finetuned(c.file.metadata)) {
    Finetuned tuned(c, device);
    const examples::Sentences sentences(tuned.options.data, tuned.encoder.fold);
    std::printf("test accuracy: %.2f%%\n", 100 * tuned.accuracy_on(sentences.test));
    return;
  }
  Pretrained trained(c, device);
  const Lines lines(trained.options);
  MaskedLines held_out(lines.held_out, *trained.tokenizer,
                       chances_of(lines.training, *trained.tokenizer, trained.options), trained.options, 0, false);
  const train::Metrics m =
      train::evaluate(trained.model, held_out.loader, [&](MaskedBatch& b) { return step_of(trained.model, b); });
  std::printf("held-out loss %.4f a hidden word, perplexity %.1f, accuracy %.2f%%\n", m[0].second,
              std::exp(m[0].second), 100 * m[1].second);
}

void fill(const FillOptions& options, Device device) {
  const Pretrained trained(Checkpoint(options.checkpoint), device);
  const data::Specials named = trained.tokenizer->specials();
  const int64_t specials = int64_t(data::special_names.size());
  const NoGrad guard;
  examples::each_text(options.sentences, [&](const std::string& text) {
    const std::string gap = "[MASK]";
    data::Ids ids;
    std::vector<int64_t> places;
    for (size_t at = 0; at <= text.size();) {
      const size_t end = std::min(text.find(gap, at), text.size());
      const data::Ids words = trained.tokenizer->encode(text.substr(at, end - at));
      ids.insert(ids.end(), words.begin(), words.end());
      at = end + gap.size();
      if (end == text.size()) break;
      places.push_back(int64_t(ids.size()));
      ids.push_back(named.mask);
    }
    check(!places.empty(), "there is no [MASK] to fill in \"", printable(text), "\"");
    check(int64_t(ids.size()) <= trained.options.max_length, "a sentence of ", ids.size(),
          " words; this model looks at ", trained.options.max_length, " at most");
    const Tensor hidden = trained.model(data::pad_rows({ids}, named.pad).to(device))[0];
    std::printf("%s\n", text.c_str());
    for (size_t i = 0; i < places.size(); ++i) {
      if (places.size() > 1) std::printf("  [MASK] %zu\n", i + 1);
      const Tensor p = softmax(trained.model.predict(hidden[places[i]].unsqueeze(0)), -1)[0].to(Device::cpu);
      const auto [best, index] =
          p.narrow(0, specials, p.size(0) - specials).topk(std::min(options.top, p.size(0) - specials));
      for (int64_t k = 0; k < best.size(0); ++k)
        std::printf("  %5.1f%%  %s\n", 100 * best[k].item(),
                    trained.tokenizer->token(specials + int64_t(index[k].item())).c_str());
    }
  });
}

void finetune(const TuneOptions& o, Device device) {
  // A run that goes on finds its encoder in its own checkpoint.
  const bool resumes = !o.resume.empty();
  const Checkpoint start(resumes ? o.resume : o.from);
  const Options encoder = (resumes ? encoder_options_from : options_from)(start.file.metadata, start.path);
  const auto tokenizer = start.tokenizer();
  manual_seed(o.seed);
  Classifier model(encoder, tokenizer->size(), o.dropout);
  if (!resumes && !o.from_nothing) start.load_into(model.encoder);
  model.to(device);

  examples::Sentences sentences(o.data, encoder.fold);
  const double count = std::ceil(o.labels * double(sentences.training.size()));
  examples::shuffle(sentences.training, o.seed);  // runs with other seeds differ in the labels they see too
  const std::vector<examples::Sentence> unused(sentences.training.begin() + int64_t(count), sentences.training.end());
  sentences.training.resize(size_t(count));
  auto loader = examples::sentence_loader(sentences.training, *tokenizer, encoder.max_length,
                                          {.batch_size = o.batch, .shuffle = true, .seed = o.seed}, o.word_dropout);
  auto validation =
      examples::sentence_loader(sentences.validation, *tokenizer, encoder.max_length, {.batch_size = o.batch});
  const int64_t updates = o.epochs * loader.batches();
  optim::AdamW optimizer(model.parameters(), {.lr = o.lr, .weight_decay = o.weight_decay});
  optim::CosineLR schedule(optimizer, {.steps = std::max<int64_t>(2, updates), .warmup = updates / 10});
  std::printf("%s: %zu sentences to learn from, %zu to validate and %zu to test with\n", printable(o.data).c_str(),
              sentences.training.size(), sentences.validation.size(), sentences.test.size());
  std::fflush(stdout);
  const auto step = [&](examples::SentenceBatch& b) { return examples::sentiment_step(model, b); };
  train::fit(model, optimizer, loader, step,
             {.epochs = o.epochs,
              .clip_grad_norm = 1,
              .schedule = &schedule,
              .evaluate = [&] { return train::evaluate(model, validation, step, "val_"); },
              .out = o.out,
              .monitor = "val_accuracy",
              .resume = o.resume,
              .metadata = to_metadata(o, start.file.metadata),
              .tensorboard = o.log == "tensorboard"});
  // The test sentences are looked at once, by the weights that did best on the validation.
  const std::string best = o.out + "/best.safetensors";
  if (!file_exists(best)) return;
  Finetuned tuned(Checkpoint(best), device);
  if (!unused.empty())
    std::printf("accuracy on the %zu sentences whose labels were left out: %.2f%%\n", unused.size(),
                100 * tuned.accuracy_on(unused));
  std::printf("validation accuracy: %.2f%%, test accuracy: %.2f%%\n", 100 * tuned.accuracy_on(sentences.validation),
              100 * tuned.accuracy_on(sentences.test));
}

void classify(const ClassifyOptions& options, Device device) {
  const Finetuned tuned(Checkpoint(options.checkpoint), device);
  const NoGrad guard;
  examples::each_text(options.sentences, [&](const std::string& text) {
    const data::Ids ids = examples::encode(*tuned.tokenizer, text, tuned.encoder.max_length);
    examples::print_judgement(sigmoid(tuned.model(data::pad_rows({ids}, 0).to(device))).item(), text);
  });
}

}  // namespace masked_lm
