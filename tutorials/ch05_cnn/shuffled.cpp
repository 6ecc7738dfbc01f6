// What a convolution knows beforehand: two networks learn digits, and the same digits with their pixels shuffled.
#include <algorithm>
#include <cstdio>

#include "model.h"

using namespace ch05;

namespace {

//! [rearrange]
// The pictures of `set` with pixel i at the place of pixel order[i], the same order for all of them.
data::ImageSet rearranged(const data::ImageSet& set, const std::vector<int64_t>& order) {
  const int64_t count = set->size(), pixels = int64_t(order.size());
  const Tensor images = empty({count, 1, 28, 28}, {.dtype = uint8}), labels = empty({count}, {.dtype = int64});
  for (int64_t n = 0; n < count; ++n) {
    const data::Sample sample = set->get(n);
    const uint8_t* from = sample.image.data<uint8_t>();
    for (int64_t i = 0; i < pixels; ++i) images.data<uint8_t>()[n * pixels + i] = from[order[i]];
    labels.data<int64_t>()[n] = sample.label;
  }
  return data::tensor_images(images, labels, set->classes());
}
//! [rearrange]

nn::Sequential make_mlp() {
  return nn::Sequential{nn::Flatten(), nn::Linear(28 * 28, 64), nn::ReLU(), nn::Linear(64, classes)};
}

// The share of test pictures that are right after training.
double learn(nn::Sequential (*make)(), const data::ImageSet& train, const data::ImageSet& test) {
  const Pictures pictures(train);
  manual_seed(1);
  nn::Sequential model = make();
  optim::AdamW optimizer(model.parameters(), {.lr = 0.002});
  auto batches = pictures.shuffled(train, 1), tests = pictures.in_order(test);
  for (int epoch = 0; epoch < 4; ++epoch) train_epoch(model, optimizer, batches);
  return examine(model, tests).accuracy();
}

}  // namespace

int main() {
  const data::ImageSet train = examples::digits(3000, 1), test = examples::digits(1000, 2);
  Generator random(1);
  const std::vector<int64_t> order = randperm(28 * 28, &random).to_vector<int64_t>();
  const data::ImageSet shuffled_train = rearranged(train, order), shuffled_test = rearranged(test, order);
  std::printf("%-24s  parameters  as they are  pixels shuffled\n", "test accuracy");
  struct Network {
    const char* name;
    nn::Sequential (*make)();
  };
  double cost[2], *at = cost;
  for (const auto& [name, make] : {Network{"two linear layers", make_mlp}, {"convolutional network", make_cnn}}) {
    const double plain = learn(make, train, test), mixed = learn(make, shuffled_train, shuffled_test);
    std::printf("%-24s  %10d  %10.1f%%  %14.1f%%\n", name, int(make().parameter_count()), 100 * plain, 100 * mixed);
    *at++ = plain - mixed;
  }
  check(cost[1] > cost[0] + 0.02, "shuffling costs the convolutional network too little");
}
