// The program as a user runs it.
#include <gtest/gtest.h>

#include <algorithm>

#include "tensor/io/file.h"
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

const std::string small = "train --pairs 1000 --size 32 --epochs 4 --batch 512 ";

TEST(Translation, TrainsEvaluatesAndTranslates) {
  for (const std::string model : {"seq2seq", "seq2seq_attention", "transformer"}) {
    TempDir dir;
    const std::string with = " --checkpoint " + (dir / "out") + " ";
    const Outcome trained = run(small + "--model " + model + " --out " + (dir / "out"));
    ASSERT_EQ(trained.status, 0) << trained.output;
    EXPECT_NE(trained.output.find("val_bleu"), std::string::npos) << trained.output;
    EXPECT_TRUE(
        read_file(dir / "out/log.csv").starts_with("epoch,loss,accuracy,val_loss,val_accuracy,val_bleu,val_exact\n"));

    const Outcome evaluated = run("evaluate --samples 2 --output " + (dir / "made.txt") + with);
    EXPECT_EQ(evaluated.status, 0) << evaluated.output;
    for (const char* part : {"\n  = ", "\n  > ", "BLEU = ",
                             "signature: nrefs:1|case:mixed|eff:no|tok:none|smooth:exp", "chrF2 = ", "exact match: "})
      EXPECT_NE(evaluated.output.find(part), std::string::npos) << part << " in " << evaluated.output;
    const std::string made = read_file(dir / "made.txt");
    EXPECT_EQ(std::count(made.begin(), made.end(), '\n'), 50);

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

TEST(Translation, ResumesToTheSameBytes) {
  TempDir dir;
  const std::string options = "--model transformer --average 2 --dropout 0.2 ";
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
  expect_error(run(""), 2, "expected a command: train|evaluate|translate|demo");
  expect_error(run("train --data other"), 2, "is none of grammar, pairs:FILE.tsv, parallel:DIR");
  expect_error(run("train --model other"), 2, "--model");
  expect_error(run("train --dropout 2"), 2, "--dropout");
  write_file(dir / "x.safetensors", "hello");
  expect_error(run("translate --checkpoint " + (dir / "x.safetensors") + " hello"), 1, "x.safetensors");
}

}  // namespace
}  // namespace gradus
