// Trains a Transformer on sentences made by a grammar, cut into byte pairs; decodes greedily and with a beam; and shows
// where each head looked.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "data/text/batches.h"
#include "data/text/bleu.h"
#include "data/text/bpe.h"
#include "data/text/corpus.h"
#include "data/text/unicode.h"
#include "examples/made_up/grammar.h"
#include "nn/transformer.h"
#include "optim/optim.h"

using namespace gradus;
using data::SentencePair;

namespace {

struct Settings {
  std::string data, sentence = "I am a dog";
  int64_t pairs = 20000, merges = 700, epochs = 5, size = 64, layers = 2, warmup = 200;
  double smoothing = 0.1;
  bool norm_after = false, maps = false;
  uint64_t seed = 1;
  bool usual = true;  // nothing was given on the command line but --maps
};

// --- sentences -----------------------------------------------------------------------------------------------------

struct Corpus {
  data::PairSplit pairs;
  data::BytePairTokenizer pieces;  // of both languages
  data::Specials specials = pieces.specials();
};

Corpus make_corpus(const Settings& s) {
  data::PairSplit pairs =
      s.data.empty() ? examples::grammar_corpus(s.pairs) : data::split_pairs(data::read_tsv(s.data), 0.05, 0.05, 1);
  check(!pairs.train.empty() && !pairs.test.empty(), "there are too few pairs to train and to test with");
  std::vector<std::string> texts;
  for (const SentencePair& pair : pairs.train) texts.insert(texts.end(), {pair.source, pair.target});
  return {std::move(pairs), data::BytePairTokenizer::train(texts, {.size = 5 + 256 + s.merges})};
}

data::Ids encoded(const Corpus& corpus, const std::string& sentence) {
  data::Ids ids = corpus.pieces.encode(sentence);
  ids.push_back(corpus.specials.eos);
  return ids;
}

void print_corpus(const Corpus& corpus, const std::vector<data::PairIds>& pairs) {
  double source = 0, target = 0;
  for (const data::PairIds& pair : pairs) source += double(pair.source.size()), target += double(pair.target.size());
  std::printf("%zu pairs to train with, %zu to test with; %lld pieces\n", pairs.size(), corpus.pairs.test.size(),
              static_cast<long long>(corpus.pieces.size()));
  std::printf("pieces of a sentence: %.1f English, %.1f Chinese\n", source / double(pairs.size()),
              target / double(pairs.size()));
}

// --- training ------------------------------------------------------------------------------------------------------

//! [model]
nn::Transformer make_model(const Corpus& corpus, const Settings& s) {
  nn::TranslatorOptions options;
  options.source_vocabulary = options.target_vocabulary = corpus.pieces.size();
  options.shared_embeddings = true;  // one table for both languages and for the output
  options.d_model = s.size;
  options.heads = 4;
  options.ffn = 2 * s.size;
  options.encoder_layers = options.decoder_layers = s.layers;
  options.norm_first = !s.norm_after;
  options.dropout = 0;  // sentences of a grammar do not run out
  return nn::Transformer(options);
}
//! [model]

// The cross-entropy of smoothed labels with themselves: what the loss of a perfect model would be.
double lowest_loss(double smoothing, double pieces) {
  const double other = smoothing / pieces, right = 1 - smoothing + other;
  const auto part = [](double p) { return p > 0 ? -p * std::log(p) : 0; };
  return part(right) + (pieces - 1) * part(other);
}

//! [train]
void train(nn::Transformer& model, const std::vector<data::PairIds>& pairs, const Corpus& corpus, const Settings& s) {
  auto loader = data::pair_loader(pairs, corpus.specials, {.max_tokens = 768, .seed = s.seed});
  optim::Adam optimizer(model.parameters(), {.lr = 0.006, .betas = {0.9, 0.98}});
  optim::CosineLR schedule(optimizer, {.steps = s.epochs * loader.batches(), .warmup = s.warmup});
  for (int64_t epoch = 1; epoch <= s.epochs; ++epoch) {
    double sum = 0;
    for (const data::PairBatch& batch : loader) {
      const Tensor logits = model(batch.source, batch.target_in);  // (batch, target places, pieces)
      const Tensor loss = cross_entropy(logits.flatten(0, 1), batch.target_out.flatten(),
                                        {.ignore_index = corpus.specials.pad, .label_smoothing = s.smoothing});
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

// --- translating ---------------------------------------------------------------------------------------------------

std::vector<nn::Hypothesis> translate(const nn::Transformer& model, const Corpus& corpus,
                                      const std::vector<std::string>& sentences, int64_t beam) {
  std::vector<data::Ids> rows;
  for (const std::string& sentence : sentences) rows.push_back(encoded(corpus, sentence));
  const auto stream = model.start(data::pad_rows(rows, corpus.specials.pad));
  std::vector<nn::Hypothesis> best;
  for (auto& found : nn::beam_search(*stream, int64_t(rows.size()), {.max_length = 100, .beam = beam}))
    best.push_back(std::move(found[0]));
  return best;
}

// Test sentences of some number of words, or all of them, and what the model makes of them.
struct Made {
  std::vector<std::string> greedy, beam, right;
  int64_t likelier = 0;  // sentences for which the beam found a likelier translation than greedy
  void add(const Made& other) {
    greedy.insert(greedy.end(), other.greedy.begin(), other.greedy.end());
    beam.insert(beam.end(), other.beam.begin(), other.beam.end());
    right.insert(right.end(), other.right.begin(), other.right.end());
    likelier += other.likelier;
  }
};

Made make(const nn::Transformer& model, const Corpus& corpus, size_t shortest, size_t longest) {
  std::vector<std::string> sentences;
  Made made;
  for (const SentencePair& pair : corpus.pairs.test) {
    const size_t words = data::split(pair.source).size();
    if (words < shortest || words > longest) continue;
    sentences.push_back(pair.source);
    made.right.push_back(pair.target);
  }
  if (sentences.empty()) return made;
  const auto greedy = translate(model, corpus, sentences, 1), beam = translate(model, corpus, sentences, 4);
  for (size_t i = 0; i < sentences.size(); ++i) {
    made.greedy.push_back(corpus.pieces.decode(greedy[i].tokens));
    made.beam.push_back(corpus.pieces.decode(beam[i].tokens));
    made.likelier += beam[i].score > greedy[i].score + 1e-4;
  }
  return made;
}

struct Quality {
  double exact, bleu;  // in percent
};
Quality quality(const std::vector<std::string>& made, const std::vector<std::string>& right) {
  return {100 * data::exact_match(made, right), data::bleu(made, right, {.tokens = data::BleuTokens::none}).score};
}

void print(const std::string& what, const Made& made) {
  const Quality greedy = quality(made.greedy, made.right), beam = quality(made.beam, made.right);
  std::printf("%5s  %9zu  %6.0f%%  %6.0f%%  %6.1f  %6.1f\n", what.c_str(), made.right.size(), greedy.exact,
              beam.exact, greedy.bleu, beam.bleu);
}

Made print_by_length(const nn::Transformer& model, const Corpus& corpus) {
  std::printf("\n%33s  %14s\nwords  sentences   greedy   beam 4  greedy  beam 4\n", "exactly right", "BLEU");
  Made all;
  for (const auto& [shortest, longest] :
       std::vector<std::pair<size_t, size_t>>{{1, 6}, {7, 9}, {10, 12}, {13, 15}, {16, 18}, {19, 999}}) {
    const Made made = make(model, corpus, shortest, longest);
    if (made.right.empty()) continue;
    print(std::to_string(shortest) + (longest > 99 ? "+" : "-" + std::to_string(longest)), made);
    all.add(made);
  }
  print("all", all);
  const std::string likelier = all.likelier < 20 ? "fewer than 20" : std::to_string(all.likelier);
  std::printf("sentences for which the beam found a likelier translation: %s\n", likelier.c_str());
  return all;
}

// --- where the heads looked ----------------------------------------------------------------------------------------

//! [maps]
struct Maps {
  Tensor source, target, memory;  // (heads, queries, keys) each: the three attentions of the last layers
};

Maps look(nn::Transformer& model, const Tensor& source, const Tensor& target) {
  std::map<std::string, nn::Module*> parts;
  for (const auto& [path, module] : model.named_modules()) parts[path] = module;
  const auto& table = dynamic_cast<nn::Embedding&>(*parts.at("source_embedding"));
  const auto& positions = dynamic_cast<nn::Positions&>(*parts.at("source_positions"));
  const auto& encoder = dynamic_cast<nn::TransformerEncoder&>(*parts.at("encoder"));
  const auto& decoder = dynamic_cast<nn::TransformerDecoder&>(*parts.at("decoder"));
  const auto embed = [&](const Tensor& ids) { return positions(table(ids) * std::sqrt(table.weight.size(1))); };

  const int64_t last = encoder.layers.size() - 1;
  Tensor x = embed(source), y = embed(target);  // (1, source places, d), (1, target places, d)
  for (int64_t i = 0; i < last; ++i) x = encoder.layers[i](x);
  const nn::TransformerEncoderLayer& reads = encoder.layers[last];
  const Tensor self = reads.self_attn(reads.norm1(x), {.need_weights = true}).weights;

  const Tensor memory = (*encoder.norm)(reads(x));
  for (int64_t i = 0; i < last; ++i) y = decoder.layers[i](y, memory, {.is_causal = true}, {});
  const nn::TransformerDecoderLayer& writes = decoder.layers[last];
  const Attended causal = writes.self_attn(writes.norm1(y), {.is_causal = true, .need_weights = true});
  const Tensor query = writes.norm2(y + causal.output);  // the shortcut around the first attention
  const Tensor cross = writes.multihead_attn(query, memory, memory, {.need_weights = true}).weights;
  return {self[0], causal.weights[0], cross[0]};
}
//! [maps]

void print_map(const char* name, const Tensor& weights, const Corpus& corpus, const data::Ids& queries,
               const data::Ids& keys) {
  for (int64_t head = 0; head < weights.size(0); ++head) {
    std::printf("map,%s,%d", name, int(head + 1));
    for (const int64_t id : keys) std::printf(",%s", corpus.pieces.token(id).c_str());
    std::printf("\n");
    for (size_t row = 0; row < queries.size(); ++row) {
      std::printf("%s", corpus.pieces.token(queries[row]).c_str());
      for (size_t column = 0; column < keys.size(); ++column)
        std::printf(",%.2f", weights[head][int64_t(row)][int64_t(column)].item());
      std::printf("\n");
    }
  }
}

std::string right_aligned(const std::string& word, int64_t width) {  // Chinese characters are two columns wide
  return std::string(size_t(std::max<int64_t>(0, width - data::display_width(word))), ' ') + word;
}

// A row for each piece that was written: where the heads of the last layer looked in the source, on average.
Tensor print_looks(nn::Transformer& model, const Corpus& corpus, const Settings& s) {
  const NoGrad guard;
  const data::Ids source = encoded(corpus, s.sentence);
  const data::Ids written = translate(model, corpus, {s.sentence}, 1)[0].tokens;
  std::printf("\n%s -> %s\n%8s", s.sentence.c_str(), corpus.pieces.decode(written).c_str(), "");
  data::Ids read = {corpus.specials.bos};  // what the decoder was fed when it wrote
  read.insert(read.end(), written.begin(), written.end());
  const Tensor from = data::pad_rows({source}, corpus.specials.pad), to = data::pad_rows({read}, corpus.specials.pad);
  Tensor mean;
  model(from, to, &mean);  // (1, target places, source places)
  for (const int64_t id : source) std::printf("%s", right_aligned(corpus.pieces.token(id), 8).c_str());
  for (size_t row = 0; row < read.size(); ++row) {
    const int64_t piece = row < written.size() ? written[row] : corpus.specials.eos;
    std::printf("\n%s", right_aligned(corpus.pieces.token(piece), 8).c_str());
    for (size_t column = 0; column < source.size(); ++column)
      std::printf("%8.2f", mean[0][int64_t(row)][int64_t(column)].item());
  }
  std::printf("\n");
  if (s.norm_after) return mean[0];  // look() is for layers that normalise first
  const Maps maps = look(model, from, to);
  check(allclose(maps.memory.mean(0), mean[0], 1e-4, 1e-5), "the heads' mean is not what the model says");
  if (s.maps) {
    print_map("source", maps.source, corpus, source, source);
    print_map("target", maps.target, corpus, read, read);
    data::Ids next = written;  // what each place of the target had to write
    next.push_back(corpus.specials.eos);
    print_map("memory", maps.memory, corpus, next, source);
  }
  return mean[0];
}

int run(int argc, char** argv) {
  Settings s;
  CLI::App app("Trains a Transformer to translate, and shows where its heads looked.");
  app.add_option("SENTENCE", s.sentence, "what to show the attention of")->capture_default_str();
  app.add_option("--data", s.data, "sentence pairs of your own: lines with a source, a tab and a target")
      ->check(CLI::ExistingFile);
  app.add_option("--pairs", s.pairs, "sentence pairs to make by the grammar")
      ->check(CLI::Range(200, 1000000))
      ->capture_default_str();
  app.add_option("--merges", s.merges, "pairs of pieces that become one")
      ->check(CLI::Range(0, 100000))
      ->capture_default_str();
  app.add_option("--epochs", s.epochs, "times through the pairs")->check(CLI::Range(1, 1000))->capture_default_str();
  app.add_option("--size", s.size, "features of a piece, a multiple of four heads")
      ->check(CLI::Range(4, 4096))
      ->capture_default_str();
  app.add_option("--layers", s.layers, "of the encoder, and of the decoder")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--warmup", s.warmup, "steps until the learning rate is at its highest")
      ->check(CLI::Range(0, 100000))
      ->capture_default_str();
  app.add_option("--smoothing", s.smoothing, "of the labels")->check(CLI::Range(0.0, 1.0))->capture_default_str();
  app.add_flag("--norm-after", s.norm_after, "normalise after each sub-layer, as the paper of 2017 does");
  app.add_flag("--maps", s.maps, "print each head's map, for the figure");
  app.add_option("--seed", s.seed, "of everything random but the sentences")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  s.usual = argc == 1 || (argc == 2 && s.maps);

  const Corpus corpus = make_corpus(s);
  const auto pairs = data::encode_pairs(corpus.pairs.train, corpus.pieces, corpus.pieces);
  print_corpus(corpus, pairs);
  manual_seed(s.seed);
  nn::Transformer model = make_model(corpus, s);
  std::printf("%lld weights; the lowest loss there can be is %.2f\n", static_cast<long long>(model.parameter_count()),
              lowest_loss(s.smoothing, double(corpus.pieces.size())));
  train(model, pairs, corpus, s);
  model.eval();
  const Made made = print_by_length(model, corpus);
  const Tensor looks = print_looks(model, corpus, s);

  if (!s.usual) return 0;
  const Quality greedy = quality(made.greedy, made.right), beam = quality(made.beam, made.right);
  check(greedy.exact > 94 && beam.exact > 94 && beam.bleu > 98,
        "the model is worse than the text says: ", greedy.exact, "% exact, BLEU ", beam.bleu);
  check(looks.shape() == Shape{5, 6}, "the text says otherwise how I am a dog is cut");
  const Tensor most = looks.argmax(1);  // (5): 我, 是, 一只, 狗 and the end
  check(most[0].item() == 0 && most[3].item() == 4, "我 has to look at I, and 狗 at dog");
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
