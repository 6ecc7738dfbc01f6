#include "commands.h"

#include <cmath>
#include <cstdio>

#include "alignment.h"
#include "corpora.h"
#include "data/text/batches.h"
#include "data/text/bleu.h"
#include "data/text/unicode.h"
#include "data/text/words.h"
#include "examples/arguments.h"
#include "examples/metadata.h"
#include "lengths.h"
#include "optim/optim.h"
#include "tensor/io/file.h"
#include "train/fit.h"
#include "train/progress.h"

namespace translation {

using namespace gradus;
using data::PairIds;
using data::SentencePair;

namespace {

data::BleuTokens bleu_tokens(const Options& o) {
  if (o.data == "grammar") return data::BleuTokens::none;
  return o.tgt == "zh" ? data::BleuTokens::zh : data::BleuTokens::v13a;
}

// Of a source no more tokens are looked at: a megabyte in one line must not ask for a terabyte of scores.
constexpr size_t longest_source = 1000;
// Pairs with more tokens on one side are not learnt from.
constexpr int64_t longest_learnt = 200;

// Translates sentences given as tokens, those of like length together; the results are in their order.
std::vector<std::vector<nn::Hypothesis>> translate_all(const Model& model, const std::vector<data::Ids>& sentences,
                                                       const data::Specials& specials, const SearchOptions& o,
                                                       bool keep_attention, train::Progress* progress = nullptr) {
  std::vector<int64_t> lengths;
  int64_t cut = 0;
  for (const data::Ids& ids : sentences) {
    lengths.push_back(int64_t(std::min(ids.size(), longest_source)) + 1);
    cut += ids.size() > longest_source;
  }
  if (cut > 0)
    std::fprintf(stderr, "of %lld sentence%s only the first %zu tokens are translated\n", static_cast<long long>(cut),
                 cut == 1 ? "" : "s", longest_source);
  std::vector<std::vector<nn::Hypothesis>> results(sentences.size());
  int64_t done = 0;
  for (const auto& batch : data::batches_by_tokens(lengths, std::max<int64_t>(4096 / o.beam, 64), 0)) {
    std::vector<data::Ids> rows;
    for (const int64_t i : batch) {
      rows.push_back(sentences[size_t(i)]);
      rows.back().resize(size_t(lengths[size_t(i)]) - 1);
      rows.back().push_back(specials.eos);
    }
    const int64_t longest = int64_t(rows.back().size());
    const auto stream = model.translate->start(data::pad_rows(rows, specials.pad).to(model.module->device()));
    auto best = nn::beam_search(*stream, int64_t(rows.size()),
                                {.bos = specials.bos,
                                 .eos = specials.eos,
                                 .max_length = std::min(o.max_length, 2 * longest + 20),
                                 .beam = o.beam,
                                 .n_best = o.n_best,
                                 .length_penalty = o.length_penalty,
                                 .coverage_penalty = o.coverage_penalty,
                                 .keep_attention = keep_attention});
    for (size_t k = 0; k < batch.size(); ++k) results[size_t(batch[k])] = std::move(best[k]);
    done += int64_t(batch.size());
    if (progress) progress->update(done, "");
    if (train::InterruptGuard::requested()) throw train::Interrupted("interrupted while translating");
  }
  return results;
}

std::vector<data::Ids> sources_of(const std::vector<PairIds>& pairs) {
  std::vector<data::Ids> sources;
  for (const PairIds& pair : pairs) sources.push_back(pair.source);
  return sources;
}

// What the model makes of the sources, and what it should: both as text.
struct Translated {
  std::vector<std::string> output, reference;
};
Translated translate_pairs(const Model& model, const std::vector<SentencePair>& pairs, const Tokenizers& t,
                           const SearchOptions& search, train::Progress* progress = nullptr) {
  Translated result;
  const auto encoded = data::encode_pairs(pairs, *t.source, *t.target);
  for (const auto& best : translate_all(model, sources_of(encoded), t.source->specials(), search, false, progress))
    result.output.push_back(best.empty() ? "" : t.target->decode(best[0].tokens));
  for (const SentencePair& pair : pairs) result.reference.push_back(pair.target);
  return result;
}

void print_pairs(const char* what, const std::vector<SentencePair>& pairs) {
  std::printf("%s: %zu pairs", what, pairs.size());
  if (!pairs.empty())
    std::printf(", such as \"%s\" - \"%s\"", printable(pairs[0].source).c_str(), printable(pairs[0].target).c_str());
  std::printf("\n");
}

// A model read back from a checkpoint.
struct Trained {
  train::Metadata metadata;
  Options options;
  Tokenizers tokenizers;
  Model model;

