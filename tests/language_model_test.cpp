// The program as a user runs it.
#include <gtest/gtest.h>

#include <algorithm>

#include "tensor/device.h"
#include "tensor/io/file.h"
#include "tests/paths.h"

namespace gradus {
namespace {

using gradus::testing::Outcome;
using gradus::testing::TempDir;

Outcome run(const std::string& arguments) { return gradus::testing::run_program("language_model", arguments); }

// A text that is easy to foresee.
void write_text(const std::string& path) {
  std::string text;
  for (int i = 0; i < 400; ++i) text += "the " + std::string(i % 2 ? "cat" : "dog") + " sat – on the mat.\n";
  write_file(path, text);
}

TEST(LanguageModel, TrainsEvaluatesAndWrites) {
  TempDir dir;
  write_text(dir / "text");
  for (const std::string kind :
       {"--model gpt", "--model gpt --rotary --tokens bpe --vocabulary 280", "--model lstm", "--model gru"}) {
    const std::string out = dir / "out", with = " --checkpoint " + out;
    const Outcome trained =
        run("train --data " + (dir / "text") + " --layers 1 --heads 2 --size 32 --block 24 --steps 120 " +
            "--evaluate-every 60 --lr 0.01 " + kind + " --out " + out);
    ASSERT_EQ(trained.status, 0) << trained.output;
    EXPECT_NE(trained.output.find("epoch 2/2"), std::string::npos) << trained.output;
    const Outcome evaluated = run("evaluate" + with);
    EXPECT_EQ(evaluated.status, 0) << evaluated.output;
    EXPECT_LT(std::atof(evaluated.output.c_str() + std::string("validation loss ").size()), 1.2) << evaluated.output;
    const std::string generate = "generate --prompt 'the ' --tokens 80 --seed 3" + with;
    const Outcome written = run(generate);
    EXPECT_EQ(written.status, 0) << written.output;
    EXPECT_TRUE(written.output.starts_with("the ")) << written.output;
    EXPECT_GT(written.output.size(), 60u);
    EXPECT_EQ(run(generate).output, written.output);
    EXPECT_NE(run("generate --prompt 'the ' --tokens 80 --seed 4 --temperature 2" + with).output, written.output);
  }
}

TEST(LanguageModel, ResumesToTheSameBytes) {
  TempDir dir;
  write_text(dir / "text");
  const std::string options =
      "train --data " + (dir / "text") + " --layers 1 --size 16 --block 16 --dropout 0.1 --evaluate-every 40 ";
  ASSERT_EQ(run(options + "--steps 80 --threads 1 --out " + (dir / "whole")).status, 0);
  const Outcome killed = run(options + "--steps 80 --out " + (dir / "parts") + " & p=$!; while ! grep -q '^1,' " +
                             (dir / "parts/log.csv") + " 2>/dev/null; do sleep 0.02; done; kill -9 $p; wait $p");
  const Outcome resumed = run("train --resume " + (dir / "parts"));
  ASSERT_EQ(resumed.status, 0) << resumed.output << killed.output;
  EXPECT_EQ(read_file(dir / "whole/last.safetensors"), read_file(dir / "parts/last.safetensors"));
}

TEST(LanguageModel, SaysWhatIsWrong) {
  TempDir dir;
  write_file(dir / "short", "too short");
  write_file(dir / "bytes", std::string(2000, '\xFF'));
  write_file(dir / "zeros", std::string(2000, '\0'));
  write_file(dir / "blank", std::string(2000, '\n'));
  write_file(dir / "empty", "");
  ASSERT_EQ(gradus::testing::shell("gzip -c " + (dir / "bytes") + " | head -c 20 > " + (dir / "cut.gz")), 0);
  gradus::testing::expect_refused("language_model", {{"train --data " + (dir / "short"), "9 bytes are too few"},
                                                     {"train --data " + (dir / "bytes"), "not UTF-8"},
                                                     {"train --data " + (dir / "zeros"), "zeros: has zero bytes"},
                                                     {"train --data " + (dir / "blank"), "blank: nothing but white"},
                                                     {"train --data " + (dir / "empty"), "0 bytes are too few"},
                                                     {"train --data " + (dir / "cut.gz"), "truncated gzip data"},
                                                     {"train --data " + (dir / "nowhere"), "No such file"},
                                                     {"generate --checkpoint " + (dir / "nowhere"), "nowhere"},
                                                     {"train --model other", "--model"},
                                                     {"", "expected a command: train|evaluate|generate"}});
}

TEST(LanguageModel, SaysThatThereIsNoGpu) {
  if (is_available(Device::cuda)) GTEST_SKIP() << "device cuda: " << describe(Device::cuda);
  for (const std::string command : {"train", "evaluate", "generate"}) {
    const Outcome refused = run(command + " --device cuda");
    EXPECT_EQ(refused.status, 1);
    EXPECT_EQ(refused.output, "error: --device cuda: " + describe(Device::cuda) + "\n");
  }
  EXPECT_EQ(run("train --device gpu").status, 2);
}

}  // namespace
}  // namespace gradus
