#include "corpora.h"

#include <algorithm>
#include <filesystem>

#include "data/text/bpe.h"
#include "examples/made_up/grammar.h"
#include "examples/metadata.h"

namespace translation {

using namespace gradus;
using data::SentencePair;

namespace {

namespace fs = std::filesystem;

std::string after(const std::string& argument, const std::string& kind) {
  return argument.starts_with(kind + ":") ? argument.substr(kind.size() + 1) : "";
}

// The file "STEM.LANGUAGE" or "STEM.LANGUAGE.gz" whose stem begins with one of `stems`, the first in the alphabet.
std::string find_file(const std::string& dir, const std::vector<std::string>& stems, const std::string& language) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(dir, error)) names.push_back(entry.path().filename().string());
  check(!error, printable(dir), ": ", error.message());
  std::sort(names.begin(), names.end());
  for (const std::string& stem : stems)
    for (const std::string& name : names)
      if (name.starts_with(stem) && (name.ends_with("." + language) || name.ends_with("." + language + ".gz")))
        return dir + "/" + name;
  fail({printable(dir), ": no file ", stems[0], "*.", printable(language), "[.gz]"});
}

std::vector<SentencePair> part(const std::string& dir, const std::vector<std::string>& stems, const Options& o) {
  return data::read_parallel(find_file(dir, stems, o.src), find_file(dir, stems, o.tgt));
}

}  // namespace

std::string data_argument_fault(const std::string& argument) {
  if (argument == "grammar" || !after(argument, "pairs").empty() || !after(argument, "parallel").empty()) return "";
  return "'" + argument + "' is none of grammar, pairs:FILE.tsv, parallel:DIR";
}

data::PairSplit open_pairs(const Options& o) {
  if (o.data == "grammar") return examples::grammar_corpus(o.pairs, 1);
  if (const std::string file = after(o.data, "pairs"); !file.empty())
    return data::split_pairs(data::read_tsv(file), 0.05, 0.05, 1);
  const std::string dir = after(o.data, "parallel");
  check(!dir.empty(), data_argument_fault(o.data));
  check(o.src != o.tgt, "--src and --tgt are both ", printable(o.src), ": there is nothing to translate");
  return {part(dir, {"train"}, o), part(dir, {"val", "dev"}, o), part(dir, {"test"}, o)};
}

Tokenizers train_tokenizers(const std::vector<SentencePair>& pairs, const Options& o) {
  std::vector<std::string> source, target;
  for (const SentencePair& pair : pairs) {
    source.push_back(pair.source);
    target.push_back(pair.target);
  }
  const auto made = [&](const std::vector<std::string>& texts,
                        const std::string& language) -> std::shared_ptr<const data::Tokenizer> {
    if (o.tokens == "bpe")
      return std::make_shared<data::BytePairTokenizer>(data::BytePairTokenizer::train(texts, {.size = o.vocabulary}));
    const data::TokenUnit unit = o.tokens == "words" ? data::TokenUnit::word : data::TokenUnit::character;
    // The grammar writes nothing but names and "I" in capitals: "Is it" is "is it".
    return std::make_shared<data::VocabularyTokenizer>(data::VocabularyTokenizer::train(
        unit, texts, {.min_count = o.min_count, .lowercase = o.data == "grammar", .language = language}));
  };
  if (o.separate) return {made(source, o.src), made(target, o.tgt)};
  source.insert(source.end(), target.begin(), target.end());
  const auto both = made(source, o.src);
  return {both, both};
}

void put(train::Metadata& metadata, const Tokenizers& t) {
  metadata["source_tokenizer"] = t.source->to_json();
  if (t.target != t.source) metadata["target_tokenizer"] = t.target->to_json();
}

Tokenizers tokenizers_from(const train::Metadata& metadata, const std::string& path) {
  const examples::MetadataReader read = {"translation", metadata, path};
  try {
    Tokenizers t;
    t.source = data::parse_tokenizer(read.get("source_tokenizer"));
    t.target = metadata.count("target_tokenizer") ? data::parse_tokenizer(metadata.at("target_tokenizer")) : t.source;
    return t;
  } catch (const Error& e) {
    fail({printable(path), ": ", e.what()});
  }
}

}  // namespace translation
