// Texts: Unicode, tokenisers, corpora and scores, beside what other programs make of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "autograd/ops.h"
#include "data/text/batches.h"
#include "data/text/bleu.h"
#include "data/text/bpe.h"
#include "data/text/corpus.h"
#include "data/text/unicode.h"
#include "data/text/words.h"
#include "examples/made_up/grammar.h"
#include "tensor/io/file.h"
#include "tests/errors.h"
#include "tests/paths.h"

namespace gradus::data {
namespace {

using nlohmann::json;
using testing::data_dir;
using testing::error_of;
using testing::TempDir;
using Words = std::vector<std::string>;

json parse(const std::string& path) { return json::parse(read_file(path)); }

TEST(Unicode, ReadsAndRefusesUtf8) {
  EXPECT_EQ(decode_utf8("aé我🙂"), U"aé我🙂");
  EXPECT_EQ(encode_utf8(U"aé我🙂"), "aé我🙂");
  // Overlong, a surrogate, above U+10FFFF, a stray continuation, cut short.
  for (const char* bad :
       {"\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\x80", "\xE6\x88", "\xFF"}) {
    EXPECT_FALSE(is_utf8(bad));
    EXPECT_EQ(error_of([&] { return decode_utf8(std::string("ab") + bad); }).substr(0, 14), "not UTF-8: byt") << bad;
    EXPECT_TRUE(is_utf8(mend_utf8(bad)));
  }
  EXPECT_EQ(mend_utf8("a\xE6\x88z\xFF"), "a\uFFFDz\uFFFD");
}

TEST(Unicode, NormalFormsCaseAndClasses) {
  EXPECT_EQ(nfc("e\u0301"), "é");
  EXPECT_EQ(lower("ÄÉΣX我"), "äéσx我");
  EXPECT_TRUE(is_letter(U'我') && is_letter(U'é') && !is_letter(U'1') && is_number(U'½') && is_number(U'Ⅷ'));
  EXPECT_TRUE(is_space(0x3000) && !is_space(U'x'));
  EXPECT_EQ(split(" a\u3000b\tc\n"), (Words{"a", "b", "c"}));
  EXPECT_EQ(strip("\u00a0 a b \n"), "a b");
  EXPECT_EQ(strip(" \n"), "");
}

TEST(WordTokenizer, CutsAsMosesDoes) {
  EXPECT_EQ(join(word_tokenize("Dr. Smith doesn't pay $3.50, \"he\" says... in the U.S. (twice).")),
            "Dr. Smith doesn 't pay $ 3.50 , \" he \" says ... in the U.S. ( twice ) .");
  EXPECT_EQ(join(word_tokenize("L'homme d'affaires, aujourd'hui.", "fr")), "L' homme d' affaires , aujourd' hui .");
  EXPECT_EQ(join(word_tokenize("Am 3. Mai um 1,5 Uhr, z.B. hier.", "de")), "Am 3. Mai um 1,5 Uhr , z.B. hier .");
  EXPECT_EQ(join(word_tokenize("dogs' 1980's rock'n'roll")), "dogs ' 1980 's rock 'n 'roll");
  EXPECT_EQ(word_tokenize("  "), Words{});
}

TEST(WordTokenizer, JoinsWhatItCut) {
  for (const char* text : {"Dr. Smith doesn't pay $3.50, \"he\" says (twice).", "Is it 50%? No: 60%!"})
    EXPECT_EQ(word_detokenize(word_tokenize(text)), text);
  EXPECT_EQ(word_detokenize(word_tokenize("L'homme est là.", "fr"), "fr"), "L'homme est là.");
}

TEST(VocabularyTokenizer, CountsCutsAndNames) {
  const auto t = VocabularyTokenizer::train(TokenUnit::word, {"a b a", "c b a <pad>"}, {.max_size = 7});
  EXPECT_EQ(t.size(), 7);
  EXPECT_EQ(t.encode("a b c"), (Ids{5, 6, 3}));
  EXPECT_EQ(t.decode({1, 5, 6, 3, 2, 0}), "a b <unk>");
  EXPECT_EQ(t.encode("<pad> a").back(), 5);
  EXPECT_EQ(t.token(6), "b");
  EXPECT_EQ(error_of([&] { return t.token(7); }), "token 7 of a vocabulary of 7");
  const auto c = VocabularyTokenizer::train(TokenUnit::character, {"我是 我"}, {.lowercase = true});
  EXPECT_EQ(c.decode(c.encode("我 是狗")), "我 是<unk>");
  const auto same = parse_tokenizer(c.to_json());
  EXPECT_EQ(same->to_json(), c.to_json());
  EXPECT_EQ(same->encode("我 是狗"), c.encode("我 是狗"));
}

TEST(Tokenizer, RefusesWhatIsNone) {
  TempDir dir;
  const std::string path = dir / "t.json";
  const auto message = [&](const char* text) {
    write_file(path, text);
    return error_of([&] { return load_tokenizer(path); });
  };
  for (const char* bad :
       {"", "{", "[]", "{\"type\": 1}", "{\"type\": \"word\"}", "{\"type\": \"bpe\"}",
        "{\"type\": \"bpe\", \"merges\": [\"ab\"]}", "{\"type\": \"bpe\", \"merges\": [1]}",
        "{\"type\": \"bpe\", \"merges\": [\"aa b\"]}", "{\"type\": \"bpe\", \"merges\": [\"a b\", \"a b\"]}",
        "{\"type\": \"bpe\", \"merges\": [\"我 b\"]}", "{\"type\": \"other\"}",
        "{\"type\": \"word\", \"lowercase\": true, \"language\": \"en\", \"tokens\": [\"a\"]}"}) {
    const std::string said = message(bad);
    EXPECT_EQ(said.substr(0, path.size()), path) << bad << " gave: " << said;
    EXPECT_EQ(said.find('\n'), said.npos) << said;
  }
}

// Byte-pair encoding as its paper has it: one pass over all the text for each merge.
Words slow_merges(std::string text, size_t merges) {
  std::replace(text.begin(), text.end(), ' ', '_');
  std::map<std::string, int> ids;  // those of bytes are in the order of their printable forms, a space's the last
  for (int c = 33; c < 127; ++c) ids[std::string(1, char(c))] = c == '_' ? 1000 : c;
  std::vector<Words> words;
  for (const char c : text) {
    if (c == '_') words.emplace_back();
    words.back().push_back(std::string(1, c));
  }
  Words made;
  while (made.size() < merges) {
    std::map<std::pair<int, int>, int> counts;
    std::map<std::pair<int, int>, std::pair<std::string, std::string>> names;
    for (const Words& word : words)
      for (size_t i = 0; i + 1 < word.size(); ++i) {
        const std::pair<int, int> pair = {ids[word[i]], ids[word[i + 1]]};
        ++counts[pair];
        names[pair] = {word[i], word[i + 1]};
      }
    const auto best =
        std::max_element(counts.begin(), counts.end(), [](auto& a, auto& b) { return a.second < b.second; });
    if (best == counts.end() || best->second < 2) break;
    const auto [left, right] = names[best->first];
    made.push_back(left + " " + right);
    ids.emplace(left + right, 2000 + int(made.size()));
    for (Words& word : words)
      for (size_t i = 0; i + 1 < word.size(); ++i)
        if (word[i] == left && word[i + 1] == right) {
          word[i] += right;
          word.erase(word.begin() + int64_t(i) + 1);
        }
  }
  return made;
}

TEST(Bpe, MergesWhatIsMostFrequent) {
  const std::string text = "aaaa aaab aab abab banana bananas aaaaa bandana the then them thesis these thus";
  const json ours = json::parse(BytePairTokenizer::train({text}, {.size = 400}).to_json())["merges"];
  const Words slow = slow_merges(" " + text, 400);
  EXPECT_GT(slow.size(), 12u);
  ASSERT_EQ(ours.size(), slow.size());
  for (size_t i = 0; i < slow.size(); ++i) {
    std::string merge = ours[i];
    for (size_t at; (at = merge.find("Ġ")) != merge.npos;) merge.replace(at, 2, "_");
    EXPECT_EQ(merge, slow[i]) << "merge " << i;
  }
}

TEST(Bpe, EncodesByOneMergeAfterTheOther) {
  Generator random(4);
  const auto draw = [&](int64_t n) {
    std::string word;
    for (int64_t i = 0; i < n; ++i) word += char('a' + random.below(3));
    return word;
  };
  std::string text;
  for (int i = 0; i < 300; ++i) text += " " + draw(1 + random.below(9));
  const auto t = BytePairTokenizer::train({text}, {.size = 360});
  const json merges = json::parse(t.to_json())["merges"];
  EXPECT_GT(merges.size(), 90u);
  for (int round = 0; round < 100; ++round) {
    const std::string word = draw(1 + random.below(40));
    Words parts = {"Ġ"};
    for (const char c : word) parts.push_back(std::string(1, c));
    for (const std::string merge : merges) {
      const size_t space = merge.find(' ');
      for (size_t i = 0; i + 1 < parts.size(); ++i)
        if (parts[i] == merge.substr(0, space) && parts[i + 1] == merge.substr(space + 1)) {
          parts[i] += parts[i + 1];
          parts.erase(parts.begin() + int64_t(i) + 1);
        }
    }
    Words ours;
    for (const int64_t id : t.encode(word)) ours.push_back(t.token(id));
    for (std::string& part : parts)
      if (part.starts_with("Ġ")) part.replace(0, 2, "▁");
    EXPECT_EQ(ours, parts) << word;
  }
}

TEST(Bpe, AMegabyteWithoutASpaceIsAWordLikeAnyOther) {
  Generator random(5);
  const std::string same(1 << 20, 'x');
  std::string mixed;
  for (int i = 0; i < 1 << 20; ++i) mixed += char('a' + random.below(26));
  const auto t = BytePairTokenizer::train({same, mixed}, {.size = 400});
  EXPECT_LT(t.encode(same).size(), 2000u);
  for (const std::string& text : {same, mixed}) EXPECT_TRUE(t.decode(t.encode(text)) == text);
}

TEST(Bpe, GivesBackEveryText) {
  const auto t = BytePairTokenizer::train({"the cat sat on the mat", "我 是 一只 狗"}, {.size = 300});
  for (const std::string text :
       {"", " ", "the cat", "  two  spaces ", "tab\tand\nline", "naïve 🙂 我是狗", "<pad></s>"}) {
    EXPECT_EQ(t.decode(t.encode(text)), text);
    for (const int64_t id : t.encode(text)) EXPECT_GE(id, 5) << text;
  }
  EXPECT_EQ(t.token(t.encode("the")[0]), "▁the");
  EXPECT_EQ(t.decode({t.encode("我")[1]}), "\uFFFD");  // a byte of it alone
  EXPECT_NE(error_of([&] { return t.encode("a\xFF"); }), "");
  const auto same = parse_tokenizer(t.to_json());
  EXPECT_EQ(same->encode("the cat is 狗"), t.encode("the cat is 狗"));
}

TEST(Bpe, ReadsGpt2) {
  const std::string dir = data_dir("gpt2-bpe");
  if (dir.empty()) GTEST_SKIP() << "no data set gpt2-bpe";
  const auto t = BytePairTokenizer::gpt2(dir + "/encoder.json", dir + "/vocab.bpe");
  EXPECT_EQ(t.size(), 50257);
  std::ifstream lines(dir + "/reference-encodings.jsonl");
  int seen = 0;
  for (std::string line; std::getline(lines, line); ++seen) {
    const json reference = json::parse(line);
    const std::string text = reference["text"];
    EXPECT_EQ(t.encode(text), reference["ids"].get<Ids>()) << text;
    EXPECT_EQ(t.decode(t.encode(text)), text);
  }
  EXPECT_EQ(seen, 31);
}

std::string run_script(const std::string& modules, const std::string& arguments) {
  const std::string python = testing::python(modules);
  if (python.empty()) return "no Python with " + modules;
  std::string output;
  EXPECT_EQ(testing::shell(python + " " + testing::source_dir() + "/tests/text.py " + arguments, &output), 0)
      << output;
  return "";
}

TEST(Bpe, EqualsAnotherImplementationOnRealText) {
  const std::string dir = data_dir("multi30k");
  if (dir.empty()) GTEST_SKIP() << "no data set multi30k";
  std::vector<std::string> lines = read_lines(dir + "/train.en.gz");
  for (const std::string& line : read_lines(dir + "/train.de.gz")) lines.push_back(line);
  for (std::string& line : lines) line = strip(line);  // to ours a space in front is a space; theirs drops it
  TempDir tmp;
  write_file(tmp / "text", join(lines, "\n") + "\n");
  const std::string missing = run_script("tokenizers", "bpe " + (tmp / "text") + " " + (tmp / "out.json") + " 10000");
  if (!missing.empty()) GTEST_SKIP() << missing;
  const json theirs = parse(tmp / "out.json");
  const auto t = BytePairTokenizer::train(lines, {.size = 10000});
  EXPECT_EQ(json::parse(t.to_json())["merges"], theirs["merges"]);
  ASSERT_EQ(theirs["encodings"].size(), lines.size());
  for (size_t i = 0; i < lines.size(); ++i)
    ASSERT_EQ(t.encode(lines[i]), theirs["encodings"][i].get<Ids>()) << lines[i];
}

TEST(Bleu, ByHand) {
  // Papineni et al. 2002, section 2.1: "the" counts as often as a reference has it.
  const Bleu b = bleu({"the the the the the the the"}, Words{"the cat is on the mat"});
  EXPECT_EQ(b.matches[0], 2);
  EXPECT_EQ(b.totals[0], 7);
  EXPECT_DOUBLE_EQ(bleu({"a b c d e"}, Words{"a b c d e"}).score, 100);
  EXPECT_EQ(bleu({"x"}, Words{"a b c d e"}).score, 0);
  EXPECT_EQ(bleu({}, Words{}).score, 0);
  EXPECT_NEAR(bleu({"a b c d"}, Words{"a b c d e f g h"}).score, 100 * std::exp(1 - 2.0), 1e-12);
  EXPECT_EQ(error_of([] { return bleu({"a"}, Words{}); }), "bleu: 1 candidates, but 0 references");
  EXPECT_EQ(bleu_tokenize("Hello, world 3.5!", BleuTokens::v13a), (Words{"Hello", ",", "world", "3.5", "!"}));
  EXPECT_EQ(bleu_tokenize("我是dog。", BleuTokens::zh), (Words{"我", "是", "dog", "。"}));
  EXPECT_DOUBLE_EQ(chrf({"abc"}, {"abc"}), 100);
  EXPECT_EQ(chrf({""}, {"abc"}), 0);
  EXPECT_DOUBLE_EQ(exact_match({" a", "b"}, {"a", "c"}), 0.5);
}

void expect_sacrebleu(const json& cases) {
  const std::map<std::string, BleuTokens> names = {{"13a", BleuTokens::v13a},
                                                   {"zh", BleuTokens::zh},
                                                   {"none", BleuTokens::none},
                                                   {"char", BleuTokens::characters}};
  for (const json& c : cases) {
    const Words candidates = c["candidates"];
    const std::vector<Words> references = c["references"];
    const Bleu b = bleu(candidates, references,
                        {names.at(c["tokens"]), c["lowercase"].get<bool>(), c["effective_order"].get<bool>()});
    EXPECT_NEAR(b.score, c["bleu"].get<double>(), 1e-9) << c;
    EXPECT_NEAR(chrf(candidates, references[0]), c["chrf"].get<double>(), 1e-9) << c;
    if (candidates.empty()) continue;
    EXPECT_EQ(b.signature, c["signature"]);
    EXPECT_EQ(to_string(b), c["text"]);
  }
}

TEST(Bleu, EqualsSacrebleu) {
  const json cases = parse(testing::source_dir() + "/tests/golden/bleu.json");
  ASSERT_EQ(cases.size(), 40u);
  expect_sacrebleu(cases);
}

TEST(Bleu, EqualsSacrebleuOnAThousandCorpora) {
  TempDir dir;
  const std::string missing = run_script("sacrebleu", "bleu " + (dir / "cases.json") + " 1000");
  if (!missing.empty()) GTEST_SKIP() << missing;
  const json cases = parse(dir / "cases.json");
  ASSERT_EQ(cases.size(), 1000u);
  expect_sacrebleu(cases);
}

TEST(Corpus, ReadsPlainAndPackedFiles) {
  TempDir dir;
  const std::string path = dir / "text";
  write_file(path, "a\r\nb\u0085c\n\nd");
  EXPECT_EQ(read_lines(path), (Words{"a", "b\u0085c", "", "d"}));
  ASSERT_EQ(testing::shell("gzip -k " + path), 0);
  EXPECT_EQ(read_lines(path + ".gz"), read_lines(path));
  const std::string packed = read_file(path + ".gz");
  write_file(path + ".gz", packed.substr(0, packed.size() - 5));
  EXPECT_EQ(error_of([&] { return read_lines(path + ".gz"); }), path + ".gz: truncated gzip data");
  write_file(path, "");
  EXPECT_EQ(error_of([&] { return read_lines(path); }), path + ": the file is empty");
  write_file(path, "fine\nna\xEFve\n");
  EXPECT_EQ(error_of([&] { return read_lines(path); }), path + ": line 2 is not UTF-8");
  write_file(path, std::string("fine\nza\0p\n", 10));
  EXPECT_EQ(error_of([&] { return read_lines(path); }), path + ": line 2 has a zero byte: no text");
  write_file(path, "\n \n\t\r\n");
  EXPECT_EQ(error_of([&] { return read_lines(path); }), path + ": there are only blank lines");
  write_file(path, "\xEF\xBB\xBF");  // a byte order mark, and no text
  EXPECT_EQ(error_of([&] { return read_lines(path); }), path + ": there are only blank lines");
  EXPECT_EQ(error_of([&] { return read_tsv(path); }), path + ": there are only blank lines");
  write_file(path, "\uFEFFa\n\uFEFFb\n");  // a mark of the byte order at the beginning alone
  EXPECT_EQ(read_lines(path), (Words{"a", "\uFEFFb"}));
  write_file(path, std::string(1 << 20, 'x') + "\n");
  EXPECT_EQ(read_lines(path)[0].size(), size_t(1) << 20);
}

TEST(Corpus, ReadsPairs) {
  TempDir dir;
  const std::string path = dir / "p.tsv";
  write_file(path, "I am\t我 是\tby someone\n Hi \t 嗨\n");
  EXPECT_EQ(read_tsv(path), (std::vector<SentencePair>{{"I am", "我 是"}, {"Hi", "嗨"}}));
  write_file(path, "I am\t我 是\nno tab\n");
  EXPECT_EQ(error_of([&] { return read_tsv(path); }), path + ": line 2 has no tab between two sentences: no tab");
  write_file(path, "I am\t我 是\n\n  \n");
  EXPECT_EQ(read_tsv(path).size(), 1u);
  write_file(path, "I am\t我 是\n\nHi\t嗨\n");
  EXPECT_EQ(error_of([&] { return read_tsv(path); }), path + ": line 2 has no tab between two sentences: ");
  write_file(path, "I am\t \n");
  EXPECT_EQ(error_of([&] { return read_tsv(path); }), path + ": line 1 has a blank sentence");
  write_file(dir / "a", "1\n\n3\n");
  write_file(dir / "b", "x\ny\nz\n");
  EXPECT_EQ(read_parallel(dir / "a", dir / "b"), (std::vector<SentencePair>{{"1", "x"}, {"3", "z"}}));
  write_file(dir / "b", "x\ny\n");
  EXPECT_EQ(error_of([&] { return read_parallel(dir / "a", dir / "b"); }),
            (dir / "a") + " has 3 lines, but " + (dir / "b") + " has 2");
}

TEST(Corpus, PartsShareNoSentence) {
  std::vector<SentencePair> pairs;
  Generator random(7);
  for (int i = 0; i < 2000; ++i)
    pairs.push_back({"s" + std::to_string(random.below(1500)), "t" + std::to_string(random.below(1500))});
  for (int i = 0; i < 1000; ++i) pairs.push_back({"u" + std::to_string(i), "v" + std::to_string(i / 2)});
  const PairSplit parts = split_pairs(pairs, 0.1, 0.1, 3);
  EXPECT_EQ(parts.train.size() + parts.validation.size() + parts.test.size(), pairs.size());
  EXPECT_GT(parts.test.size(), 200u);
  EXPECT_GT(parts.validation.size(), 200u);
  std::set<std::string> train, validation;
  for (const auto& p : parts.train) train.insert({p.source, p.target});
  for (const auto& p : parts.validation) validation.insert({p.source, p.target});
  for (const auto& p : parts.validation) EXPECT_FALSE(train.count(p.source) || train.count(p.target));
  for (const auto& p : parts.test)
    for (const std::string& s : {p.source, p.target}) EXPECT_FALSE(train.count(s) || validation.count(s)) << s;
}

TEST(Grammar, MakesDistinctPairsAndHoldsCombinationsOut) {
  const PairSplit c = examples::grammar_corpus(20000, 1);
  EXPECT_EQ(c.train.size(), 18000u);
  EXPECT_EQ(c.validation.size(), 1000u);
  EXPECT_EQ(c.test.size(), 1000u);
  std::set<std::string> english, words;
  for (const auto* part : {&c.train, &c.validation, &c.test})
    for (const SentencePair& p : *part) EXPECT_TRUE(english.insert(p.source).second) << p.source;
  for (const SentencePair& p : c.train)
    for (const std::string& word : split(p.source)) words.insert(word);
  for (const SentencePair& p : c.test)  // no new words, but new combinations of them
    for (const std::string& word : split(p.source)) EXPECT_TRUE(words.count(word)) << word;
  EXPECT_EQ(examples::grammar_corpus(20000, 1).test, c.test);
  EXPECT_NE(examples::grammar_corpus(20000, 2).test, c.test);
  EXPECT_NE(error_of([] { return examples::grammar_corpus(2000000); }), "");
}

TEST(Grammar, TranslatesTheExample) {
  const std::vector<SentencePair> all = examples::grammar_corpus(100000, 1).train;
  EXPECT_NE(std::find(all.begin(), all.end(), SentencePair{"I am a dog", "我 是 一只 狗"}), all.end());
}

TEST(Batches, FillRowsAndKeepWithinTokens) {
  EXPECT_TRUE(equal(pad_rows({{5, 6}, {7}, {}}, 9), tensor({{5, 6}, {7, 9}, {9, 9}}).to(int64)));
  std::vector<int64_t> lengths;
  Generator random(1);
  for (int i = 0; i < 500; ++i) lengths.push_back(1 + random.below(40));
  lengths.push_back(300);
  const auto batches = batches_by_tokens(lengths, 100, 5);
  std::set<int64_t> seen;
  for (const auto& batch : batches) {
    int64_t longest = 0;
    for (const int64_t i : batch) {
      EXPECT_TRUE(seen.insert(i).second);
      longest = std::max(longest, lengths[size_t(i)]);
    }
    EXPECT_TRUE(longest * int64_t(batch.size()) <= 100 || batch.size() == 1);
  }
  EXPECT_EQ(seen.size(), lengths.size());
  EXPECT_LT(batches.size(), 160u);
}

TEST(Batches, OfPairsShiftTheTarget) {
  const auto t = VocabularyTokenizer::train(TokenUnit::word, {"a b c"});
  const auto pairs = encode_pairs({{"a b", "c"}, {"a", "c b a"}, {"a", "c b a a"}}, t, t, 3);
  ASSERT_EQ(pairs.size(), 2u);
  auto loader = pair_loader(pairs, t.specials(), {.max_tokens = 100, .shuffle = false});
  int batches = 0;
  for (const PairBatch& batch : loader) {
    ++batches;
    EXPECT_EQ(batch.source.size(0), 2);
    EXPECT_EQ(batch.tokens, 6);
    for (int64_t row = 0; row < 2; ++row) {
      EXPECT_EQ(batch.target_in[row][0].item(), t.specials().bos);
      for (int64_t i = 0; i + 1 < batch.target_in.size(1); ++i) {
        const double next = batch.target_in[row][i + 1].item(), out = batch.target_out[row][i].item();
        EXPECT_TRUE(out == next || (out == t.specials().eos && next == t.specials().pad));
      }
    }
  }
  EXPECT_EQ(batches, 1);
}

}  // namespace
}  // namespace gradus::data
