// How good translations are: BLEU (Papineni et al. 2002) and chrF (Popović 2015), equal to sacreBLEU's (Post 2018).
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace gradus::data {

// How BLEU cuts sentences into words: by mteval-v13a's rules; the same with every Chinese character a word; at white
// space alone (for text already tokenised); character by character.
enum class BleuTokens { v13a, zh, none, characters };
std::vector<std::string> bleu_tokenize(std::string_view sentence, BleuTokens tokens);

struct BleuOptions {
  BleuTokens tokens = BleuTokens::v13a;
  bool lowercase = false;
  bool effective_order = false;  // leave out the orders longer than the candidates: for single sentences
};
struct Bleu {
  double score = 0;                    // 0 ... 100
  std::array<double, 4> precisions{};  // of n-grams, in per cent, 2^-k smoothed where none matches
  std::array<int64_t, 4> matches{}, totals{};
  double brevity_penalty = 0;
  int64_t length = 0, reference_length = 0;  // words
  std::string signature;                     // what sacreBLEU would print for these options
};
// Of a corpus: candidates[i] against references[i]; or against several sets of references, where a candidate's n-gram
// counts up to its most frequent use in one of them, and the length nearest to the candidate's counts.
// Throws Error if the numbers of sentences differ.
Bleu bleu(const std::vector<std::string>& candidates, const std::vector<std::string>& references,
          const BleuOptions& options = {});
Bleu bleu(const std::vector<std::string>& candidates, const std::vector<std::vector<std::string>>& references,
          const BleuOptions& options = {});
// "BLEU = 38.02 70.1/45.0/31.2/22.0 (BP = 0.980 ratio = 0.980 hyp_len = 11900 ref_len = 12103)"
std::string to_string(const Bleu& bleu);

// The F-score of character n-grams up to six long, recall weighing beta^2 as much as precision; 0 ... 100.
double chrf(const std::vector<std::string>& candidates, const std::vector<std::string>& references, double beta = 2);

// The share of candidates that are their reference, white space at the ends aside.
double exact_match(const std::vector<std::string>& candidates, const std::vector<std::string>& references);

}  // namespace gradus::data
