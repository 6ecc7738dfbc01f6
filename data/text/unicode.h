// Text as Unicode: UTF-8 read strictly, characters classed, forms made the same.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gradus::data {

// The code points of UTF-8 text. Throws Error at the first byte that is not UTF-8 (RFC 3629: no surrogates, no
// overlong forms, nothing above U+10FFFF), naming its offset.
std::u32string decode_utf8(std::string_view text);
std::string encode_utf8(std::u32string_view text);
bool is_utf8(std::string_view text);
// The same text, each ill-formed piece replaced by U+FFFD (the Unicode Standard, chapter 3.9, "best practice").
std::string mend_utf8(std::string_view text);

// Unicode Normalization Form C: characters that look the same are the same (e + accent becomes one code point).
std::string nfc(std::string_view text);
// Each code point by its simple mapping, as the Unicode Character Database has it.
std::string lower(std::string_view text);

bool is_space(char32_t c);  // what Python's str.split() splits at
bool is_letter(char32_t c);
bool is_number(char32_t c);  // any kind: digits, fractions, Roman numerals
bool is_upper(char32_t c);
int64_t display_width(std::string_view text);  // columns in a terminal: Chinese characters take two, accents none

// The words between white space.
std::vector<std::string> split(std::string_view text);
std::string join(const std::vector<std::string>& words, std::string_view between = " ");
std::string strip(std::string_view text);  // without white space at both ends

}  // namespace gradus::data
