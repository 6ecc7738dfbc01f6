// Hiding words as BERT does, with draws that are written down, and the loss at the chosen places alone.
#include <cmath>
#include <cstdio>

#include "examples/text_models/text_models.h"
#include "tutorials/ch13_encoder/reviews.h"

using namespace gradus;
using namespace ch13;

namespace {

//! [masking]
struct Draws {
  double choose, way;  // uniform in [0, 1)
  const char* other;   // a random word
};
// What is read at a place, and what is asked there: -100 where nothing is.
struct Masked {
  int64_t read, target = -100;
};
Masked mask_word(int64_t id, const Draws& draws, const Vocabulary& vocabulary) {
  if (id < first_word || draws.choose >= 0.15) return {id};      // specials are never chosen
  if (draws.way < 0.8) return {special.mask, id};                // hidden
  if (draws.way < 0.9) return {vocabulary.id(draws.other), id};  // replaced
  return {id, id};                                               // left as it is, and asked for all the same
}
//! [masking]

void by_hand(const Vocabulary& vocabulary) {
  const Words sentence = {"the", "plot", "was", "not", "dull", "and", "the", "cast", "was", "superb"};
  const std::vector<Draws> draws = {{0.02, 0.40, "."},    {0.50, 0.77, "was"},   {0.12, 0.95, "two"},
                                    {0.91, 0.21, "lazy"}, {0.33, 0.60, "cast"},  {0.05, 0.31, "cold"},
                                    {0.74, 0.15, "the"},  {0.88, 0.90, "of"},    {0.61, 0.52, "film"},
                                    {0.27, 0.08, "on"},   {0.09, 0.84, "monday"}};
  const data::Ids ids = vocabulary.encode(sentence, true);
  std::printf("word      choose    way  read      asked for\n");
  std::vector<int64_t> targets;
  for (size_t i = 0; i < ids.size(); ++i) {
    const Masked m = mask_word(ids[i], draws[i], vocabulary);
    targets.push_back(m.target);
    std::printf("%-8s %7.2f %6.2f  %-8s  %s\n", vocabulary.word(ids[i]).c_str(), draws[i].choose, draws[i].way,
                vocabulary.word(m.read).c_str(), m.target < 0 ? "-" : vocabulary.word(m.target).c_str());
  }
  check(std::count(targets.begin(), targets.end(), -100) == 8, "three words are chosen");

  // A model that has not learned much: it repeats what it reads, and guesses a hidden word one time in ten.
  const auto given_to_right = [&](size_t i) {
    const Masked m = mask_word(ids[i], draws[i], vocabulary);
    return m.read == ids[i] ? 0.98 : m.read == special.mask ? 0.10 : 0.01;
  };
  //! [loss]
  const int64_t n = int64_t(ids.size()), size = vocabulary.size();
  Tensor probabilities = zeros({n, size});  // of each word at each place: what a softmax gave
  for (int64_t i = 0; i < n; ++i) {
    const double right = given_to_right(size_t(i));
    probabilities[i].fill_((1 - right) / double(size - 1));
    probabilities[i][ids[size_t(i)]].fill_(right);
  }
  const Tensor logits = log(probabilities).requires_grad_();  // (n, vocabulary)
  const Tensor loss = cross_entropy(logits, from_vector(targets, {n}), {.ignore_index = -100});
  const Tensor of_all = cross_entropy(logits, from_vector(ids, {n}));
  loss.backward();
  const Tensor pulls = abs(logits.grad()).sum({1});  // (n): how strongly each place is corrected
  //! [loss]
  std::printf("\nplace     given to the right word  its loss  correction\n");
  for (int64_t i = 0; i < n; ++i) {
    const double p = given_to_right(size_t(i));
    std::printf("%-8s %24.2f %9.4f %11.4f\n", vocabulary.word(ids[size_t(i)]).c_str(), p, -std::log(p),
                pulls[i].item());
  }
  std::printf("mean of the chosen places %17.4f\nmean of all places %24.4f\n", loss.item(), of_all.item());
  check(pulls[1].item() == 0 && pulls[10].item() > 0.1, "only chosen places are corrected");
}

void count(const Vocabulary& vocabulary) {
  //! [library]
  std::vector<double> chances(size_t(vocabulary.size()), 0.15);  // of each word to be chosen
  std::fill_n(chances.begin(), first_word, 0);
  Generator random(13);
  const Tensor tokens = randint(first_word, vocabulary.size(), {1000, 100}, {.dtype = int64}, &random);
  const text_models::MaskedTokens m =
      text_models::mask_tokens(tokens, chances, first_word, special.mask, -100, random);
  const Tensor chosen = m.targets != -100.0, hidden = m.tokens == double(special.mask);
  const Tensor replaced = (m.tokens != tokens).to(int64) - hidden.to(int64);
  //! [library]
  const auto percent = [](const Tensor& x) { return 100 * x.to(float64).mean().item(); };
  const double all = percent(chosen);
  std::printf("\nof %lld words\n", static_cast<long long>(tokens.numel()));
  std::printf("chosen      %5.2f%%\n", all);
  std::printf("  hidden    %5.2f%%, of the chosen %4.1f%%\n", percent(hidden), 100 * percent(hidden) / all);
  std::printf("  replaced  %5.2f%%, of the chosen %4.1f%%\n", percent(replaced), 100 * percent(replaced) / all);
  const double left = all - percent(hidden) - percent(replaced);
  std::printf("  left      %5.2f%%, of the chosen %4.1f%%\n", left, 100 * left / all);
  check(std::abs(all - 15) < 0.5 && std::abs(percent(hidden) - 12) < 0.5, "these are not BERT's shares");
}

}  // namespace

int main() {
  const Vocabulary vocabulary;
  by_hand(vocabulary);
  count(vocabulary);
}
