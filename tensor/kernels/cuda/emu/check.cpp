// For each cell of memory, who wrote it last and who read it last; an access that is not ordered after those is a
// race. Blocks run one after the other here, each thread until it has to wait, so that whatever order they really ran
// in, any two accesses that nothing orders are seen to be so.
#include "tensor/kernels/cuda/emu/check.h"

#ifdef GRADUS_SIMT_CHECK

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "tensor/kernels/cuda/emu/block.h"
#include "tensor/kernels/cuda/emu/device.h"
#include "tensor/kernels/cuda/emu/scheduler.h"

extern "C" const char __executable_start, _end;  // the linker's: the program's code and static data

namespace emu::check {
namespace {

enum Flag : uint16_t {  // beside the thread's number
  atomic_access = 1 << 15,
  many_lanes = 1 << 14,   // not only this one has read, but other lanes of the warp,
  many_warps = 1 << 13,   // other warps of the block,
  many_blocks = 1 << 12,  // other blocks
  in_flight = 1 << 11,    // cp.async may write at any time
  thread_bits = 0x3ff
};
struct Access {
  uint32_t block, barrier_epoch, place;  // place: the instruction, relative to __executable_start
  uint16_t thread, warp_epoch;
  unsigned number() const { return thread & thread_bits; }
  bool same_warp(const Access& o) const { return number() / warp_lanes == o.number() / warp_lanes; }
};
struct Cell {
  Access write, read;
};

struct Region {
  uintptr_t begin = 0, end = 0;
  std::string name;
  bool shared = false;
  // One cell for 4 bytes until somebody uses less. calloc gives pages only when they are touched.
  unsigned shift = 2;
  std::unique_ptr<Cell[], decltype(&std::free)> cells{nullptr, &std::free};

