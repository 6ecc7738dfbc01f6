#include "data/text/bpe.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <queue>

#include "data/text/unicode.h"
#include "tensor/error.h"
#include "tensor/io/file.h"

namespace gradus::data {

namespace {

uint64_t key(int64_t left, int64_t right) { return uint64_t(left) << 32 | uint64_t(right); }

// GPT-2's files write each byte as a printable character: those that are printable in Latin-1 stand for themselves,
// the others, in order, for U+0100 and what follows. This is also the order of its first 256 ids.
struct ByteAlphabet {
  std::array<char32_t, 256> shown{};
  std::array<uint8_t, 256> in_order{};
  std::unordered_map<char32_t, uint8_t> byte;

  ByteAlphabet() {
    char32_t next_free = 0x100;
    for (int b = 0; b < 256; ++b) {
      const bool printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
      shown[size_t(b)] = printable ? char32_t(b) : next_free++;
      byte[shown[size_t(b)]] = uint8_t(b);
      in_order[size_t(b)] = uint8_t(b);
    }
    std::sort(in_order.begin(), in_order.end(), [&](uint8_t a, uint8_t b) { return shown[a] < shown[b]; });
  }
  std::string show(const std::string& bytes) const {
    std::u32string text;
    for (const char b : bytes) text += shown[uint8_t(b)];
    return encode_utf8(text);
  }
  std::string bytes(std::string_view text) const {
    std::string result;
    for (const char32_t c : decode_utf8(text)) {
      const auto found = byte.find(c);
      check(found != byte.end(), "a token with a character that stands for no byte: ", printable(text));
      result += char(found->second);
    }
    return result;
  }
};

const ByteAlphabet& alphabet() {
  static const ByteAlphabet made;
  return made;
}

// A distinct piece of the training text.
struct Word {
  std::vector<int64_t> ids;
  int64_t count;
};

struct Candidate {
  int64_t count, left, right;
  // The top of a priority queue is the largest: more often, then the lower ids.
  bool operator<(const Candidate& other) const {
    if (count != other.count) return count < other.count;
    return key(left, right) > key(other.left, other.right);
  }
};

}  // namespace

std::vector<std::string> gpt2_pieces(std::string_view text) {
  const std::u32string s = decode_utf8(text);
  std::vector<std::string> pieces;
  const auto other = [](char32_t c) { return !is_space(c) && !is_letter(c) && !is_number(c); };
  for (size_t at = 0; at < s.size();) {
    size_t end = at;
    const auto run = [&](auto is) {  // a space, maybe, and one or more of these
      size_t begin = at + (s[at] == U' ');
      end = begin;
      while (end < s.size() && is(s[end])) ++end;
      return end > begin;
    };
    const auto contraction = [&] {
      for (const std::u32string_view ending : {U"'s", U"'t", U"'re", U"'ve", U"'m", U"'ll", U"'d"})
        if (s.compare(at, ending.size(), ending) == 0) return end = at + ending.size(), true;
      return false;
    };
    if (!contraction() && !run(is_letter) && !run(is_number) && !run(other)) {
      // White space; its last character goes with what follows.
      end = at;
      while (end < s.size() && is_space(s[end])) ++end;
      if (end < s.size() && end - at > 1) --end;
    }
    pieces.push_back(encode_utf8(std::u32string_view(s).substr(at, end - at)));
    at = end;
  }
  return pieces;
}

void BytePairTokenizer::add_merge(int64_t left, int64_t right, int64_t merged) {
  check(merges_.emplace(key(left, right), Merge{int64_t(pairs_.size()), merged}).second, "bpe: the pair ",
        token(left), " ", token(right), " is merged twice");
  pairs_.push_back({left, right});
}

bool BytePairTokenizer::is_special(int64_t id) const {
  const Specials& s = specials_;
  return id == s.pad || id == s.bos || id == s.eos || id == s.unk || id == s.mask;
}

BytePairTokenizer BytePairTokenizer::train(const std::vector<std::string>& texts, const BpeOptions& options) {
  BytePairTokenizer t;
  t.tokens_ = special_names;
  for (const uint8_t b : alphabet().in_order) {
    t.byte_ids_[b] = t.size();
    t.tokens_.push_back(std::string(1, char(b)));
  }
  std::map<std::string, int64_t> pieces;
  for (const std::string& text : texts)
    for (std::string& piece : gpt2_pieces(" " + nfc(text))) ++pieces[std::move(piece)];
  std::vector<Word> words;
  for (const auto& [piece, count] : pieces) {
    Word word{{}, count};
    for (const char b : piece) word.ids.push_back(t.byte_ids_[uint8_t(b)]);
    words.push_back(std::move(word));
  }

  // How often each pair occurs, and in which words it was seen: a merge touches only those. Counts in the queue may
  // be out of date; a candidate that is, goes back with its count of now.
  std::unordered_map<uint64_t, int64_t> counts;
  std::unordered_map<uint64_t, std::vector<size_t>> places;
  std::priority_queue<Candidate> queue;
  for (size_t w = 0; w < words.size(); ++w)
    for (size_t i = 0; i + 1 < words[w].ids.size(); ++i) {
      const uint64_t pair = key(words[w].ids[i], words[w].ids[i + 1]);
      counts[pair] += words[w].count;
      std::vector<size_t>& at = places[pair];
      if (at.empty() || at.back() != w) at.push_back(w);
    }
  for (const auto& [pair, count] : counts) queue.push({count, int64_t(pair >> 32), int64_t(pair & 0xffffffff)});

  while (t.size() < options.size && !queue.empty()) {
    Candidate best = queue.top();
    queue.pop();
    const uint64_t pair = key(best.left, best.right);
    if (counts[pair] != best.count) {
      best.count = counts[pair];
      if (best.count > 0) queue.push(best);
      continue;
    }
    if (best.count < options.min_count) break;
    const int64_t merged = t.size();
    t.tokens_.push_back(t.tokens_[size_t(best.left)] + t.tokens_[size_t(best.right)]);
    t.add_merge(best.left, best.right, merged);
    std::vector<uint64_t> grown;  // pairs that occur more often now
    for (const size_t w : places[pair]) {
      Word& word = words[w];
      std::vector<int64_t>& ids = word.ids;
      const auto change = [&](int64_t left, int64_t right, int64_t sign) {
        counts[key(left, right)] += sign * word.count;
        if (sign < 0) return;
        std::vector<size_t>& at = places[key(left, right)];
        if (at.empty() || at.back() != w) at.push_back(w);
        grown.push_back(key(left, right));
      };
      size_t kept = 0;  // ids before it are those of the word when merged
      for (size_t i = 0; i < ids.size(); ++kept) {
        if (i + 1 == ids.size() || ids[i] != best.left || ids[i + 1] != best.right) {
          ids[kept] = ids[i++];
          continue;
        }
        if (kept > 0) {
          change(ids[kept - 1], best.left, -1);
          change(ids[kept - 1], merged, 1);
        }
        if (i + 2 < ids.size()) {
          change(best.right, ids[i + 2], -1);
          change(merged, ids[i + 2], 1);
        }
        ids[kept] = merged;
        i += 2;
      }
      ids.resize(kept);
    }
    counts.erase(pair);
    places.erase(pair);
    std::sort(grown.begin(), grown.end());
    grown.erase(std::unique(grown.begin(), grown.end()), grown.end());
    for (const uint64_t p : grown)
      if (counts[p] > 0) queue.push({counts[p], int64_t(p >> 32), int64_t(p & 0xffffffff)});
  }
  return t;
}

BytePairTokenizer BytePairTokenizer::gpt2(const std::string& encoder_json, const std::string& vocab_bpe) {
  BytePairTokenizer t;
  t.leading_space_ = false;
  t.specials_ = {-1, -1, -1, -1, -1};
  std::unordered_map<std::string, int64_t> ids;
  try {
    const nlohmann::json encoder = nlohmann::json::parse(read_file(encoder_json, int64_t(1) << 28));
    t.tokens_.resize(encoder.size());
    std::vector<bool> seen(encoder.size());
    for (const auto& [name, value] : encoder.items()) {
      const int64_t id = value;
      check(id >= 0 && id < t.size() && !seen[size_t(id)], "the ids are not 0 to ", t.size() - 1);
      seen[size_t(id)] = true;
      if (name == "<|endoftext|>") t.specials_.bos = t.specials_.eos = id;
      t.tokens_[size_t(id)] = name == "<|endoftext|>" ? name : alphabet().bytes(name);
      ids[t.tokens_[size_t(id)]] = id;
    }
  } catch (const nlohmann::json::exception& e) {
    fail({printable(encoder_json), ": ", printable(e.what())});
  } catch (const Error& e) {
    fail({printable(encoder_json), ": ", e.what()});
  }
  const auto id_of = [&](const std::string& bytes) {
    const auto found = ids.find(bytes);
    check(found != ids.end(), printable(vocab_bpe), ": ", printable(alphabet().show(bytes)), " is not in ",
          printable(encoder_json));
    return found->second;
  };
  for (int b = 0; b < 256; ++b) t.byte_ids_[size_t(b)] = id_of(std::string(1, char(b)));
  const std::string text = read_file(vocab_bpe, int64_t(1) << 28);
  int64_t number = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    if (++number == 1 && line.starts_with("#version")) continue;
    if (line.empty()) continue;
    const size_t space = line.find(' ');
    check(space != line.npos && line.find(' ', space + 1) == line.npos, printable(vocab_bpe), ": line ", number,
          " is no pair of tokens: ", printable(line));
    const std::string left = alphabet().bytes(line.substr(0, space)),
                      right = alphabet().bytes(line.substr(space + 1));
    t.add_merge(id_of(left), id_of(right), id_of(left + right));
  }
  return t;
}

