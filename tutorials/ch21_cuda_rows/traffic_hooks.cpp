// Not compiled as kernels are: nobody counts this file's own accesses. Its containers are of types of its own, for the
// linker may take those of common types from a kernel's file.
#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "tensor/error.h"
#include "tensor/kernels/cuda/emu/device.h"
#include "tensor/kernels/cuda/emu/memory.h"
#include "tensor/kernels/cuda/emu/scheduler.h"
#include "tutorials/ch21_cuda_rows/traffic.h"
#include "tutorials/ladders/cache_model.h"

namespace traffic {
namespace {

constexpr unsigned warp = 32, sector = 32, ways = 16;

// Spreads sectors over the sets of the cache, so that rows a power of two apart do not all want the same.
uintptr_t spread(uintptr_t s) {
  s ^= s >> 10;
  return s ^ s >> 5;
}

struct Sector {
  uintptr_t number;
  bool operator<(const Sector& other) const { return number < other.number; }
  bool operator==(const Sector& other) const { return number == other.number; }
};

struct Instruction {
  uintptr_t address;
  bool operator<(const Instruction& other) const { return address < other.address; }
};

struct Access {
  uintptr_t address;
  Instruction instruction;
  unsigned bytes;
  bool write;
};

struct Times {
  size_t count = 0;
};

// What a warp's lanes do together: one instruction, once.
struct Request {
  size_t position;  // among what its lanes do
  bool write;
  std::vector<Sector> sectors;
};

class Counter {
 public:
  void access(const void* p, size_t bytes, bool write, const void* instruction) {
    if (!active_ || !emu::device_memory().holds(p, bytes)) return;
    follow();
    const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    if (base_ == 0) base_ = uintptr_t(p) / 512 * 512;
    threads_.at(thread).push_back({uintptr_t(p) - base_, {uintptr_t(instruction)}, unsigned(bytes), write});
    counts_.asked += double(bytes);
  }
  void barrier() {
    if (!active_) return;
    follow();
    counts_.barriers += 1.0 / double(threads_.size());
  }
  Counts count(const std::function<void()>& launches) {
    counts_ = {};
    base_ = 0;
    active_ = true;
    launches();
    active_ = false;
    end_block();
    kernel_ = nullptr;
    return counts_;
  }

 private:
  // Notices when another block runs, or another kernel.
  void follow() {
    const uint3 b = blockIdx;
    if (emu::running_kernel == kernel_ && b.x == block_.x && b.y == block_.y && b.z == block_.z) return;
    end_block();
    block_ = b;
    threads_.resize(size_t(blockDim.x) * blockDim.y * blockDim.z);
    if (emu::running_kernel != kernel_) {
      const int64_t lines = int64_t(std::max<size_t>(threads_.size(), warp)) * 128 / sector;
      gradus::check((lines & (lines - 1)) == 0, "traffic: the threads of a block should be a power of two");
      cache_ = gradus::ladder::Cache(lines, ways, sector);
      kernel_ = emu::running_kernel;
    }
  }

  // The requests of a warp, in the order in which it makes them.
  std::vector<Request> requests_of(size_t first) const {
    std::map<Instruction, std::vector<Request>> requests;  // of each instruction, one for each time
    for (size_t thread = first; thread < std::min(first + warp, threads_.size()); ++thread) {
      std::map<Instruction, Times> times;
      for (size_t i = 0; i < threads_[thread].size(); ++i) {
        const Access& a = threads_[thread][i];
        const size_t time = times[a.instruction].count++;
        std::vector<Request>& same = requests[a.instruction];
        if (time == same.size()) same.push_back({0, a.write, {}});
        same[time].position = std::max(same[time].position, i);
        for (uintptr_t s = a.address / sector; s <= (a.address + a.bytes - 1) / sector; ++s)
          same[time].sectors.push_back({s});
      }
    }
    std::vector<Request> sorted;
    for (auto& [instruction, some] : requests)
      for (Request& request : some) sorted.push_back(std::move(request));
    for (Request& request : sorted) {
      std::vector<Sector>& s = request.sectors;
      std::sort(s.begin(), s.end());
      s.erase(std::unique(s.begin(), s.end()), s.end());
    }
    return sorted;
  }

