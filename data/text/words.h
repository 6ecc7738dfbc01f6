// Words of Western text, by rules like those of the Moses toolkit (Koehn et al. 2007), whose output papers score.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gradus::data {

// Punctuation apart from words, but not within numbers (3.14), abbreviations (Dr., U.S.) and hyphenated words; in
// English "don't" gives don 't, in French and Italian "l'homme" gives l' homme. `language`: "en", "de", "fr", ...
// Throws Error where the text is not UTF-8.
std::vector<std::string> word_tokenize(std::string_view text, const std::string& language = "en");
// The other way round, as near as can be: punctuation joins its word, quotation marks open and close in turn.
std::string word_detokenize(const std::vector<std::string>& words, const std::string& language = "en");

}  // namespace gradus::data
