// BLEU of one sentence, count by count.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "data/text/bleu.h"
#include "data/text/unicode.h"
#include "tensor/error.h"

using namespace gradus;

int main() {
  const std::string reference = "the dog saw a cat in the park", candidate = "the dog saw a cat the the";
  const std::vector<std::string> words = data::split(candidate), right = data::split(reference);
  std::printf("reference  %s\ncandidate  %s\n\n", reference.c_str(), candidate.c_str());
  double logarithms = 0;
  for (size_t n = 1; n <= 4; ++n) {
    const auto counts = [n](const std::vector<std::string>& of) {
      std::map<std::string, int64_t> found;
      for (size_t i = 0; i + n <= of.size(); ++i) ++found[data::join({of.begin() + i, of.begin() + i + n}, " ")];
      return found;
    };
    const auto made = counts(words), wanted = counts(right);
    int64_t matches = 0, naive = 0, total = 0;
    std::string wrong;
    for (const auto& [ngram, count] : made) {
      const int64_t most = wanted.contains(ngram) ? wanted.at(ngram) : 0;
      matches += std::min(count, most);
      naive += most > 0 ? count : 0;
      total += count;
      if (count > most) wrong += (wrong.empty() ? "" : ", ") + ngram;
    }
    std::printf("%d: %d of %d, without clipping %d; too many: %s\n", int(n), int(matches), int(total), int(naive),
                wrong.c_str());
    logarithms += std::log(double(matches) / double(total)) / 4;
  }
  const double brevity = std::min(1.0, std::exp(1 - double(right.size()) / double(words.size())));
  std::printf("\ngeometric mean %.4f\nbrevity        %.4f\nBLEU           %.2f\n", std::exp(logarithms), brevity,
              100 * brevity * std::exp(logarithms));
  const data::Bleu b = data::bleu({candidate}, {reference}, {.tokens = data::BleuTokens::none});
  std::printf("library        %s\n", data::to_string(b).c_str());
  check(std::abs(b.score - 100 * brevity * std::exp(logarithms)) < 1e-9, "the library counts otherwise");
}
