// Trains a GPT on the sentences of chapter 07, or on a text file, one character after another, and lets it write at
// some steps. Chapter 07's LSTM is measured beside it.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <set>

#include "data/unpacked.h"
#include "examples/text_models/text_models.h"
#include "optim/optim.h"
#include "tensor/io/safetensors.h"
#include "tutorials/ch07_recurrence/text.h"

using namespace gradus;
using text_models::Gpt, text_models::RecurrentLm;

namespace {

constexpr int64_t window = 64, batch = 32;
constexpr int64_t ignored = -100;  // a target that is not asked for: cross_entropy leaves it out

struct Settings {
  std::string data, csv;
  int64_t steps = 1000, layers = 2, heads = 4, size = 32, every = 100;
  double rate = 0.01;
  uint64_t seed = 1;
};

// --- text ------------------------------------------------------------------------------------------------------------

struct Corpus {
  std::string alphabet;
  Tensor training;                           // (characters) int64
  Tensor held, held_next;                    // (rows, places): other text; what follows each character, or `ignored`
  std::vector<ch07::Sentence> sentences;     // those of `held`, where the text is made up
  std::vector<ch07::Sentence> longest = {};  // others, with as many phrases as there can be

  int64_t size() const { return int64_t(alphabet.size()); }
  Tensor encode(const std::string& text) const {  // (1, characters)
    std::vector<int64_t> tokens;
    for (const char c : text) tokens.push_back(int64_t(alphabet.find(c)));
    return from_vector(tokens, {1, int64_t(text.size())});
  }
};

Corpus make_up(int64_t characters) {
  Corpus corpus;
  corpus.alphabet = ch07::alphabet;
  Generator random(1), unseen(2);
  std::string text;
  while (int64_t(text.size()) < characters) text += ch07::sentence(random.below(ch07::most_phrases + 1), random).text;
  corpus.training = corpus.encode(text)[0];
  size_t most = 0;
  for (int i = 0; i < 400; ++i) {
    corpus.sentences.push_back(ch07::sentence(unseen.below(ch07::most_phrases + 1), unseen));
    most = std::max(most, corpus.sentences.back().text.size());
  }
  std::vector<Tensor> rows, next;
  for (const ch07::Sentence& s : corpus.sentences) {  // behind the end of another line, and padded
    const int64_t rest = int64_t(most - s.text.size());
    const Tensor row = corpus.encode("\n" + s.text + std::string(size_t(rest), '\n'))[0];
    rows.push_back(row.narrow(0, 0, int64_t(most)));
    next.push_back(row.narrow(0, 1, int64_t(most)).clone());
    next.back().narrow(0, int64_t(most) - rest, rest).fill_(double(ignored));
  }
  corpus.held = stack(rows), corpus.held_next = stack(next);
  for (int i = 0; i < 100; ++i) corpus.longest.push_back(ch07::sentence(ch07::most_phrases, unseen));
  return corpus;
}

// The last tenth of the file is held out, of which at most a hundred windows are used.
Corpus read(const std::string& path) {
  const std::string text = data::read_unpacked(path);
  check(text.size() >= 40 * size_t(window), path, ": ", text.size(), " bytes are too few to learn from");
  const std::set<char> known(text.begin(), text.end());
  Corpus corpus;
  corpus.alphabet = std::string(known.begin(), known.end());
  const Tensor all = corpus.encode(text)[0];
  const int64_t cut = all.numel() / 10 * 9, windows = std::min<int64_t>(100, (all.numel() - cut - 1) / window);
  corpus.training = all.narrow(0, 0, cut);
  corpus.held = all.narrow(0, cut, windows * window).unflatten(0, {windows, window});
  corpus.held_next = all.narrow(0, cut + 1, windows * window).unflatten(0, {windows, window});
  return corpus;
}

// Of the held-out sentences: the lowest loss that a model can have, which knows the odds of each.
double lowest_loss(const Corpus& corpus) {
  double nats = 0, characters = 0;
  for (const ch07::Sentence& s : corpus.sentences) nats -= s.log_probability, characters += double(s.text.size());
  return nats / characters;
}

// --- what is measured ------------------------------------------------------------------------------------------------

// Every row behind `lead`, which does not count.
double held_out_loss(const nn::LanguageModel& model, const Corpus& corpus, const std::string& lead = "") {
  const NoGrad guard;
  Tensor read = corpus.held, next = corpus.held_next;
  if (!lead.empty()) {
    const Tensor first = corpus.encode(lead).expand({read.size(0), int64_t(lead.size())});
    read = cat({first, read}, 1);
    next = cat({full(first.shape(), double(ignored), {.dtype = int64}), next}, 1);
  }
  return cross_entropy(model(read).flatten(0, 1), next.flatten()).item();
}

//! [write]
// What the model writes behind `prompt`: at most so many characters, up to the first `end`.
std::string write(const nn::LanguageModel& model, const Corpus& corpus, const std::string& prompt, size_t most,
                  const nn::SampleOptions& how, Generator& random, char end = '\n') {
  const std::unique_ptr<nn::TokenStream> stream = model.start();  // keeps keys and values, or an LSTM's state
  std::string text;
  Tensor next = corpus.encode(prompt);  // (1, characters): first all of the prompt, then one at a time
  while (text.size() < most && !text.ends_with(end)) {
    const Tensor scores = stream->step(next);  // (1, characters of the alphabet)
    const int64_t token = nn::sample_token(scores[0], how, random);
    text += corpus.alphabet[size_t(token)];
    next = from_vector<int64_t>({token}, {1, 1});
  }
  return text;
}
//! [write]

// The share of long sentences whose verb the model writes on, letter by letter, as the first noun wants it.
double verbs_right(const nn::LanguageModel& model, const Corpus& corpus, const std::string& lead = "") {
  Generator random(3);
  int right = 0;
  for (const ch07::Sentence& s : corpus.longest) {
    const std::string prompt = lead + "\n" + s.text.substr(0, s.verb), verb = s.text.substr(s.verb);
    right += write(model, corpus, prompt, verb.size(), {.temperature = 0}, random) == verb;
  }
  return double(right) / double(corpus.longest.size());
}

struct Measured {
  int64_t step;
  double loss, verbs;
  std::string percent;  // of verbs, if there are any
  std::string text;
  bool marked;  // shown in the chapter: with twice as many updates as the one before
};

Measured measure(const Gpt& model, const Corpus& corpus, int64_t step, const Settings& s) {
  Generator random(9);
  const bool lines = s.data.empty();
  const auto times = uint64_t(step / s.every);
  Measured m = {.step = step,
                .loss = held_out_loss(model, corpus),
                .verbs = lines ? verbs_right(model, corpus) : 0,
                .percent = "-",
                .text = write(model, corpus, lines ? "\n" : corpus.alphabet.substr(0, 1), size_t(window - 1), {},
                              random, lines ? '\n' : '\0'),
                .marked = (times & (times - 1)) == 0 || step == s.steps};
  if (lines) m.percent = std::to_string(std::lround(100 * m.verbs)) + "%";
  if (lines && m.text.ends_with('\n')) m.text.pop_back();
  std::replace(m.text.begin(), m.text.end(), '\n', ' ');
  return m;
}

// --- training --------------------------------------------------------------------------------------------------------

struct Windows {
  Tensor tokens, next;  // (batch, window)
};

//! [windows]
// From anywhere in the text; what is asked for is the same text, one place on.
Windows random_windows(const Tensor& text, Generator& random) {
  std::vector<Tensor> tokens, next;
  for (int64_t i = 0; i < batch; ++i) {
    const int64_t start = random.below(text.numel() - window);
    tokens.push_back(text.narrow(0, start, window));
    next.push_back(text.narrow(0, start + 1, window));
  }
  return {stack(tokens), stack(next)};
}
//! [windows]

std::vector<Measured> train(Gpt& model, const Corpus& corpus, const Settings& s) {
  optim::Adam optimiser(model.parameters(), {.lr = s.rate});
  optim::CosineLR schedule(optimiser, {.steps = s.steps, .min_lr = s.rate / 10, .warmup = s.steps / 20});
  Generator random(s.seed + 10);
  std::vector<Measured> measured;
  for (int64_t step = 0; step <= s.steps; ++step) {
    if (step % s.every == 0 || step == s.steps) {
      measured.push_back(measure(model, corpus, step, s));
      const Measured& m = measured.back();
      std::printf("%5lld  %.3f  %11s  %s\n", static_cast<long long>(step), m.loss, m.percent.c_str(), m.text.c_str());
      std::fflush(stdout);
    }
    //! [train]
    const Windows w = random_windows(corpus.training, random);
    const Tensor scores = model(w.tokens);  // (batch, window, characters): all places at once
    const Tensor loss = cross_entropy(scores.flatten(0, 1), w.next.flatten());
    optimiser.zero_grad();
    loss.backward();
    optim::clip_grad_norm_(model.parameters(), 1);
    optimiser.step();
    //! [train]
    schedule.step();
  }
  return measured;
}

// Chapter 07's model, as its program left it, behind the interface that the GPT has too.
RecurrentLm chapter_07() {
  RecurrentLm model({.vocabulary = int64_t(ch07::alphabet.size()),
                     .cell = Cell::lstm,
                     .embedding = ch07::embedding_size,
                     .hidden = ch07::hidden_size,
                     .layers = 1});
  nn::StateDict state = load_safetensors(GRADUS_CHECKPOINTS "/ch07_characters.safetensors").tensors;
  for (auto& [name, value] : state)
    if (name.starts_with("layer.")) name.insert(5, "s");  // "layers" in this class
  model.load_state_dict(state);
  model.eval();
  return model;
}

void write_csv(const std::string& path, const std::vector<Measured>& measured) {
  std::ofstream file(path);
  file << "step,loss,verbs right,writes,marked\n";
  for (const Measured& m : measured) {
    std::string quoted;
    for (const char c : m.text) quoted += c == '"' ? "\"\"" : std::string(1, c);
    char numbers[64];
    std::snprintf(numbers, sizeof(numbers), "%lld,%.3f,%s", static_cast<long long>(m.step), m.loss,
                  m.percent.c_str());
    file << numbers << ",\"" << quoted << (m.marked ? "\",yes\n" : "\",no\n");
  }
  file.close();
  check(file.good(), "cannot write ", path);
}

int run(int argc, char** argv) {
  Settings s;
  CLI::App app("Trains a GPT on sentences that it makes up, or on a text file.");
  app.add_option("--data", s.data, "a text file, plain or gzip, instead of made-up sentences")
      ->check(CLI::ExistingFile);
  app.add_option("--steps", s.steps, "updates")->check(CLI::Range(1, 10000000))->capture_default_str();
  app.add_option("--layers", s.layers, "layers")->check(CLI::Range(1, 100))->capture_default_str();
  app.add_option("--heads", s.heads, "heads, which divide the size")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--size", s.size, "features of a character")->check(CLI::Range(1, 10000))->capture_default_str();
  app.add_option("--rate", s.rate, "the highest learning rate")->check(CLI::Range(0.0, 1.0))->capture_default_str();
  app.add_option("--every", s.every, "updates between measurements")
      ->check(CLI::Range(1, 10000000))
      ->capture_default_str();
  app.add_option("--seed", s.seed, "of weights and windows")->capture_default_str();
  app.add_option("--csv", s.csv, "write what was measured to this file, too");
  CLI11_PARSE(app, argc, argv);

  const Corpus corpus = s.data.empty() ? make_up(1000 * batch * window) : read(s.data);
  manual_seed(s.seed);
  Gpt model({.vocabulary = corpus.size(), .block = window, .layers = s.layers, .heads = s.heads, .d_model = s.size});
  std::printf("%lld characters to learn from, %lld different ones\n", static_cast<long long>(corpus.training.numel()),
              static_cast<long long>(corpus.size()));
  std::printf("\n step   loss  verbs right  writes\n");
  const std::vector<Measured> measured = train(model, corpus, s);
  if (!s.csv.empty()) write_csv(s.csv, measured);
  const Measured& last = measured.back();

  std::printf("\n                      weights   loss  verbs right\n");
  std::printf("chance                         %.3f\n", std::log(double(corpus.size())));
  if (!s.data.empty()) {
    std::printf("GPT                   %7lld  %.3f\n", static_cast<long long>(model.parameter_count()), last.loss);
    return 0;
  }
  const RecurrentLm lstm = chapter_07();
  const std::string lead = "the cat purrs.";  // it has seen all lines but one behind others
  const double lstm_loss = held_out_loss(lstm, corpus, lead), lstm_verbs = verbs_right(lstm, corpus, lead);
  std::printf("LSTM of chapter 07    %7lld  %.3f  %10.0f%%\n", static_cast<long long>(lstm.parameter_count()),
              lstm_loss, 100 * lstm_verbs);
  std::printf("GPT                   %7lld  %.3f  %10.0f%%\n", static_cast<long long>(model.parameter_count()),
              last.loss, 100 * last.verbs);
  std::printf("the lowest possible            %.3f\n", lowest_loss(corpus));
  if (argc > 1) return 0;
  check(std::abs(measured[0].loss - std::log(double(corpus.size()))) < 0.1, "untrained, it should know nothing");
  check(last.loss < 0.285 && last.verbs > 0.9, "the GPT should have learned more");
  check(last.loss < lstm_loss + 0.01, "the GPT should be about as good as the LSTM");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
