// Where a trained Vision Transformer looks: attention rollout over patches, whether the patches that it names are those
// that matter, and what the vectors of places have learned.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "examples/image_classifier/seeing/explain.h"
#include "model.h"
#include "tensor/io/safetensors.h"

using namespace ch14;

namespace {

const VitOptions trained{.patch = 4, .features = 32, .layers = 3, .heads = 4, .inner = 64};
const int64_t side = trained.side(), patches = side * side;

// What the class token of each picture took from each patch: (batch, patches).
Tensor from_patches(const Tensor& weights) { return weights.select(1, 0).narrow(1, 1, patches); }

struct Maps {
  Tensor rollout, last, ink;  // (batch, patches)
};

Maps maps_of(const Vit& model, const Tensor& images) {
  std::vector<Tensor> seen;  // of each layer (batch, heads, tokens, tokens)
  model.read(model.words(images), &seen);
  const Tensor rollout = image_classifier::attention_rollout(seen);  // (batch, tokens, tokens)
  const Tensor cut = images.reshape({-1, side, trained.patch, side, trained.patch});
  return {.rollout = from_patches(rollout),
          .last = from_patches(seen.back().mean({1})),
          .ink = cut.mean({2, 4}).flatten(1)};  // how bright each patch is
}

//! [keep]
// Of each picture the `count` words with the largest of `values` (batch, patches), in no special order.
Tensor keep(const Tensor& words, const Tensor& values, int64_t count) {
  const Tensor best = values.topk(count, 1).second.unsqueeze(2);  // (batch, count, 1)
  return words.gather(1, best.expand({words.size(0), count, words.size(2)}));
}
//! [keep]

void keep_some(const Vit& model, data::DataLoader<data::ImageBatch>& tests) {
  const std::vector<int64_t> counts = {patches, 25, 17, 12, 8};
  Generator random(1);
  using Choose = std::function<Tensor(const Maps&)>;
  const std::vector<std::pair<const char*, Choose>> ways = {
      {"largest by rollout", [](const Maps& m) { return m.rollout; }},
      {"largest in last layer", [](const Maps& m) { return m.last; }},
      {"brightest", [](const Maps& m) { return m.ink; }},
      {"at random", [&](const Maps& m) { return rand(m.ink.shape(), {}, &random); }},
      {"smallest by rollout", [](const Maps& m) { return -m.rollout; }}};
  std::vector<std::vector<double>> right(ways.size(), std::vector<double>(counts.size()));
  for (auto& [images, labels] : tests) {
    const Tensor words = model.words(images);
    const Maps maps = maps_of(model, images);
    for (size_t way = 0; way < ways.size(); ++way) {
      const Tensor values = ways[way].second(maps);
      for (size_t i = 0; i < counts.size(); ++i) {
        const Tensor answers = model.read(keep(words, values, counts[i])).argmax(1);
        right[way][i] += (answers == labels).to(float64).sum().item() / double(tests.size());
      }
    }
  }
  std::printf("accuracy when only so many words of a picture are read\n%-24s", "");
  for (const int64_t count : counts) std::printf("%7d", int(count));
  for (size_t way = 0; way < ways.size(); ++way) {
    std::printf("\n%-24s", ways[way].first);
    for (const double share : right[way]) std::printf("%6.1f%%", 100 * share);
  }
  std::printf("\n\n");
  check(right[0][0] > 0.96, "the checkpoint is not what the text says");
  check(right[0][2] > right[1][2] && right[1][2] > right[2][2] && right[2][2] > right[3][2] &&
            right[3][2] > right[4][2] + 0.1,
        "rollout does not name the patches that matter");
}

void learned_places(const Vit& model) {
  const Tensor unit = model.places / model.places.norm(2, {1}, true);
  const Tensor cosine = matmul(unit, unit.t());
  const auto at = [&](int64_t down, int64_t right) {  // mean over all pairs so far apart
    double sum = 0;
    int64_t pairs = 0;
    for (int64_t row = 0; row + down < side; ++row)
      for (int64_t column = 0; column + right < side; ++column, ++pairs)
        sum += cosine[row * side + column][(row + down) * side + column + right].item();
    return sum / double(pairs);
  };
  std::printf("mean cosine of the learned vectors of two places, by how far apart they are\n");
  std::printf("down \\ right%7d%7d%7d%7d\n", 0, 1, 2, 3);
  for (int64_t down = 0; down < 4; ++down) {
    std::printf("%12d", int(down));
    for (int64_t right = 0; right < 4; ++right) std::printf("%7.2f", at(down, right));
    std::printf("\n");
  }
}

void print_values(const char* name, const Tensor& x) {
  std::printf("%s %s", name, to_string(x.shape()).c_str());
  for (const double value : x.to_vector()) std::printf(" %.4g", value);
  std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
  bool with_maps = false;
  std::string checkpoint = GRADUS_CHECKPOINTS "/vit.safetensors";
  CLI::App app("Shows where a trained Vision Transformer looks.");
  app.add_flag("--maps", with_maps, "print the maps of some digits, for the figure");
  app.add_option("--checkpoint", checkpoint, "what vit --save wrote")->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  try {
    const NoGrad guard;
    const Pictures pictures(examples::digits(16000, 1));  // those that it was trained on
    Vit model(trained);
    model.load_state_dict(load_safetensors(checkpoint).tensors);
    model.eval();
    if (with_maps) {
      auto loader = pictures.in_order(data::subset(examples::digits(30, 2), {0, 1, 2, 13, 4, 5, 6, 7, 8, 9}));
      const Tensor images = loader.next()->images;
      const Maps maps = maps_of(model, images);
      print_values("pictures", images.squeeze(1));
      print_values("answers", model(images).argmax(1));
      print_values("last", maps.last.reshape({-1, side, side}));
      print_values("rollout", maps.rollout.reshape({-1, side, side}));
      return 0;
    }
    auto tests = pictures.in_order(examples::digits(1000, 2));
    keep_some(model, tests);
    learned_places(model);
  } catch (const Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
