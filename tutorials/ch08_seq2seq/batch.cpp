// Two sentences as a batch: shifted targets, padding, and what a decoder makes of them in one pass and step by step.
#include <cmath>
#include <cstdio>
#include <string>

#include "data/text/batches.h"
#include "tutorials/ch08_seq2seq/translator.h"

using namespace ch08;
using data::VocabularyTokenizer;

namespace {

const std::vector<data::SentencePair> pairs = {{"I am a dog", "我 是 一只 狗"}, {"she draws", "她 画"}};

void print(const std::string& name, const Tensor& ids, const VocabularyTokenizer& words) {
  std::printf("%s %s\n", name.c_str(), to_string(ids.shape()).c_str());
  for (int64_t row = 0; row < ids.size(0); ++row) {
    for (const double id : ids[row].to_vector()) std::printf("  %s", words.token(int64_t(id)).c_str());
    std::printf("\n");
  }
}

// The loss of each target token, (batch, n); zero where `ignored` stands.
Tensor token_losses(const Tensor& logits, const Tensor& target, int64_t ignored) {
  return cross_entropy(logits.transpose(1, 2), target, {.ignore_index = ignored, .reduction = Reduction::none});
}

}  // namespace

int main() {
  std::vector<std::string> english, chinese;
  for (const data::SentencePair& pair : pairs) {
    english.push_back(pair.source);
    chinese.push_back(pair.target);
  }
  const auto source_words = VocabularyTokenizer::train(data::TokenUnit::word, english);
  const auto target_words = VocabularyTokenizer::train(data::TokenUnit::word, chinese);

  const std::vector<data::PairIds> ids = data::encode_pairs(pairs, source_words, target_words);
  const data::PairBatch batch = data::make_pair_batch(ids, std::vector<int64_t>{0, 1}, special);
  print("source", batch.source, source_words);
  print("target_in", batch.target_in, target_words);
  print("target_out", batch.target_out, target_words);

  manual_seed(8);
  const NoGrad guard;
  const Translator model(source_words.size(), target_words.size(), 4, 6);
  const nn::RecurrentState state = model.encode(batch.source);
  const Tensor logits = model(batch.source, batch.target_in);
  std::printf("\nthe vectors between encoder and decoder %s\nlogits %s\n", to_string(state.h.shape()).c_str(),
              to_string(logits.shape()).c_str());

  // Token by token, each time fed with the right one: the same as all at once.
  Writer writer(model, batch.source);
  double difference = 0;
  for (int64_t t = 0; t < batch.target_in.size(1); ++t) {
    const Tensor step = writer.step(batch.target_in.narrow(1, t, 1));
    difference = std::max(difference, abs(step - logits.select(1, t)).max().item());
  }
  check(difference < 1e-5, "one pass and single steps differ by ", difference);
  std::printf("one pass and single steps agree: %s\n", difference < 1e-5 ? "yes" : "no");

  // A sentence's vector and losses are the same alone as beside a longer one.
  const data::PairBatch alone = data::make_pair_batch(ids, std::vector<int64_t>{1}, special);
  check(allclose(model.encode(alone.source).h, state.h.narrow(1, 1, 1), 1e-4, 1e-6), "padding changes the vector");

  const Tensor losses = token_losses(logits, batch.target_out, special.pad);
  std::printf("\nloss of each target token\n");
  for (int64_t row = 0; row < losses.size(0); ++row) {
    for (const double loss : losses[row].to_vector()) std::printf("  %.3f", loss);
    std::printf("\n");
  }
  const double sum = losses.sum().item();
  const double mean =
      cross_entropy(logits.flatten(0, 1), batch.target_out.flatten(), {.ignore_index = special.pad}).item();
  const double places = double(losses.numel());
  std::printf("their sum %.3f; over %d tokens %.3f; over all %d places %.3f\n", sum, int(batch.tokens), mean,
              int(places), sum / places);
  check(std::abs(mean - sum / double(batch.tokens)) < 1e-5, "the mean should be over tokens");
}