std::vector<int64_t> BytePairTokenizer::encode(std::string_view text) const {
  std::vector<int64_t> all;
  // A piece's tokens are a list, each at the place of its first byte, so that the longest piece takes time in its
  // length; the queue has where a merge is possible, the pair that was merged first in training on top, of equals the
  // leftmost.
  std::vector<int64_t> ids;
  std::vector<size_t> next, before;
  std::priority_queue<std::pair<int64_t, size_t>, std::vector<std::pair<int64_t, size_t>>, std::greater<>> queue;
  const auto merge_at = [&](size_t i) -> const Merge* {
    const auto found = next[i] < ids.size() ? merges_.find(key(ids[i], ids[next[i]])) : merges_.end();
    return found == merges_.end() ? nullptr : &found->second;
  };
  const auto offer = [&](size_t i) {
    if (const Merge* merge = merge_at(i)) queue.push({merge->rank, i});
  };
  const std::string spaced = leading_space_ ? " " + nfc(text) : std::string(text);
  for (const std::string& piece : gpt2_pieces(spaced)) {
    const size_t size = piece.size();
    ids.resize(size), next.resize(size), before.resize(size);
    for (size_t i = 0; i < size; ++i) ids[i] = byte_ids_[uint8_t(piece[i])], next[i] = i + 1, before[i] = i - 1;
    for (size_t i = 0; i < size; ++i) offer(i);
    while (!queue.empty()) {
      const auto [rank, i] = queue.top();
      queue.pop();
      const Merge* merge = ids[i] < 0 ? nullptr : merge_at(i);
      if (!merge || merge->rank != rank) continue;  // one of the two has been merged since
      ids[i] = merge->merged;
      ids[next[i]] = -1;
      next[i] = next[next[i]];
      if (next[i] < size) before[next[i]] = i;
      if (i > 0) offer(before[i]);
      offer(i);
    }
    for (const int64_t id : ids)
      if (id >= 0) all.push_back(id);
  }
  return all;
}

