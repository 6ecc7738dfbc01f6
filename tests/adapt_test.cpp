// The programs going on from a trained model, as a user runs them: fine-tuning, LoRA, pruning.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <map>

#include "autograd/ops.h"
#include "data/image.h"
#include "examples/made_up/digits.h"
#include "tensor/io/file.h"
#include "tensor/io/safetensors.h"
#include "tests/paths.h"

namespace gradus {
namespace {

using gradus::testing::Outcome;
using gradus::testing::run_program;
using gradus::testing::TempDir;

std::map<std::string, Tensor> weights_of(const std::string& path) {
  std::map<std::string, Tensor> weights;
  for (const auto& [name, tensor] : load_safetensors(path).tensors)
    if (name.find('/') == std::string::npos) weights[name] = tensor;
  return weights;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::memcmp(a.raw().data, b.raw().data, size_t(a.numel()) * size_of(a.dtype())) == 0;
}

std::string last_line(const std::string& text) {
  const size_t end = text.find_last_not_of('\n');
  return text.substr(text.rfind('\n', end) + 1, end - text.rfind('\n', end));
}

void expect_says(const Outcome& outcome, const std::string& words, int status = 0) {
  EXPECT_EQ(outcome.status, status) << outcome.output;
  EXPECT_NE(outcome.output.find(words), std::string::npos) << outcome.output << "\nshould say: " << words;
}

// That a run killed after its first epoch and resumed ends with the bytes of one that was not.
void expect_resumes(const std::string& program, const std::string& arguments, const TempDir& dir,
                    const std::string& file = "last") {
  const std::string whole = dir / "whole", parts = dir / "parts";
  const Outcome once = run_program(program, arguments + " --threads 1 --out " + whole);
  ASSERT_EQ(once.status, 0) << once.output;
  const Outcome killed =
      run_program(program, arguments + " --out " + parts + " & p=$!; while ! grep -q '^1,' " + parts +
                               "/log.csv 2>/dev/null; do sleep 0.02; done; " + "kill -9 $p; wait $p");
  const Outcome resumed = run_program(program, "train --resume " + parts);
  ASSERT_EQ(resumed.status, 0) << resumed.output << killed.output;
  EXPECT_NE(resumed.output.find("resumed from"), std::string::npos) << resumed.output;
  EXPECT_EQ(read_file(parts + "/" + file + ".safetensors"), read_file(whole + "/" + file + ".safetensors"));
}

// A model of digits, and a folder of three of them in colour and another size.
struct Adapt : ::testing::Test {
  TempDir dir;
  const std::string from = "train --from " + (dir / "base") + " --samples 200 ";
  const std::string onto_folder = from + "--data folder:" + (dir / "set") + " --batch 8 ";

