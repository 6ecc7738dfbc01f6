// Device memory is mapped piece by piece, so that in strict mode it can be taken away from the host.
#include "tensor/kernels/cuda/emu/memory.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <utility>

#include "tensor/kernels/cuda/emu/check.h"
#include "tensor/kernels/cuda/emu/sanitizer.h"
#include "tensor/kernels/cuda/emu/scheduler.h"

namespace emu {

DeviceMemory& device_memory() {
  static DeviceMemory& memory = *new DeviceMemory;  // destructors of others may still give memory back
  return memory;
}

DeviceMemory::Access::Access() : lock_(device_memory().mutex_) {
  if (device_memory().open_++ == 0) device_memory().protect(PROT_READ | PROT_WRITE);
}
DeviceMemory::Access::~Access() {
  if (--device_memory().open_ == 0) device_memory().protect(PROT_NONE);
}

namespace {

// Says what the fault is, then lets it happen again.
void explain_fault(int, siginfo_t* info, void*) {
  constexpr char text[] = "host code touches device memory\n";
  if (device_memory().holds(info->si_addr, 0) && write(STDERR_FILENO, text, sizeof text - 1) < 0) _exit(1);
}

void explain_faults() {
  struct sigaction action {};
  action.sa_sigaction = explain_fault;
  action.sa_flags = SA_SIGINFO | SA_RESETHAND;
  sigaction(SIGSEGV, &action, nullptr);
}

}  // namespace

void DeviceMemory::protect(int protection) {
  if (!options().strict) return;
  static std::once_flag once;
  std::call_once(once, explain_faults);
  for (auto& [begin, piece] : pieces_) mprotect(const_cast<char*>(begin), piece.mapped, protection);
}

void* DeviceMemory::allocate(size_t bytes) {
  const Access access;
  if (bytes > options().memory - std::min(used_, options().memory)) return nullptr;
  // A page behind it that nobody may touch stops what runs far past the end.
  const size_t page = size_t(sysconf(_SC_PAGESIZE)), mapped = (bytes + page - 1) / page * page;
  void* memory = mmap(nullptr, mapped + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  char* begin = static_cast<char*>(memory);
  mprotect(begin + mapped, page, PROT_NONE);
  std::memset(begin, 0xff, bytes);
  sanitizer::poison(begin + bytes, mapped - bytes);
  pieces_[begin] = {bytes, mapped};
  used_ += bytes;
  check::memory(begin, bytes, "an allocation");
  return begin;
}

bool DeviceMemory::release(void* p) {
  const Access access;
  const auto found = pieces_.find(static_cast<const char*>(p));
  if (found == pieces_.end()) return false;
  sanitizer::unpoison(p, found->second.mapped);
  munmap(p, found->second.mapped + size_t(sysconf(_SC_PAGESIZE)));
  used_ -= found->second.bytes;
  pieces_.erase(found);
  check::memory_gone(p);
  return true;
}

namespace {

// The entry of a map from beginnings that may hold the address, or end().
template <class Map>
typename Map::const_iterator piece_before(const Map& pieces, const void* p) {
  const auto after = pieces.upper_bound(static_cast<const char*>(p));
  return after == pieces.begin() ? pieces.end() : std::prev(after);
}

}  // namespace

bool DeviceMemory::holds(const void* p, size_t bytes) {
  std::lock_guard lock(mutex_);
  const auto piece = piece_before(pieces_, p);
  if (piece == pieces_.end()) return false;
  const size_t offset = size_t(static_cast<const char*>(p) - piece->first);
  return offset <= piece->second.bytes && bytes <= piece->second.bytes - offset;
}

void* DeviceMemory::allocate_pinned(size_t bytes) {
  std::lock_guard lock(mutex_);
  void* p = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  if (p == nullptr) return nullptr;
  pinned_[static_cast<const char*>(p)] = bytes;
  check::memory(p, bytes, "pinned host memory");
  return p;
}

bool DeviceMemory::release_pinned(void* p) {
  std::lock_guard lock(mutex_);
  if (pinned_.erase(static_cast<const char*>(p)) == 0) return false;
  check::memory_gone(p);
  std::free(p);
  return true;
}

bool DeviceMemory::valid(const void* p) {
  std::lock_guard lock(mutex_);
  const auto pinned = piece_before(pinned_, p);
  return p == nullptr || holds(p, 0) ||
         (pinned != pinned_.end() && size_t(static_cast<const char*>(p) - pinned->first) <= pinned->second);
}

void DeviceMemory::lend(void* block, size_t bytes) {
  const Access access;
  const auto piece = pieces_.find(piece_before(pieces_, block)->first);
  if (!std::exchange(piece->second.lent_from, true)) {
    sanitizer::poison(piece->first, piece->second.bytes);
    check::memory_gone(piece->first);
  }
  sanitizer::unpoison(block, bytes);
  std::memset(block, 0xff, bytes);
  check::memory(block, bytes, "an allocation");
}

void DeviceMemory::take_back(void* block, size_t bytes) {
  const Access access;
  sanitizer::poison(block, bytes);
  check::memory_gone(block);
}

}  // namespace emu
