// What a Vision Transformer knows of where its patches are: with and without vectors of places, on pictures as they are
// and on pictures whose patches were shuffled.
#include <cmath>
#include <cstdio>
#include <vector>

#include "model.h"
#include "nn/container.h"

using namespace ch14;

namespace {

constexpr int64_t steps = 600, patch = 7, side = 4;

//! [shuffle]
// The pictures (batch, 1, 28, 28) with patch order[i] in the place of patch i.
Tensor shuffled(const Tensor& images, const Tensor& order) {
  const Tensor cut = images.reshape({-1, side, patch, side, patch});  // (batch, row, in it, column, in it)
  const Tensor patches = cut.transpose(2, 3).flatten(1, 2);           // (batch, patches, 7, 7)
  const Tensor mixed = patches.index_select(1, order).unflatten(1, {side, side});
  return mixed.transpose(2, 3).reshape(images.shape());
}
//! [shuffle]

// The pictures of `set`, each shuffled in the same order.
data::ImageSet shuffled(const data::ImageSet& set, const Tensor& order) {
  std::vector<Tensor> images;
  std::vector<int64_t> labels;
  for (int64_t n = 0; n < set->size(); ++n) {
    const data::Sample sample = set->get(n);
    images.push_back(sample.image);
    labels.push_back(sample.label);
  }
  return data::tensor_images(shuffled(stack(images), order), from_vector(labels, {set->size()}), set->classes());
}

struct Reached {
  double as_is, mixed, alike;
};

template <class Make>
Reached learn(Make make, const data::ImageSet& train_set, const data::ImageSet& test_set, const Tensor& order,
              double lr) {
  const Pictures pictures(train_set);
  Reached r;
  Generator random(7);
  for (const bool alike : {false, true}) {
    manual_seed(1);
    auto model = make();
    const data::ImageSet set = alike ? shuffled(train_set, order) : train_set;
    auto batches = pictures.shuffled(set, 1);
    auto tests = pictures.in_order(alike ? shuffled(test_set, order) : test_set, 10);
    train(model, batches, steps, lr);
    if (alike) {
      r.alike = accuracy(model, tests);
    } else {
      r.as_is = accuracy(model, tests);
      r.mixed = accuracy(model, tests, [&](const Tensor& images) {  // ten pictures at a time, each time another order
        return shuffled(images, randperm(side * side, &random));
      });
    }
  }
  return r;
}

// The largest difference that shuffling makes to a score of an untrained model.
double difference(Places places, const Tensor& order) {
  const NoGrad guard;
  manual_seed(3);
  Vit model({.places = places});
  const Tensor images = randn({20, 1, pixels, pixels});
  return (model(images) - model(shuffled(images, order))).norm(INFINITY).item();
}

}  // namespace

int main() {
  const data::ImageSet train_set = examples::digits(4000, 1), test_set = examples::digits(1000, 2);
  Generator random(5);
  const Tensor order = randperm(side * side, &random);
  std::printf("scores after the patches were shuffled, untrained: without places %s, with learned places %s\n\n",
              difference(Places::none, order) < 1e-5 ? "the same" : "others",
              difference(Places::learned, order) < 1e-5 ? "the same" : "others");
  check(difference(Places::none, order) < 1e-5, "order is seen");

  std::printf("trained on pictures                     as they are         all shuffled in one order\n");
  std::printf("tested on pictures                      as they are  mixed  shuffled in the same order\n");
  struct Row {
    const char* name;
    VitOptions options;
  };
  for (const auto& [name, options] :
       {Row{"no places", {.places = Places::none}}, Row{"sinusoids along all patches", {.places = Places::along}},
        Row{"sinusoids of row and column", {.places = Places::grid}}, Row{"learned", {.places = Places::learned}},
        Row{"learned, mean of the patches", {.class_token = false}}}) {
    const Reached r = learn([o = options] { return Vit(o); }, train_set, test_set, order, 0.02);
    std::printf("%-39s %10.1f%% %5.1f%%  %10.1f%%\n", name, 100 * r.as_is, 100 * r.mixed, 100 * r.alike);
    std::fflush(stdout);
    if (options.places == Places::none)
      check(r.as_is < 0.8 && r.mixed > r.as_is - 0.02, name, ": order is seen");
    else
      check(r.as_is > 0.58 && r.mixed < r.as_is - 0.05, name, ": order is not seen");
  }
  const Reached r = learn(ch05::make_cnn, train_set, test_set, order, 0.005);
  std::printf("%-39s %10.1f%% %5.1f%%  %10.1f%%\n", "chapter 05's network", 100 * r.as_is, 100 * r.mixed,
              100 * r.alike);
}