  Region() = default;
  Region(const void* p, size_t bytes, const char* what) : begin(uintptr_t(p)), end(begin + bytes), name(what) {
    allocate();
  }
  bool holds(uintptr_t address) const { return address >= begin && address < end; }
  size_t count() const { return ((end - begin + 3) >> 2) << (2 - shift); }
  void allocate() { cells.reset(static_cast<Cell*>(std::calloc(count(), sizeof(Cell)))); }
  void refine(unsigned to) {
    const auto old = std::move(cells);
    const unsigned by = shift - to;
    shift = to;
    allocate();
    for (size_t i = 0; i < count(); ++i)
      if (old[i >> by].write.block != 0 || old[i >> by].read.block != 0) cells[i] = old[i >> by];
  }
};

struct Array {
  uintptr_t begin, end;
  std::string name;
};

bool active = false;
Position position;
uintptr_t stack_begin, stack_end, closure_begin, closure_end;
Region shared;                        // all of the block's shared memory, of which
std::vector<Array> arrays;            // these parts are in use
std::map<uintptr_t, Region> regions;  // by their begin
Region* last = nullptr;
std::set<std::tuple<std::string, uint32_t, uint32_t>> said;  // in this launch
// A block that changes a cell atomically after a fence publishes what it did before that fence; one that changes a
// cell atomically then sees what others published.
std::unordered_map<uint32_t, uint32_t> published;  // block -> its barrier epoch at the fence
uint32_t fence_epoch = 0;
bool acquired = false;

uint32_t place_of(const void* instruction) {
  return uint32_t(uintptr_t(instruction) - uintptr_t(&__executable_start));
}
// An address that a call returns to is behind the call.
std::string line_of(uint32_t place) { return symbol_of(&__executable_start + place - 1).line; }
std::string thread_text(unsigned number) {
  const unsigned x = number % blockDim.x, y = number / blockDim.x % blockDim.y, z = number / blockDim.x / blockDim.y;
  return "thread (" + std::to_string(x) + ", " + std::to_string(y) + ", " + std::to_string(z) + ")";
}
std::string block_text(uint32_t index) {
  const uint32_t x = index % gridDim.x, y = index / gridDim.x % gridDim.y, z = index / gridDim.x / gridDim.y;
  return "block (" + std::to_string(x) + ", " + std::to_string(y) + ", " + std::to_string(z) + ")";
}

// `other` is the access that this one is in conflict with, if there is one.
void say(const std::string& what, const std::string& detail, uint32_t place, const Access* other = nullptr,
         const char* other_kind = "") {
  if (!said.insert({what, place, other != nullptr ? other->place : 0}).second) return;
  std::string against, who;
  if (other != nullptr) {
    against = std::string(" against the ") + other_kind + " at " + line_of(other->place);
    who = ", other: " + block_text(other->block - position.launch_begin) + " " + thread_text(other->number());
  }
  report(line_of(place) + ": " + what + against, detail + ", " + block_text(position.block - position.launch_begin) +
                                                     " " + thread_text(position.thread) + who);
}

// What a thread must not even try.
[[noreturn]] void refuse(const std::string& what, const std::string& detail, uint32_t place) {
  active = false;
  say(what, detail, place);
  block->abandon();
}

bool unordered(const Access& other, const Access& now) {
  if (other.block < position.launch_begin) return false;
  if (other.thread & now.thread & atomic_access) return false;
  if (other.thread & many_blocks) return true;
  if (other.block != now.block) {
    const auto found = acquired ? published.find(other.block) : published.end();
    return found == published.end() || other.barrier_epoch > found->second;
  }
  if (other.barrier_epoch != now.barrier_epoch) return false;
  if ((other.thread & many_warps) || !other.same_warp(now)) return true;
  return other.warp_epoch >= now.warp_epoch && ((other.thread & many_lanes) || other.number() != now.number());
}

// Keeps of all readers since the last barrier what `unordered` needs to know.
void note_reader(Access& reader, const Access& now) {
  const bool current = reader.block >= position.launch_begin && reader.block != 0;
  uint16_t flags = 0;
  if (current && (reader.block != now.block || (reader.thread & many_blocks))) {
    flags = many_blocks;
  } else if (current && reader.barrier_epoch == now.barrier_epoch) {
    flags = reader.thread & many_warps;
    if (!reader.same_warp(now))
      flags |= many_warps;
    else if (reader.warp_epoch == now.warp_epoch)
      flags |= (reader.thread & many_lanes) | (reader.number() != now.number() ? many_lanes : 0);
  }
  reader = now;
  reader.thread |= flags;
}

std::string bytes_text(size_t bytes) { return std::to_string(bytes) + (bytes == 1 ? " byte" : " bytes"); }

[[noreturn]] void out_of_bounds(const char* kind, uintptr_t past_end, uintptr_t begin, uintptr_t end,
                                const std::string& name, uint32_t place) {
  refuse(std::string("out-of-bounds ") + kind,
         ": " + bytes_text(past_end) + " past the end of the " + bytes_text(end - begin) + " of " + name, place);
}

// The region of an access; null for memory that is nobody else's business.
Region* find(uintptr_t address, size_t bytes, const char* kind, bool writes, uint32_t place, const std::string*& name,
             uintptr_t& begin) {
  if (shared.holds(address)) {
    const Array* before = nullptr;
    for (const Array& array : arrays)
      if (address >= array.begin) before = &array;
    if (address + bytes > before->end)
      out_of_bounds(kind, address + bytes - before->end, before->begin, before->end, before->name, place);
    name = &before->name;
    begin = before->begin;
    return &shared;
  }
  if (last == nullptr || !last->holds(address)) {
    const auto after = regions.upper_bound(address);
    last = after != regions.begin() ? &std::prev(after)->second : nullptr;
  }
  if (last != nullptr && last->holds(address) && address + bytes <= last->end) {
    name = &last->name;
    begin = last->begin;
    return last;
  }
  const bool static_data = address >= uintptr_t(&__executable_start) && address < uintptr_t(&_end);
  const auto within = [&](const auto& variable) { return address - uintptr_t(&variable) < sizeof variable; };
  const bool built_in = within(threadIdx) || within(blockIdx) || within(blockDim) || within(gridDim) ||
                        within(lane) || within(dynamic_shared);
  if ((static_data && !writes) || built_in || (address >= closure_begin && address < closure_end)) return nullptr;
  // An address beside device memory went astray; beside pinned memory, which is the host's, it need not have.
  constexpr size_t near = 64 << 10;
  const auto of_device = [](const Region& region) { return region.name != "pinned host memory"; };
  if (last != nullptr && of_device(*last) && address + bytes - last->end < near)
    out_of_bounds(kind, address + bytes - last->end, last->begin, last->end, last->name, place);
  const auto after = regions.upper_bound(address);
  if (after != regions.end() && of_device(after->second) && after->first - address < near)
    refuse(std::string("out-of-bounds ") + kind,
           ": " + bytes_text(after->first - address) + " before " + after->second.name, place);
  refuse(std::string(kind) + " of memory that is not the device's",
         address < near ? ": a null pointer" : ": a host pointer, freed memory, or another thread's local variable",
         place);
}

void access(uintptr_t address, size_t bytes, uint16_t flags, bool writes, const void* instruction) {
  if (!active || bytes == 0 || (address >= stack_begin && address < stack_end)) return;
  const uint32_t place = place_of(instruction);
  const char* kind = flags & atomic_access ? "atomic access" : writes ? "write" : "read";
  const std::string* name = nullptr;
  uintptr_t begin = 0;
  Region* region = find(address, bytes, kind, writes, place, name, begin);
  if (region == nullptr) return;
  active = false;
  const bool word = ((address | bytes) & 3) == 0, half_word = ((address | bytes) & 1) == 0;
  if (const unsigned needed = word ? 2 : half_word ? 1 : 0; needed < region->shift) region->refine(needed);

  const auto complain = [&](const std::string& what, const Access* other = nullptr, const char* other_kind = "") {
    say(what, ": byte " + std::to_string(address - begin) + " of " + *name, place, other, other_kind);
  };
  const auto race = [&](const Access& other, const char* other_kind) {
    complain(std::string("data race in ") + (region->shared ? "shared" : "global") + " memory, " + kind, &other,
             other.thread & atomic_access ? "atomic access" : other_kind);
  };
  const Access now{position.block, position.barrier_epoch, place, uint16_t(position.thread | flags),
                   position.warp_epoch};
  const size_t from = (address - region->begin) >> region->shift;
  const size_t to = (address + bytes - 1 - region->begin) >> region->shift;
  for (size_t i = from; i <= to; ++i) {
    Cell& cell = region->cells[i];
    const bool written =
        !region->shared || cell.write.block == now.block;  // other blocks have shared memory of their own
    const bool read = !region->shared || cell.read.block == now.block;
    if (written && cell.write.block >= position.launch_begin && (cell.write.thread & in_flight) &&
        !(writes && cell.write.number() == now.number()))
      complain(std::string(kind) + " of what a cp.async has yet to bring, which was not waited for", &cell.write,
               "cp.async");
    else if (written && unordered(cell.write, now))
      race(cell.write, "write");
    else if (writes && read && unordered(cell.read, now))
      race(cell.read, "read");
    else if (!writes && !written)
      complain("read of uninitialised shared memory");
    if (!read) cell.read = {};
    if (writes)
      cell.write = now;
    else
      note_reader(cell.read, now);
  }
  if (!region->shared && (flags & atomic_access)) {
    acquired = true;
    if (fence_epoch != 0) published[position.block] = fence_epoch;
  }
  active = true;
}

}  // namespace

void begin_launch(const void* closure, size_t closure_bytes) {
  closure_begin = uintptr_t(closure);
  closure_end = closure_begin + closure_bytes;
  said.clear();
  published.clear();
}
void begin_block(const void* begin, size_t mapped_bytes, size_t dynamic_bytes) {
  if (shared.begin != uintptr_t(begin)) {
    shared = Region(begin, mapped_bytes, "shared memory");
    shared.shared = true;
  }
  arrays.clear();
  arrays.push_back({shared.begin, shared.begin + dynamic_bytes, "dynamic shared memory"});
  fence_epoch = 0;
  acquired = false;
}
void shared_array(const void* begin, size_t bytes, const char* name) {
  arrays.push_back({uintptr_t(begin), uintptr_t(begin) + bytes, name});
}
void resume(const Position& now, const void* stack, size_t stack_bytes) {
  position = now;
  stack_begin = uintptr_t(stack);
  stack_end = stack_begin + stack_bytes;
  active = true;
}
void pause() { active = false; }
void fence() { fence_epoch = position.barrier_epoch; }
void copy_begins(void* to, const void* from, unsigned size, unsigned filled, const void* instruction) {
  access(uintptr_t(from), filled, 0, false, instruction);
  access(uintptr_t(to), size, in_flight, true, instruction);
}
void copy_arrives(void* to, unsigned size, const void* instruction) {
  access(uintptr_t(to), size, 0, true, instruction);
}
void memory(const void* begin, size_t bytes, const char* name) {
  regions[uintptr_t(begin)] = Region(begin, bytes, name);
}
void memory_gone(const void* begin) {
  regions.erase(uintptr_t(begin));
  last = nullptr;
}

}  // namespace emu::check

