// Learns to translate a generated grammar from English to Chinese, without attention, and says how well by length.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <string>

#include "data/text/batches.h"
#include "examples/made_up/grammar.h"
#include "optim/optim.h"
#include "tutorials/ch08_seq2seq/translator.h"

using namespace ch08;
using data::PairBatch;
using data::PairIds;
using data::VocabularyTokenizer;

namespace {

struct Options {
  int64_t pairs = 60000, epochs = 3, hidden = 128, beam = 4;
  bool reverse = false;
};

// --- the sentences -------------------------------------------------------------------------------------------------

// Distinct sentences of one grammar: none that is tested on was learnt from.
struct Corpus {
  VocabularyTokenizer english, chinese;
  std::vector<PairIds> train, test;
};

Corpus make_corpus(const Options& o) {
  constexpr int64_t held_back = 2000;
  const std::vector<data::SentencePair> pairs = examples::grammar_corpus((o.pairs + held_back) * 10 / 9 + 10).train;
  std::vector<std::string> english, chinese;
  for (const data::SentencePair& pair : pairs) {
    english.push_back(pair.source);
    chinese.push_back(pair.target);
  }
  const auto word = data::TokenUnit::word;
  Corpus c{VocabularyTokenizer::train(word, english), VocabularyTokenizer::train(word, chinese), {}, {}};
  std::vector<PairIds> ids = data::encode_pairs(pairs, c.english, c.chinese);
  if (o.reverse)
    for (PairIds& pair : ids) std::reverse(pair.source.begin(), pair.source.end());
  c.train.assign(ids.begin(), ids.begin() + o.pairs);
  c.test.assign(ids.begin() + o.pairs, ids.begin() + o.pairs + held_back);
  return c;
}

// --- learning ------------------------------------------------------------------------------------------------------

//! [train]
void train(Translator& model, const Corpus& corpus, int64_t epochs) {
  auto loader = data::pair_loader(corpus.train, special, {.max_tokens = 1024});
  optim::Adam optimizer(model.parameters(), {.lr = 0.005});
  optim::CosineLR schedule(optimizer, {.steps = epochs * loader.batches(), .warmup = 50});
  for (int64_t epoch = 1; epoch <= epochs; ++epoch) {
    double sum = 0;
    int64_t tokens = 0;
    for (const PairBatch& batch : loader) {
      const Tensor logits = model(batch.source, batch.target_in).flatten(0, 1);  // (batch * n, words)
      const Tensor target = batch.target_out.flatten();                          // (batch * n)
      const Tensor loss = cross_entropy(logits, target, {.ignore_index = special.pad});
      optimizer.zero_grad();
      loss.backward();
      optim::clip_grad_norm_(model.parameters(), 1);
      optimizer.step();
      schedule.step();
      sum += loss.item() * double(batch.tokens);
      tokens += batch.tokens;
    }
    std::printf("epoch %d  loss per token %.2f\n", int(epoch), sum / double(tokens));
  }
}
//! [train]

// --- translating ---------------------------------------------------------------------------------------------------

//! [decode]
// The best translation of each row of source (batch, source places) that a beam of this width finds.
std::vector<nn::Hypothesis> translate(const Translator& model, const Tensor& source, int64_t width) {
  Writer writer(model, source);
  std::vector<nn::Hypothesis> best;
  const nn::DecodeOptions options{.bos = special.bos, .eos = special.eos, .max_length = 50, .beam = width};
  for (const auto& found : nn::beam_search(writer, source.size(0), options)) best.push_back(found[0]);
  return best;
}
//! [decode]

std::string translate(const Translator& model, const Corpus& corpus, data::Ids source, int64_t width) {
  source.push_back(special.eos);
  return corpus.chinese.decode(translate(model, data::pad_rows({source}, special.pad), width)[0].tokens);
}

// --- judging -------------------------------------------------------------------------------------------------------

// Sentences of like length: how many, and of how many all or single tokens are right.
struct Group {
  const char* words;
  int64_t longest;
  double sentences = 0, tokens = 0, right_tokens = 0, forced = 0, greedy = 0, beam = 0;
  double overlooked = 0;             // the right translation was likelier than what the beam found
  std::vector<double> lengths = {};  // of the translations, the end counted
};

std::vector<Group> judge(const Translator& model, const Corpus& corpus, int64_t width) {
  std::vector<Group> groups = {{"3-5", 5}, {"6-8", 8}, {"9-11", 11}, {"12-14", 14}, {"15-17", 17}, {"18+", 1000}};
  const NoGrad guard;
  for (const PairBatch& batch : data::pair_loader(corpus.test, special, {.max_tokens = 4096, .shuffle = false})) {
    //! [judge]
    const Tensor logits = model(batch.source, batch.target_in);       // (batch, n, words)
    const Tensor is_token = batch.target_out != double(special.pad);  // (batch, n)
    const Tensor is_right = logical_and(logits.argmax(-1) == batch.target_out, is_token);
    const Tensor losses = cross_entropy(logits.transpose(1, 2), batch.target_out,
                                        {.ignore_index = special.pad, .reduction = Reduction::none});
    const Tensor log_probability = -losses.sum({1});  // (batch), of the right translations
    //! [judge]
    const auto greedy = translate(model, batch.source, 1), beam = translate(model, batch.source, width);
    const std::vector<double> words = batch.source_lengths.to_vector(),
                              tokens = is_token.to(int64).sum({1}).to_vector(),
                              right = is_right.to(int64).sum({1}).to_vector(), score = log_probability.to_vector();
    for (size_t i = 0; i < words.size(); ++i) {
      Group* group = &groups[0];
      while (words[i] - 1 > double(group->longest)) ++group;  // the end is no word
      data::Ids expected;
      for (const double id : batch.target_out[int64_t(i)].narrow(0, 0, int64_t(tokens[i]) - 1).to_vector())
        expected.push_back(int64_t(id));
      group->sentences += 1;
      group->tokens += tokens[i];
      group->right_tokens += right[i];
      group->forced += right[i] == tokens[i];
      group->greedy += greedy[i].tokens == expected;
      group->beam += beam[i].tokens == expected;
      group->overlooked += beam[i].tokens != expected && score[i] > beam[i].score;
      group->lengths.push_back(tokens[i]);
    }
  }
  return groups;
}

Group total(const std::vector<Group>& groups) {
  Group all{"all", 0};
  for (const Group& g : groups) {
    all.sentences += g.sentences, all.tokens += g.tokens, all.right_tokens += g.right_tokens;
    all.forced += g.forced, all.greedy += g.greedy, all.beam += g.beam, all.overlooked += g.overlooked;
    all.lengths.insert(all.lengths.end(), g.lengths.begin(), g.lengths.end());
  }
  return all;
}

void print(const std::vector<Group>& groups, int64_t width) {
  const Group all = total(groups);
  const double chance = all.right_tokens / all.tokens;  // that a token is right
  std::printf("words  sentences  tokens  if even  greedy  beam %d\n", int(width));
  for (const Group& g : groups) {
    double even = 0;
    for (const double tokens : g.lengths) even += std::pow(chance, tokens);
    const double percent = 100 / g.sentences;
    std::printf("%5s  %9.0f  %5.0f%%  %6.0f%%  %5.0f%%  %5.0f%%\n", g.words, g.sentences,
                100 * g.right_tokens / g.tokens, percent * even, percent * g.greedy, percent * g.beam);
  }
  std::printf("%5s  %9.0f  %5.0f%%           %5.0f%%  %5.0f%%\n", "all", all.sentences, 100 * chance,
              100 * all.greedy / all.sentences, 100 * all.beam / all.sentences);
  std::printf("wrong with a beam of %d: %.0f; the right translation was likelier in %.0f of these\n", int(width),
              all.sentences - all.beam, all.overlooked);
  // Greedy writes what the forced pass predicts as long as that is right; only rounding may part them.
  check(std::abs(all.greedy - all.forced) <= 2, "greedy has ", all.greedy, " right, the forced pass ", all.forced);
}

// A few sentences that were not learnt from, a longer one each time.
void show(const Translator& model, const Corpus& corpus, int64_t width) {
  for (const size_t words : {6, 10, 16}) {
    const auto like = [&](const PairIds& pair) { return pair.source.size() == words; };
    const PairIds& pair = *std::find_if(corpus.test.begin(), corpus.test.end(), like);
    std::printf("\nenglish %s\nright   %s\nmodel   %s\n", corpus.english.decode(pair.source).c_str(),
                corpus.chinese.decode(pair.target).c_str(), translate(model, corpus, pair.source, width).c_str());
  }
}

// Short statements that the model translates right, two at a time in one sentence: "A and B". Returns the share of
// these that it translates right, too.
double join(const Translator& model, const Corpus& corpus) {
  const int64_t joint = corpus.english.encode("and")[0], comma = corpus.chinese.encode("，")[0];
  const auto ask = [&](data::Ids source) {
    source.push_back(special.eos);
    return translate(model, data::pad_rows({source}, special.pad), 1)[0].tokens;
  };
  std::vector<PairIds> known;
  for (const PairIds& pair : corpus.test) {
    const std::string text = corpus.english.decode(pair.source);
    const bool is_one_clause = text.find_first_of("?,") == text.npos && text.find(" and ") == text.npos &&
                               text.find(" because ") == text.npos && text.find(" when ") == text.npos;
    const bool is_short = pair.source.size() >= 5 && pair.source.size() <= 7;
    if (is_one_clause && is_short && ask(pair.source) == pair.target) known.push_back(pair);
  }
  double both = 0, first = 0, second = 0, sentences = 0;
  for (size_t i = 0; i + 1 < known.size(); i += 2) {
    //! [join]
    PairIds a = known[i];
    const PairIds& b = known[i + 1];
    a.source.push_back(joint);
    a.source.insert(a.source.end(), b.source.begin(), b.source.end());
    const data::Ids said = ask(a.source);
    const auto middle = std::find(said.begin(), said.end(), comma);
    const bool is_first = data::Ids(said.begin(), middle) == a.target;
    const bool is_second = middle != said.end() && data::Ids(middle + 1, said.end()) == b.target;
    //! [join]
    sentences += 1, first += is_first, second += is_second, both += is_first && is_second;
  }
  std::printf("\n%zu short statements are translated right on their own; of %.0f made of two of them,\n",
              known.size(), sentences);
  const auto percent = [&](double count) {  // of few, how many is a matter of rounding errors
    const double share = 100 * count / sentences;
    return share < 5 ? std::string("under 5%") : std::to_string(std::lround(share)) + "%";
  };
  std::printf("right as a whole: %s, in the first half: %s, in the second: %s\n", percent(both).c_str(),
              percent(first).c_str(), percent(second).c_str());
  return both / sentences;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Learns to translate a generated grammar from English to Chinese with an encoder and a decoder.");
  Options o;
  app.add_option("--pairs", o.pairs, "Sentence pairs to learn from")->check(CLI::Range(1000, 800000));
  app.add_option("--epochs", o.epochs, "How often each is seen")->check(CLI::Range(1, 1000));
  app.add_option("--hidden", o.hidden, "Features of the vector between encoder and decoder")
      ->check(CLI::Range(1, 4096));
  app.add_option("--beam", o.beam, "Width of the beam search")->check(CLI::Range(1, 100));
  app.add_flag("--reverse", o.reverse, "Read the English sentences from their ends");
  CLI11_PARSE(app, argc, argv);

  const Corpus corpus = make_corpus(o);
  std::printf("%d pairs to learn from, %d to test with; %d English words, %d Chinese\n", int(corpus.train.size()),
              int(corpus.test.size()), int(corpus.english.size()), int(corpus.chinese.size()));
  manual_seed(8);
  Translator model(corpus.english.size(), corpus.chinese.size(), 64, o.hidden);
  std::printf("a vector of %d features, %d parameters\n", int(o.hidden), int(model.parameter_count()));
  train(model, corpus, o.epochs);
  model.eval();
  const std::vector<Group> groups = judge(model, corpus, o.beam);
  print(groups, o.beam);

  data::Ids dog = corpus.english.encode("I am a dog");
  if (o.reverse) std::reverse(dog.begin(), dog.end());
  const std::string said = translate(model, corpus, dog, o.beam);
  std::printf("\nenglish I am a dog\nmodel   %s\n", said.c_str());
  show(model, corpus, o.beam);
  const double joined = o.reverse ? 0 : join(model, corpus);

  if (argc > 1) return 0;
  const Group all = total(groups);
  check(said == "我 是 一只 狗", "I am a dog: ", said);
  check(groups[0].greedy > 0.75 * groups[0].sentences, "short sentences should be learnt");
  check(groups[5].greedy < 0.1 * groups[5].sentences, "long sentences should fail");
  check(all.overlooked < 0.1 * (all.sentences - all.beam), "most mistakes should be the model's");
  check(joined < 0.3, "two clauses in one vector should be harder than one in each");
}
