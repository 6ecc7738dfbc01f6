// Byte-level byte-pair encoding: Sennrich, Haddow and Birch 2016, on bytes as in GPT-2 (Radford et al. 2019). Nothing
// is unknown, and decoding gives the text back to the byte.
#pragma once

#include <array>

#include "data/text/tokenizer.h"

namespace gradus::data {

struct BpeOptions {
  int64_t size = 10000;   // tokens in all: specials, 256 bytes, merges
  int64_t min_count = 2;  // a pair that occurs less often is not merged
};

class BytePairTokenizer : public Tokenizer {
 public:
  // Merges the most frequent pair of neighbours (of equals the one with the lower ids) until there are enough tokens.
  // Pairs never reach over the cuts that GPT-2 makes: between words (with the space before them), numbers,
  // punctuation and white space. A space is set before each text, so that its first word is like any other.
  static BytePairTokenizer train(const std::vector<std::string>& texts, const BpeOptions& options = {});
  // GPT-2's own files: encoder.json and vocab.bpe. Texts get no space in front.
  static BytePairTokenizer gpt2(const std::string& encoder_json, const std::string& vocab_bpe);
  static BytePairTokenizer from_json(std::string_view json);  // as to_json gives it; throws Error

  int64_t size() const override { return int64_t(tokens_.size()); }
  std::vector<int64_t> encode(std::string_view text) const override;
  std::string decode(const std::vector<int64_t>& ids) const override;  // bytes that are no UTF-8 become U+FFFD
  std::string token(int64_t id) const override;                        // a leading space as "▁"
  Specials specials() const override { return specials_; }
  std::string to_json() const override;

 private:
  BytePairTokenizer() = default;
  void add_merge(int64_t left, int64_t right, int64_t merged);
  bool is_special(int64_t id) const;

  struct Merge {
    int64_t rank, merged;  // the lowest rank merges first
  };
  std::vector<std::string> tokens_;  // bytes by id; names of specials
  std::array<int64_t, 256> byte_ids_{};
  std::vector<std::pair<int64_t, int64_t>> pairs_;  // merged, by rank
  std::unordered_map<uint64_t, Merge> merges_;      // by pair
  Specials specials_;
  bool leading_space_ = true;
};

// The pieces that GPT-2 cuts text into before it merges bytes.
std::vector<std::string> gpt2_pieces(std::string_view text);

}  // namespace gradus::data
