// The device as programs meet it: what goes wrong and how it is said, memory, mixed precision, captured steps.
#include "tensor/kernels/cuda/runtime.h"

#include "examples/text_models/text_models.h"
#include "optim/adam.h"
#include "tensor/random.h"
#include "tests/cuda/device.h"
#include "tests/errors.h"
#include "train/graphed_step.h"

namespace gradus {
namespace {

using testing::difference;
using testing::error_of;
using testing::on_device;

class CudaRuntime : public testing::OnDevice {};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST_F(CudaRuntime, SaysWhatItIs) {
  EXPECT_TRUE(is_available(Device::cuda));
  EXPECT_NE(describe(Device::cuda), "");
  EXPECT_EQ(describe(Device::cpu), "cpu");
}

TEST_F(CudaRuntime, ElementsAreNotReadWhereTheyCannotBe) {
  const Tensor x = on_device(ones({2, 3}));
  EXPECT_EQ(error_of([&] { x.data<float>(); }),
            "data: the tensor is on cuda; to(Device::cpu) brings its elements here");
  EXPECT_EQ(x.to_vector(), std::vector<double>(6, 1.0));
  EXPECT_TRUE(has(to_string(x), "1"));
}

TEST_F(CudaRuntime, OperandsMustBeTogether) {
  const Tensor here = ones({2, 2}), there = on_device(here);
  for (const std::string& error :
       {error_of([&] { here + there; }), error_of([&] { matmul(there, here); }),
        error_of([&] { linear(there, there, here[0]); }), error_of([&] { Tensor(there).add_(here); }), error_of([&] {
          cat({there, here});
        }),
        error_of([&] { there.masked_fill(here > 0, 0); }), error_of([&] {
          there.index_add(0, on_device(zeros({1}, {.dtype = int64})), ones({1, 2}));
        }),
        error_of([&] { scaled_dot_product_attention(there, there, there, {.keep = causal_mask(2, 2)}); })})
    EXPECT_TRUE(has(error, "cpu") && has(error, "cuda")) << error;
  const std::string error = error_of([&] { there.index_select(0, zeros({1}, {.dtype = int64})); });
  EXPECT_EQ(error, "index_select: the indices are on cpu, what they choose from on cuda");
}

TEST_F(CudaRuntime, AnIndexOutOfRangeIsToldAtTheNextWait) {
  const Tensor table = on_device(ones({5, 3})), index = on_device(tensor({1, 7}).to(int64));
  const Tensor rows = embedding(index, table);
  EXPECT_EQ(error_of([&] { rows.to(Device::cpu); }), "index_select: index 7 is out of range for 5");
  EXPECT_EQ(embedding(on_device(tensor({1, 4}).to(int64)), table).sum().item(), 6);  // and that was all
}

TEST_F(CudaRuntime, OutOfMemoryNamesTheNumbersAndTheProgramGoesOn) {
  const Tensor kept = on_device(ones({1000}));
  const std::string error = error_of([] { empty({int64_t(1) << 40}, {.device = Device::cuda}); });
  EXPECT_TRUE(has(error, "out of memory on cuda: 4398046511104 bytes were asked for, ")) << error;
  EXPECT_TRUE(has(error, " are in use, ") && has(error, " are free")) << error;
  EXPECT_EQ(kept.sum().item(), 1000);
}

TEST_F(CudaRuntime, MemoryIsUsedAgain) {
  if (std::getenv("GRADUS_CUDA_CACHE")) GTEST_SKIP() << "GRADUS_CUDA_CACHE is set";
  const int64_t live = cuda::memory_stats().live;
  const auto place = [] { return on_device(ones({10000})).raw().data; };
  EXPECT_EQ(place(), place());
  EXPECT_EQ(cuda::memory_stats().live, live);
}

TEST_F(CudaRuntime, LargeCopiesComeBack) {
  const Tensor x = arange(0, 3e6, 1);
  EXPECT_EQ(difference(on_device(x), x, 0), "");
}

TEST_F(CudaRuntime, ParametersMoveAndStayTied) {
  text_models::Gpt model({.vocabulary = 11, .block = 4, .layers = 1, .heads = 1, .d_model = 8});
  optim::AdamW optimizer(model.parameters(), {.lr = 0.1});
  model.to(Device::cuda);
  const Tensor tokens = on_device(randint(0, 11, {2, 4}, {.dtype = int64}));
  const auto loss = [&] { return cross_entropy(model(tokens).flatten(0, 1), tokens.flatten()); };
  const double before = loss().item();
  for (int i = 0; i < 5; ++i) {
    optimizer.zero_grad();
    loss().backward();
    optimizer.step();
  }
  EXPECT_LT(loss().item(), before);
  EXPECT_EQ(
      model.parameter_count(),
      text_models::Gpt({.vocabulary = 11, .block = 4, .layers = 1, .heads = 1, .d_model = 8}).parameter_count());
}

struct Step {
  double loss;
  std::vector<Tensor> gradients;
};
Step step_of(const text_models::Gpt& model, const Tensor& tokens, bool mixed) {
  Step step;
  {
    const Autocast scope(mixed);
    const Tensor loss = cross_entropy(model(tokens).flatten(0, 1), tokens.flatten());
    EXPECT_EQ(loss.dtype(), float32);
    model.zero_grad();
    loss.backward();
    step.loss = loss.item();
  }
  for (const Tensor& p : model.parameters()) step.gradients.push_back(p.grad());
  return step;
}

// Products and attention in bfloat16 (8 bits of mantissa), the rest in float32.
TEST_F(CudaRuntime, AutocastStaysNearFloat32) {
  manual_seed(3);
  text_models::Gpt model({.vocabulary = 50, .block = 24, .layers = 2, .heads = 2, .d_model = 128});
  model.to(Device::cuda);
  const Tensor tokens = on_device(randint(0, 50, {3, 24}, {.dtype = int64}));
  const Step exact = step_of(model, tokens, false), mixed = step_of(model, tokens, true);
  EXPECT_NEAR(mixed.loss, exact.loss, 0.01 * exact.loss);
  EXPECT_NE(mixed.loss, exact.loss);
  for (size_t i = 0; i < exact.gradients.size(); ++i) {
    EXPECT_EQ(mixed.gradients[i].dtype(), float32);
    EXPECT_EQ(difference(mixed.gradients[i], exact.gradients[i], 0.05), "") << i;
  }
}

TEST_F(CudaRuntime, AGraphedStepDoesWhatTheStepDoes) {
  manual_seed(5);
  text_models::Gpt model({.vocabulary = 13, .block = 6, .layers = 1, .heads = 2, .d_model = 16});
  model.to(Device::cuda);
  const Tensor tokens = on_device(randint(0, 13, {2, 6}, {.dtype = int64}));
  const auto eager = [&] { return step_of(model, tokens, false); };
  train::GraphedStep graphed([&] {
    model.zero_grad();
    const Tensor loss = cross_entropy(model(tokens).flatten(0, 1), tokens.flatten());
    loss.backward();
    return loss.detach();
  });
  std::vector<Tensor> gradients;
  for (const Tensor& p : model.parameters()) gradients.push_back(p.grad());
  for (int round = 0; round < 2; ++round) {
    Tensor(tokens).copy_(randint(0, 13, {2, 6}, {.dtype = int64}));  // the places stay
    cuda::release_cached_memory();                                   // and the graph's memory is its own
    const double loss = graphed().item();
    std::vector<Tensor> made;
    for (const Tensor& g : gradients) made.push_back(g.clone());
    const Step expected = eager();
    EXPECT_EQ(loss, expected.loss);
    for (size_t i = 0; i < made.size(); ++i) EXPECT_EQ(difference(made[i], expected.gradients[i], 0), "") << i;
  }
}

TEST_F(CudaRuntime, AGraphedStepMayNotReadOrDraw) {
  const Tensor x = on_device(ones({4}));
  EXPECT_TRUE(has(error_of([&] { train::GraphedStep([&] { return full({}, x.sum().item()).to(Device::cuda); }, 0); }),
                  "while a graph is captured"));
  EXPECT_TRUE(has(error_of([&] { train::GraphedStep([&] { return dropout(x, 0.5).sum(); }, 0); }), "random numbers"));
  EXPECT_EQ((x + x).sum().item(), 8);  // the device is as it was
}

}  // namespace
}  // namespace gradus
