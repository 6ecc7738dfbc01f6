// A Vision Transformer against the convolutional network of chapter 05, of as many parameters: on few pictures and on
// many, and on pictures that were moved.
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "model.h"

using namespace ch14;

namespace {

constexpr int64_t steps = 1000;  // of 64 pictures, for each training

struct Result {
  double train, test;
  std::vector<double> moved;  // accuracy on test pictures moved to the right by 0, 1, ... pixels
};

// The pictures (batch, 1, 28, 28) moved to the right by `by` pixels; what comes in on the left is like the corner.
Tensor moved(const Tensor& images, int64_t by) {
  if (by == 0) return images;
  const Tensor in =
      images.select(3, 0).select(2, 0).unsqueeze(2).unsqueeze(3).expand({images.size(0), 1, pixels, by});
  return cat({in, images.narrow(3, 0, pixels - by)}, 3);
}

template <class Model>
Result learn(Model model, const data::ImageSet& train_set, const data::ImageSet& test_set, double lr, int64_t moves) {
  const Pictures pictures(train_set);
  auto batches = pictures.shuffled(train_set, 1), tests = pictures.in_order(test_set);
  std::vector<int64_t> some;  // of the training pictures
  for (int64_t i = 0; i < std::min<int64_t>(train_set->size(), 1000); ++i) some.push_back(i);
  auto seen = pictures.in_order(data::subset(train_set, some));
  train(model, batches, steps, lr);
  Result result = {.train = accuracy(model, seen), .test = accuracy(model, tests), .moved = {}};
  for (int64_t by = 0; by < moves; ++by)
    result.moved.push_back(accuracy(model, tests, [&](const Tensor& images) { return moved(images, by); }));
  return result;
}

template <class Model>
void print_size(const char* name, Model model) {
  const NoGrad guard;
  model.eval();
  const int64_t before = flops_counted();
  model(zeros({1, 1, pixels, pixels}));
  std::printf("%-20s  %10d  %14.0f thousand\n", name, int(model.parameter_count()),
              double(flops_counted() - before) / 2000);
}

ch05::nn::Sequential make_cnn() {
  manual_seed(1);
  return ch05::make_cnn();
}
Vit make_vit() {
  manual_seed(1);
  return Vit({});
}

}  // namespace

int main() {
  std::printf("%-20s  parameters  multiply-adds of a picture\n", "");
  print_size("chapter 05's network", make_cnn());
  print_size("Vision Transformer", make_vit());

  std::printf("\n%d steps of 64 pictures\n", int(steps));
  std::printf("          chapter 05's network     Vision Transformer\n");
  std::printf("pictures  on these  on others      on these  on others\n");
  const data::ImageSet test = examples::digits(2000, 2);
  Result cnn, vit;
  std::vector<double> gaps;
  for (const int64_t count : {500, 2000, 8000, 32000}) {
    const data::ImageSet set = examples::digits(count, 1);
    const int64_t moves = count == 32000 ? 8 : 0;
    cnn = learn(make_cnn(), set, test, 0.005, moves);
    vit = learn(make_vit(), set, test, 0.02, moves);
    gaps.push_back(cnn.test - vit.test);
    std::printf("%8d  %7.1f%%  %8.1f%%      %7.1f%%  %8.1f%%\n", int(count), 100 * cnn.train, 100 * cnn.test,
                100 * vit.train, 100 * vit.test);
    std::fflush(stdout);
  }
  check(gaps.front() > 0.15 && gaps.back() < 0.1, "the number of pictures makes little difference");

  std::printf("\ntest pictures moved to the right, by pixels\n%-20s", "");
  for (size_t by = 0; by < cnn.moved.size(); ++by) std::printf("%7d", int(by));
  for (const auto& [name, result] :
       {std::pair<const char*, const Result&>{"chapter 05's network", cnn}, {"Vision Transformer", vit}}) {
    std::printf("\n%-20s", name);
    for (const double value : result.moved) std::printf("%6.1f%%", 100 * value);
  }
  std::printf("\n");
}
