// Sentence pairs to learn from, and the tokenisers made of them.
#pragma once

#include "config.h"
#include "data/text/corpus.h"

namespace translation {

// What is wrong with a --data argument; "" for nothing.
std::string data_argument_fault(const std::string& argument);

// grammar: made. pairs:FILE.tsv: 5% each for validation and test, no sentence in two parts. parallel:DIR: the files
// train, val (or valid, dev) and test* of the two languages, plain or gzip. Throws Error saying what is missing.
gradus::data::PairSplit open_pairs(const Options& options);

struct Tokenizers {
  std::shared_ptr<const gradus::data::Tokenizer> source, target;
};
Tokenizers train_tokenizers(const std::vector<gradus::data::SentencePair>& pairs, const Options& options);
// In a checkpoint's metadata.
void put(gradus::train::Metadata& metadata, const Tokenizers& tokenizers);
Tokenizers tokenizers_from(const gradus::train::Metadata& metadata, const std::string& path);

}  // namespace translation
