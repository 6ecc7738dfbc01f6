// Texts and sentence pairs from files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gradus::data {

struct SentencePair {
  std::string source, target;
  bool operator==(const SentencePair&) const = default;
};

// The lines of a UTF-8 file, plain or gzip, cut at line feeds alone (a carriage return before one is dropped, and a
// byte order mark at the beginning), in NFC. Throws Error naming the file for one that is blank, and the line too for
// text that is not UTF-8 or has a zero byte.
std::vector<std::string> read_lines(const std::string& path);

// Lines of two columns or more, parted by tabs: the first is the source, the second the target. Blank lines at
// the end are left out. Throws Error naming the line that has fewer columns, or where one of the two is blank.
std::vector<SentencePair> read_tsv(const std::string& path);

// Line i of one file is the translation of line i of the other. Throws Error unless both have as many lines. Pairs
// with a blank side are left out.
std::vector<SentencePair> read_parallel(const std::string& source_path, const std::string& target_path);

// Pairs that share a sentence, on either side, and those that share one with these, and so on, stay together: no
// sentence of one part occurs in another. `validation` and `test` are the shares, in [0, 1), that these get at most.
struct PairSplit {
  std::vector<SentencePair> train, validation, test;
};
PairSplit split_pairs(const std::vector<SentencePair>& pairs, double validation, double test, uint64_t seed);

}  // namespace gradus::data
