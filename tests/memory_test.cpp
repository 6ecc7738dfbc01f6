// A training that runs for days must not grow.
#include <gradus/gradus.h>
#include <gtest/gtest.h>

#include <cstdio>

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
    auto loader = data::image_loader(data::digits(256), {.batch_size = 16, .shuffle = true, .workers = 0});
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

}  // namespace
