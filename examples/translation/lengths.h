// How good translations are by the length of what was translated: where a model without attention falls off.
#pragma once

#include <string>
#include <vector>

#include "data/text/bleu.h"
#include "data/text/corpus.h"

namespace translation {

// Sentences of `low` to `high` words; `high` is 0 where there is no end.
struct LengthScore {
  int64_t low, high, sentences;
  double exact, bleu;  // exact: the share of translations that are their reference
};

// candidates[i] is what was made of pairs[i].source; words are what white space parts. Lengths that do not occur are
// left out.
std::vector<LengthScore> score_by_length(const std::vector<gradus::data::SentencePair>& pairs,
                                         const std::vector<std::string>& candidates, gradus::data::BleuTokens tokens);

std::string to_table(const std::vector<LengthScore>& scores);  // for a terminal
std::string to_csv(const std::vector<LengthScore>& scores);    // for tools/length_curves.py

}  // namespace translation