  explicit Trained(const std::string& checkpoint, Device device = Device::cpu)
      : Trained(found(checkpoint), load_safetensors(found(checkpoint)), device) {}
  Trained(const std::string& path, const TensorFile& file, Device device) : metadata(file.metadata) {
    options = options_from(file.metadata, path);
    tokenizers = tokenizers_from(file.metadata, path);
    try {
      model = make_model(options, *tokenizers.source, *tokenizers.target);
      examples::add_lora(*model.module, options);
      train::load_weights(file, *model.module);
    } catch (const Error& e) {
      fail({printable(path), ": ", e.what()});
    }
    model.module->to(device);
    model.module->eval();
  }

 private:
  static std::string found(const std::string& checkpoint) {
    const bool usual = checkpoint == TranslateOptions().checkpoint && !file_exists(checkpoint);
    check(!usual, "there is no model in ", checkpoint,
          " yet: `translation train` makes one in a few minutes; --checkpoint ", "names another");
    return train::find_checkpoint(checkpoint);
  }
};

std::unique_ptr<optim::Schedule> make_schedule(const Options& o, optim::Optimizer& optimizer, int64_t updates) {
  const int64_t warmup = std::min(o.warmup, std::max<int64_t>(1, updates / 3));
  if (o.schedule == "inverse_sqrt")
    return std::make_unique<optim::InverseSqrtLR>(optimizer, optim::InverseSqrtLROptions{warmup});
  if (o.schedule == "cosine")
    return std::make_unique<optim::CosineLR>(
        optimizer, optim::CosineLROptions{.steps = std::max<int64_t>(updates, 2), .warmup = warmup});
  return nullptr;
}

// The mean of the last weights: fairseq's average of checkpoints.
class LastWeights {
 public:
  LastWeights(nn::Module& model, int64_t count) : model_(model), count_(size_t(count)) {}
  void add() {
    std::vector<Tensor> copy;
    for (const Tensor& p : model_.parameters()) copy.push_back(p.detach().clone());
    kept_.push_back(std::move(copy));
    if (kept_.size() > count_) kept_.erase(kept_.begin());
  }
  void average() const {
    NoGrad guard;
    std::vector<Tensor> parameters = model_.parameters();
    for (size_t i = 0; i < parameters.size() && !kept_.empty(); ++i) {
      Tensor sum = zeros_like(parameters[i]);
      for (const auto& weights : kept_) sum.add_(weights[i]);
      parameters[i].copy_(sum / double(kept_.size()));
    }
  }
  // For checkpoints: "epochs", then "EPOCH.PARAMETER", the oldest first.
  nn::StateDict state_dict() const {
    nn::StateDict state = {{"epochs", from_vector<int64_t>({int64_t(kept_.size())}, {1})}};
    for (size_t e = 0; e < kept_.size(); ++e)
      for (size_t i = 0; i < kept_[e].size(); ++i)
        state.emplace_back(std::to_string(e) + "." + std::to_string(i), kept_[e][i]);
    return state;
  }
  void load_state_dict(const nn::StateDict& state) {
    const std::vector<Tensor> parameters = model_.parameters();
    const size_t tensors = state.size() - 1;
    check(!state.empty() && state[0].first == "epochs" && tensors % parameters.size() == 0 &&
              tensors / parameters.size() <= count_,
          "kept weights of ", tensors, " tensors, expected at most ", count_, " times ", parameters.size());
    std::vector<std::vector<Tensor>> kept(tensors / parameters.size());
    for (size_t k = 0; k < tensors; ++k) {
      const auto& [name, weights] = state[k + 1];
      const Shape& shape = parameters[k % parameters.size()].shape();
      check(weights.shape() == shape, "kept weights ", name, " are ", weights.shape(), ", expected ", shape);
      kept[k / parameters.size()].push_back(weights.clone().to(model_.device()));
    }
    kept_ = std::move(kept);
  }

