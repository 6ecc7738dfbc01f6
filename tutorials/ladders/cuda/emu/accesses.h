// What the warps of a kernel ask of memory, counted on the emulator. A kernel's floats become Words, which tell of each
// read and write; what the 32 lanes of a warp do at one place in the code is one request, as on a GPU. This file lies
// in a folder cuda/emu so that the emulator's checker names the line of the kernel, as it does for the emulator's own.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>

#include "tensor/kernels/cuda/simt.h"

namespace gradus::ladder {

//! [accesses]
struct Accesses {
  int64_t requests = 0;         // of warps, each one instruction: to global memory
  int64_t bytes = 0;            // that their lanes asked for, together
  int64_t sectors = 0;          // transactions of 32 bytes that these touch
  int64_t lines = 0;            // lines of 128 bytes, of which the first cache finds one in a cycle
  int64_t block_sectors = 0;    // sectors, if a block fetched each but once
  int64_t shared_requests = 0;  // to shared memory
  int64_t shared_cycles = 0;    // a bank serves one word in a cycle, to all lanes that want it
};
//! [accesses]

// While one lives, Words report to it. One at a time, and with the checker, which runs one thread of the machine.
class AccessCounter {
 public:
  AccessCounter();
  ~AccessCounter();
  AccessCounter(const AccessCounter&) = delete;
  AccessCounter& operator=(const AccessCounter&) = delete;

  // Global memory whose accesses are counted; those of other memory, but for shared, are not.
  void watch(const void* memory, size_t bytes);
  // Of all blocks that have run since the counter was made.
  Accesses counted();

  struct State;

 private:
  std::unique_ptr<State> state_;
};

// What Words and SIMT_SHARED tell. `own`: it is an instruction of its own, not the second half of a cp.async.
void note(const void* p, unsigned bytes, bool own = true);
void note_shared(const void* array, size_t bytes);

// In use, a float. Which instruction it was is told by the place that `note` is called from.
class Word {
 public:
  Word() = default;
  template <std::same_as<int> T>
  EMU_INLINE Word(T value) : value_(float(value)) {}
  EMU_INLINE Word(const Word& x) : value_(float(x)) {}
  //! [word]
  template <std::same_as<float> T>
  EMU_INLINE operator T() const {
    note(this, sizeof *this);
    return value_;
  }
  EMU_INLINE Word& operator=(float value) {
    note(this, sizeof *this);
    value_ = value;
    return *this;
  }
  //! [word]
  EMU_INLINE Word& operator=(const Word& x) { return *this = float(x); }
  EMU_INLINE Word& operator+=(float value) { return *this = float(*this) + value; }

 private:
  float value_;
};

// Four of them, moved at once.
struct alignas(16) Word4 {
  Word x, y, z, w;

  Word4() = default;
  EMU_INLINE Word4(const Word4& from) { copy(from); }
  EMU_INLINE Word4& operator=(const Word4& from) {
    copy(from);
    note(this, sizeof *this);
    return *this;
  }

 private:
  EMU_INLINE void copy(const Word4& from) {
    note(&from, sizeof from);
    __builtin_memcpy(static_cast<void*>(this), &from, sizeof from);
  }
};
EMU_INLINE Word4 make_word4(float x, float y, float z, float w) {
  Word4 all;
  all.x = x, all.y = y, all.z = z, all.w = w;
  return all;
}

}  // namespace gradus::ladder

namespace simt {
template <int bytes>
EMU_INLINE void counted_cp_async(void* to, const void* from, int valid = bytes) {
  if (valid > 0) gradus::ladder::note(from, unsigned(valid));
  gradus::ladder::note(to, bytes, valid == 0);
  cp_async<bytes>(to, from, valid);
}
}  // namespace simt

#undef SIMT_SHARED
#define SIMT_SHARED(T, name, dims)                                                                              \
  using name##_type = T dims;                                                                                   \
  static const char name##_key = 0;                                                                             \
  name##_type& name = *static_cast<name##_type*>(::emu::shared_array(&name##_key, sizeof(name##_type), #name)); \
  ::gradus::ladder::note_shared(&name, sizeof(name##_type))
