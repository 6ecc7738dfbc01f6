// From text to the numbers a model is given, and back.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace gradus::data {

// Tokens that stand for no text. Tokenisers made here number them first; -1: there is none.
struct Specials {
  int64_t pad = 0, bos = 1, eos = 2, unk = 3, mask = 4;
};
inline const std::vector<std::string> special_names = {"<pad>", "<s>", "</s>", "<unk>", "<mask>"};

// May be used by several threads at once.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  virtual int64_t size() const = 0;  // ids are 0 ... size() - 1
  // Without specials before or behind. Text that looks like a special is text. Throws Error unless it is UTF-8.
  virtual std::vector<int64_t> encode(std::string_view text) const = 0;
  // Specials other than unk are left out. Throws Error for an id out of range.
  virtual std::string decode(const std::vector<int64_t>& ids) const = 0;
  virtual std::string token(int64_t id) const = 0;  // for people to read: "▁dog"
  virtual Specials specials() const { return {}; }
  virtual std::string to_json() const = 0;

  void save(const std::string& path) const;
};

// What save wrote. Throws Error naming the path and what is wrong with it.
std::unique_ptr<Tokenizer> load_tokenizer(const std::string& path);
std::unique_ptr<Tokenizer> parse_tokenizer(std::string_view json);

// Texts cut into words or characters that are numbered by how often they occur.
struct VocabularyOptions {
  int64_t max_size = 1 << 30;  // with the specials
  int64_t min_count = 1;       // rarer ones become unk
  bool lowercase = false;
  std::string language = "en";  // how words are cut
};

enum class TokenUnit { word, character };

class VocabularyTokenizer : public Tokenizer {
 public:
  static VocabularyTokenizer train(TokenUnit unit, const std::vector<std::string>& texts,
                                   const VocabularyOptions& options = {});
  // `tokens`: the specials, then the others by id. Throws Error if one occurs twice.
  VocabularyTokenizer(TokenUnit unit, std::vector<std::string> tokens, const VocabularyOptions& options);

  int64_t size() const override { return int64_t(tokens_.size()); }
  std::vector<int64_t> encode(std::string_view text) const override;
  std::string decode(const std::vector<int64_t>& ids) const override;
  std::string token(int64_t id) const override;
  std::string to_json() const override;

 private:
  TokenUnit unit_;
  VocabularyOptions options_;
  std::vector<std::string> tokens_;
  std::unordered_map<std::string, int64_t> ids_;
};

}  // namespace gradus::data
