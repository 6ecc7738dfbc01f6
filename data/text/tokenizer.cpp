#include "data/text/tokenizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "data/text/bpe.h"
#include "data/text/unicode.h"
#include "data/text/words.h"
#include "tensor/error.h"
#include "tensor/io/file.h"

namespace gradus::data {

namespace {

std::vector<std::string> cut(TokenUnit unit, std::string_view text, const VocabularyOptions& options) {
  const std::string normal = nfc(options.lowercase ? lower(text) : std::string(text));
  if (unit == TokenUnit::word) return word_tokenize(normal, options.language);
  std::vector<std::string> characters;
  for (const char32_t c : decode_utf8(normal)) characters.push_back(encode_utf8({&c, 1}));
  return characters;
}

}  // namespace

void Tokenizer::save(const std::string& path) const { write_file(path, to_json()); }

std::unique_ptr<Tokenizer> load_tokenizer(const std::string& path) {
  const std::string text = read_file(path, int64_t(1) << 28);
  try {
    return parse_tokenizer(text);
  } catch (const Error& e) {
    fail({printable(path), ": ", e.what()});
  }
}

std::unique_ptr<Tokenizer> parse_tokenizer(std::string_view text) {
  try {
    const nlohmann::json j = nlohmann::json::parse(text);
    const std::string type = j.at("type");
    if (type == "bpe") return std::make_unique<BytePairTokenizer>(BytePairTokenizer::from_json(text));
    check(type == "word" || type == "character", "a tokeniser of type \"", printable(type),
          "\", expected word, character or bpe");
    VocabularyOptions options;
    options.lowercase = j.at("lowercase");
    options.language = j.at("language");
    return std::make_unique<VocabularyTokenizer>(type == "word" ? TokenUnit::word : TokenUnit::character,
                                                 j.at("tokens").get<std::vector<std::string>>(), options);
  } catch (const nlohmann::json::exception& e) {
    fail({"not a tokeniser: ", printable(e.what())});
  }
}

VocabularyTokenizer VocabularyTokenizer::train(TokenUnit unit, const std::vector<std::string>& texts,
                                               const VocabularyOptions& options) {
  std::map<std::string, int64_t> counts;
  for (const std::string& text : texts)
    for (const std::string& token : cut(unit, text, options)) ++counts[token];
  for (const std::string& name : special_names) counts.erase(name);
  std::vector<std::pair<std::string, int64_t>> order(counts.begin(), counts.end());
  std::stable_sort(order.begin(), order.end(), [](auto& a, auto& b) { return a.second > b.second; });
  std::vector<std::string> tokens = special_names;
  for (const auto& [token, count] : order)
    if (count >= options.min_count && int64_t(tokens.size()) < options.max_size) tokens.push_back(token);
  return VocabularyTokenizer(unit, std::move(tokens), options);
}

VocabularyTokenizer::VocabularyTokenizer(TokenUnit unit, std::vector<std::string> tokens,
                                         const VocabularyOptions& options)
    : unit_(unit), options_(options), tokens_(std::move(tokens)) {
  check(tokens_.size() >= special_names.size() &&
            std::equal(special_names.begin(), special_names.end(), tokens_.begin()),
        "vocabulary: the first tokens are not ", join(special_names, ", "));
  for (size_t i = 0; i < tokens_.size(); ++i)
    check(ids_.emplace(tokens_[i], int64_t(i)).second, "vocabulary: ", printable(tokens_[i]), " is there twice");
}

std::vector<int64_t> VocabularyTokenizer::encode(std::string_view text) const {
  std::vector<int64_t> ids;
  for (const std::string& token : cut(unit_, text, options_)) {
    const auto found = ids_.find(token);
    const bool known = found != ids_.end() && found->second >= int64_t(special_names.size());
    ids.push_back(known ? found->second : specials().unk);
  }
  return ids;
}

std::string VocabularyTokenizer::token(int64_t id) const {
  check(id >= 0 && id < size(), "token ", id, " of a vocabulary of ", size());
  return tokens_[size_t(id)];
}

std::string VocabularyTokenizer::decode(const std::vector<int64_t>& ids) const {
  std::vector<std::string> tokens;
  for (const int64_t id : ids)
    if (id >= int64_t(special_names.size()) || id == specials().unk) tokens.push_back(token(id));
  return unit_ == TokenUnit::word ? word_detokenize(tokens, options_.language) : join(tokens, "");
}

std::string VocabularyTokenizer::to_json() const {
  const nlohmann::json j = {{"type", unit_ == TokenUnit::word ? "word" : "character"},
                            {"lowercase", options_.lowercase},
                            {"language", options_.language},
                            {"tokens", tokens_}};
  return j.dump(1) + "\n";
}

}  // namespace gradus::data
