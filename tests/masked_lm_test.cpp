// The program as a user runs it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "tensor/io/file.h"
#include "tests/paths.h"

namespace gradus {
namespace {

using gradus::testing::Outcome;
using gradus::testing::TempDir;

Outcome run(const std::string& arguments) { return gradus::testing::run_program("masked_lm", arguments); }

const std::string small = " --layers 1 --heads 2 --size 32 --ffn 32 --batch 128 ",
                  tiny = small + "--share 0.15 --frequent 1 ";

// Sentences of which any word follows from the others, and the label from each word but two.
std::string sentence(bool good, int i) {
  const std::string numbers[] = {"one", "two", "three", "four", "five"};
  return "the " + numbers[i % 5] + (good ? " dogs love sweet meat" : " cats hate sour milk");
}
void write_sentences(const std::string& lines_path, const std::string& tsv_path) {
  std::string lines, tsv;
  for (int i = 0; i < 200; ++i) {
    lines += sentence(i % 2, i / 2) + "\n";
    tsv += sentence(i % 2, i / 2) + "\t" + std::to_string(i % 2) + "\n";
  }
  write_file(lines_path, lines);
  write_file(tsv_path, tsv);
}

double number_after(const std::string& text, const std::string& words) {
  const size_t at = text.find(words);
  return at == text.npos ? NAN : std::atof(text.c_str() + at + words.size());
}

TEST(MaskedLm, LearnsFillsFinetunesAndJudges) {
  TempDir dir;
  write_sentences(dir / "lines", dir / "s.tsv");
  const Outcome trained =
      run("train --data " + (dir / "lines") + tiny + "--epochs 30 --lr 0.01 --dropout 0 --out " + (dir / "lm"));
  ASSERT_EQ(trained.status, 0) << trained.output;
  EXPECT_NE(trained.output.find("190 sentences to learn from, 10 held out"), std::string::npos) << trained.output;
  // One of five numbers is left to guess in each sentence of six words: 1 - 4/5/6 of the words at best.
  const Outcome evaluated = run("evaluate --checkpoint " + (dir / "lm"));
  EXPECT_GT(number_after(evaluated.output, "accuracy "), 70) << evaluated.output;
  EXPECT_EQ(run("evaluate --checkpoint " + (dir / "lm")).output, evaluated.output);

  const Outcome filled = run("fill --top 2 --checkpoint " + (dir / "lm") +
                             " 'The one [MASK] love sweet meat' 'the two cats [MASK] sour [MASK]'");
  EXPECT_EQ(filled.status, 0) << filled.output;
  const size_t first = filled.output.find("%  "), second = filled.output.find("[MASK] 1"),
               third = filled.output.find("[MASK] 2");
  ASSERT_TRUE(third != filled.output.npos) << filled.output;
  EXPECT_EQ(filled.output.substr(first + 3, 5), "dogs\n") << filled.output;
  EXPECT_EQ(filled.output.substr(filled.output.find("%  ", second) + 3, 5), "hate\n") << filled.output;
  EXPECT_EQ(filled.output.substr(filled.output.find("%  ", third) + 3, 5), "milk\n") << filled.output;
  EXPECT_EQ(std::count(filled.output.begin(), filled.output.end(), '%'), 6) << filled.output;

  const std::string tune =
      "finetune --from " + (dir / "lm") + " --data " + (dir / "s.tsv") + " --epochs 3 --lr 0.01 ";
  const Outcome tuned = run(tune + "--labels 0.1 --out " + (dir / "tuned"));
  ASSERT_EQ(tuned.status, 0) << tuned.output;
  EXPECT_NE(tuned.output.find("16 sentences to learn from, 20 to validate and 20 to test"), std::string::npos);
  EXPECT_NE(tuned.output.find("accuracy on the 144 sentences whose labels were left out: 100.00%\n"),
            std::string::npos)
      << tuned.output;
  EXPECT_TRUE(tuned.output.ends_with("validation accuracy: 100.00%, test accuracy: 100.00%\n")) << tuned.output;
  EXPECT_EQ(run("evaluate --checkpoint " + (dir / "tuned/best.safetensors")).output, "test accuracy: 100.00%\n");
  const Outcome judged =
      run("classify --checkpoint " + (dir / "tuned") + " 'dogs love meat' 'CATS hate it' '' '\U0001F642'");
  EXPECT_EQ(judged.status, 0) << judged.output;
  EXPECT_TRUE(judged.output.starts_with("positive ")) << judged.output;
  EXPECT_NE(judged.output.find("\nnegative "), std::string::npos) << judged.output;
  // The encoder makes a difference to the first epoch; the options are the same.
  const Outcome anew = run(tune + "--labels 0.1 --from-nothing --out " + (dir / "anew"));
  EXPECT_GT(number_after(anew.output, "loss "), number_after(tuned.output, "loss ") + 0.01)
      << anew.output << tuned.output;
}

TEST(MaskedLm, HidesFrequentWordsLessOften) {
  TempDir dir;
  write_sentences(dir / "lines", dir / "s.tsv");
  const Outcome trained =
      run("train --data " + (dir / "lines") + small + "--share 0.5 --frequent 0.01 --epochs 1 --out " + (dir / "lm"));
  // Of 190 sentences of six words "the" is a sixth of all, each number a thirtieth and every other word a twelfth.
  const double each = 0.5 * (std::sqrt(0.01 * 6) + std::sqrt(0.01 * 30) + 4 * std::sqrt(0.01 * 12));
  EXPECT_NEAR(number_after(trained.output, "about "), 190 * each, 1.5) << trained.output;
}

TEST(MaskedLm, ResumesToTheSameBytes) {
  TempDir dir;
  write_sentences(dir / "lines", dir / "s.tsv");
  // Killed once the log has a line of the first epoch; then it goes on.
  const auto same_bytes = [&](const std::string& options, const std::string& command, const std::string& last_epoch) {
    ASSERT_EQ(run(options + "--threads 1 --out " + (dir / "whole")).status, 0);
    const Outcome killed = run(options + "--out " + (dir / "parts") + " & p=$!; while ! grep -q '^1,' " +
                               (dir / "parts/log.csv") + " 2>/dev/null; do sleep 0.02; done; kill -9 $p; wait $p");
    const Outcome resumed = run(command + " --resume " + (dir / "parts"));
    ASSERT_EQ(resumed.status, 0) << resumed.output << killed.output;
    EXPECT_NE(resumed.output.find(last_epoch), std::string::npos) << "killed too late: " << resumed.output;
    EXPECT_EQ(read_file(dir / "whole/last.safetensors"), read_file(dir / "parts/last.safetensors"));
  };
  same_bytes("train --data " + (dir / "lines") + tiny + "--epochs 30 ", "train", "epoch 30/30");
  ASSERT_EQ(std::rename((dir / "whole").c_str(), (dir / "lm").c_str()), 0);
  ASSERT_EQ(testing::shell("rm -r " + (dir / "parts")), 0);
  same_bytes("finetune --from " + (dir / "lm") + " --data " + (dir / "s.tsv") + " --epochs 30 ", "finetune",
             "epoch 30/30");
}

TEST(MaskedLm, SaysWhatIsWrong) {
  TempDir dir;
  write_sentences(dir / "lines", dir / "s.tsv");
  write_file(dir / "empty", "");
  write_file(dir / "bytes", "fine\n\xFF\xFF\n");
  write_file(dir / "blank", std::string(100, '\n'));
  write_file(dir / "label.tsv", "fine\t1\nbad\tno\n");
  std::string rare;
  for (int i = 0; i < 40; ++i) rare += "word" + std::to_string(i) + "\n";
  write_file(dir / "rare", rare);
  ASSERT_EQ(run("train --data " + (dir / "lines") + tiny + "--max-length 8 --epochs 1 --out " + (dir / "lm")).status,
            0);
  ASSERT_EQ(testing::run_program("text_classifier",
                                 "train --data " + (dir / "s.tsv") + " --size 8 --epochs 1 --out " + (dir / "other"))
                .status,
            0);
  const std::string with = " --checkpoint " + (dir / "lm") + " ";
  gradus::testing::expect_refused(
      "masked_lm",
      {{"train --data " + (dir / "empty"), "the file is empty"},
       {"train --data " + (dir / "bytes"), "line 2 is not UTF-8"},
       {"train --data " + (dir / "blank"), "there are only blank lines"},
       {"train --data " + (dir / "rare"), "no sentence has a word"},
       {"train --data " + (dir / "nowhere"), "No such file"},
       {"train --share 0", "--share"},
       {"train --resume " + (dir / "other"), "a checkpoint of text_classifier, not of masked_lm"},
       {"finetune --from " + (dir / "other"), "a checkpoint of text_classifier, not of masked_lm"},
       {"finetune --from " + (dir / "nowhere"), "nowhere"},
       {"finetune --from " + (dir / "lm") + " --data " + (dir / "label.tsv"), "line 2 has the label no"},
       {"fill" + with + "'no gap here'", "there is no [MASK] to fill in"},
       {"fill" + with + "'a b c d e f g h [MASK]'", "a sentence of 9 words; this model looks at 8 at most"},
       {"classify" + with + "hello", "a checkpoint of masked_lm, not of masked_lm finetune"},
       {"evaluate --checkpoint " + (dir / "other"), "a checkpoint of text_classifier, not of masked_lm"},
       {"", "expected a command: train|evaluate|fill|finetune|classify"}});
}

}  // namespace
}  // namespace gradus
