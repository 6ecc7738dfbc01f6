#include "data/text/unicode.h"

#include <utf8proc.h>

#include <cstdlib>

#include "tensor/error.h"

namespace gradus::data {

namespace {

constexpr char32_t replacement = 0xFFFD;

struct Piece {
  char32_t c;   // the code point; `replacement` where the bytes are ill-formed
  size_t size;  // bytes, at least 1
  bool ok;
};

// The code point at the start of `text`, which is not empty. The allowed second bytes are those of table 3-7 of the
// Unicode Standard; an ill-formed piece ends before the first byte that cannot continue it.
Piece next(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? uint8_t(text[i]) : uint8_t(0); };
  const uint8_t b = byte(0);
  if (b < 0x80) return {b, 1, true};
  if (b < 0xC2 || b > 0xF4) return {replacement, 1, false};
  const size_t size = b < 0xE0 ? 2 : b < 0xF0 ? 3 : 4;
  const uint8_t low = b == 0xE0 ? 0xA0 : b == 0xF0 ? 0x90 : 0x80, high = b == 0xED ? 0x9F : b == 0xF4 ? 0x8F : 0xBF;
  char32_t c = b & (0x7F >> size);
  for (size_t i = 1; i < size; ++i) {
    const uint8_t x = byte(i);
    if (x < (i == 1 ? low : 0x80) || x > (i == 1 ? high : 0xBF)) return {replacement, i, false};
    c = c << 6 | (x & 0x3F);
  }
  return {c, size, true};
}

void append(std::string& to, char32_t c) {
  uint8_t bytes[4];
  const utf8proc_ssize_t n = utf8proc_encode_char(utf8proc_int32_t(c), bytes);
  to.append(reinterpret_cast<char*>(bytes), size_t(n));
}

utf8proc_category_t category(char32_t c) { return utf8proc_category(utf8proc_int32_t(c)); }

}  // namespace

std::u32string decode_utf8(std::string_view text) {
  std::u32string points;
  points.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Piece piece = next(text.substr(at));
    check(piece.ok, "not UTF-8: byte ", int(uint8_t(text[at])), " at offset ", at);
    points += piece.c;
    at += piece.size;
  }
  return points;
}

std::string encode_utf8(std::u32string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (const char32_t c : text) append(bytes, c);
  return bytes;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const Piece piece = next(text);
    if (!piece.ok) return false;
    text.remove_prefix(piece.size);
  }
  return true;
}

std::string mend_utf8(std::string_view text) {
  std::string mended;
  mended.reserve(text.size());
  while (!text.empty()) {
    const Piece piece = next(text);
    append(mended, piece.c);
    text.remove_prefix(piece.size);
  }
  return mended;
}

std::string nfc(std::string_view text) {
  utf8proc_uint8_t* result = nullptr;
  const utf8proc_ssize_t n =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), utf8proc_ssize_t(text.size()), &result,
                   utf8proc_option_t(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  check(n >= 0, "normalising text: ", utf8proc_errmsg(n));
  std::string normal(reinterpret_cast<char*>(result), size_t(n));
  std::free(result);
  return normal;
}

std::string lower(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (const char32_t c : decode_utf8(text)) append(result, char32_t(utf8proc_tolower(utf8proc_int32_t(c))));
  return result;
}

bool is_space(char32_t c) {
  return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_letter(char32_t c) {
  const utf8proc_category_t k = category(c);
  return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}

bool is_number(char32_t c) {
  const utf8proc_category_t k = category(c);
  return k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO;
}

bool is_upper(char32_t c) { return category(c) == UTF8PROC_CATEGORY_LU; }

int64_t display_width(std::string_view text) {
  int64_t width = 0;
  for (const char32_t c : decode_utf8(mend_utf8(text))) width += utf8proc_charwidth(utf8proc_int32_t(c));
  return width;
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  while (!text.empty()) {
    const Piece piece = next(text);
    if (!is_space(piece.c)) {
      word += text.substr(0, piece.size);
    } else if (!word.empty()) {
      words.push_back(std::move(word));
      word.clear();
    }
    text.remove_prefix(piece.size);
  }
  if (!word.empty()) words.push_back(std::move(word));
  return words;
}

std::string join(const std::vector<std::string>& words, std::string_view between) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += between;
    text += words[i];
  }
  return text;
}

std::string strip(std::string_view text) {
  size_t begin = text.size(), end = 0;
  for (size_t at = 0; at < text.size();) {
    const Piece piece = next(text.substr(at));
    if (!is_space(piece.c)) {
      begin = std::min(begin, at);
      end = at + piece.size;
    }
    at += piece.size;
  }
  return begin < end ? std::string(text.substr(begin, end - begin)) : std::string();
}

}  // namespace gradus::data
