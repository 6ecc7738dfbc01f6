// Weights that PyTorch saved, in the image classifier.
#include <gtest/gtest.h>

#include <filesystem>

#include "data/image.h"
#include "examples/image_classifier/models/classifier.h"
#include "tensor/io/file.h"
#include "tests/golden.h"
#include "train/checkpoint.h"

namespace gradus {
namespace {

using gradus::testing::Outcome;
using gradus::testing::run_program;
using gradus::testing::TempDir;
using image_classifier::Classifier;
using image_classifier::make_model;
using image_classifier::ModelOptions;

Outcome convert(const std::string& arguments) { return run_program("image_classifier", "convert " + arguments); }

struct Case {
  std::string name, options;
  ModelOptions model;
  Shape image;
  int64_t classes;
};
const Case cases[] = {
    {"vit_small",
     "--model vit --depth 3 --width 32 --heads 2 --patch 8 --size 32 --classes 7",
     {.model = "vit", .depth = 3, .width = 32, .heads = 2, .patch = 8},
     {3, 32, 32},
     7},
    {"resnet18", "--model resnet --depth 18 --classes 1000", {.model = "resnet", .depth = 18}, {3, 224, 224}, 1000},
};

// Of the weights in a checkpoint or any other safetensors file.
Tensor logits_of(const Case& c, const std::string& file, const Tensor& images) {
  const std::unique_ptr<Classifier> model = make_model(c.model, c.image, c.classes);
  train::load_weights(load_safetensors(file), *model);
  model->eval();
  NoGrad guard;
  return (*model)(images);
}

TEST(ImageConvert, GivesTorchvisionsLogits) {
  const std::string python = gradus::testing::python("torch, torchvision, safetensors");
  if (python.empty()) GTEST_SKIP() << "no Python with torch, torchvision and safetensors";
  TempDir dir;
  std::string output, script = gradus::testing::source_dir() + "/tests/torchvision_weights.py";
  ASSERT_EQ(gradus::testing::shell(python + " " + script + " " + dir.path() + " vit_small resnet18", &output), 0)
      << output;
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const Outcome r = convert((dir / c.name) + ".safetensors --out " + (dir / c.name) + " " + c.options);
    ASSERT_EQ(r.status, 0) << r.output;
    const TensorFile expected = load_safetensors((dir / c.name) + ".logits.safetensors");
    EXPECT_CLOSE(logits_of(c, (dir / c.name) + "/last.safetensors", *expected.find("images")),
                 *expected.find("logits"), 1e-4);
  }
}

// Small models of the kinds above, with the names that torchvision gives them (see GivesTorchvisionsLogits and
// ComputesAsTorchvision), as their files may be.
class SavedState : public ::testing::Test {
 protected:
  const Case vit = {"vit",
                    "--model vit --depth 2 --width 8 --heads 2 --patch 4 --size 8 --classes 3",
                    {.model = "vit", .depth = 2, .width = 8, .heads = 2, .patch = 4},
                    {3, 8, 8},
                    3};
  const Case resnet = {"resnet",
                       "--model resnet --depth 8 --width 4 --size 8 --classes 3",
                       {.model = "resnet", .depth = 8, .width = 4},
                       {3, 8, 8},
                       3};
  TempDir dir;

