// Spreads a grid's blocks over the threads of the machine.
#include "tensor/kernels/cuda/emu/scheduler.h"

#include <unistd.h>

#include <atomic>
#include <cfenv>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <numeric>
#include <thread>

#include "tensor/kernels/cuda/emu/api.h"
#include "tensor/kernels/cuda/emu/block.h"
#include "tensor/kernels/cuda/emu/memory.h"

namespace emu {
namespace {

const char* environment(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != 0 ? value : otherwise;
}

Options from_environment() {
  Options options;
  const std::string order = environment("GRADUS_EMU_ORDER", "forward");
  options.order = order == "reverse" ? Order::reverse : order == "random" ? Order::random : Order::forward;
  options.seed = std::strtoull(environment("GRADUS_EMU_SEED", "1"), nullptr, 10);
  options.threads = std::atoi(environment("GRADUS_EMU_THREADS", "0"));
  if (options.threads <= 0) options.threads = int(std::thread::hardware_concurrency());
  if (const char* memory = std::getenv("GRADUS_EMU_MEMORY")) options.memory = std::strtoull(memory, nullptr, 10);
  options.strict = std::strcmp(environment("GRADUS_EMU_STRICT", "0"), "0") != 0;
  return options;
}

struct Work {
  const Grid& grid;
  unsigned blocks;
  unsigned step;         // the k-th block to run is k * step modulo blocks, which have
                         // no common divisor
  uint32_t first_block;  // its number over all launches
  std::atomic<unsigned> next{0};
  std::atomic<bool> failed{false};
};

void run_blocks(Work& work) {
  if (block == nullptr) block = new Block;  // as long as the thread, which here means the program
  // A kernel's arithmetic does not depend on what its host thread has set, such as to flush denormal numbers to zero.
  std::fenv_t environment;
  std::fegetenv(&environment);
  std::fesetenv(FE_DFL_ENV);
  for (unsigned k; !work.failed && (k = work.next.fetch_add(1)) < work.blocks;) {
    unsigned index = unsigned(uint64_t(k) * work.step % work.blocks);
    if (options().order == Order::reverse) index = work.blocks - 1 - k;
    if (!block->run(work.grid, index, work.first_block, work.first_block + index)) work.failed = true;
  }
  std::fesetenv(&environment);
}

// Threads that sleep until there is work for all of them. They live as long as the program.
class Helpers {
 public:
  explicit Helpers(int count) : process_(getpid()), count_(count) {
    for (int i = 0; i < count; ++i) std::thread([this] { loop(); }).detach();
  }
  void run(Work& work) {
    const bool mine = count_ > 0 && process_ == getpid();  // a forked process has none
    if (mine && work.blocks > 1 && uint64_t(work.blocks) * work.grid.threads.x >= 2048) {
      std::unique_lock lock(mutex_);
      work_ = &work;
      busy_ = count_;
      ++round_;
      start_.notify_all();
      lock.unlock();
      run_blocks(work);
      lock.lock();
      done_.wait(lock, [this] { return busy_ == 0; });
    } else {
      run_blocks(work);
    }
  }

 private:
  void loop() {
    std::unique_lock lock(mutex_);
    for (unsigned seen = 0;;) {
      start_.wait(lock, [&] { return round_ != seen; });
      seen = round_;
      Work& work = *work_;
      lock.unlock();
      run_blocks(work);
      lock.lock();
      if (--busy_ == 0) done_.notify_one();
    }
  }

  std::mutex mutex_;
  std::condition_variable start_, done_;
  Work* work_ = nullptr;
  unsigned round_ = 0;
  int busy_ = 0;
  const pid_t process_;
  const int count_;
};

bool allowed(const Grid& grid) {
  const dim3 b = grid.blocks, t = grid.threads;
  return b.x != 0 && b.y != 0 && b.z != 0 && b.x <= 0x7fffffffu && b.y <= 65535 && b.z <= 65535 && t.x != 0 &&
         t.y != 0 && t.z != 0 && t.x <= max_threads && t.y <= max_threads && t.z <= 64 &&
         t.x * t.y * t.z <= max_threads;
}

}  // namespace

Options& options() {
  static Options options = from_environment();
  return options;
}

void run(const Grid& grid) {
  if (!allowed(grid)) return set_last_error(cudaErrorInvalidConfiguration);
  if (grid.shared_bytes > max_shared_bytes) return set_last_error(cudaErrorInvalidValue);
  const uint64_t blocks = uint64_t(grid.blocks.x) * grid.blocks.y * grid.blocks.z;
  if (blocks > 0xffffffffu) return set_last_error(cudaErrorInvalidConfiguration);

  const DeviceMemory::Access access;  // one launch at a time
  static Helpers& helpers = *new Helpers(check::compiled_in ? 0 : options().threads - 1);
  static uint32_t next_block = 1;
  if (uint64_t(next_block) + blocks > 0xffffffffu) next_block = 1;
  unsigned step = 1;
  if (options().order == Order::random)
    for (step = unsigned((options().seed * 0x9e3779b97f4a7c15u >> 33) % blocks) | 1; std::gcd(step, blocks) != 1;)
      ++step;
  Work work{grid, unsigned(blocks), step, next_block};
  next_block += uint32_t(blocks);
  running_kernel = grid.kernel;
  check::begin_launch(grid.closure, grid.closure_bytes);
  helpers.run(work);
  running_kernel = nullptr;
}

}  // namespace emu
