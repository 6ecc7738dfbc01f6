#include "lengths.h"

#include <cstdio>
#include <iterator>

#include "data/text/unicode.h"

namespace translation {

using namespace gradus;

std::vector<LengthScore> score_by_length(const std::vector<data::SentencePair>& pairs,
                                         const std::vector<std::string>& candidates, data::BleuTokens tokens) {
  constexpr int64_t ends[] = {4, 7, 10, 13, 16, 20, 25, 30, 40, 0};
  struct Group {
    std::vector<std::string> candidates, references;
  };
  std::vector<Group> groups(std::size(ends));
  for (size_t i = 0; i < pairs.size(); ++i) {
    const int64_t words = int64_t(data::split(pairs[i].source).size());
    size_t g = 0;
    while (ends[g] > 0 && words > ends[g]) ++g;
    groups[g].candidates.push_back(candidates[i]);
    groups[g].references.push_back(pairs[i].target);
  }
  std::vector<LengthScore> scores;
  for (size_t g = 0; g < groups.size(); ++g) {
    const Group& group = groups[g];
    if (group.candidates.empty()) continue;
    scores.push_back({g == 0 ? 1 : ends[g - 1] + 1, ends[g], int64_t(group.candidates.size()),
                      data::exact_match(group.candidates, group.references),
                      data::bleu(group.candidates, group.references, {.tokens = tokens}).score});
  }
  return scores;
}

std::string to_table(const std::vector<LengthScore>& scores) {
  std::string table = "   words  sentences  exact match    BLEU\n";
  for (const LengthScore& s : scores) {
    char words[32], line[96];
    if (s.high > 0)
      std::snprintf(words, sizeof words, "%lld-%lld", static_cast<long long>(s.low), static_cast<long long>(s.high));
    else
      std::snprintf(words, sizeof words, "%lld+", static_cast<long long>(s.low));
    std::snprintf(line, sizeof line, "%8s  %9lld  %10.2f%%  %6.2f  ", words, static_cast<long long>(s.sentences),
                  100 * s.exact, s.bleu);
    table += line;
    for (int eighths = int(s.exact * 20 * 8 + 0.5); eighths > 0; eighths -= 8) {
      static const char* const blocks[] = {"▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"};
      table += blocks[eighths >= 8 ? 7 : eighths - 1];
    }
    table += '\n';
  }
  return table;
}

std::string to_csv(const std::vector<LengthScore>& scores) {
  std::string csv = "low,high,sentences,exact,bleu\n";
  for (const LengthScore& s : scores) {
    char line[96];
    std::snprintf(line, sizeof line, "%lld,%lld,%lld,%.6f,%.4f\n", static_cast<long long>(s.low),
                  static_cast<long long>(s.high), static_cast<long long>(s.sentences), s.exact, s.bleu);
    csv += line;
  }
  return csv;
}

}  // namespace translation