  TensorFile state_of(const Case& c) {
    manual_seed(1);
    const std::unique_ptr<Classifier> model = make_model(c.model, c.image, c.classes);
    TensorFile file;
    for (const auto& [name, tensor] : model->state_dict()) {
      const bool count = name.ends_with("num_batches_tracked");
      file.tensors.emplace_back(name, count ? tensor : 0.5 + 0.3 * rand(tensor.shape()));
    }
    return file;
  }
  // Converts `file` and gives the new checkpoint; "" where that fails.
  std::string converted(const Case& c, const TensorFile& file, const std::string& more = "") {
    save_safetensors(dir / "state.safetensors", file);
    std::filesystem::remove_all(dir / "out");
    const Outcome r = convert((dir / "state.safetensors") + " --out " + (dir / "out") + " " + c.options + more);
    EXPECT_EQ(r.status, 0) << r.output;
    return dir / "out/last.safetensors";
  }
  void expect_refused(const std::string& arguments, const std::vector<std::string>& words) {
    const Outcome r = convert(arguments);
    EXPECT_EQ(r.status, 1);
    EXPECT_TRUE(r.output.starts_with("error: ") && r.output.find('\n') + 1 == r.output.size()) << r.output;
    for (const std::string& w : words) EXPECT_NE(r.output.find(w), std::string::npos) << r.output << w;
    EXPECT_FALSE(file_exists(dir / "none/last.safetensors"));
  }
};

TEST_F(SavedState, IsReadInReducedPrecisionAndWithoutCounts) {
  for (const Case& c : {vit, resnet}) {
    SCOPED_TRACE(c.name);
    TensorFile file = state_of(c);
    const Tensor images = randn({2, 3, 8, 8});
    std::string checkpoint = converted(c, file);
    EXPECT_TRUE(equal(logits_of(c, checkpoint, images), logits_of(c, dir / "state.safetensors", images)));

    std::erase_if(file.tensors, [](const auto& entry) { return entry.first.ends_with("num_batches_tracked"); });
    for (auto& [name, tensor] : file.tensors) tensor = tensor.to(bfloat16);
    TensorFile rounded = state_of(c);
    for (auto& [name, tensor] : rounded.tensors) tensor = tensor.to(bfloat16).to(float32);
    save_safetensors(dir / "rounded.safetensors", rounded);
    checkpoint = converted(c, file);
    EXPECT_TRUE(equal(logits_of(c, checkpoint, images), logits_of(c, dir / "rounded.safetensors", images)));
  }
}

TEST_F(SavedState, BecomesACheckpointThatAnswers) {
  write_file(dir / "names.txt", "cat\ndog\nlittle fish\n");
  Case named = vit;
  named.options.replace(named.options.find("--classes 3"), 11, "--classes " + (dir / "names.txt"));
  const std::string checkpoint = converted(named, state_of(vit), " --mean 0.5,0.4,0.3 --std 0.2,0.2,0.1");
  data::write_png(dir / "picture.png", (255 * rand({3, 20, 20})).to(uint8));
  const Outcome r =
      run_program("image_classifier", "predict --checkpoint " + (dir / "out") + " " + (dir / "picture.png"));
  ASSERT_EQ(r.status, 0) << r.output;

  const Tensor pixels = data::resize(data::read_image(dir / "picture.png"), 8, 8).to(float32) / 255.0;
  const Tensor mean = from_vector<float>({0.5f, 0.4f, 0.3f}, {3, 1, 1}),
               std = from_vector<float>({0.2f, 0.2f, 0.1f}, {3, 1, 1});
  const Tensor logits = logits_of(vit, checkpoint, ((pixels - mean) / std).unsqueeze(0));
  const char* names[] = {"cat", "dog", "little fish"};
  const std::string best = names[logits.argmax().to_vector<int64_t>()[0]];
  const std::string first = r.output.substr(r.output.find('\n') + 1);
  char line[64];
  std::snprintf(line, sizeof line, "%6.2f%%  %s\n", 100 * softmax(logits, 1).max().item(), best.c_str());
  EXPECT_EQ(first.substr(0, first.find('\n') + 1), "  " + std::string(line)) << r.output;

  gradus::testing::expect_refused(
      "image_classifier", {{"evaluate --checkpoint " + (dir / "out"), "a converted model comes without images"}});
  const std::string before = read_file(checkpoint);
  expect_refused((dir / "state.safetensors") + " --out " + (dir / "out") + " " + vit.options,
                 {"last.safetensors: there is a checkpoint already"});
  EXPECT_EQ(read_file(checkpoint), before);
}

TEST_F(SavedState, ThatDoesNotFitIsRefusedByName) {
  TensorFile file = state_of(vit);
  file.tensors[0].first = "cls_token";
  file.tensors[1].second = zeros({8, 3, 2, 2});
  const std::string state = dir / "state.safetensors", out = state + " --out " + (dir / "none") + " ";
  save_safetensors(state, file);
  expect_refused(out + vit.options,
                 {"state.safetensors: load_state_dict: missing: class_token; unexpected: cls_token; misshapen: "
                  "conv_proj.weight is [8, 3, 2, 2], expected [8, 3, 4, 4]"});
  save_safetensors(state, state_of(vit));
  expect_refused(out + resnet.options, {"missing: conv1.weight, ", "unexpected: class_token, "});
  write_file(dir / "names.txt", "cat\n\ndog\n");
  write_file(dir / "none.txt", "");
  const std::string model = "--model vit --depth 2 --width 8 --heads 2 --patch 4 --size 8 --classes ";
  expect_refused(out + model + (dir / "names.txt"), {"names.txt: line 2 has no name"});
  expect_refused(out + model + (dir / "none.txt"), {"none.txt"});
  expect_refused(out + model + "0", {"--classes 0: expected 1 to 10000 classes"});
  expect_refused(out + model + "99999999999999999999",
                 {"--classes 99999999999999999999: expected 1 to 10000 classes"});
  expect_refused(out + model + "4", {"heads.head.weight is [3, 8], expected [4, 8]"});
  expect_refused(out + model + "3 --mean 0.5", {"--mean has 1 numbers and --std 3"});
  expect_refused(out + model + "3 --mean 0.5,0.5 --std 0.5,0.5", {"--mean has 2 numbers, expected 1 or 3"});
  write_file(state, "no weights");
  expect_refused(out + vit.options, {"state.safetensors"});
  gradus::testing::expect_refused("image_classifier", {{"convert --model vit " + state, "--classes is required"},
                                                       {"convert --classes 3 " + state, "--model is required"},
                                                       {"convert x --model vit --classes 3 --mean 2", "--mean"},
                                                       {"convert x --classes 3 --model lstm", "none of linear"}});
}

}  // namespace
}  // namespace gradus
