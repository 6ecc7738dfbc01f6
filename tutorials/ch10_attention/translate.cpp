// Trains two translators on sentences made by a grammar, one without attention and one with, and compares them by the
// length of what they translate. Then it shows where the one with attention looked.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "data/text/batches.h"
#include "data/text/bleu.h"
#include "data/text/corpus.h"
#include "data/text/unicode.h"
#include "examples/made_up/grammar.h"
#include "examples/text_models/seq2seq.h"
#include "optim/optim.h"

using namespace gradus;
using data::SentencePair;
using data::VocabularyTokenizer;
using text_models::Seq2Seq;

namespace {

struct Settings {
  std::string data, score = "additive";
  int64_t pairs = 20000, epochs = 4, size = 64;
  uint64_t seed = 1;
  std::vector<std::string> sentences;
  bool usual = true;  // nothing was given on the command line
};

// --- sentences -----------------------------------------------------------------------------------------------------

struct Corpus {
  data::PairSplit pairs;
  VocabularyTokenizer source, target;  // a token is a word
  data::Specials specials = source.specials();
};

VocabularyTokenizer words_of(const std::vector<SentencePair>& pairs, std::string SentencePair::*side) {
  std::vector<std::string> texts;
  for (const SentencePair& pair : pairs) texts.push_back(pair.*side);
  return VocabularyTokenizer::train(data::TokenUnit::word, texts, {.lowercase = true});
}

Corpus make_corpus(const Settings& s) {
  data::PairSplit pairs =
      s.data.empty() ? examples::grammar_corpus(s.pairs) : data::split_pairs(data::read_tsv(s.data), 0.05, 0.05, 1);
  check(!pairs.train.empty() && !pairs.test.empty(), "there are too few pairs to train and to test with");
  const auto source = words_of(pairs.train, &SentencePair::source);
  const auto target = words_of(pairs.train, &SentencePair::target);
  return {std::move(pairs), source, target};
}

// --- training ------------------------------------------------------------------------------------------------------

//! [train]
void train(Seq2Seq& model, const Corpus& corpus, const Settings& s) {
  const auto pairs = data::encode_pairs(corpus.pairs.train, corpus.source, corpus.target);
  auto loader = data::pair_loader(pairs, corpus.specials, {.max_tokens = 1024, .seed = s.seed});
  optim::Adam optimizer(model.parameters(), {.lr = 0.008});
  optim::InverseSqrtLR schedule(optimizer, {.warmup = 60});
  for (int64_t epoch = 1; epoch <= s.epochs; ++epoch) {
    double sum = 0;
    for (const data::PairBatch& batch : loader) {
      const Tensor logits = model(batch.source, batch.target_in);  // (batch, target places, vocabulary)
      const Tensor loss =
          cross_entropy(logits.flatten(0, 1), batch.target_out.flatten(), {.ignore_index = corpus.specials.pad});
      optimizer.zero_grad();
      loss.backward();
      optim::clip_grad_norm_(model.parameters(), 1);
      optimizer.step();
      schedule.step();
      sum += loss.item();
    }
    std::printf("  epoch %lld  loss %.2f\n", static_cast<long long>(epoch), sum / double(loader.batches()));
    std::fflush(stdout);
  }
}
//! [train]

Seq2Seq trained(const Corpus& corpus, const Settings& s, std::optional<nn::Score> score) {
  manual_seed(s.seed);
  Seq2Seq model({.source_vocabulary = corpus.source.size(),
                 .target_vocabulary = corpus.target.size(),
                 .embedding = s.size,
                 .hidden = s.size,
                 .attention = score});
  std::printf("%s attention: %lld weights\n", score ? "with" : "without",
              static_cast<long long>(model.parameter_count()));
  train(model, corpus, s);
  model.eval();
  return model;
}

// --- translating ---------------------------------------------------------------------------------------------------

//! [translate]
// The translation of each sentence, the likeliest word at each step, and where the model looked for it.
std::vector<nn::Hypothesis> translate(const Seq2Seq& model, const Corpus& corpus,
                                      const std::vector<std::string>& sentences) {
  std::vector<data::Ids> rows;
  for (const std::string& sentence : sentences) {
    rows.push_back(corpus.source.encode(sentence));
    rows.back().push_back(corpus.specials.eos);
  }
  const auto stream = model.start(data::pad_rows(rows, corpus.specials.pad));
  std::vector<nn::Hypothesis> best;
  for (auto& found : nn::beam_search(*stream, int64_t(rows.size()), {.max_length = 60, .keep_attention = true}))
    best.push_back(std::move(found[0]));
  return best;
}
//! [translate]

// The test sentences of some number of words, and what a model makes of them.
struct Group {
  size_t shortest, longest;
  double exact = 0, bleu = 0;  // in percent
  int64_t sentences = 0;
};

std::vector<Group> by_length(const Seq2Seq& model, const Corpus& corpus) {
  std::vector<Group> groups;
  for (const auto& [shortest, longest] :
       std::vector<std::pair<size_t, size_t>>{{1, 6}, {7, 9}, {10, 12}, {13, 15}, {16, 18}, {19, 999}}) {
    std::vector<std::string> sentences, made, right;
    for (const SentencePair& pair : corpus.pairs.test) {
      const size_t words = data::split(pair.source).size();
      if (words < shortest || words > longest) continue;
      sentences.push_back(pair.source);
      right.push_back(data::lower(pair.target));
    }
    if (sentences.empty()) continue;
    for (const nn::Hypothesis& best : translate(model, corpus, sentences))
      made.push_back(corpus.target.decode(best.tokens));
    groups.push_back({shortest, longest, 100 * data::exact_match(made, right),
                      data::bleu(made, right, {.tokens = data::BleuTokens::none}).score, int64_t(made.size())});
  }
  return groups;
}

void print(const std::vector<Group>& without, const std::vector<Group>& with) {
  std::printf("\n%26s  %14s\n%5s  %9s  %7s  %5s  %7s  %5s\n", "exactly right", "BLEU", "words", "sentences",
              "without", "with", "without", "with");
  for (size_t i = 0; i < with.size(); ++i) {
    const Group &a = without[i], &b = with[i];
    const std::string range = std::to_string(b.shortest) + (b.longest > 99 ? "+" : "-" + std::to_string(b.longest));
    std::printf("%5s  %9lld  %6.0f%%  %4.0f%%  %7.0f  %5.0f\n", range.c_str(), static_cast<long long>(b.sentences),
                a.exact, b.exact, a.bleu, b.bleu);
  }
}

// --- where it looked -----------------------------------------------------------------------------------------------

std::string right_aligned(const std::string& word, int64_t width) {  // Chinese characters are two columns wide
  return std::string(size_t(std::max<int64_t>(0, width - data::display_width(word))), ' ') + word;
}

// A row for each word that was written, a column for each word of the source.
nn::Hypothesis print_alignment(const Seq2Seq& model, const Corpus& corpus, const std::string& sentence) {
  const bool known = std::any_of(corpus.pairs.train.begin(), corpus.pairs.train.end(),
                                 [&](const SentencePair& pair) { return pair.source == sentence; });
  const nn::Hypothesis best = translate(model, corpus, {sentence})[0];
  std::printf("\n%s%s\n%8s", sentence.c_str(), known ? " (seen in training)" : " (never seen)", "");
  data::Ids source = corpus.source.encode(sentence);
  source.push_back(corpus.specials.eos);
  const auto width = [](const std::string& word) { return std::max<int64_t>(4, data::display_width(word)) + 2; };
  for (const int64_t id : source) {
    const std::string word = corpus.source.token(id);
    std::printf("%s", right_aligned(word, width(word)).c_str());
  }
  std::printf("\n");
  for (size_t i = 0; i < best.tokens.size(); ++i) {
    std::printf("%s", right_aligned(corpus.target.token(best.tokens[i]), 8).c_str());
    for (size_t j = 0; j < source.size(); ++j)
      std::printf("%*.2f", int(width(corpus.source.token(source[j]))), best.attention[int64_t(i)][int64_t(j)].item());
    std::printf("\n");
  }
  return best;
}

int run(int argc, char** argv) {
  Settings s;
  CLI::App app("Translates without and with attention, and shows where the second model looked.");
  app.add_option("SENTENCES", s.sentences, "what to show the attention of");
  app.add_option("--data", s.data, "sentence pairs of your own: lines with a source, a tab and a target")
      ->check(CLI::ExistingFile);
  app.add_option("--pairs", s.pairs, "sentence pairs to make by the grammar")
      ->check(CLI::Range(200, 1000000))
      ->capture_default_str();
  app.add_option("--epochs", s.epochs, "times through the pairs")->check(CLI::Range(1, 1000))->capture_default_str();
  app.add_option("--size", s.size, "features of a word and of a state")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--score", s.score, "how the second model compares")
      ->check(CLI::IsMember({"dot", "scaled_dot", "general", "additive"}))
      ->capture_default_str();
  app.add_option("--seed", s.seed, "of everything random but the sentences")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  s.usual = argc == 1;
  nn::Score score = nn::Score::dot;
  while (nn::to_string(score) != s.score) score = nn::Score(int(score) + 1);

  const Corpus corpus = make_corpus(s);
  std::printf("%zu pairs to train with, %zu to test with; %lld English and %lld Chinese tokens\n",
              corpus.pairs.train.size(), corpus.pairs.test.size(), static_cast<long long>(corpus.source.size()),
              static_cast<long long>(corpus.target.size()));
  const Seq2Seq blind = trained(corpus, s, {});
  const std::vector<Group> without = by_length(blind, corpus);
  const Seq2Seq model = trained(corpus, s, score);
  const std::vector<Group> with = by_length(model, corpus);
  print(without, with);

  const auto sample = std::find_if(corpus.pairs.test.begin(), corpus.pairs.test.end(),
                                   [](const SentencePair& pair) { return data::split(pair.source).size() == 14; });
  if (sample != corpus.pairs.test.end()) {
    const auto translated = [&](const Seq2Seq& by) {
      return corpus.target.decode(translate(by, corpus, {sample->source})[0].tokens);
    };
    std::printf("\na long one  %s\nright       %s\none vector  %s\nattention   %s\n", sample->source.c_str(),
                sample->target.c_str(), translated(blind).c_str(), translated(model).c_str());
  }

  if (s.sentences.empty() && s.data.empty())
    s.sentences = {"I am a dog", "the teacher bought three red books yesterday"};
  std::vector<nn::Hypothesis> shown;
  for (const std::string& sentence : s.sentences) shown.push_back(print_alignment(model, corpus, sentence));

  if (!s.usual) return 0;
  for (size_t i = 2; i < with.size(); ++i)
    check(without[i].exact < 20 && with[i].exact > 80, "the longer sentences are better or worse than the text says");
  check(corpus.target.decode(shown[0].tokens) == "我 是 一只 狗", "that is not what a dog says");
  const Tensor most = shown[0].attention.argmax(1);  // (4)
  check(most[0].item() == 0 && most[3].item() == 3, "我 has to look at I, and 狗 at dog");
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