  void end_block() {
    std::vector<Request> all;
    for (size_t first = 0; first < threads_.size(); first += warp)
      for (Request& request : requests_of(first)) all.push_back(std::move(request));
    std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.position < b.position; });
    std::set<Sector> written;
    const int64_t before = cache_.fetched;
    for (const Request& request : all) {
      counts_.sectors += double(request.sectors.size()) * sector;
      if (request.write)
        written.insert(request.sectors.begin(), request.sectors.end());
      else
        for (const Sector& s : request.sectors) cache_.touch(spread(s.number) * sector, false);
    }
    counts_.beyond += double(cache_.fetched - before + int64_t(written.size())) * sector;
    threads_.clear();
  }

  bool active_ = false;
  uintptr_t base_ = 0;  // addresses count from here, so that they are the same in each run
  Counts counts_;
  const void* kernel_ = nullptr;
  uint3 block_{};
  std::vector<std::vector<Access>> threads_;  // of the block that runs
  gradus::ladder::Cache cache_{int64_t(warp) * 128 / sector, ways, sector};
};

Counter& counter() {
  static Counter one;
  return one;
}

}  // namespace

Counts count(const std::function<void()>& launches) { return counter().count(launches); }

}  // namespace traffic

// With --wrap=NAME the linker takes __wrap_NAME for NAME, and NAME for __real_NAME (CMakeLists.txt).
#define HOOK(name, writes)                                                              \
  extern "C" void __real___tsan_##name(void*);                                          \
  extern "C" void __wrap___tsan_##name(void*);                                          \
  extern "C" void __wrap___tsan_##name(void* p) {                                       \
    traffic::counter().access(p, bytes_of(#name), writes, __builtin_return_address(0)); \
    __real___tsan_##name(p);                                                            \
  }
#define HOOK_OF_RANGE(name, writes)                                           \
  extern "C" void __real___tsan_##name(void*, size_t);                        \
  extern "C" void __wrap___tsan_##name(void*, size_t);                        \
  extern "C" void __wrap___tsan_##name(void* p, size_t bytes) {               \
    traffic::counter().access(p, bytes, writes, __builtin_return_address(0)); \
    __real___tsan_##name(p, bytes);                                           \
  }

namespace {

// 16 for "read16".
constexpr size_t bytes_of(const char* name) {
  size_t bytes = 0;
  for (; *name != 0; ++name)
    if (*name >= '0' && *name <= '9') bytes = 10 * bytes + size_t(*name - '0');
  return bytes;
}

}  // namespace

HOOK(read2, false)
HOOK(read4, false)
HOOK(read8, false)
HOOK(read16, false)
HOOK(write2, true)
HOOK(write4, true)
HOOK(write8, true)
HOOK(write16, true)
HOOK_OF_RANGE(read_range, false)
HOOK_OF_RANGE(write_range, true)

// In C++ these are emu::block_barrier, in which a thread waits for its block, and emu::check::copy_begins, which
// cp.async calls.
emu::Votes real_barrier(int, const char*, emu::Where) asm("__real__ZN3emu13block_barrierEiPKcNS_5WhereE");
emu::Votes barrier(int, const char*, emu::Where) asm("__wrap__ZN3emu13block_barrierEiPKcNS_5WhereE");
emu::Votes barrier(int predicate, const char* what, emu::Where where) {
  traffic::counter().barrier();
  return real_barrier(predicate, what, where);
}

void real_copy(void*, const void*, unsigned, unsigned,
               const void*) asm("__real__ZN3emu5check11copy_beginsEPvPKvjjS3_");
void copy(void*, const void*, unsigned, unsigned, const void*) asm("__wrap__ZN3emu5check11copy_beginsEPvPKvjjS3_");
void copy(void* to, const void* from, unsigned size, unsigned filled, const void* instruction) {
  traffic::counter().access(from, filled, false, instruction);
  real_copy(to, from, size, filled, instruction);
}
