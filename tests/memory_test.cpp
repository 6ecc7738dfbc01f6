// A training that runs for days must not grow.
#include <gradus/gradus.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "examples/made_up/digits.h"
#include "tests/sanitized.h"

namespace {

using namespace gradus;

// Resident memory of this process in bytes; 0 where the system does not tell.
int64_t resident() {
  long pages = 0, skipped = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (!file) return 0;
  const bool ok = std::fscanf(file, "%ld %ld", &skipped, &pages) == 2;
  std::fclose(file);
  return ok ? int64_t(pages) * 4096 : 0;
}

TEST(Memory, AThousandStepsLeaveNothingBehind) {
  manual_seed(3);
  const int64_t blocks = memory_stats().blocks, live = memory_stats().live;
  {
    nn::Sequential model(nn::Conv2d(1, 4, 3, {.padding = 1}), nn::BatchNorm2d(4), nn::ReLU(), nn::MaxPool2d(4),
                         nn::Flatten(), nn::Dropout(0.1), nn::Linear(4 * 7 * 7, 10));
    optim::Adam optimizer(model.parameters());
    // Without workers, which would make now more and now fewer batches ahead.
    auto loader = data::image_loader(examples::digits(256), {.batch_size = 16, .shuffle = true, .workers = 0});
    int64_t step = 0, early_resident = 0, late_resident = 0;
    double first = 0, last = 0;
    MemoryStats early, late;
    while (step < 1000) {
      for (auto& [images, labels] : loader) {
        const Tensor loss = cross_entropy(model(images), labels);
        optimizer.zero_grad();
        loss.backward();
        optimizer.step();
        last = loss.item();
        if (++step == 1) first = last;
        if (step == 200) early = memory_stats(), early_resident = resident();
        if (step == 1000) late = memory_stats(), late_resident = resident();
      }
    }
    EXPECT_EQ(late.blocks, early.blocks);
    EXPECT_EQ(late.live, early.live);
    EXPECT_EQ(late.cached, early.cached);
    EXPECT_LE(gradus::testing::sanitized ? 0 : late_resident, early_resident + (int64_t(1) << 20));
    EXPECT_LT(last, first / 2);
  }
  EXPECT_EQ(memory_stats().blocks, blocks);
  EXPECT_EQ(memory_stats().live, live);
}

// What one thread made may die on another, or after its own thread.
TEST(Memory, DiesOnAnyThread) {
  const MemoryStats before = memory_stats();
  const auto graph = [] {
    Tensor x = ones({3}, {.requires_grad = true});
    std::vector<Tensor> made;
    for (int i = 0; i < 10'000; ++i) made.push_back(x * 2);
    return made;
  };
  std::vector<Tensor> from_thread;
  std::thread([&] { from_thread = graph(); }).join();
  EXPECT_EQ(memory_stats().blocks, before.blocks + 10'000);
  EXPECT_EQ(from_thread.back().sum().item(), 6);
  std::thread([mine = graph(), theirs = std::move(from_thread)]() mutable {
    mine.clear();
    theirs.clear();
  }).join();
  from_thread = graph();  // out of what those threads left
  EXPECT_EQ(from_thread.back().sum().item(), 6);
  from_thread.clear();
  EXPECT_EQ(memory_stats().blocks, before.blocks);
  EXPECT_EQ(memory_stats().live, before.live);
}

// Large blocks of one size are made of those of another, and what they hold stays theirs.
TEST(Memory, LargeBlocksServeAnySize) {
  const auto held = [] { return memory_stats().live + memory_stats().cached; };
  const int64_t before = held();
  { Tensor whole = empty({8 << 18}); }
  const int64_t enough = held();
  for (int round = 0; round < 3; ++round) {
    std::vector<Tensor> parts;
    for (int i = 0; i < 8; ++i) parts.push_back(empty({1 << 18}));
    for (int i : {1, 6, 3, 2, 0, 7, 5, 4}) parts[size_t(i)] = Tensor();
    Tensor whole = empty({8 << 18});
    EXPECT_EQ(held(), enough);
  }
  release_cached_memory();
  EXPECT_LE(held(), before + (1 << 18));

  Generator random(5);
  std::vector<Tensor> some(20);
  for (int step = 0; step < 2000; ++step) {
    const size_t at = size_t(random.below(20));
    if (Tensor& x = some[at]; x.defined()) {
      EXPECT_EQ(x.select(0, 0).item(), double(at));
      EXPECT_EQ(x.select(0, -1).item(), double(at));
      x = Tensor();
    } else {
      x = empty({1 + int64_t(random.below(1 << 18))});
      x.select(0, 0).fill_(double(at));
      x.select(0, -1).fill_(double(at));
    }
  }
  some.clear();
  release_cached_memory();
  EXPECT_LE(held(), before + (1 << 18));
}

int64_t allocations_of(const std::function<Tensor()>& expression) {
  const int64_t before = memory_stats().allocations;
  const Tensor result = expression();
  return memory_stats().allocations - before;
}

TEST(Memory, TemporariesBecomeResults) {
  const Tensor a = full({5}, 3), b = full({5}, 2), w = ones({5}, {.requires_grad = true});
  EXPECT_EQ(allocations_of([&] { return -(a * b + 1 - b) * 2; }), 1);
  EXPECT_EQ((-((a * b + 1 - b) / b) * 2).to_vector(), std::vector<double>(5, -5));
  EXPECT_EQ(a.to_vector(), std::vector<double>(5, 3));

  // Not those that others see, ...
  Tensor seen;
  const auto remember = [&](Tensor x) { return seen = x; };
  EXPECT_EQ((remember(a + b) * 2).to_vector(), std::vector<double>(5, 10));
  EXPECT_EQ(seen.to_vector(), std::vector<double>(5, 5));
  EXPECT_EQ(((a + b).narrow(0, 1, 2) * 2).to_vector(), std::vector<double>(2, 10));
  // ... that are too small, ...
  EXPECT_EQ((full({1}, 4) * b).to_vector(), std::vector<double>(5, 8));
  // ... or that a gradient needs.
  ((a + b) * w).sum().backward();
  EXPECT_EQ(w.grad().to_vector(), std::vector<double>(5, 5));
  EXPECT_EQ(((w + a) * w * w).to_vector(), std::vector<double>(5, 4));
  w.zero_grad();
  ((w + a) * w * w).sum().backward();
  EXPECT_EQ(w.grad().to_vector(), std::vector<double>(5, 9));
}

TEST(Memory, ResidualsAreAddedAsProductsAreStored) {
  const Tensor a = ones({30, 40}), b = ones({40, 50}), x = full({30, 50}, 2);
  EXPECT_EQ(allocations_of([&] { return addmm(x, a, b); }), allocations_of([&] { return matmul(a, b); }));
  EXPECT_TRUE(equal(addmm(x, a, b), full({30, 50}, 42)));
  EXPECT_TRUE(equal(x, full({30, 50}, 2)));
}

TEST(Memory, ProductsAddToGradientsThatAreThere) {
  const Tensor x = full({30, 40}, 2), y = full({20, 40}, 3);
  const Tensor u = ones({50, 40}, {.requires_grad = true}), v = ones({50, 40}, {.requires_grad = true});
  const auto allocations_of_backward = [&](const Tensor& first, const Tensor& second) {
    u.zero_grad(), v.zero_grad();
    const Tensor loss = linear(x, first).sum() + linear(y, second).sum();
    return allocations_of([&] { return loss.backward(), Tensor(); });
  };
  EXPECT_EQ(allocations_of_backward(u, u), allocations_of_backward(u, v) - 1);
  allocations_of_backward(u, u);
  EXPECT_TRUE(equal(u.grad(), full({50, 40}, 30 * 2 + 20 * 3)));
  // One that somebody else sees stays as it is.
  Tensor seen;
  const Tensor z = u * 1.0, shifted = z + 1.0;
  shifted.register_hook([&](const Tensor& g) { return seen = g; });
  u.zero_grad();
  (linear(x, z).sum() + matmul(shifted, ones({40, 70})).sum()).backward();
  EXPECT_TRUE(equal(seen, full({50, 40}, 70)));
  EXPECT_TRUE(equal(u.grad(), full({50, 40}, 70 + 30 * 2)));
}

TEST(Memory, ReluTakesTemporaries) {
  const Tensor a = from_vector<float>({1, -2, 3}, {3}), w = from_vector<float>({2, 2, 2}, {3}).requires_grad_();
  EXPECT_EQ(allocations_of([&] { return relu(a * 2); }), 1);
  EXPECT_EQ(allocations_of([&] { return relu(a); }), 1);
  EXPECT_EQ(a.to_vector(), (std::vector<double>{1, -2, 3}));
  EXPECT_EQ(allocations_of([&] { return relu(a * w); }), 1);
  relu(a * w).sum().backward();
  EXPECT_EQ(w.grad().to_vector(), (std::vector<double>{1, 0, 3}));
  // Not what a gradient needs: exp keeps its result.
  w.zero_grad();
  const Tensor y = relu(exp(w));
  EXPECT_EQ(allocations_of([&] { return relu(exp(w)); }), 2);
  y.sum().backward();
  EXPECT_EQ(w.grad().to_vector(), y.to_vector());

  nn::Sequential model{nn::Linear(3, 4), nn::ReLU(), nn::ReLU()};
  const Tensor x = ones({2, 3});
  NoGrad guard;
  EXPECT_EQ(allocations_of([&] { return model(x); }), 1);
  EXPECT_TRUE(equal(model(x), relu(linear(x, model.get<nn::Linear>(0).weight, model.get<nn::Linear>(0).bias))));
  nn::Sequential only{nn::ReLU()};
  EXPECT_FALSE(equal(only(-x), -x));
  EXPECT_EQ(x.to_vector(), std::vector<double>(6, 1));
}

// What the next layer needs of these is made again of their input, which they keep anyway.
TEST(Memory, CheapResultsAreMadeAgain) {
  const std::vector<std::function<Tensor(const Tensor&)>> functions = {
      [](const Tensor& x) { return gelu(x); }, [](const Tensor& x) { return gelu(x, "tanh"); }, silu};
  const Tensor x = randn({64, 30});
  for (const auto& f : functions) {
    const Tensor u = randn({500, 30}).requires_grad_(), v = randn({40, 500}).requires_grad_();
    const int64_t before = memory_stats().live;
    const Tensor y = linear(f(linear(x, u)), v);
    EXPECT_LT(memory_stats().live - before, 64 * 500 * 4 * 3 / 2);
    y.sum().backward();
    EXPECT_TRUE(allclose(v.grad(), matmul(ones({40, 64}), f(linear(x, u)).detach())));

    // Twice in a row, and gradients of gradients.
    const Tensor a = randn({7}, {.dtype = float64}).requires_grad_(), w = randn({7}, {.dtype = float64});
    gradcheck([&](const std::vector<Tensor>& in) { return f(f(in[0])) * in[1]; }, {a, w.clone().requires_grad_()});
    gradgradcheck([&](const std::vector<Tensor>& in) { return f(in[0]) * in[1]; }, {a, w.clone().requires_grad_()});

    // Of a result that was changed in place, what it has become; of an input that was changed later, nothing.
    const Tensor b = ones({3}).requires_grad_();
    Tensor changed = f(randn({3}).requires_grad_() * 1.0);
    {
      NoGrad guard;
      changed.mul_(2);
    }
    (changed * b).sum().backward();
    EXPECT_TRUE(equal(b.grad(), changed.detach()));
    Tensor input = randn({3}).requires_grad_() * 1.0;
    const Tensor product = f(input) * b;
    {
      NoGrad guard;
      input.mul_(2);
    }
    EXPECT_THROW(product.sum().backward(), Error);
  }
}

TEST(Memory, FunctionsHoldTheirCapturesOnce) {
  using Function = InlineFunction<int(int), 16>;
  EXPECT_FALSE(Function());
  const auto held = std::make_shared<int>(40);
  for (int extra : {0, 100}) {
    const std::array<char, 100> padding = {};
    Function small = [held](int x) { return *held + x; };
    Function large = [held, padding](int x) { return *held + x + padding[0]; };
    Function f = extra ? std::move(large) : std::move(small);
    EXPECT_EQ(f(2), 42);
    EXPECT_EQ(held.use_count(), 3);
    Function g = std::move(f);
    EXPECT_FALSE(f);
    EXPECT_EQ(g(3), 43);
    EXPECT_EQ(held.use_count(), 3);
    g = nullptr;
    EXPECT_FALSE(g);
    EXPECT_EQ(held.use_count(), 2);
  }
  EXPECT_EQ(held.use_count(), 1);
}

}  // namespace
