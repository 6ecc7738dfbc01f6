// Trains a small network with every instruction set this machine has, with 1, 2 and 5 threads, and prints a hash of
// the bits it arrives at. Fails where the number of threads matters. Two builds of one compiler must print the same.
#include <gradus/gradus.h>

#include <cstdio>
#include <string>

#include "examples/made_up/digits.h"
#include "tensor/kernels/table.h"

namespace {

using namespace gradus;

// FNV-1a.
void hash_in(uint64_t& hash, const Tensor& x) {
  const Tensor flat = x.contiguous();
  const auto* bytes = static_cast<const unsigned char*>(flat.raw().data);
  const int64_t count = flat.numel() * int64_t(size_of(flat.dtype()));
  for (int64_t i = 0; i < count; ++i) hash = (hash ^ bytes[i]) * 0x100000001b3u;
}

uint64_t trained_bits() {
  manual_seed(7);
  nn::Sequential model{nn::Conv2d(1, 8, 3, {.padding = 1}),
                       nn::BatchNorm2d(8),
                       nn::ReLU(),
                       nn::MaxPool2d(2),
                       nn::Conv2d(8, 12, 3),
                       nn::GELU(),
                       nn::Flatten(),
                       nn::Dropout(0.25),
                       nn::Linear(12 * 5 * 5, 64),
                       nn::LayerNorm(64),
                       nn::Tanh(),
                       nn::Linear(64, 10)};
  optim::AdamW optimizer(model.parameters(), {.lr = 0.01});
  const Tensor images = examples::digits(16)->get(3).image.to(float32).narrow(1, 7, 14).narrow(2, 7, 14) / 255.0;
  uint64_t hash = 0xcbf29ce484222325u;
  for (int step = 0; step < 5; ++step) {
    const Tensor x = images.unsqueeze(0) + 0.3 * randn({16, 1, 14, 14});
    const Tensor loss = cross_entropy(model(x), randint(0, 10, {16}));
    optimizer.zero_grad();
    loss.backward();
    optim::clip_grad_norm_(model.parameters(), 1.0);
    optimizer.step();
    hash_in(hash, loss);
  }
  for (const auto& [name, value] : model.state_dict()) hash_in(hash, value);

  // Large enough that several threads share the work.
  const Tensor a = randn({200, 330}), b = randn({330, 210}), c = randn({300000});
  hash_in(hash, matmul(a, b));
  hash_in(hash, softmax(a, -1));
  hash_in(hash, a.sum({0}));
  hash_in(hash, exp(c).sum());
  hash_in(hash, c.norm());
  return hash;
}

}  // namespace

int main() {
  int status = 0;
  for (const char* name : {"reference", "avx2", "avx512", "neon"}) {
    try {
      set_isa(name);
    } catch (const Error&) {
      continue;  // not on this machine
    }
    uint64_t first = 0;
    for (const int threads : {1, 2, 5}) {
      set_num_threads(threads);
      const uint64_t hash = trained_bits();
      if (threads == 1) first = hash;
      if (hash == first) continue;
      std::printf("%s: %d threads give %016llx\n", name, threads, static_cast<unsigned long long>(hash));
      status = 1;
    }
    std::printf("%s: %016llx\n", name, static_cast<unsigned long long>(first));
  }
  return status;
}