  void SetUp() override {
    const std::string base = "train --model cnn --samples 400 --epochs 1 --threads 1 --out " + (dir / "base");
    ASSERT_EQ(run_program("image_classifier", base).status, 0);
    for (int64_t i = 0; i < 60; ++i) {
      const std::string folder = dir / ("set/" + std::string(i % 3 == 0 ? "zero" : i % 3 == 1 ? "one" : "two"));
      make_folder(folder);
      data::write_png(folder + "/" + std::to_string(i) + ".png", examples::draw_digit(i % 3, 3, i));
    }
  }
  Outcome run(const std::string& arguments) { return run_program("image_classifier", arguments); }
};

TEST_F(Adapt, ImagesGoOntoOtherClasses) {
  expect_says(run(onto_folder + "--out " + (dir / "out")),
              "3 classes, the model of --from tells 10 apart: --head new makes it one for these", 1);
  const Outcome tuned = run(onto_folder + "--head new --freeze '*' --lr 0.02 --epochs 6 --out " + (dir / "out"));
  expect_says(tuned, "of 1x28x28, 3 classes");
  expect_says(tuned, "cnn: 388835 parameters, 771 of them trained");
  EXPECT_GT(std::atof(last_line(tuned.output).c_str() + std::string("test accuracy: ").size()), 70) << tuned.output;
  // All of it is as it was, running statistics too, but for the head.
  const auto before = weights_of(dir / "base/last.safetensors"), after = weights_of(dir / "out/last.safetensors");
  ASSERT_EQ(before.size(), after.size());
  for (const auto& [name, tensor] : after)
    EXPECT_EQ(same_bits(tensor, before.at(name)), !name.starts_with("classifier.")) << name;
  const TensorFile base = load_safetensors(dir / "base/last.safetensors"),
                   out = load_safetensors(dir / "out/last.safetensors");
  EXPECT_EQ(out.metadata.at("mean"), base.metadata.at("mean"));
  EXPECT_EQ(out.metadata.at("classes"), "one\ntwo\nzero");
  EXPECT_EQ(last_line(run("evaluate --checkpoint " + (dir / "out")).output), last_line(tuned.output));

  const Outcome partly =
      run(onto_folder + "--epochs 1 --head new --freeze 'features.0,features.1' --out " + (dir / "part"));
  ASSERT_EQ(partly.status, 0) << partly.output;
  const auto part = weights_of(dir / "part/last.safetensors");
  EXPECT_TRUE(same_bits(part.at("features.1.running_mean"), before.at("features.1.running_mean")));
  EXPECT_FALSE(same_bits(part.at("features.5.running_mean"), before.at("features.5.running_mean")));
  EXPECT_FALSE(same_bits(part.at("features.4.weight"), before.at("features.4.weight")));
}

TEST_F(Adapt, ImagesGoOnBitForBit) {
  expect_resumes("image_classifier", onto_folder + "--epochs 2 --head new --save-every 1 --ema 0.9", dir);
  std::filesystem::remove_all(dir / "base");  // and without it
  const Outcome again = run("train --resume " + (dir / "parts"));
  EXPECT_EQ(last_line(again.output), last_line(run("evaluate --checkpoint " + (dir / "whole")).output));
}

TEST_F(Adapt, ImagesWithLora) {
  expect_resumes("image_classifier",
                 onto_folder + "--epochs 2 --head new --lora 2 --lora-on 'hidden*' --ema 0.9 --save-every 1", dir);
  EXPECT_EQ(read_file(dir / "whole/adapter.safetensors"), read_file(dir / "parts/adapter.safetensors"));
  const TensorFile adapter = load_safetensors(dir / "whole/adapter.safetensors");
  ASSERT_EQ(adapter.tensors.size(), 4u);  // those beside hidden.1, and the new head
  EXPECT_EQ(adapter.tensors[1].first, "hidden.1.lora_B.weight");
  EXPECT_EQ(adapter.tensors[2].first, "classifier.weight");
  const std::string accuracy = last_line(run("evaluate --checkpoint " + (dir / "whole")).output);
  expect_says(run("merge --checkpoint " + (dir / "whole") + " --out " + (dir / "one")), "388835 parameters");
  expect_says(run("merge --checkpoint " + (dir / "base") + " --adapter " + (dir / "parts/adapter.safetensors") +
                  " --out " + (dir / "two")),
              "388835 parameters");
  EXPECT_EQ(read_file(dir / "one"), read_file(dir / "two"));
  EXPECT_EQ(last_line(run("evaluate --checkpoint " + (dir / "one")).output), accuracy);
  expect_says(run("merge --checkpoint " + (dir / "one")), "nothing to merge", 1);
  // And again from there.
  const Outcome again = run("train --from " + (dir / "whole") + " --data folder:" + (dir / "set") +
                            " --epochs 0 --out " + (dir / "again"));
  EXPECT_EQ(last_line(again.output), accuracy) << again.output;
}

TEST_F(Adapt, ImagesWithFewerWeights) {
  const std::string pruned = from + "--batch 32 --save-every 1 --epochs 2 --prune 0.9 ";
  for (const std::string& how : {std::string("--optimizer sgd"), std::string("--prune-updates 8 --prune-each")}) {
    SCOPED_TRACE(how);
    TempDir here;
    expect_resumes("image_classifier", pruned + how, here);
    double zeros = 0, all = 0;
    for (const auto& [name, tensor] : weights_of(here / "whole/last.safetensors")) {
      if (!name.ends_with("weight") || tensor.dim() < 2) continue;
      zeros += (tensor == 0.0).to(float64).sum().item();
      all += double(tensor.numel());
    }
    EXPECT_FALSE(!(std::abs(zeros / all - 0.9) < 1e-4));
  }
  const Outcome shown = run(from + "--epochs 0 --prune 0.5 --out " + (dir / "shown"));
  expect_says(shown, "validation accuracy before the first update: ");
  expect_says(shown, "hidden.1");
  expect_says(shown, "50.00%");
}

TEST_F(Adapt, ImagesSayWhatIsWrong) {
  testing::expect_refused(
      "image_classifier",
      {{"train --lora 2", "--lora needs a trained model: --from"},
       {"train --head new", "--head new needs a trained model: --from"},
       {"train --prune 0.5", "--prune needs a trained model: --from"},
       {"train --head old", "'old' is none of new"},
       {"train --prune 1", "--prune"},
       {from + "--freeze nowhere", "--freeze nowhere: the model has no such part"},
       {from + "--freeze '*'", "everything is frozen"},
       {from + "--lora 2 --freeze '*'", "--freeze has no place beside it"},
       {from + "--lora-alpha 8", "--lora-alpha and --lora-on say how, but not of what rank: --lora"},
       {"train --size 32", "--size and --grey are for the images of a folder; those of digits are as they are"},
       {from + "--lora 2 --lora-on classifier --head new", "but for the new head, 'classifier' matches no linear"},
       {from + "--lora 2 --prune 0.5", "--prune changes weights, --lora leaves them as they are"},
       {from + "--prune 0.5 --prune-updates 4 --ema 0.9", "--ema would remember weights"},
       {from + "--lora 2 --lora-on 'features*'", "'features*' matches no linear layer and no attention"},
       {from + "--model mlp", "--model mlp: the model of --from is of the kind cnn"},
       {from + "--resume " + (dir / "base"), "excludes --resume"},
       {"train --prune-each", "--prune-each and --prune-updates say how to prune, but not how much: --prune"},
       {"train --from " + (dir / "nowhere"), "nowhere: no such file or folder"},
       {"merge --checkpoint " + (dir / "base"), "nothing to merge"},
       {"merge --checkpoint " + (dir / "base") + " --adapter " + (dir / "set/one/1.png"), "1.png: "}});
  expect_says(run(from + "--prune 0.5 --prune-updates 1000"),
              "error: --prune-updates 1000: the training has only 15 updates", 1);
  expect_says(run(from + "--prune 0.5 --freeze 'features.0,features.4,features.8,hidden*,classifier'"),
              "error: --prune: no kernel and no matrix is trained", 1);
}

// A text that is easy to foresee.
void write_text(const std::string& path, const std::string& animals) {
  std::string text;
  for (int i = 0; i < 400; ++i) text += "the " + animals.substr(i % 2 ? 0 : 4, 3) + " sat on the mat.\n";
  write_file(path, text);
}

TEST(AdaptText, LanguageModelsWithLora) {
  TempDir dir;
  write_text(dir / "cats", "cat dog");
  write_text(dir / "tags", "tac god");
  const std::string base = " --layers 1 --heads 2 --size 32 --block 24 --steps 120 --lr 0.01 --evaluate-every 60";
  ASSERT_EQ(
      run_program("language_model", "train --data " + (dir / "cats") + base + " --out " + (dir / "base")).status, 0);
  const std::string from = "train --data " + (dir / "tags") + " --from " + (dir / "base") + " --lr 0.01 ";
  expect_resumes("language_model", from + "--steps 80 --evaluate-every 40 --lora 4 --lora-on '*self_attn,*linear?'",
                 dir);
  const auto before = weights_of(dir / "base/last.safetensors"), after = weights_of(dir / "whole/last.safetensors");
  EXPECT_EQ(after.size(), before.size() + 6);
  for (const auto& [name, tensor] : before) EXPECT_TRUE(same_bits(tensor, after.at(name))) << name;
  const auto loss = [&](const std::string& checkpoint) {
    return run_program("language_model", "evaluate --checkpoint " + checkpoint).output;
  };
  EXPECT_LT(std::atof(loss(dir / "whole").c_str() + std::string("validation loss ").size()), 1)
      << loss(dir / "whole");
  expect_says(run_program("language_model", "merge --checkpoint " + (dir / "base") + " --adapter " +
                                                (dir / "whole/adapter.safetensors") + " --out " + (dir / "merged")),
              "merged: ");
  EXPECT_EQ(loss(dir / "merged"), loss(dir / "whole"));
  expect_says(run_program("language_model", "generate --tokens 40 --prompt the --checkpoint " + (dir / "merged")),
              "the");
}

TEST(AdaptText, TranslationWithLora) {
  TempDir dir;
  const std::string base = "train --pairs 1000 --model transformer --size 32 --epochs 1 --out ";
  ASSERT_EQ(run_program("translation", base + (dir / "base")).status, 0);
  expect_resumes(
      "translation",
      "train --pairs 1200 --epochs 2 --average 2 --save-every 1 --lora 2 --lora-on '*attn*' --from " + (dir / "base"),
      dir, "average");
  for (const char* pair : {"whole", "parts"})
    expect_says(run_program("translation", "merge --checkpoint " + (dir / "base") + " --adapter " + (dir / pair) +
                                               "/adapter.safetensors --out " + (dir / "merged")),
                "merged: ");
  expect_says(run_program("translation", "evaluate --checkpoint " + (dir / "merged")), "BLEU");
}

}  // namespace
}  // namespace gradus
