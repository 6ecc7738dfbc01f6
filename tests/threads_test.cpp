// parallel_for: every chunk once, the same chunks for any number of threads, exceptions, nesting, several callers.
#include "tensor/kernels/cpu/threads.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tensor/error.h"

namespace gradus {
namespace {

class Threads : public testing::Test {
 protected:
  void TearDown() override {
    set_num_threads(before_);
    set_flush_denormals(true);
  }

 private:
  int before_ = num_threads();
};

std::set<std::pair<int64_t, int64_t>> chunks_of(int64_t n, int64_t grain) {
  std::set<std::pair<int64_t, int64_t>> chunks;
  std::mutex mutex;
  parallel_for(n, grain, [&](int64_t begin, int64_t end) {
    std::lock_guard lock(mutex);
    EXPECT_TRUE(chunks.emplace(begin, end).second) << begin << " came twice";
  });
  return chunks;
}

TEST_F(Threads, EveryChunkOnceAndTheSameForAnyNumber) {
  for (auto [n, grain] :
       std::vector<std::pair<int64_t, int64_t>>{{0, 4}, {1, 4}, {4, 4}, {5, 4}, {1000, 7}, {3, 1}}) {
    std::set<std::pair<int64_t, int64_t>> expected;
    for (int64_t begin = 0; begin < n; begin += grain) expected.emplace(begin, std::min(begin + grain, n));
    for (int threads : {1, 2, 3, 8}) {
      set_num_threads(threads);
      EXPECT_EQ(num_threads(), threads);
      EXPECT_EQ(chunks_of(n, grain), expected) << n << " by " << grain << " on " << threads;
    }
  }
}

TEST_F(Threads, RunsAtOnce) {
  // Two chunks that wait for each other finish only if two threads are at them.
  set_num_threads(2);
  std::atomic<int> arrived{0};
  parallel_for(2, 1, [&](int64_t, int64_t) {
    ++arrived;
    auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (arrived < 2 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  });
  EXPECT_EQ(arrived, 2);
}

TEST_F(Threads, NestedCallsStayOnTheirThread) {
  set_num_threads(4);
  std::atomic<int64_t> total{0};
  std::atomic<bool> moved{false};
  parallel_for(16, 1, [&](int64_t, int64_t) {
    std::thread::id outer = std::this_thread::get_id();
    parallel_for(100, 10, [&](int64_t begin, int64_t end) {
      if (std::this_thread::get_id() != outer) moved = true;
      total += end - begin;
    });
  });
  EXPECT_EQ(total, 1600);
  EXPECT_FALSE(moved);
}

TEST_F(Threads, AnExceptionReachesTheCaller) {
  for (int threads : {1, 2, 4}) {
    set_num_threads(threads);
    for (int64_t where : {0, 50, 99}) {
      try {
        parallel_for(100, 1, [&](int64_t begin, int64_t) {
          if (begin == where) throw std::runtime_error("chunk " + std::to_string(begin));
        });
        ADD_FAILURE() << "nothing was thrown";
      } catch (const std::runtime_error& e) {
        EXPECT_EQ(std::string(e.what()), "chunk " + std::to_string(where));
      }
    }
    EXPECT_EQ(chunks_of(100, 9).size(), 12u);  // and the pool still serves
  }
}

TEST_F(Threads, SeveralCallersAtATime) {
  set_num_threads(3);
  std::atomic<int64_t> total{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      for (int k = 0; k < 200; ++k) {
        int64_t mine[10] = {};
        parallel_for(10, 1, [&](int64_t begin, int64_t) { mine[begin] = begin; });
        for (int64_t v : mine) total += v;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(total, 4 * 200 * 45);
}

TEST_F(Threads, ManyShortJobsAndChangingNumbers) {
  for (int round = 0; round < 30; ++round) {
    set_num_threads(1 + round % 4);
    for (int k = 0; k < 100; ++k) {
      std::vector<int64_t> out(64);
      parallel_for(64, 4, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) out[size_t(i)] = i + k;
      });
      for (int64_t i = 0; i < 64; ++i) ASSERT_EQ(out[size_t(i)], i + k);
    }
    // Long enough for the workers to fall asleep, so that waking them is tried too.
    if (round % 5 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

TEST_F(Threads, NumberMustBePositive) {
  for (int bad : {0, -3}) {
    try {
      set_num_threads(bad);
      ADD_FAILURE() << bad << " was accepted";
    } catch (const Error& e) {
      EXPECT_EQ(std::string(e.what()), "set_num_threads: expected at least 1, got " + std::to_string(bad));
    }
  }
}

// Halves the smallest normal number, in a way the compiler cannot foresee.
float half_of_smallest() {
  volatile float smallest = 1.17549435e-38f, half = 0.5f;
  return smallest * half;
}

TEST_F(Threads, DenormalsAreFlushedInEveryThreadUntilSwitched) {
#if !defined(__x86_64__) && !defined(__aarch64__)
  GTEST_SKIP() << "no such switch on this processor";
#endif
  set_num_threads(4);
  auto flushed_everywhere = [] {
    std::atomic<int> flushed{0};
    parallel_for(64, 1, [&](int64_t, int64_t) {
      if (half_of_smallest() == 0) ++flushed;
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    });
    return int(flushed);
  };
  EXPECT_TRUE(flush_denormals());  // from the start
  EXPECT_EQ(flushed_everywhere(), 64);
  set_flush_denormals(false);
  EXPECT_FALSE(flush_denormals());
  EXPECT_EQ(flushed_everywhere(), 0);
  set_flush_denormals(true);
  EXPECT_EQ(flushed_everywhere(), 64);
  std::thread([] { EXPECT_TRUE(flush_denormals()); }).join();  // threads inherit it
}

}  // namespace
}  // namespace gradus
