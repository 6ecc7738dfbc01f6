// What people get wrong with convolutional networks, shown on the trained network of this chapter.
#include <cmath>
#include <cstdio>

#include "model.h"
#include "tensor/io/safetensors.h"
#include "tutorials/refused.h"

using namespace ch05;
using tutorials::refused;

namespace {

void shapes() {
  const nn::Sequential model = make_cnn();
  refused("a picture without a batch", [&] { model(zeros({1, 28, 28})); });
  refused("channels last", [&] { model(zeros({64, 28, 28, 1})); });
  refused("pictures of another size", [&] { model(zeros({64, 1, 32, 32})); });
}

double accuracy_in_training_mode(const data::ImageSet& set, int64_t batch, const Pictures& pictures) {
  const NoGrad guard;
  nn::Sequential model = make_cnn();
  model.load_state_dict(load_safetensors(GRADUS_CHECKPOINTS "/cnn.safetensors").tensors);
  data::ConfusionMatrix matrix(classes);
  auto loader = pictures.in_order(set, batch);
  for (auto& [images, labels] : loader) matrix.add(model(images), labels);  // model.eval() was forgotten
  return matrix.accuracy();
}

void forgotten_eval() {
  const Pictures pictures(examples::digits(5400, 1));
  const data::ImageSet test = examples::digits(1000, 2);
  std::vector<int64_t> by_class;
  for (int64_t digit = 0; digit < classes; ++digit)
    for (int64_t i = digit; i < test->size(); i += classes) by_class.push_back(i);
  nn::Sequential model = make_cnn();
  model.load_state_dict(load_safetensors(GRADUS_CHECKPOINTS "/cnn.safetensors").tensors);
  auto loader = pictures.in_order(test);
  const double right = examine(model, loader).accuracy();
  const double mixed = accuracy_in_training_mode(test, 50, pictures);
  const double sorted = accuracy_in_training_mode(data::subset(test, by_class), 50, pictures);
  const double single = accuracy_in_training_mode(test, 1, pictures);
  std::printf("model.eval() forgotten; with it %.1f%% are right\n", 100 * right);
  std::printf("  batches of all digits  %.1f%%\n  batches of one digit   %.1f%%\n", 100 * mixed, 100 * sorted);
  std::printf("  one picture at a time  %.1f%%\n", 100 * single);
  check(right > 0.95 && sorted < right - 0.02, "the mode makes no difference");
}

void useless_bias() {
  manual_seed(1);
  const nn::Conv2d conv(1, 8, 5);
  const nn::BatchNorm2d norm(8);
  const Tensor scores = norm(conv(randn({16, 1, 12, 12})));
  (scores * randn(scores.shape())).sum().backward();
  const double weight = conv.weight.grad().norm().item(), bias = conv.bias.grad().norm().item();
  std::printf("a bias before batch normalisation\n  its gradient is that of the weights times less than 1e-4: %s\n",
              bias < 1e-4 * weight ? "yes" : "no");
  check(bias < 1e-4 * weight, "the bias has a gradient");
}

void padding_is_grey() {
  const Pictures pictures(examples::digits(5400, 1));
  auto loader = pictures.in_order(examples::digits(10, 2));
  std::printf("zero padding after standardising\n  black is %.2f, padding %.2f\n", loader.next()->images.min().item(),
              0.0);
}

}  // namespace

int main() {
  shapes();
  forgotten_eval();
  useless_bias();
  padding_is_grey();
}
