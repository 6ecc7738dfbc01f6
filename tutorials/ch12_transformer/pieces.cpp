// Byte pairs, learnt from four words: the commonest pair of neighbours becomes one piece, again and again.
#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "data/text/bpe.h"
#include "data/text/unicode.h"
#include "tensor/error.h"

using namespace gradus;

namespace {

//! [count]
struct Word {
  std::vector<std::string> pieces;
  int64_t count;  // how often it occurs in the text
};
using Pair = std::pair<std::string, std::string>;

// The pair of neighbours that occurs most often, of equals the first in the alphabet; and how often.
std::pair<Pair, int64_t> commonest(const std::vector<Word>& words) {
  std::map<Pair, int64_t> counts;
  for (const Word& word : words)
    for (size_t i = 0; i + 1 < word.pieces.size(); ++i) counts[{word.pieces[i], word.pieces[i + 1]}] += word.count;
  std::pair<Pair, int64_t> best{{}, 0};
  for (const auto& [pair, count] : counts)
    if (count > best.second) best = {pair, count};
  return best;
}
//! [count]

void merge(std::vector<std::string>& pieces, const Pair& pair) {
  for (size_t i = 0; i + 1 < pieces.size(); ++i) {
    if (pieces[i] != pair.first || pieces[i + 1] != pair.second) continue;
    pieces[i] += pieces[i + 1];
    pieces.erase(pieces.begin() + int64_t(i) + 1);
  }
}

void print(const std::string& what, const std::vector<Word>& words) {
  std::string line = what;
  int64_t column = 18;
  for (const Word& word : words) {
    line.append(size_t(std::max<int64_t>(0, column - data::display_width(line))), ' ');
    line += data::join(word.pieces);
    column += 13;
  }
  std::printf("%s\n", line.c_str());
}

}  // namespace

int main() {
  const std::vector<std::pair<std::string, int64_t>> text{{"dog", 5}, {"dogs", 3}, {"frog", 3}, {"fog", 1}};
  std::vector<Word> words;
  std::vector<std::string> lines;  // the same for the library: each word a line, as often as it occurs
  for (const auto& [word, count] : text) {
    words.push_back({{"▁"}, count});
    for (const char letter : word) words.back().pieces.push_back(std::string(1, letter));
    lines.insert(lines.end(), size_t(count), word);
  }
  constexpr int64_t merges = 6;
  const auto library = data::BytePairTokenizer::train(lines, {.size = 5 + 256 + merges});

  print("", words);
  for (int64_t i = 0; i < merges; ++i) {
    const auto [pair, count] = commonest(words);
    for (Word& word : words) merge(word.pieces, pair);
    print(std::to_string(i + 1) + "  " + pair.first + " + " + pair.second + ", " + std::to_string(count), words);
    const std::string ours = pair.first + pair.second, theirs = library.token(5 + 256 + i);
    check(ours == theirs, "merge ", i + 1, " is ", ours, ", but the library's is ", theirs);
  }

  std::printf("\nwords it has never seen\n");
  for (const std::string word : {"hogs", "frogs", "dogfrog"}) {
    const std::vector<int64_t> ids = library.encode(word);
    std::vector<std::string> pieces;
    for (const int64_t id : ids) pieces.push_back(library.token(id));
    std::printf("  %-7s %s\n", word.c_str(), data::join(pieces).c_str());
    check(library.decode(ids) == word, "what was cut does not come back");
  }
}