namespace emu {

void note_read(const void* p, unsigned bytes) {
  check::access(uintptr_t(p), bytes, 0, false, __builtin_return_address(0));
}
void note_atomic(const void* p, unsigned bytes) {
  if (check::active && uintptr_t(p) % bytes != 0)
    check::refuse("misaligned atomic access", "", check::place_of(__builtin_return_address(0)));
  check::access(uintptr_t(p), bytes, check::atomic_access, true, __builtin_return_address(0));
}

}  // namespace emu

// What the compiler calls before each access.
#define EMU_HOOK(name, bytes, writes)                                                \
  extern "C" void __tsan_##name(void* p) {                                           \
    emu::check::access(uintptr_t(p), bytes, 0, writes, __builtin_return_address(0)); \
  }
#define EMU_HOOKS(bytes)                        \
  EMU_HOOK(read##bytes, bytes, false)           \
  EMU_HOOK(write##bytes, bytes, true)           \
  EMU_HOOK(unaligned_read##bytes, bytes, false) \
  EMU_HOOK(unaligned_write##bytes, bytes, true)
EMU_HOOKS(1)
EMU_HOOKS(2)
EMU_HOOKS(4)
EMU_HOOKS(8)
EMU_HOOKS(16)
extern "C" {
void __tsan_read_range(void* p, size_t bytes) {
  emu::check::access(uintptr_t(p), bytes, 0, false, __builtin_return_address(0));
}
void __tsan_write_range(void* p, size_t bytes) {
  emu::check::access(uintptr_t(p), bytes, 0, true, __builtin_return_address(0));
}
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_read(void*) {}
void __tsan_vptr_update(void*, void*) {}

// Of -fsanitize=alignment: a pointer that is not aligned as its type asks.
struct AlignmentData {
  const char* file;
  uint32_t line, column;
  const void* type;
  unsigned char alignment_bits, kind;
};
void __ubsan_handle_type_mismatch_v1(AlignmentData* data, void* p) {
  if (!emu::check::active) return;
  emu::check::refuse("misaligned access",
                     ": " + std::to_string(size_t(1) << data->alignment_bits) + " bytes at an address that is " +
                         std::to_string(uintptr_t(p) % (size_t(1) << data->alignment_bits)) + " past a multiple",
                     emu::check::place_of(__builtin_return_address(0)));
}
}

// Host code in kernel files, such as the guards of static variables, is instrumented as well, atomics included.
#define EMU_ATOMICS(bits)                                                                                        \
  using Atomic##bits = uint##bits##_t;                                                                           \
  extern "C" Atomic##bits __tsan_atomic##bits##_load(const volatile Atomic##bits* p, int) {                      \
    return __atomic_load_n(p, __ATOMIC_SEQ_CST);                                                                 \
  }                                                                                                              \
  extern "C" void __tsan_atomic##bits##_store(volatile Atomic##bits* p, Atomic##bits value, int) {               \
    __atomic_store_n(p, value, __ATOMIC_SEQ_CST);                                                                \
  }                                                                                                              \
  extern "C" Atomic##bits __tsan_atomic##bits##_fetch_add(volatile Atomic##bits* p, Atomic##bits value, int) {   \
    return __atomic_fetch_add(p, value, __ATOMIC_SEQ_CST);                                                       \
  }                                                                                                              \
  extern "C" Atomic##bits __tsan_atomic##bits##_fetch_sub(volatile Atomic##bits* p, Atomic##bits value, int) {   \
    return __atomic_fetch_sub(p, value, __ATOMIC_SEQ_CST);                                                       \
  }                                                                                                              \
  extern "C" int __tsan_atomic##bits##_compare_exchange_strong(volatile Atomic##bits* p, Atomic##bits* expected, \
                                                               Atomic##bits value, int, int) {                   \
    return __atomic_compare_exchange_n(p, expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);           \
  }
EMU_ATOMICS(8)
EMU_ATOMICS(16)
EMU_ATOMICS(32)
EMU_ATOMICS(64)
extern "C" void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

#endif
