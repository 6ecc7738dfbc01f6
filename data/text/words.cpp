#include "data/text/words.h"

#include <algorithm>
#include <initializer_list>

#include "data/text/unicode.h"

namespace gradus::data {

namespace {

bool is_word(char32_t c) { return is_letter(c) || is_number(c); }
bool is_elided(const std::string& language) { return language == "fr" || language == "it" || language == "ga"; }

// Titles and other abbreviations that a word in capitals may follow without a sentence having ended.
bool is_abbreviation(const std::string& word, const std::string& language) {
  static const std::initializer_list<const char*> english = {"Mr",  "Mrs", "Ms",  "Dr",  "Prof", "St",
                                                             "Jr",  "Sr",  "Gen", "Col", "Sgt",  "vs",
                                                             "etc", "Inc", "Ltd", "Co",  "Corp"};
  static const std::initializer_list<const char*> german = {"Dr", "Prof", "Hr",  "Fr",  "Mr", "Mrs",  "St",
                                                            "Nr", "Str",  "bzw", "usw", "ca", "evtl", "ggf"};
  static const std::initializer_list<const char*> french = {"M",  "MM", "Mr", "Mme", "Mlle",
                                                            "Dr", "St", "av", "etc", "env"};
  const auto& list = language == "de" ? german : language == "fr" ? french : english;
  return std::find(list.begin(), list.end(), word) != list.end();
}

// Does the full stop at the end belong to this word, `rest` being the word without it?
bool keeps_stop(const std::u32string& rest, const std::u32string* following, const std::string& language) {
  const bool letters = std::any_of(rest.begin(), rest.end(), is_letter);
  if (letters && rest.find(U'.') != rest.npos) return true;                                // U.S.
  if (rest.size() == 1 && is_upper(rest[0])) return true;                                  // an initial
  if (following && !is_upper((*following)[0]) && is_letter((*following)[0])) return true;  // the sentence goes on
  if (language == "de" && following && !rest.empty() && std::all_of(rest.begin(), rest.end(), is_number)) return true;
  return is_abbreviation(encode_utf8(rest), language);
}

}  // namespace

std::vector<std::string> word_tokenize(std::string_view text, const std::string& language) {
  const std::u32string s = decode_utf8(text);
  std::vector<std::u32string> parts;
  bool fresh = true;  // the next character begins a part
  const auto add = [&](char32_t c) {
    if (fresh) parts.emplace_back();
    parts.back() += c;
    fresh = false;
  };
  const auto alone = [&](size_t begin, size_t end) {
    parts.push_back(s.substr(begin, end - begin));
    fresh = true;
  };
  for (size_t i = 0; i < s.size(); ++i) {
    const char32_t c = s[i], before = i > 0 ? s[i - 1] : U' ', after = i + 1 < s.size() ? s[i + 1] : U' ';
    if (c < 0x20 || is_space(c)) {
      fresh = true;
    } else if (is_word(c) || c == U'-' || c == U'`') {
      add(c);
    } else if (c == U'.') {
      size_t end = i;
      while (end < s.size() && s[end] == U'.') ++end;
      if (end - i == 1) {
        add(c);
      } else {
        alone(i, end);
        i = end - 1;
      }
    } else if (c == U',' && is_number(before) && is_number(after)) {
      add(c);
    } else if (c == U'\'' && is_elided(language) && is_letter(before) && is_letter(after)) {
      add(c);
      fresh = true;
    } else if (c == U'\'' && language == "en" && is_word(before) && is_word(after) &&
               (is_letter(before) ? is_letter(after) : after == U's')) {
      fresh = true;
      add(c);
    } else {
      alone(i, i + 1);
    }
  }
  std::vector<std::string> words;
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::u32string& part = parts[i];
    const bool stopped = part.size() > 1 && part.back() == U'.' && part[part.size() - 2] != U'.';
    const std::u32string rest = part.substr(0, part.size() - 1);
    if (stopped && !keeps_stop(rest, i + 1 < parts.size() ? &parts[i + 1] : nullptr, language)) {
      words.push_back(encode_utf8(rest));
      words.push_back(".");
    } else {
      words.push_back(encode_utf8(part));
    }
  }
  return words;
}

std::string word_detokenize(const std::vector<std::string>& words, const std::string& language) {
  const auto in = [](const std::string& word, std::initializer_list<const char*> list) {
    return std::find(list.begin(), list.end(), word) != list.end();
  };
  std::string text;
  bool joined = true, quoted = false;  // no space before the next word; inside quotation marks
  for (const std::string& word : words) {
    const bool quote = word == "\"";
    const bool closes = in(word, {",", ".", "!", "?", ":", ";", ")", "]", "}", "%", "...", "”", "’", "»"}) ||
                        (quote && quoted) || (language == "en" && word.size() > 1 && word[0] == '\'');
    if (!joined && !closes) text += ' ';
    text += word;
    joined = in(word, {"(", "[", "{", "“", "„", "«", "¿", "¡", "$", "#"}) || (quote && !quoted) ||
             (is_elided(language) && word.size() > 1 && word.back() == '\'');
    if (quote) quoted = !quoted;
  }
  return text;
}

}  // namespace gradus::data