 private:
  nn::Module& model_;
  size_t count_;
  std::vector<std::vector<Tensor>> kept_;
};

}  // namespace

void train(const Options& given, Device device) {
  const Options o = settle(given);
  examples::check_adaptation(o);
  const data::PairSplit pairs = open_pairs(o);
  check(!pairs.train.empty() && !pairs.validation.empty(), printable(o.data), ": ", pairs.train.size(),
        " pairs to train on and ", pairs.validation.size(), " to validate with are too few");
  print_pairs("training", pairs.train);
  const Tokenizers t =
      o.from.empty() ? train_tokenizers(pairs.train, o)
                     : tokenizers_from(load_safetensors(examples::origin_of(o)).metadata, examples::origin_of(o));
  std::printf("validation: %zu pairs; test: %zu pairs\n", pairs.validation.size(), pairs.test.size());
  std::printf("vocabulary: %lld tokens", static_cast<long long>(t.source->size()));
  if (t.target != t.source) std::printf(" and %lld", static_cast<long long>(t.target->size()));
  std::printf("\n");

  manual_seed(o.seed);
  const Model model = make_model(o, *t.source, *t.target);
  const std::vector<nn::Module*> frozen =
      examples::adapt(*model.module, o, [&] { return Trained(o.from).model.module; });
  model.module->to(device);
  const data::Specials specials = t.source->specials();
  const auto encoded = data::encode_pairs(pairs.train, *t.source, *t.target, longest_learnt);
  const auto held_out = data::encode_pairs(pairs.validation, *t.source, *t.target, longest_learnt);
  if (const size_t longer = pairs.train.size() - encoded.size())
    std::printf("left out: %zu pairs of more than %lld tokens\n", longer, static_cast<long long>(longest_learnt));
  check(!encoded.empty() && !held_out.empty(), printable(o.data), ": all pairs to train or to validate on have ",
        "more than ", longest_learnt, " tokens");
  int64_t tokens = 0;
  for (const PairIds& pair : encoded) tokens += int64_t(pair.target.size()) + 1;
  auto loader =
      data::pair_loader(encoded, specials, {.max_tokens = o.tokens_per_batch, .workers = o.workers, .seed = o.seed});
  auto validation = data::pair_loader(held_out, specials, {.max_tokens = o.tokens_per_batch, .shuffle = false});
  optim::AdamW optimizer(examples::trained_parameters(*model.module),
                         {.lr = o.lr, .betas = {0.9, 0.98}, .eps = 1e-9, .weight_decay = o.weight_decay});
  const int64_t updates = o.epochs * ((loader.batches() + o.accumulate - 1) / o.accumulate);
  const auto schedule = make_schedule(o, optimizer, updates);
  std::printf("%s: %lld parameters%s, %lld updates of up to %lld tokens\n", o.model.c_str(),
              static_cast<long long>(model.module->parameter_count()), examples::trained_text(*model.module).c_str(),
              static_cast<long long>(updates), static_cast<long long>(o.tokens_per_batch * o.accumulate));
  std::fflush(stdout);

  const auto step_with = [&](double smoothing) {
    return [&, smoothing](data::PairBatch& batch) -> train::BatchResult {
      for (nn::Module* module : frozen) module->eval();
      const Tensor source = batch.source.to(device), target_in = batch.target_in.to(device);
      const Tensor logits = (*model.translate)(source, target_in).flatten(0, 1);
      const Tensor target = batch.target_out.to(device).flatten();
      const Tensor loss = cross_entropy(logits, target, {.ignore_index = specials.pad, .label_smoothing = smoothing});
      NoGrad guard;
      const Tensor right = logical_and(logits.detach().argmax(-1) == target, target != double(specials.pad));
      return {loss, batch.tokens, {{"accuracy", right.to(float32).sum().item() / double(batch.tokens)}}};
    };
  };
  // Of so many held-out sentences the translations are scored after each epoch.
  std::vector<SentencePair> scored(
      pairs.validation.begin(), pairs.validation.begin() + int64_t(std::min<size_t>(pairs.validation.size(), 500)));
  LastWeights last(*model.module, o.average);
  train::Metadata metadata = to_metadata(o);
  put(metadata, t);
  train::fit(*model.module, optimizer, loader, step_with(o.label_smoothing),
             {.epochs = o.epochs,
              .accumulate = o.accumulate,
              .clip_grad_norm = o.clip,
              .schedule = schedule.get(),
              .evaluate =
                  [&] {
                    train::Metrics m = train::evaluate(*model.module, validation, step_with(0), "val_");
                    model.module->eval();
                    const Translated made = translate_pairs(model, scored, t, {});
                    m.emplace_back("val_bleu",
                                   data::bleu(made.output, made.reference, {.tokens = bleu_tokens(o)}).score);
                    m.emplace_back("val_exact", data::exact_match(made.output, made.reference));
                    model.module->train();
                    last.add();
                    return m;
                  },
              .out = o.out,
              .save_every = o.save_every,
              .monitor = "val_bleu",
              .resume = o.resume,
              .metadata = metadata,
              .also_save = {train::part("last_weights", last)},
              .tensorboard = o.log == "tensorboard",
              .samples_per_epoch = tokens});
  if (o.lora > 0) examples::save_adapter(o.out, *model.module, metadata);
  if (o.average > 1) {
    last.average();
    const std::string path = o.out + "/average.safetensors";
    train::save_checkpoint(path, {train::part("", *model.module)}, metadata);
    std::printf("the mean of the last %lld epochs' weights: %s\n", static_cast<long long>(o.average), path.c_str());
  }
}

void merge(const examples::MergeOptions& options) {
  Trained trained(options.checkpoint);
  if (!options.adapter.empty()) {
    const nn::StateDict base = examples::plain_state(*trained.model.module);
    trained = {options.adapter, examples::with_adapter(base, options.adapter), Device::cpu};
  }
  examples::save_merged(options.out, *trained.model.module, trained.metadata);
}

void evaluate(const EvaluateOptions& options, Device device) {
  train::InterruptGuard guard;
  Trained trained(options.checkpoint, device);
  const Options& o = trained.options;
  const data::PairSplit all = open_pairs(o);
  const std::vector<SentencePair>& pairs = options.part == "test" ? all.test : all.validation;
  check(!pairs.empty(), printable(o.data), ": no ", options.part, " pairs");
  train::Progress progress("translating", int64_t(pairs.size()));
  const Translated made = translate_pairs(trained.model, pairs, trained.tokenizers, options.search, &progress);
  progress.finish("");
  if (!options.output.empty()) write_file(options.output, data::join(made.output, "\n") + "\n");
  for (size_t k = 0; k < pairs.size() && int64_t(k) < options.samples; ++k) {
    const size_t i = k * pairs.size() / size_t(std::max<int64_t>(1, options.samples));
    std::printf("\n  %s\n  = %s\n  > %s\n", pairs[i].source.c_str(), made.reference[i].c_str(),
                made.output[i].c_str());
  }
  const data::Bleu b = data::bleu(made.output, made.reference, {.tokens = bleu_tokens(o)});
  std::printf("\n%s\nsignature: %s\n", to_string(b).c_str(), b.signature.c_str());
  if (o.data != "grammar" && o.tgt != "zh") {
    // As papers on this data score: lower case, words cut by Moses' rules.
    const auto cut = [&](const std::vector<std::string>& texts) {
      std::vector<std::string> lines;
      for (const std::string& text : texts)
        lines.push_back(data::join(data::word_tokenize(data::lower(text), o.tgt)));
      return lines;
    };
    const data::Bleu moses = data::bleu(cut(made.output), cut(made.reference), {.tokens = data::BleuTokens::none});
    std::printf("lower case, Moses tokens: BLEU = %.2f\n", moses.score);
  }
  std::printf("chrF2 = %.2f\nexact match: %.2f%%\n", data::chrf(made.output, made.reference),
              100 * data::exact_match(made.output, made.reference));
  const std::vector<LengthScore> by_length = score_by_length(pairs, made.output, bleu_tokens(o));
  std::printf("\n%s", to_table(by_length).c_str());
  if (!options.by_length.empty()) write_file(options.by_length, to_csv(by_length));
}

void translate(const TranslateOptions& options, Device device) {
  Trained trained(options.checkpoint, device);
  const Tokenizers& t = trained.tokenizers;
  std::vector<Alignment> alignments;
  const bool look = options.show_attention || !options.attention.empty();
  check(!look || trained.options.model != "seq2seq", "there is no attention to draw: a seq2seq looks at nothing");
  const auto one = [&](const std::string& line) {
    const data::Ids ids = t.source->encode(data::strip(data::mend_utf8(line)));
    if (data::strip(line).empty() || ids.empty()) {
      std::printf("\n");
      return;
    }
    const auto best = translate_all(trained.model, {ids}, t.source->specials(), options.search, look)[0];
    for (const nn::Hypothesis& h : best) {
      if (options.search.n_best > 1) std::printf("%8.3f  ", h.score);
      std::printf("%s\n", t.target->decode(h.tokens).c_str());
    }
    if (!look || best.empty() || !best[0].attention.defined()) return;
    Alignment a;
    for (const int64_t id : ids) a.source.push_back(t.source->token(id));
    a.source.push_back("</s>");
    for (const int64_t id : best[0].tokens) a.target.push_back(t.target->token(id));
    a.weights = best[0].attention;
    if (options.show_attention) std::printf("\n%s\n", draw_terminal(a).c_str());
    alignments.push_back(std::move(a));
  };
  for (const std::string& sentence : options.sentences) one(sentence);
  if (options.sentences.empty())
    for (std::string line; examples::read_line(line);) {
      one(line);
      std::fflush(stdout);
    }
  if (options.attention.empty()) return;
  check(!alignments.empty(), "--attention: no translation has words to draw");
  write_file(options.attention, draw_svg(alignments));
}

}  // namespace translation
