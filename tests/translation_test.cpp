// The program as a user runs it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "data/text/tokenizer.h"
#include "tensor/io/file.h"
#include "tensor/io/safetensors.h"
#include "tests/paths.h"

namespace gradus {
namespace {

using gradus::testing::Outcome;
using gradus::testing::TempDir;

Outcome run(const std::string& arguments, const std::string& before = "") {
  return gradus::testing::run_program("translation", arguments, before);
}

void expect_error(const Outcome& r, int status, const std::string& says) {
  EXPECT_EQ(r.status, status) << r.output;
  EXPECT_EQ(std::count(r.output.begin(), r.output.end(), '\n'), 1) << r.output;
  EXPECT_TRUE(r.output.starts_with("error: ")) << r.output;
  EXPECT_NE(r.output.find(says), std::string::npos) << r.output << "\nshould say: " << says;
}

// The scores by length are those of all sentences, taken apart.
void expect_lengths(const std::string& output, const std::string& csv, int64_t sentences) {
  EXPECT_NE(output.find("   words  sentences  exact match    BLEU\n"), std::string::npos) << output;
  std::istringstream lines(csv);
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line, "low,high,sentences,exact,bleu");
  double all = 0, exact = 0, before = 0;
  while (std::getline(lines, line)) {
    double low, high, n, share, bleu;
    ASSERT_EQ(std::sscanf(line.c_str(), "%lf,%lf,%lf,%lf,%lf", &low, &high, &n, &share, &bleu), 5) << line;
    EXPECT_TRUE(low > before && (high >= low || high == 0)) << line;
    before = high;
    all += n;
    exact += n * share;
  }
  EXPECT_EQ(all, double(sentences));
  const size_t at = output.find("exact match: ");
  ASSERT_NE(at, std::string::npos);
  EXPECT_NEAR(100 * exact / all, std::atof(output.c_str() + at + 13), 0.01);
}

const std::string small = "train --pairs 1000 --size 32 --batch 512 ";

TEST(Translation, TrainsEvaluatesAndTranslates) {
  for (const std::string model : {"seq2seq", "seq2seq_attention", "transformer"}) {
    TempDir dir;
    const std::string with = " --checkpoint " + (dir / "out") + " ";
    const Outcome trained = run(small + "--epochs 8 --model " + model + " --out " + (dir / "out"));
    ASSERT_EQ(trained.status, 0) << trained.output;
    EXPECT_NE(trained.output.find("val_bleu"), std::string::npos) << trained.output;
    EXPECT_TRUE(
        read_file(dir / "out/log.csv").starts_with("epoch,loss,accuracy,val_loss,val_accuracy,val_bleu,val_exact\n"));

    const Outcome evaluated =
        run("evaluate --samples 2 --output " + (dir / "made.txt") + " --by-length " + (dir / "lengths.csv") + with);
    EXPECT_EQ(evaluated.status, 0) << evaluated.output;
    for (const char* part : {"\n  = ", "\n  > ", "BLEU = ",
                             "signature: nrefs:1|case:mixed|eff:no|tok:none|smooth:exp", "chrF2 = ", "exact match: "})
      EXPECT_NE(evaluated.output.find(part), std::string::npos) << part << " in " << evaluated.output;
    const std::string made = read_file(dir / "made.txt");
    EXPECT_EQ(std::count(made.begin(), made.end(), '\n'), 50);
    expect_lengths(evaluated.output, read_file(dir / "lengths.csv"), 50);

    const bool looks = model != "seq2seq";
    const std::string show = looks ? " --show-attention --attention " + (dir / "a.svg") : "";
    const Outcome translated =
        run("translate --beam 3 --n-best 2" + with + show + " 'I am a dog' 'zebras \U0001F642 fly'");
    EXPECT_EQ(translated.status, 0) << translated.output;
    EXPECT_GE(std::count(translated.output.begin(), translated.output.end(), '\n'), 4) << translated.output;
    if (looks) {
      EXPECT_NE(translated.output.find("i am a dog </s>"), std::string::npos) << translated.output;
      const std::string picture = read_file(dir / "a.svg");
      EXPECT_TRUE(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
      EXPECT_NE(picture.find(">dog</text>"), std::string::npos);
    } else {
      expect_error(run("translate --attention " + (dir / "b.svg") + with + "hello"), 1, "a seq2seq looks at nothing");
    }

    // Lines of standard input: empty, not UTF-8, very long.
    write_file(dir / "lines", "the dog\n\n\xFF\xFE\n" + std::string(5000, 'a') + " b\n");
    const Outcome piped = run("translate" + with + "< " + (dir / "lines"));
    EXPECT_EQ(piped.status, 0) << piped.output;
    EXPECT_EQ(std::count(piped.output.begin(), piped.output.end(), '\n'), 4) << piped.output;
  }
}

TEST(Translation, LearnsFromFiles) {
  TempDir dir;
  const auto pair = [](int i) { return "word" + std::to_string(i % 7) + " and word" + std::to_string(i); };
  std::string tsv, source, target;
  for (int i = 0; i < 200; ++i) {
    tsv += pair(i) + "\tWort " + std::to_string(i) + "\tsomeone\n";
    source += pair(i) + "\n";
    target += "Wort " + std::to_string(i) + "\n";
  }
  write_file(dir / "pairs.tsv", tsv);
  for (const char* part : {"train", "val", "test_one"}) {
    write_file(dir / (std::string(part) + ".en"), source);
    write_file(dir / (std::string(part) + ".de"), target);
  }
  const std::string options = " --vocabulary 300 --size 16 --epochs 1 --average 2 --out " + (dir / "out");
  for (const std::string& data : {"pairs:" + (dir / "pairs.tsv"), "parallel:" + dir.path()}) {
    const Outcome trained = run("train --data " + data + options);
    EXPECT_EQ(trained.status, 0) << trained.output;
    const Outcome evaluated = run("evaluate --beam 2 --checkpoint " + (dir / "out/average.safetensors"));
    EXPECT_EQ(evaluated.status, 0) << evaluated.output;
    EXPECT_NE(evaluated.output.find("lower case, Moses tokens: BLEU = "), std::string::npos) << evaluated.output;
  }
  write_file(dir / "train.de", target + "one more\n");
  expect_error(run("train --data parallel:" + dir.path() + options), 1, "has 200 lines, but");
  write_file(dir / "pairs.tsv", "no tab\n");
  expect_error(run("train --data pairs:" + (dir / "pairs.tsv") + options), 1, "line 1 has no tab");
  expect_error(run("train --data parallel:" + (dir / "nowhere") + options), 1, "No such file");
  expect_error(run("train --tgt fr --data parallel:" + dir.path() + options), 1, "no file train*.fr[.gz]");
}

// Two hundred lines "wordI and wordJ<between>Wort J".
std::string some_pairs(const std::string& between = "\t", const std::string& end = "\n") {
  std::string text;
  for (int i = 0; i < 200; ++i)
    text += "word" + std::to_string(i % 7) + " and word" + std::to_string(i) + between + "Wort " + std::to_string(i) +
            end;
  return text;
}

TEST(Translation, NamesWhatIsWrongInAFile) {
  TempDir dir;
  const std::string good = some_pairs(), file = dir / "pairs.tsv";
  ASSERT_EQ(testing::shell("printf 'a\\tb\\n' | gzip -c > " + (dir / "packed")), 0);
  const std::string packed = read_file(dir / "packed");
  const std::string train = "train --vocabulary 300 --size 16 --epochs 1 --out " + (dir / "out") + " --data ";
  for (const auto& [content, says] : std::vector<std::pair<std::string, std::string>>{
           {"", "pairs.tsv: the file is empty"},
           {"\n \n\r\n", "pairs.tsv: there are only blank lines"},
           {good + "na\xEFve\tx\n", "pairs.tsv: line 201 is not UTF-8"},
           {good + std::string("a\0b\tc\n", 6), "pairs.tsv: line 201 has a zero byte"},
           {good + "one column\n", "pairs.tsv: line 201 has no tab between two sentences: one column"},
           {good + "\tc\n", "pairs.tsv: line 201 has a blank sentence"},
           {"a\tb\n", "1 pairs to train on and 0 to validate with are too few"},
           {packed.substr(0, packed.size() - 3), "pairs.tsv: truncated gzip data"}}) {
    write_file(file, content);
    expect_error(run(train + "pairs:" + file), 1, says);
  }
  write_file(file, good);
  expect_error(run(train + "parallel:" + dir.path() + " --src en --tgt en"), 1, "--src and --tgt are both en");
  // Where the folder cannot be.
  const Outcome r = run("train --vocabulary 300 --size 16 --epochs 1 --data pairs:" + file + " --out " + file);
  EXPECT_EQ(r.status, 1);
  EXPECT_NE(r.output.find("error: " + file + ": cannot make the folder"), std::string::npos) << r.output;
}

TEST(Translation, ReadsWhatOtherSystemsWrite) {
  TempDir dir;
  const std::string file = dir / "pairs.tsv";
  const std::string train = "train --vocabulary 300 --size 16 --epochs 1 --data pairs:" + file + " --out ";
  write_file(file, some_pairs());
  ASSERT_EQ(run(train + (dir / "plain")).status, 0);
  write_file(file, "\uFEFF" + some_pairs("\t", "\r\n") + "\r\n");
  ASSERT_EQ(run(train + (dir / "other")).status, 0);
  EXPECT_EQ(read_file(dir / "plain/last.safetensors"), read_file(dir / "other/last.safetensors"));
  write_file(dir / "lines", "word1 and\nword2\n");
  write_file(dir / "others", "\uFEFFword1 and\r\nword2\r\n");
  const std::string translate = "translate --checkpoint " + (dir / "plain") + " < ";
  EXPECT_EQ(run(translate + (dir / "lines")).output, run(translate + (dir / "others")).output);
}

TEST(Translation, TakesAMegabyteInALine) {
  TempDir dir;
  std::string word;
  for (int64_t i = 0; i < 1 << 20; ++i) word += char('a' + (i * i + i / 7) % 26);
  write_file(dir / "pairs.tsv", some_pairs() + word + "\tlong\n");
  const Outcome trained =
      run("train --model transformer --vocabulary 300 --size 16 --epochs 1 --data pairs:" + (dir / "pairs.tsv") +
          " --out " + (dir / "out"));
  EXPECT_EQ(trained.status, 0) << trained.output;
  EXPECT_NE(trained.output.find("left out: 1 pairs of more than 200 tokens\n"), std::string::npos) << trained.output;
  write_file(dir / "lines", word + "\nword1 and word2\n");
  const Outcome translated = run("translate --checkpoint " + (dir / "out") + " < " + (dir / "lines"));
  EXPECT_EQ(translated.status, 0) << translated.output;
  EXPECT_NE(translated.output.find("only the first 1000 tokens are translated"), std::string::npos);
  EXPECT_EQ(std::count(translated.output.begin(), translated.output.end(), '\n'), 3) << translated.output;
}

TEST(Translation, RefusesAnotherProgramsCheckpoint) {
  TempDir dir;
  ASSERT_EQ(run("train --pairs 100 --size 16 --epochs 1 --out " + (dir / "out")).status, 0);
  const TensorFile good = load_safetensors(dir / "out/last.safetensors");
  const auto refused = [&](const std::string& key, const std::string& value, const std::string& says) {
    TensorFile file = good;
    file.metadata[key] = value;
    save_safetensors(dir / "other.safetensors", file);
    const Outcome r = run("translate --checkpoint " + (dir / "other.safetensors") + " hello");
    expect_error(r, 1, says);
    EXPECT_TRUE(r.output.starts_with("error: " + (dir / "other.safetensors") + ": ")) << r.output;
  };
  refused("program", "language_model", "a checkpoint of language_model, not of translation");
  refused("size", "many", "metadata 'size' is 'many', expected a number");
  refused("layers", "1000000000", "expected a number from 0 to 1000");
  refused("source_tokenizer", "{}", "not a tokeniser");
  // Words that are not those of the embedding.
  const auto few = data::VocabularyTokenizer::train(data::TokenUnit::word, {"a few words"});
  refused("source_tokenizer", few.to_json(), "source_embedding.weight is [");
  refused("target_tokenizer", few.to_json(), "target_embedding.weight is [");
}

TEST(Translation, ResumesToTheSameBytes) {
  TempDir dir;
  const std::string options = "--epochs 4 --model transformer --average 2 --dropout 0.2 ";
  ASSERT_EQ(run(small + options + "--threads 1 --out " + (dir / "whole")).status, 0);
  // Killed at some update of the second epoch, then resumed.
  const Outcome killed =
      run(small + options + "--save-every 1 --out " + (dir / "parts") + " & p=$!; while ! grep -q '^1,' " +
              (dir / "parts/log.csv") + " 2>/dev/null; do sleep 0.02; done; kill -9 $p; wait $p",
          "true &&");
  const Outcome resumed = run("train --resume " + (dir / "parts"));
  ASSERT_EQ(resumed.status, 0) << resumed.output << killed.output;
  for (const char* file : {"last", "average"})
    EXPECT_EQ(read_file(dir / ("whole/" + std::string(file) + ".safetensors")),
              read_file(dir / ("parts/" + std::string(file) + ".safetensors")))
        << file;
}

TEST(Translation, SaysWhatIsWrong) {
  TempDir dir;
  const std::string in = "cd " + dir.path() + " && ";
  expect_error(run("translate hello", in), 1,
               "there is no model in out/translation yet: `translation train` makes one");
  expect_error(run("translate --checkpoint nowhere hello", in), 1, "nowhere");
  expect_error(run(""), 2, "expected a command: train|evaluate|translate|merge|demo");
  expect_error(run("train --data other"), 2, "is none of grammar, pairs:FILE.tsv, parallel:DIR");
  expect_error(run("train --model other"), 2, "--model");
  expect_error(run("train --dropout 2"), 2, "--dropout");
  expect_error(run("train --layers 1000000000"), 2, "--layers");
  write_file(dir / "x.safetensors", "hello");
  expect_error(run("translate --checkpoint " + (dir / "x.safetensors") + " hello"), 1, "x.safetensors");
}

}  // namespace
}  // namespace gradus