std::string BytePairTokenizer::decode(const std::vector<int64_t>& ids) const {
  std::string bytes;
  for (const int64_t id : ids) {
    check(id >= 0 && id < size(), "token ", id, " of a vocabulary of ", size());
    if (!is_special(id) || id == specials_.unk) bytes += tokens_[size_t(id)];
  }
  if (leading_space_ && bytes.starts_with(' ')) bytes.erase(0, 1);
  return mend_utf8(bytes);
}

std::string BytePairTokenizer::token(int64_t id) const {
  check(id >= 0 && id < size(), "token ", id, " of a vocabulary of ", size());
  const std::string& bytes = tokens_[size_t(id)];
  return bytes.starts_with(' ') ? "▁" + mend_utf8(bytes.substr(1)) : mend_utf8(bytes);
}

std::string BytePairTokenizer::to_json() const {
  check(leading_space_, "bpe: GPT-2's vocabulary is kept in its own two files");
  nlohmann::json merges = nlohmann::json::array();
  for (const auto& [left, right] : pairs_)
    merges.push_back(alphabet().show(tokens_[size_t(left)]) + " " + alphabet().show(tokens_[size_t(right)]));
  return nlohmann::json({{"type", "bpe"}, {"merges", merges}}).dump(1) + "\n";
}

BytePairTokenizer BytePairTokenizer::from_json(std::string_view text) {
  BytePairTokenizer t = train({}, {.size = 0});
  std::unordered_map<std::string, int64_t> ids;
  for (int64_t id = int64_t(special_names.size()); id < t.size(); ++id) ids[t.tokens_[size_t(id)]] = id;
  try {
    const nlohmann::json j = nlohmann::json::parse(text);
    for (const std::string merge : j.at("merges")) {
      const size_t space = merge.find(' ');
      check(space != merge.npos, "bpe: the merge \"", printable(merge), "\" is no pair of tokens");
      const std::string left = alphabet().bytes(merge.substr(0, space)),
                        right = alphabet().bytes(merge.substr(space + 1));
      check(ids.count(left) && ids.count(right), "bpe: the merge \"", printable(merge), "\" joins unknown tokens");
      const int64_t merged = t.size();
      t.tokens_.push_back(left + right);
      t.add_merge(ids[left], ids[right], merged);
      ids.emplace(left + right, merged);
    }
  } catch (const nlohmann::json::exception& e) {
    fail({"not a bpe tokeniser: ", printable(e.what())});
  }
  return t;
}

}  // namespace gradus::data
