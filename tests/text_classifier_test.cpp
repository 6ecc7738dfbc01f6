// The program as a user runs it.
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "tensor/io/file.h"
#include "tests/paths.h"

namespace gradus {
namespace {

using gradus::testing::Outcome;
using gradus::testing::TempDir;

Outcome run(const std::string& arguments) { return gradus::testing::run_program("text_classifier", arguments); }

// Sentences that one word decides.
void write_sentences(const std::string& path) {
  std::string tsv;
  for (int i = 0; i < 300; ++i) {
    const std::string word = i % 2 ? "good" : "bad", filling = "word" + std::to_string(i % 5);
    tsv +=
        (i % 3 ? "a " + word + " film " + filling : filling + " it is " + word) + "\t" + std::to_string(i % 2) + "\n";
  }
  write_file(path, tsv);
}

TEST(TextClassifier, LearnsJudgesAndResumes) {
  TempDir dir;
  write_sentences(dir / "s.tsv");
  const std::string options = "train --data " + (dir / "s.tsv") + " --size 16 --epochs 6 --lr 0.02 ";
  const Outcome trained = run(options + "--threads 1 --out " + (dir / "out"));
  ASSERT_EQ(trained.status, 0) << trained.output;
  EXPECT_TRUE(trained.output.ends_with("test accuracy: 100.00%\n")) << trained.output;
  EXPECT_EQ(run("evaluate --checkpoint " + (dir / "out/best.safetensors")).output, "test accuracy: 100.00%\n");
  const Outcome judged = run("classify --checkpoint " + (dir / "out") + " 'a good film' 'it is BAD' '' '\U0001F642'");
  EXPECT_EQ(judged.status, 0) << judged.output;
  EXPECT_TRUE(judged.output.starts_with("positive ")) << judged.output;
  EXPECT_NE(judged.output.find("\nnegative "), std::string::npos) << judged.output;
  EXPECT_NE(judged.output.find("looked at:"), std::string::npos);

  ASSERT_EQ(run("export --checkpoint " + (dir / "out ") + (dir / "ids")).status, 0);
  const std::string ids = read_file(dir / "ids");
  std::istringstream lines(ids);
  for (std::string line, part, label, words; std::getline(lines, line);) {
    std::istringstream fields(line);
    ASSERT_TRUE(std::getline(fields, part, '\t') && std::getline(fields, label, '\t') && std::getline(fields, words));
    EXPECT_TRUE(part == "training" || part == "validation" || part == "test") << line;
    EXPECT_TRUE(label == "0" || label == "1") << line;
    EXPECT_EQ(std::count(words.begin(), words.end(), ' '), 3) << line;  // four words
    EXPECT_EQ(words.find_first_not_of("0123456789 "), std::string::npos) << line;
  }
  EXPECT_EQ(std::count(ids.begin(), ids.end(), '\n'), 300);

  ASSERT_EQ(run(options + "--out " + (dir / "two")).status, 0);
  EXPECT_EQ(read_file(dir / "out/last.safetensors"), read_file(dir / "two/last.safetensors"));
}

// The labels of a part of the sentences, in order.
std::string labels_of(const std::string& exported, const std::string& wanted) {
  std::string labels;
  std::istringstream lines(read_file(exported));
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(wanted + "\t")) labels += line[wanted.size() + 1];
  return labels;
}

TEST(TextClassifier, TestsWithTheTenthThatIsAskedFor) {
  TempDir dir;
  write_sentences(dir / "s.tsv");
  for (const std::string fold : {"0", "1"}) {
    const Outcome trained =
        run("train --data " + (dir / "s.tsv") + " --size 4 --epochs 1 --fold " + fold + " --out " + (dir / fold));
    ASSERT_EQ(trained.status, 0) << trained.output;
    ASSERT_EQ(run("export --checkpoint " + (dir / fold) + " " + (dir / ("ids" + fold))).status, 0);
  }
  EXPECT_EQ(labels_of(dir / "ids0", "test").size(), 30u);
  EXPECT_EQ(labels_of(dir / "ids1", "test"), labels_of(dir / "ids0", "validation"));
  EXPECT_NE(labels_of(dir / "ids1", "test"), labels_of(dir / "ids0", "test"));
}

TEST(TextClassifier, SaysWhatIsWrong) {
  TempDir dir;
  write_file(dir / "label.tsv", "fine\t1\nbad\tno\n");
  write_file(dir / "few.tsv", "fine\t1\n");
  write_file(dir / "bytes.tsv", "fine\t1\nna\xEFve\t0\n");
  write_file(dir / "blank.tsv", "\n\n");
  write_file(dir / "column.tsv", "fine\t1\nbad\n");
  std::string happy;
  for (int i = 0; i < 20; ++i) happy += "film " + std::to_string(i) + "\t1\n";
  write_file(dir / "happy.tsv", happy);
  gradus::testing::expect_refused(
      "text_classifier", {{"train --data " + (dir / "label.tsv"), "line 2 has the label no, expected 0 or 1"},
                          {"train --data " + (dir / "few.tsv"), "1 sentences are too few"},
                          {"train --data " + (dir / "bytes.tsv"), "bytes.tsv: line 2 is not UTF-8"},
                          {"train --data " + (dir / "blank.tsv"), "blank.tsv: there are only blank lines"},
                          {"train --data " + (dir / "column.tsv"), "column.tsv: line 2 has no tab"},
                          {"train --data " + (dir / "happy.tsv"), "happy.tsv: no sentence has the label 0"},
                          {"classify --checkpoint " + (dir / "nowhere") + " hello", "nowhere"},
                          {"train --size 15 --heads 2 --data " + (dir / "few.tsv"), "too few"},
                          {"", "expected a command: train|evaluate|export|classify"}});
}

}  // namespace
}  // namespace gradus
