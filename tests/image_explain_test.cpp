// What the image classifier draws: maps of what a model sees, and pictures of how it errs.
#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "data/image.h"
#include "examples/image_classifier/seeing/charts.h"
#include "tests/errors.h"
#include "tests/golden.h"

namespace image_classifier {
namespace {

using namespace gradus;

#define EXPECT_ERROR(expression, words)                                                    \
  do {                                                                                     \
    const std::string said = gradus::testing::error_of([&] { return expression; });        \
    EXPECT_NE(said.find(words), std::string::npos) << said << "\nshould say: " << (words); \
  } while (false)

// Its maps are the images, or tokens made of them; what it saw is set by hand.
class Toy : public Classifier {
 public:
  Seen saw;
  nn::Linear linear;
  bool tokens = false;

  explicit Toy(const NestedList& weight) : linear(tensor(weight).size(1), tensor(weight).size(0)) {
    NoGrad guard;
    linear.weight.copy_(tensor(weight));
    linear.bias.zero_();
  }
  Tensor maps(const Tensor& images, Seen* seen) const override {
    if (seen) *seen = saw;
    return tokens ? images.flatten(2).transpose(1, 2) : images;
  }
  Tensor features(const Tensor& maps) const override { return tokens ? maps.mean({1}) : maps.mean({2, 3}); }
  const nn::Linear& head() const override { return linear; }
  void visit(nn::Visitor& v) override { v("linear", linear); }
  const char* type() const override { return "Toy"; }
};

// Two channels: the first speaks for class 0 and against class 1, the second does the opposite, twice as loud.
const NestedList weights = {{1, -2}, {-1, 2}};
// The first channel is strong at the top right, the second at the bottom left.
Tensor two_channels() { return tensor({{{{0, 0, 9}, {0, 3, 0}, {0, 0, 0}}, {{0, 0, 0}, {0, 0, 0}, {6, 0, 0}}}}); }

TEST(GradCam, WeighsChannelsByTheirMeanGradient) {
  Toy model(weights);
  // The gradient of class 0 is 1/9 at each place of the first channel, and -2/9 at those of the second.
  EXPECT_CLOSE(grad_cam(model, two_channels(), {0}), tensor({{{0, 0, 1}, {0, 1.0 / 3, 0}, {0, 0, 0}}}), 1e-6);
  EXPECT_CLOSE(grad_cam(model, two_channels(), {1}), tensor({{{0, 0, 0}, {0, 0, 0}, {4.0 / 3, 0, 0}}}), 1e-6);
  EXPECT_FALSE(model.linear.weight.grad().defined());
  EXPECT_ERROR(grad_cam(model, two_channels(), {0, 1}), "a class for each");
}

TEST(GradCam, OfEachImageForItsOwnClass) {
  Toy model(weights);
  NoGrad guard;  // as in a program that only predicts
  const Tensor images = cat({two_channels(), two_channels(), two_channels() * -1.0});
  const std::vector<std::vector<View>> all = explain(model, images, {0, 1, 0}, {"a", "b"});
  ASSERT_EQ(all.size(), 3);
  for (const std::vector<View>& views : all) {
    ASSERT_EQ(views.size(), 1);
    EXPECT_EQ(views[0].name, "Grad-CAM");
  }
  EXPECT_EQ(all[0][0].detail, "for a");
  EXPECT_EQ(all[1][0].detail, "for b");
  EXPECT_CLOSE(all[0][0].map, tensor({{0, 0, 1}, {0, 1.0 / 3, 0}, {0, 0, 0}}), 1e-6);
  EXPECT_CLOSE(all[1][0].map, tensor({{0, 0, 0}, {0, 0, 0}, {1, 0, 0}}), 1e-6);
  EXPECT_CLOSE(all[2][0].map, tensor({{0, 0, 0}, {0, 0, 0}, {1, 0, 0}}), 1e-6);
  const std::vector<View> nothing = explain(model, zeros({1, 2, 3, 3}), {0}, {"a", "b"})[0];
  EXPECT_EQ(nothing[0].range, "nothing speaks for it");
  EXPECT_CLOSE(nothing[0].map, zeros({3, 3}), 0);
}

TEST(AttentionRollout, MultipliesLayersMixedWithTheIdentity) {
  // (A1 + I) / 2 = [1 0; .25 .75], (A2 + I) / 2 = [.5 .5; .1 .9]; the mean of two heads is A2.
  const Tensor first = tensor({{{{1, 0}, {0.5, 0.5}}}});
  const Tensor second = tensor({{{{0, 1}, {0.4, 0.6}}, {{0, 1}, {0, 1}}}});
  EXPECT_CLOSE(attention_rollout({first, second}), tensor({{{0.625, 0.375}, {0.325, 0.675}}}), 1e-6);
  EXPECT_ERROR(attention_rollout({}), "no layers");
}

// (1, 2, 5, 5): head 1 of the class token looks at the last of four places, head 2 at the first; others at themselves.
Tensor two_heads() {
  Tensor heads = stack({eye(5), eye(5)}).unsqueeze(0);
  heads.select(1, 0).select(1, 0).copy_(tensor({0, 0, 0, 0, 1}));
  heads.select(1, 1).select(1, 0).copy_(tensor({0, 1, 0, 0, 0}));
  return heads;
}

TEST(Explain, ATransformersClassTokenAndItsHeads) {
  Toy model(weights);
  model.tokens = true;
  model.saw.attention = {two_heads(), two_heads()};
  const Tensor images = ones({1, 2, 2, 2});  // four places, and so the fifth is a class token
  auto maps = [&](const ExplainOptions& options) { return explain(model, images, {0}, {"a", "b"}, options)[0]; };
  EXPECT_CLOSE(maps({.head = 1})[1].map, tensor({{0, 0}, {0, 1}}), 1e-6);
  EXPECT_CLOSE(maps({.layer = 1, .head = 2})[1].map, tensor({{1, 0}, {0, 0}}), 1e-6);
  EXPECT_CLOSE(maps({})[1].map, tensor({{1, 0}, {0, 1}}), 1e-6);
  EXPECT_CLOSE(maps({})[0].map, tensor({{1, 0}, {0, 1}}), 1e-6);
  EXPECT_EQ(maps({})[0].name, "attention rollout");
  EXPECT_EQ(maps({.layer = 1, .head = 2})[1].detail, "layer 1 of 2, head 2");
  EXPECT_ERROR(maps({.layer = 3}), "--layer 3: Toy has 2 layers with attention, 1 to 2");
  EXPECT_ERROR(maps({.head = 3}), "--head 3: Toy has 2 heads of attention, 1 to 2");

  // Without a class token: the mean over all places.
  model.saw.attention = {tensor({{{{0, 1, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}}}})};
  EXPECT_CLOSE(maps({})[1].map, tensor({{0, 1}, {0.5, 0.5}}), 1e-6);

  model.saw.attention = {ones({1, 1, 7, 7}) / 7.0};
  EXPECT_ERROR(maps({}), "attention over 7 places, which are no grid");
}

TEST(Explain, SpatialAttentionAndSelfAttentionOfConvolutions) {
  Toy model(weights);
  model.saw.spatial = {tensor({{{{0.5, 0.25}, {0.25, 0.25}}}}), tensor({{{{0.1, 0.1}, {0.1, 0.9}}}})};
  std::vector<View> views = explain(model, two_channels(), {0}, {"a", "b"})[0];
  ASSERT_EQ(views.size(), 2);
  EXPECT_CLOSE(views[1].map, tensor({{0, 0}, {0, 1}}), 1e-6);
  EXPECT_EQ(views[1].range, "0.10 to 0.90");
  views = explain(model, two_channels(), {0}, {"a", "b"}, {.layer = 1})[0];
  EXPECT_CLOSE(views[1].map, tensor({{1, 0}, {0, 0}}), 1e-6);
  EXPECT_ERROR(explain(model, two_channels(), {0}, {"a", "b"}, {.head = 1}),
               "--head 1: Toy has no heads of attention");

  // Grad-CAM peaks at the top right, and that place looks at the middle.
  model.saw.spatial.clear();
  Tensor looks = eye(9).reshape({1, 1, 9, 9});
  looks[0][0][2].copy_(tensor({0, 0, 0, 0, 1, 0, 0, 0, 0}));
  model.saw.attention = {looks};
  views = explain(model, two_channels(), {0}, {"a", "b"})[0];
  ASSERT_EQ(views.size(), 2);
  EXPECT_EQ(views[1].name, "self-attention");
  EXPECT_EQ(views[1].row, 0);
  EXPECT_EQ(views[1].column, 2);
  EXPECT_CLOSE(views[1].map, tensor({{0, 0, 0}, {0, 1, 0}, {0, 0, 0}}), 1e-6);

  model.saw.attention.clear();
  EXPECT_ERROR(explain(model, two_channels(), {0}, {"a", "b"}, {.layer = 1}), "Toy has no layers with attention");
  const std::unique_ptr<Classifier> mlp = make_model({.model = "mlp"}, {1, 8, 8}, 3);
  EXPECT_ERROR(explain(*mlp, zeros({1, 1, 8, 8}), {0}, {"a", "b", "c"}), "Mlp knows no places");
}

TEST(Explain, TheCnnOfTheProgram) {
  manual_seed(1);
  const std::unique_ptr<Classifier> model = make_model({.model = "cnn"}, {1, 28, 28}, 3);
  model->eval();
  const Tensor images = randn({2, 1, 28, 28});
  const std::vector<std::vector<View>> both = explain(*model, images, {2, 0}, {"a", "b", "c"});
  for (int64_t i = 0; i < 2; ++i) {
    ASSERT_EQ(both[size_t(i)].size(), 1);
    const Tensor map = both[size_t(i)][0].map;
    EXPECT_EQ(map.shape(), Shape({3, 3}));
    EXPECT_FALSE(!(map.min().item() >= 0 && map.max().item() <= 1));
    // An image's map does not depend on its neighbours.
    const std::vector<View> alone = explain(*model, images.narrow(0, i, 1), {i == 0 ? 2 : 0}, {"a", "b", "c"})[0];
    EXPECT_CLOSE(alone[0].map, map, 1e-4);
  }
}

TEST(Explain, EveryModelOfTheProgram) {
  const std::map<std::string, std::vector<std::string>> seen = {
      {"lenet", {"Grad-CAM"}},
      {"cnn", {"Grad-CAM"}},
      {"resnet", {"Grad-CAM"}},
      {"se_resnet", {"Grad-CAM"}},
      {"cbam_resnet", {"Grad-CAM", "spatial attention"}},
      {"self_attention_cnn", {"Grad-CAM", "self-attention"}},
      {"vit", {"attention rollout", "attention"}},
      {"conv_vit", {"attention rollout", "attention"}},
  };
  for (const std::string& name : model_names) {
    if (name == "linear" || name == "mlp") continue;
    SCOPED_TRACE(name);
    ASSERT_TRUE(seen.count(name));
    manual_seed(1);
    ModelOptions options;
    options.model = name;
    if (name.ends_with("vit")) {
      options.depth = 2;
      options.width = 64;
    } else if (name != "lenet" && name != "cnn") {
      options.depth = 8;
    }
    const std::unique_ptr<Classifier> model = make_model(options, {1, 28, 28}, 3);
    model->eval();
    const std::vector<View> views = explain(*model, randn({1, 1, 28, 28}), {1}, {"a", "b", "c"})[0];
    std::vector<std::string> names;
    for (const View& view : views) {
      names.push_back(view.name);
      EXPECT_EQ(view.map.dim(), 2);
      EXPECT_EQ(view.map.size(0), view.map.size(1));
      EXPECT_FALSE(!(view.map.min().item() >= 0 && view.map.max().item() <= 1)) << view.map;
    }
    EXPECT_EQ(names, seen.at(name));
  }
}

std::vector<int> pixel(const Tensor& picture, int64_t y, int64_t x) {
  std::vector<int> colour;
  for (int64_t c = 0; c < 3; ++c) colour.push_back(int(picture[c][y][x].item()));
  return colour;
}

TEST(Picture, TextStaysWhereItIsPutAndIsCutToFit) {
  Tensor picture = blank(40, 100);
  write(picture, 10, 20, "H", 2);
  const Tensor dark = (picture[0] < 128.0).nonzero();
  EXPECT_GT(dark.size(0), 30);
  EXPECT_GE(dark.select(1, 0).min().item(), 10);
  EXPECT_LT(dark.select(1, 0).max().item(), 10 + 2 * letter_height);
  EXPECT_GE(dark.select(1, 1).min().item(), 20);
  EXPECT_LT(dark.select(1, 1).max().item(), 20 + text_width("H", 2));
  write(picture, 35, 95, "far out", 3);  // beyond the edges
  write(picture, -50, -50, "@@@", 3);
  EXPECT_EQ(shortened("short", 200), "short");
  const std::string cut = shortened("a very long name of a class", 100);
  EXPECT_TRUE(cut.starts_with("a ve") && cut.ends_with("..")) << cut;
  EXPECT_LE(text_width(cut, 2), 100);
  EXPECT_EQ(shortened("na\xc3\xafve\n", 200), "na?ve?");
  EXPECT_EQ(shortened("", 10), "");
}

TEST(Picture, EnlargesAndOverlays) {
  const Tensor image = tensor({{{0, 100}, {200, 255}}}, {.dtype = uint8});
  const Tensor large = enlarge(image, 3);
  EXPECT_EQ(large.shape(), Shape({3, 6, 6}));
  EXPECT_EQ(pixel(large, 2, 2), std::vector<int>({0, 0, 0}));
  EXPECT_EQ(pixel(large, 2, 3), std::vector<int>({100, 100, 100}));
  EXPECT_EQ(pixel(large, 3, 0), std::vector<int>({200, 200, 200}));
  const Tensor over = overlay(enlarge(zeros({1, 4, 4}, {.dtype = uint8}), 16), tensor({{0, 0}, {0, 1}}));
  EXPECT_EQ(over.shape(), Shape({3, 64, 64}));
  // The brightest corner is where the map says.
  auto sum = [](const std::vector<int>& c) { return c[0] + c[1] + c[2]; };
  EXPECT_GT(sum(pixel(over, 63, 63)), 2 * sum(pixel(over, 0, 0)));
  EXPECT_EQ(pixel(over, 0, 0), pixel(over, 0, 20));
}

data::ConfusionMatrix three_classes() {
  data::ConfusionMatrix matrix(3);
  for (int i = 0; i < 120; ++i) matrix.add(0, 0);
  for (int i = 0; i < 7; ++i) matrix.add(1, 1);
  for (int i = 0; i < 3; ++i) matrix.add(1, 2);
  for (int i = 0; i < 50; ++i) matrix.add(2, 0);
  return matrix;
}

TEST(ConfusionMatrix, AsText) {
  const data::ConfusionMatrix matrix = three_classes();
  EXPECT_EQ(confusion_text(matrix, {"cat", "na\xc3\xafve", "dog"}, 80, false),
            "        cat na\xc3\xafve   dog\n"
            "cat     120     .     .\n"
            "na\xc3\xafve     .     7     3\n"
            "dog      50     .     .\n");
  // Names are cut to what there is room for; numbers stand in where that makes two of them one.
  EXPECT_EQ(confusion_text(matrix, {"chair", "charm", "table"}, 19, false).substr(0, 18), "        1   2   3\n");
  const std::string narrow = confusion_text(matrix, {"chair", "dress", "table"}, 19, false);
  EXPECT_EQ(narrow.substr(0, narrow.find('\n')), "      cha dre tab");
  EXPECT_EQ(confusion_text(matrix, {"chair", "dress", "table"}, 12, false),
            "most often confused:\n   50  table taken for chair\n    3  dress taken for table\n");
  const std::string colours = confusion_text(matrix, {"a", "b", "c"}, 80, true);
  EXPECT_NE(colours.find("\x1b[32m 120\x1b[0m"), std::string::npos) << colours;
  EXPECT_NE(colours.find("\x1b[1;31m  50\x1b[0m"), std::string::npos) << colours;
}

TEST(ConfusionMatrix, IsDarkestWhereTheCountIs) {
  const Tensor picture = confusion_picture(three_classes(), {"cat", "mouse", "dog"}, "60% right");
  // The grid lies at the bottom, to the right of the names; cells are as wide as they are high.
  const int64_t cell = 72, margin = 16, left = margin + text_width("mouse", 2) + 8;
  auto corner = [&](int64_t row, int64_t column) {  // a few pixels inside, where no number is
    return pixel(picture, picture.size(1) - margin - (3 - row) * cell + 3, left + column * cell + 3)[0];
  };
  EXPECT_EQ(corner(0, 1), 255);
  EXPECT_EQ(corner(1, 0), 255);
  EXPECT_LT(corner(0, 0), 50);
  EXPECT_LT(corner(2, 0), 50);
  EXPECT_LT(corner(1, 1), corner(1, 2));
  EXPECT_LT(corner(1, 2), 255);

  // Few or many classes, long names or none: always a picture.
  for (const int64_t count : {1, 2, 31, 120, 1000}) {
    std::vector<std::string> names(static_cast<size_t>(count), "a class with quite a long name");
    const Tensor other = confusion_picture(data::ConfusionMatrix(count), names, "t");
    EXPECT_LT(other.size(1), 2000) << count;
    EXPECT_NO_THROW(data::encode_png(other));
  }
  EXPECT_ERROR(confusion_picture(data::ConfusionMatrix(1001), {}, "t"), "1001 classes, at most 1000");
}

TEST(Sheets, HaveARowForEachPicture) {
  View view = {"attention", "layer 1 of 1", "", eye(4)};
  const Explained one = {"digit.png", full({1, 28, 28}, 100, {.dtype = uint8}), {0.25, 0.75}, 0, {view, view}};
  const Tensor sheet1 = attention_sheet({one}, {"a", "b"}), sheet3 = attention_sheet({one, one, one}, {"a", "b"});
  EXPECT_EQ(sheet1.size(2), 16 + 3 * 252 + 2 * 12 + 16);  // 28 * 9 pixels each
  EXPECT_EQ(sheet3.size(2), sheet1.size(2));
  EXPECT_GT(sheet3.size(1), 3 * 252);
  EXPECT_EQ(pixel(sheet1, 16, 16), std::vector<int>({100, 100, 100}));
  const data::ImageSet set =
      data::tensor_images(full({7, 3, 100, 100}, 9, {.dtype = uint8}), zeros({7}, {.dtype = int64}), {"a", "b"});
  const std::vector<Mistake> mistakes(7, {3, 0, 1, 0.9});
  const Tensor wrong = mistakes_sheet(*set, mistakes, {"a", "b"}, "wrong");
  EXPECT_EQ(wrong.size(2), 16 + 6 * 100 + 5 * 12 + 16);
  EXPECT_GT(wrong.size(1), 2 * 100);
  // Large pictures are made smaller.
  const data::ImageSet large =
      data::tensor_images(full({1, 1, 500, 1000}, 9, {.dtype = uint8}), zeros({1}, {.dtype = int64}), {"a", "b"});
  EXPECT_EQ(mistakes_sheet(*large, {{0, 0, 1, 0.9}}, {"a", "b"}, "").size(2), 16 + 192 + 16);
  const Tensor none = mistakes_sheet(*set, {}, {"a", "b"}, "none wrong");
  EXPECT_EQ(none.size(2), 16 + text_width("none wrong", 3) + 16);
}

}  // namespace
}  // namespace image_classifier
