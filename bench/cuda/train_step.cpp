// A training step of GPT-2's smallest model (124 million parameters; Radford et al. 2019) on the GPU: batch 8 of 1024
// tokens, products in bfloat16, AdamW. Prints one line of JSON: seconds a step, the median of several, and the loss
// before and after. --small takes a model that an emulator gets through as well; --steps N times N steps.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "autograd/autograd.h"
#include "autograd/ops.h"
#include "examples/text_models/text_models.h"
#include "optim/adam.h"
#include "tensor/kernels/cuda/runtime.h"
#include "tensor/random.h"

using namespace gradus;

int main(int argc, char** argv) {
  bool small = false;
  int steps = 0;
  for (int i = 1; i < argc; ++i) {
    small |= std::strcmp(argv[i], "--small") == 0;
    if (std::strcmp(argv[i], "--steps") == 0 && i + 1 < argc) steps = std::atoi(argv[++i]);
  }
  if (steps <= 0) steps = small ? 2 : 20;
  const int64_t batch = small ? 2 : 8, length = small ? 16 : 1024, vocabulary = small ? 50 : 50257;
  const int warm_up = small ? 1 : std::min(steps, 5);
  try {
    manual_seed(1);
    text_models::GptOptions options{
        .vocabulary = vocabulary, .block = length, .layers = 12, .heads = 12, .d_model = 768};
    if (small) options.layers = 2, options.heads = 2, options.d_model = 128;
    text_models::Gpt model(options);
    model.to(Device::cuda);
    optim::AdamW optimizer(model.parameters(), {.lr = 3e-4, .weight_decay = 0.1});
    const Tensor tokens = randint(0, vocabulary, {batch, length}, {.dtype = int64}).to(Device::cuda);
    const Tensor targets = randint(0, vocabulary, {batch, length}, {.dtype = int64}).to(Device::cuda);

    const auto step = [&] {
      Tensor loss;
      {
        const Autocast mixed;
        const Tensor logits = model(tokens);
        loss = cross_entropy(logits.reshape({batch * length, vocabulary}), targets.reshape({batch * length}));
      }
      optimizer.zero_grad();
      loss.backward();
      optimizer.step();
      return loss.detach();
    };
    const double first = step().item();
    for (int i = 1; i < warm_up; ++i) step();
    synchronize(Device::cuda);
    std::vector<double> seconds;
    Tensor loss;
    for (int i = 0; i < steps; ++i) {
      const auto start = std::chrono::steady_clock::now();
      loss = step();
      synchronize(Device::cuda);
      seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    std::nth_element(seconds.begin(), seconds.begin() + steps / 2, seconds.end());
    std::printf(
        "{\"name\": \"GPT-2 124M training step, batch %d x %d\", \"seconds\": %.6g, \"first_loss\": %.6g, "
        "\"last_loss\": %.6g, \"peak_bytes\": %lld}\n",
        int(batch), int(length), seconds[size_t(steps) / 2], first, loss.item(),
        static_cast<long long>(cuda::memory_stats().peak));
  } catch (const Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
