// DataLoader: the order, what does not change it, errors and shutting down.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "autograd/ops.h"
#include "data/loader.h"
#include "data/transforms.h"
#include "examples/made_up/digits.h"

namespace gradus::data {
namespace {

using Indices = std::vector<int64_t>;

DataLoader<Indices> indices_loader(int64_t size, const LoaderOptions& options) {
  return DataLoader<Indices>(size, options, [](std::span<const int64_t> samples, int64_t) {
    return Indices(samples.begin(), samples.end());
  });
}

std::vector<Indices> epoch_of(DataLoader<Indices>& loader) {
  std::vector<Indices> all;
  for (Indices& batch : loader) all.push_back(batch);
  return all;
}

TEST(DataLoader, BatchesInOrder) {
  DataLoader<Indices> loader = indices_loader(7, {.batch_size = 3});
  EXPECT_EQ(loader.batches(), 3);
  EXPECT_EQ(epoch_of(loader), (std::vector<Indices>{{0, 1, 2}, {3, 4, 5}, {6}}));
  EXPECT_EQ(epoch_of(loader).size(), 3);
  DataLoader<Indices> dropping = indices_loader(7, {.batch_size = 3, .drop_last = true});
  EXPECT_EQ(epoch_of(dropping), (std::vector<Indices>{{0, 1, 2}, {3, 4, 5}}));
  DataLoader<Indices> none = indices_loader(0, {.workers = 2});
  EXPECT_TRUE(epoch_of(none).empty());
  DataLoader<Indices> too_few = indices_loader(2, {.batch_size = 3, .drop_last = true, .workers = 2});
  EXPECT_TRUE(epoch_of(too_few).empty());
}

TEST(DataLoader, ShufflesEachEpochAnew) {
  DataLoader<Indices> loader = indices_loader(50, {.batch_size = 50, .shuffle = true, .seed = 3});
  Indices first = epoch_of(loader)[0], second = epoch_of(loader)[0];
  EXPECT_NE(first, second);
  DataLoader<Indices> again = indices_loader(50, {.batch_size = 50, .shuffle = true, .seed = 3});
  EXPECT_EQ(epoch_of(again)[0], first);
  DataLoader<Indices> other = indices_loader(50, {.batch_size = 50, .shuffle = true, .seed = 4});
  EXPECT_NE(epoch_of(other)[0], first);
  std::sort(first.begin(), first.end());
  for (int64_t i = 0; i < 50; ++i) EXPECT_EQ(first[size_t(i)], i);
}

// Labels and pixels, augmented at random, whatever the workers.
TEST(DataLoader, WorkersChangeNothing) {
  const ImageSet set = examples::digits(100, 1);
  std::vector<Tensor> expected;
  for (int64_t workers : {0, 1, 3}) {
    DataLoader<ImageBatch> loader =
        image_loader(set, {.batch_size = 16, .shuffle = true, .workers = workers, .seed = 9},
                     {random_crop(2), random_horizontal_flip(), cutout(5)});
    size_t at = 0;
    for (int epoch = 0; epoch < 2; ++epoch) {
      for (auto& [images, labels] : loader) {
        EXPECT_EQ(images.dtype(), float32);
        if (workers == 0) {
          expected.push_back(images);
          expected.push_back(labels);
        } else {
          EXPECT_TRUE(equal(images, expected[at]));
          EXPECT_TRUE(equal(labels, expected[at + 1]));
        }
        at += 2;
      }
    }
    EXPECT_EQ(at, 28);
  }
  EXPECT_FALSE(equal(expected[0], expected[14]));
}

TEST(DataLoader, GoesOnFromItsState) {
  const LoaderOptions options = {.batch_size = 4, .shuffle = true, .workers = 2, .seed = 5};
  DataLoader<Indices> whole = indices_loader(30, options);
  std::vector<Indices> expected = epoch_of(whole);
  for (const Indices& batch : epoch_of(whole)) expected.push_back(batch);
  EXPECT_EQ(whole.state().epoch, 2);
  EXPECT_EQ(whole.state().batch, 0);
  for (int64_t at = 0; at < 16; ++at) {
    DataLoader<Indices> before = indices_loader(30, options);
    int64_t epoch_ends = 0;
    for (int64_t i = 0; i < at; ++i) {
      while (!before.next()) ++epoch_ends;
    }
    DataLoader<Indices> after = indices_loader(30, options);
    after.restore(before.state());
    std::vector<Indices> rest(expected.begin(), expected.begin() + at);
    for (; epoch_ends < 2; ++epoch_ends) {
      for (const Indices& batch : epoch_of(after)) rest.push_back(batch);
    }
    EXPECT_EQ(rest, expected) << at;
  }
  EXPECT_THROW(whole.restore({.epoch = 0, .batch = 9}), Error);
  EXPECT_THROW(whole.restore({.epoch = -1, .batch = 0}), Error);
}

TEST(DataLoader, LeavingALoopEarlyGoesOnThere) {
  for (int64_t workers : {0, 2}) {
    DataLoader<Indices> loader = indices_loader(10, {.batch_size = 2, .workers = workers});
    for (Indices& batch : loader) {
      if (batch[0] == 2) break;
    }
    EXPECT_EQ(loader.state().batch, 2);
    EXPECT_EQ(epoch_of(loader), (std::vector<Indices>{{4, 5}, {6, 7}, {8, 9}}));
    loader.restore({0, 0});
    EXPECT_EQ(epoch_of(loader).size(), 5);
  }
}

TEST(DataLoader, ErrorsArriveInTheirPlace) {
  for (int64_t workers : {0, 1, 3}) {
    DataLoader<int64_t> loader(12, {.batch_size = 1, .workers = workers},
                               [](std::span<const int64_t> samples, int64_t) {
                                 check(samples[0] != 5, "sample 5 is bad");
                                 return samples[0];
                               });
    for (int64_t i = 0; i < 5; ++i) EXPECT_EQ(loader.next(), i);
    try {
      loader.next();
      FAIL() << "no error";
    } catch (const Error& e) {
      EXPECT_STREQ(e.what(), "sample 5 is bad");
    }
    EXPECT_EQ(loader.next(), 6);  // and the loader still works
  }
}

TEST(DataLoader, StopsAtAnyMoment) {
  for (int trial = 0; trial < 30; ++trial) {
    DataLoader<Indices> loader = indices_loader(1000, {.batch_size = 1, .workers = 1 + trial % 4, .prefetch = 3});
    for (int i = 0; i < trial; ++i) loader.next();
    DataLoader<Indices> moved = std::move(loader);
    EXPECT_EQ((*moved.next())[0], trial);
  }
}

TEST(DataLoader, WorkersRunNoFurtherAheadThanAsked) {
  std::atomic<int64_t> made = 0;
  DataLoader<int64_t> loader(100, {.batch_size = 1, .workers = 2, .prefetch = 3},
                             [&](std::span<const int64_t> samples, int64_t) {
                               ++made;
                               return samples[0];
                             });
  loader.next();
  for (int i = 0; i < 200 && made < 7; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(made, 7);
}

TEST(DataLoader, ImpossibleOptions) {
  EXPECT_THROW(indices_loader(5, {.batch_size = 0}), Error);
  EXPECT_THROW(indices_loader(5, {.workers = -1}), Error);
  EXPECT_THROW(indices_loader(5, {.prefetch = 0}), Error);
  EXPECT_THROW(indices_loader(-1, {}), Error);
}

}  // namespace
}  // namespace gradus::data
