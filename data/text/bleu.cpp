#include "data/text/bleu.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <unordered_map>

#include "data/text/unicode.h"
#include "tensor/error.h"

namespace gradus::data {

namespace {

using Counts = std::unordered_map<std::string, int64_t>;

constexpr int orders = 4;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_stop(char c) { return c == '.' || c == ','; }
// Space and ASCII's punctuation, without ' , - .
bool is_symbol(char c) {
  return (c >= '{' && c <= '~') || (c >= '[' && c <= '`') || (c >= ' ' && c <= '&') || (c >= '(' && c <= '+') ||
         (c >= ':' && c <= '@') || c == '/';
}

void replace_all(std::string& text, std::string_view what, std::string_view by) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size())
    text.replace(at, what.size(), by);
}

// Writes `before`, the first character, `between`, the second, " " for each pair of characters that `is_pair` takes;
// pairs do not overlap.
template <class IsPair>
std::string space_pairs(const std::string& text, const char* before, const char* between, const char* after,
                        IsPair is_pair) {
  std::string result;
  result.reserve(text.size() * 2);
  for (size_t i = 0; i < text.size(); ++i) {
    if (i + 1 < text.size() && is_pair(text[i], text[i + 1])) {
      result.append(before).append(1, text[i]).append(between).append(1, text[i + 1]).append(after);
      ++i;
    } else {
      result += text[i];
    }
  }
  return result;
}

// The rules of mteval-v13a for Western text, in its order: punctuation stands alone; so do full stops and commas
// unless between digits, and a hyphen after a digit. UTF-8's bytes above 127 pass as characters that are no digits.
std::string separate(const std::string& text) {
  std::string spaced;
  for (const char c : text) is_symbol(c) ? spaced.append({' ', c, ' '}) : spaced.append(1, c);
  spaced = space_pairs(spaced, "", " ", " ", [](char a, char b) { return !is_digit(a) && is_stop(b); });
  spaced = space_pairs(spaced, " ", " ", "", [](char a, char b) { return is_stop(a) && !is_digit(b); });
  return space_pairs(spaced, "", " ", " ", [](char a, char b) { return is_digit(a) && b == '-'; });
}

// What sacreBLEU's tokeniser `zh` sets apart. Its last two ranges were meant for the planes above U+FFFF, but what
// its code says, and so what its scores count, is this.
bool is_apart(char32_t c) {
  static constexpr char32_t ranges[][2] = {{0x3400, 0x4DB5}, {0x4E00, 0x9FA5}, {0x9FA6, 0x9FBB}, {0xF900, 0xFA2D},
                                           {0xFA30, 0xFA6A}, {0xFA70, 0xFAD9}, {0xFF00, 0xFFEF}, {0x2E80, 0x2EFF},
                                           {0x3000, 0x303F}, {0x31C0, 0x31EF}, {0x2F00, 0x2FDF}, {0x2FF0, 0x2FFF},
                                           {0x3100, 0x312F}, {0x31A0, 0x31BF}, {0xFE10, 0xFE1F}, {0xFE30, 0xFE4F},
                                           {0x3200, 0x33FF}, {0x2001, 0x2A6D}, {0x2F81, 0x2FA1}};
  return std::any_of(std::begin(ranges), std::end(ranges), [&](auto& r) { return c >= r[0] && c <= r[1]; });
}

// n-grams of `order` words as one string each, and how often each occurs.
Counts count_ngrams(const std::vector<std::string>& words, size_t order) {
  Counts counts;
  for (size_t i = 0; i + order <= words.size(); ++i) {
    std::string key;
    for (size_t j = i; j < i + order; ++j) key.append(words[j]).append(1, ' ');  // no word contains a space
    ++counts[key];
  }
  return counts;
}

int64_t matches_of(const Counts& candidate, const Counts& reference) {
  int64_t matches = 0;
  for (const auto& [ngram, count] : candidate) {
    const auto found = reference.find(ngram);
    if (found != reference.end()) matches += std::min(count, found->second);
  }
  return matches;
}

void check_pairs(const char* op, size_t candidates, size_t references) {
  check(candidates == references, op, ": ", candidates, " candidates, but ", references, " references");
}

std::string signature_of(const BleuOptions& options, size_t references) {
  const char* names[] = {"13a", "zh", "none", "char"};
  return "nrefs:" + std::to_string(references) + "|case:" + (options.lowercase ? "lc" : "mixed") +
         "|eff:" + (options.effective_order ? "yes" : "no") + "|tok:" + names[int(options.tokens)] + "|smooth:exp";
}

void finish(Bleu& b, bool effective_order) {
  b.brevity_penalty = b.length >= b.reference_length ? 1
                      : b.length > 0                 ? std::exp(1 - double(b.reference_length) / double(b.length))
                                                     : 0;
  if (std::all_of(b.matches.begin(), b.matches.end(), [](int64_t m) { return m == 0; })) return;
  double sum = 0, unmatched = 1;
  int used = effective_order ? 0 : orders;
  for (int n = 0; n < orders && b.totals[n] > 0; ++n) {
    if (effective_order) used = n + 1;
    if (b.matches[n] == 0) unmatched *= 2;
    b.precisions[n] = 100 * (b.matches[n] > 0 ? double(b.matches[n]) : 1 / unmatched) / double(b.totals[n]);
    sum += std::log(b.precisions[n]);
  }
  if (b.totals[used - 1] > 0) b.score = b.brevity_penalty * std::exp(sum / used);
}

}  // namespace

