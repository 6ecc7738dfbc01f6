// Which English word each Chinese word looks at, with vectors that are made by hand.
#include "autograd/ops.h"
#include "tutorials/ch09_articles/print.h"

using namespace gradus;
using namespace ch09;

namespace {

enum Meaning { speaker, being, seeing, time_of_day, count, animal, meanings };

struct Word {
  std::string word;
  int64_t meaning;
};

// A row for each word with `strength` at its meaning and zeros elsewhere: (words, meanings).
Tensor vectors(const std::vector<Word>& words, double strength) {
  std::vector<int64_t> meaning;
  for (const Word& word : words) meaning.push_back(word.meaning);
  return one_hot(from_vector(meaning, {int64_t(meaning.size())}), meanings).to(float32) * strength;
}

void align(const std::vector<Word>& english, const std::vector<Word>& chinese) {
  std::string sentence;
  for (const Word& word : english) sentence += (sentence.empty() ? "" : " ") + word.word;
  section(sentence);
  const Tensor queries = vectors(chinese, 4), keys = vectors(english, 2);  // (Chinese, 6), (English, 6)
  const Tensor weights = attend(queries, keys, keys).weights;              // (Chinese, English)
  const Tensor found = weights.argmax(1);                                  // (Chinese)
  const Tensor diagonal = arange(int64_t(chinese.size())) == found;        // (Chinese): where word i means word i
  for (size_t i = 0; i < chinese.size(); ++i) {
    check(english[size_t(found[int64_t(i)].item())].meaning == chinese[i].meaning, chinese[i].word);
    row(text(weights[int64_t(i)], 2), chinese[i].word);
  }
  std::printf("  on the diagonal: %.0f of %zu\n", diagonal.sum().item(), chinese.size());
}

}  // namespace

int main() {
  align({{"I", speaker}, {"am", being}, {"a", count}, {"dog", animal}},
        {{"我", speaker}, {"是", being}, {"一只", count}, {"狗", animal}});
  align({{"I", speaker}, {"saw", seeing}, {"a", count}, {"dog", animal}, {"yesterday", time_of_day}},
        {{"我", speaker}, {"昨天", time_of_day}, {"看见", seeing}, {"一只", count}, {"狗", animal}});
}
