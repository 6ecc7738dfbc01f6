#include "data/text/corpus.h"

#include <map>
#include <numeric>
#include <unordered_map>

#include "data/text/unicode.h"
#include "data/unpacked.h"
#include "tensor/error.h"
#include "tensor/io/file.h"
#include "tensor/random.h"

namespace gradus::data {

std::vector<std::string> read_lines(const std::string& path) {
  const std::string text = read_unpacked(path);
  const size_t begin = text.starts_with("\uFEFF") ? 3 : 0;  // a byte order mark is no text
  check(strip(std::string_view(text).substr(begin)) != "", printable(path),
        text.empty() ? ": the file is empty" : ": there are only blank lines");
  std::vector<std::string> lines;
  for (size_t at = begin; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line(text.data() + at, end - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    check(is_utf8(line), printable(path), ": line ", lines.size() + 1, " is not UTF-8");
    check(line.find('\0') == line.npos, printable(path), ": line ", lines.size() + 1, " has a zero byte: no text");
    lines.push_back(nfc(line));
    at = end + 1;
  }
  return lines;
}

std::vector<SentencePair> read_tsv(const std::string& path) {
  std::vector<SentencePair> pairs;
  std::vector<std::string> lines = read_lines(path);
  while (strip(lines.back()).empty()) lines.pop_back();
  for (const std::string& line : lines) {
    const size_t number = pairs.size() + 1, tab = line.find('\t');
    check(tab != line.npos, printable(path), ": line ", number,
          " has no tab between two sentences: ", printable(line));
    const size_t end = std::min(line.find('\t', tab + 1), line.size());
    SentencePair pair{strip(line.substr(0, tab)), strip(line.substr(tab + 1, end - tab - 1))};
    check(!pair.source.empty() && !pair.target.empty(), printable(path), ": line ", number, " has a blank sentence");
    pairs.push_back(std::move(pair));
  }
  return pairs;
}

std::vector<SentencePair> read_parallel(const std::string& source_path, const std::string& target_path) {
  const std::vector<std::string> source = read_lines(source_path), target = read_lines(target_path);
  check(source.size() == target.size(), printable(source_path), " has ", source.size(), " lines, but ",
        printable(target_path), " has ", target.size());
  std::vector<SentencePair> pairs;
  for (size_t i = 0; i < source.size(); ++i) {
    SentencePair pair{strip(source[i]), strip(target[i])};
    if (!pair.source.empty() && !pair.target.empty()) pairs.push_back(std::move(pair));
  }
  return pairs;
}

PairSplit split_pairs(const std::vector<SentencePair>& pairs, double validation, double test, uint64_t seed) {
  check(validation >= 0 && test >= 0 && validation + test < 1, "split_pairs: shares ", validation, " and ", test);
  // Sets of pairs that hang together (union-find): each pair joins the first that had its source, or its target.
  std::vector<size_t> parent(pairs.size());
  std::iota(parent.begin(), parent.end(), size_t(0));
  const auto root = [&](size_t i) {
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
  };
  std::unordered_map<std::string, size_t> first_source, first_target;
  for (size_t i = 0; i < pairs.size(); ++i) {
    parent[root(i)] = root(first_source.emplace(pairs[i].source, i).first->second);
    parent[root(i)] = root(first_target.emplace(pairs[i].target, i).first->second);
  }
  std::map<size_t, std::vector<size_t>> sets;
  for (size_t i = 0; i < pairs.size(); ++i) sets[root(i)].push_back(i);
  std::vector<const std::vector<size_t>*> order;
  for (const auto& [first, members] : sets) order.push_back(&members);
  Generator random(seed);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[size_t(random.below(int64_t(i)))]);

  PairSplit parts;
  const auto room = [&](double share, size_t taken, size_t more) {
    return double(taken + more) <= share * double(pairs.size());
  };
  for (const std::vector<size_t>* set : order) {
    auto& part = room(test, parts.test.size(), set->size())               ? parts.test
                 : room(validation, parts.validation.size(), set->size()) ? parts.validation
                                                                          : parts.train;
    for (const size_t i : *set) part.push_back(pairs[i]);
  }
  return parts;
}

}  // namespace gradus::data