std::vector<std::string> bleu_tokenize(std::string_view sentence, BleuTokens tokens) {
  if (tokens == BleuTokens::none) return split(sentence);
  std::string text(sentence);
  if (tokens == BleuTokens::v13a) {
    replace_all(text, "<skipped>", "");
    replace_all(text, "-\n", "");
    replace_all(text, "\n", " ");
    replace_all(text, "&quot;", "\"");
    replace_all(text, "&amp;", "&");
    replace_all(text, "&lt;", "<");
    replace_all(text, "&gt;", ">");
    return split(separate(" " + text + " "));
  }
  std::string spaced;
  for (const char32_t c : decode_utf8(strip(sentence))) {
    const std::string one = encode_utf8({&c, 1});
    spaced += tokens == BleuTokens::characters || is_apart(c) ? " " + one + " " : one;
  }
  return split(tokens == BleuTokens::zh ? separate(spaced) : spaced);
}

Bleu bleu(const std::vector<std::string>& candidates, const std::vector<std::string>& references,
          const BleuOptions& options) {
  return bleu(candidates, std::vector<std::vector<std::string>>{references}, options);
}

Bleu bleu(const std::vector<std::string>& candidates, const std::vector<std::vector<std::string>>& references,
          const BleuOptions& options) {
  check(!references.empty(), "bleu: no references");
  for (const auto& set : references) check_pairs("bleu", candidates.size(), set.size());
  const auto words_of = [&](const std::string& sentence) {
    return bleu_tokenize(options.lowercase ? lower(sentence) : sentence, options.tokens);
  };
  Bleu result;
  result.signature = signature_of(options, references.size());
  for (size_t i = 0; i < candidates.size(); ++i) {
    const std::vector<std::string> words = words_of(candidates[i]);
    const int64_t length = int64_t(words.size());
    Counts most[orders];
    int64_t nearest = -1;
    for (const auto& set : references) {
      const std::vector<std::string> reference = words_of(set[i]);
      const int64_t n = int64_t(reference.size());
      const int64_t far = std::llabs(n - length), best = std::llabs(nearest - length);
      if (nearest < 0 || far < best || (far == best && n < nearest)) nearest = n;
      for (int k = 0; k < orders; ++k)
        for (const auto& [ngram, count] : count_ngrams(reference, size_t(k) + 1))
          most[k][ngram] = std::max(most[k][ngram], count);
    }
    for (int k = 0; k < orders; ++k) {
      result.matches[k] += matches_of(count_ngrams(words, size_t(k) + 1), most[k]);
      result.totals[k] += std::max<int64_t>(0, length - k);
    }
    result.length += length;
    result.reference_length += nearest;
  }
  finish(result, options.effective_order);
  return result;
}

std::string to_string(const Bleu& b) {
  char text[200];
  std::snprintf(text, sizeof text,
                "BLEU = %.2f %.1f/%.1f/%.1f/%.1f (BP = %.3f ratio = %.3f hyp_len = %lld ref_len = %lld)", b.score,
                b.precisions[0], b.precisions[1], b.precisions[2], b.precisions[3], b.brevity_penalty,
                b.reference_length > 0 ? double(b.length) / double(b.reference_length) : 0.0, (long long)b.length,
                (long long)b.reference_length);
  return text;
}

double chrf(const std::vector<std::string>& candidates, const std::vector<std::string>& references, double beta) {
  check_pairs("chrf", candidates.size(), references.size());
  constexpr size_t longest = 6;
  int64_t matches[longest] = {}, totals[longest] = {}, wanted[longest] = {};
  const auto characters_of = [](const std::string& sentence) {
    std::vector<std::string> characters;
    for (const char32_t c : decode_utf8(join(split(sentence), ""))) characters.push_back(encode_utf8({&c, 1}));
    return characters;
  };
  for (size_t i = 0; i < candidates.size(); ++i) {
    const std::vector<std::string> candidate = characters_of(candidates[i]), reference = characters_of(references[i]);
    for (size_t n = 0; n < longest; ++n) {
      matches[n] += matches_of(count_ngrams(candidate, n + 1), count_ngrams(reference, n + 1));
      // A sentence whose reference is too short for this order has no n-grams to get wrong.
      if (reference.size() > n) totals[n] += int64_t(candidate.size() > n ? candidate.size() - n : 0);
      wanted[n] += int64_t(reference.size() > n ? reference.size() - n : 0);
    }
  }
  double precision = 0, recall = 0;
  int used = 0;
  for (size_t n = 0; n < longest; ++n) {
    if (totals[n] == 0 || wanted[n] == 0) continue;
    precision += double(matches[n]) / double(totals[n]);
    recall += double(matches[n]) / double(wanted[n]);
    ++used;
  }
  if (precision + recall == 0) return 0;
  precision /= used;
  recall /= used;
  const double factor = beta * beta;
  return 100 * (1 + factor) * precision * recall / (factor * precision + recall);
}

double exact_match(const std::vector<std::string>& candidates, const std::vector<std::string>& references) {
  check_pairs("exact_match", candidates.size(), references.size());
  if (candidates.empty()) return 0;
  int64_t same = 0;
  for (size_t i = 0; i < candidates.size(); ++i) same += strip(candidates[i]) == strip(references[i]);
  return double(same) / double(candidates.size());
}

}  // namespace gradus::data
