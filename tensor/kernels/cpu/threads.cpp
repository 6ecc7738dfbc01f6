#include "tensor/kernels/cpu/threads.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "tensor/error.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace gradus {
namespace {

// Tells the core that we spin, so that it saves power and yields to its sibling.
void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// The control register of this thread's floating-point unit, with denormals flushed or kept.
#if defined(__x86_64__)
constexpr unsigned flush_bits = 0x8040;  // MXCSR: flush to zero, denormals are zero
bool flushing() { return (_mm_getcsr() & flush_bits) == flush_bits; }
void flush(bool on) { _mm_setcsr(on ? _mm_getcsr() | flush_bits : _mm_getcsr() & ~flush_bits); }
#elif defined(__aarch64__)
constexpr uint64_t flush_bits = uint64_t(1) << 24;  // FPCR.FZ
uint64_t control() {
  uint64_t value;
  asm volatile("mrs %0, fpcr" : "=r"(value));
  return value;
}
bool flushing() { return control() & flush_bits; }
void flush(bool on) {
  uint64_t value = on ? control() | flush_bits : control() & ~flush_bits;
  asm volatile("msr fpcr, %0" : : "r"(value));
}
#else
bool flushing() { return false; }
void flush(bool) {}
#endif

// Threads inherit the setting from the one that starts them, so the main thread's reaches all.
[[maybe_unused]] const bool set_before_main = (flush(true), true);

thread_local bool in_parallel = false;  // on a worker, or on a caller while it takes part

// Some of a job's chunks, in a row. Each thread begins with those of its own slice, which are the same in every loop of
// one length, so that it mostly finds in its cache what it wrote in the loop before; then it helps with the others'.
struct alignas(64) Slice {
  std::atomic<int64_t> next{0};  // first index not yet taken
  int64_t end = 0;
};

struct Job {
  void (*call)(const void*, int64_t, int64_t);
  const void* f;
  int64_t n, grain;
  bool flush;
  std::vector<Slice>& slices;  // one for each thread
  std::mutex mutex = {};
  std::exception_ptr error = {};

  void share_out() {
    int64_t chunks = (n - 1) / grain + 1, threads = int64_t(slices.size());
    for (int64_t t = 0; t < threads; ++t) {
      slices[size_t(t)].next.store(chunks * t / threads * grain, std::memory_order_relaxed);
      slices[size_t(t)].end = std::min(n, chunks * (t + 1) / threads * grain);
    }
  }

  void work(size_t thread) {
    for (size_t i = 0; i < slices.size(); ++i) {
      Slice& slice = slices[(thread + i) % slices.size()];
      for (;;) {
        int64_t begin = slice.next.fetch_add(grain, std::memory_order_relaxed);
        if (begin >= slice.end) break;
        try {
          call(f, begin, std::min(begin + grain, slice.end));
        } catch (...) {
          for (Slice& each : slices) each.next.store(each.end, std::memory_order_relaxed);
          std::lock_guard lock(mutex);
          if (!error) error = std::current_exception();
        }
      }
    }
  }
};

// The workers, and the one job they share at a time.
class Pool {
 public:
  explicit Pool(int threads) : slices_(size_t(threads)) {
    for (size_t i = 1; i < slices_.size(); ++i) workers_.emplace_back([this, i] { serve(i); });
  }
  ~Pool() {
    stop_ = true;
    announce();
    for (std::thread& worker : workers_) worker.join();
  }

  std::vector<Slice>& slices() { return slices_; }

  // The caller takes part, and returns once no worker is at the job any more.
  void run(Job& job) {
    job.share_out();
    job_ = &job;
    announce();
    in_parallel = true;
    job.work(0);
    in_parallel = false;
    // A worker enters by raising inside_ and only then reads job_. In the single order of these operations
    // either we see it inside, or it sees that the job is gone.
    job_ = nullptr;
    for (int spins = 0; inside_ != 0; ++spins) {
      if (spins < 4096)
        relax();
      else
        std::this_thread::yield();  // the worker may have lost its core
    }
  }

 private:
  void announce() {
    ++announced_;
    if (sleepers_ != 0) {
      { std::lock_guard lock(mutex_); }  // whoever counted as a sleeper is now waiting
      wake_.notify_all();
    }
  }

  void serve(size_t thread) {
    in_parallel = true;
    for (uint64_t seen = 0;;) {
      wait_past(seen);
      seen = announced_;
      if (stop_) return;
      ++inside_;
      if (Job* job = job_) {
        if (flushing() != job->flush) flush(job->flush);
        job->work(thread);
      }
      --inside_;
    }
  }

  // Spinning answers in under a microsecond where waking up takes seventy, so a worker spins through the
  // short pauses between the kernels of a training step, and sleeps in longer ones.
  void wait_past(uint64_t seen) {
    using Clock = std::chrono::steady_clock;
    Clock::time_point deadline = Clock::now() + std::chrono::microseconds(100);
    do {
      for (int i = 0; i < 32; ++i) {
        if (announced_ != seen) return;
        relax();
      }
    } while (Clock::now() < deadline);
    std::unique_lock lock(mutex_);
    ++sleepers_;
    wake_.wait(lock, [&] { return announced_ != seen; });
    --sleepers_;
  }

  std::atomic<Job*> job_{nullptr};
  std::atomic<uint64_t> announced_{0};
  std::atomic<int> inside_{0}, sleepers_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Slice> slices_;
  std::vector<std::thread> workers_;
};

std::atomic<int> threads{0};  // 0: not asked for yet

// Held by the thread whose job the pool runs.
std::mutex pool_mutex;

// The pool of the size that is wanted now; pool_mutex must be held.
Pool& pool() {
  static std::unique_ptr<Pool> current;
  static int size = 0;
  if (!current || size != num_threads()) {
    current.reset();
    size = num_threads();
    current = std::make_unique<Pool>(size);
  }
  return *current;
}

}  // namespace

void set_num_threads(int count) {
  check(count >= 1, "set_num_threads: expected at least 1, got ", count);
  threads = count;
}

int num_threads() {
  int count = threads.load(std::memory_order_relaxed);
  if (count == 0) {
    count = std::max(1, int(std::thread::hardware_concurrency()));
    threads = count;
  }
  return count;
}

void set_flush_denormals(bool on) { flush(on); }
bool flush_denormals() { return flushing(); }

void detail::run_chunks(int64_t n, int64_t grain, void (*call)(const void*, int64_t, int64_t), const void* f) {
  std::unique_lock lock(pool_mutex, std::defer_lock);
  // Where the pool is busy for another thread, or we are inside a chunk already, this thread does it alone.
  if (in_parallel || num_threads() == 1 || !lock.try_lock()) {
    for (int64_t begin = 0; begin < n; begin += grain) call(f, begin, std::min(begin + grain, n));
    return;
  }
  Job job{call, f, n, grain, flushing(), pool().slices()};
  pool().run(job);
  if (job.error) std::rethrow_exception(job.error);
}

}  // namespace gradus
