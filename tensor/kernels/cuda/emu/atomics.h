// Atomic operations, for the types that hardware has them for.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <type_traits>

#include "tensor/kernels/cuda/emu/device.h"
#include "tensor/kernels/cuda/emu/half.h"

namespace emu {

// Not inline: the checker, which sees the kernel files' instructions, must not take these for plain accesses.
uint16_t atomic_load(const uint16_t* p);
uint32_t atomic_load(const uint32_t* p);
uint64_t atomic_load(const uint64_t* p);
// Writes `value` if *p is still `old`; otherwise puts into `old` what it is.
bool atomic_replace(uint16_t* p, uint16_t& old, uint16_t value);
bool atomic_replace(uint32_t* p, uint32_t& old, uint32_t value);
bool atomic_replace(uint64_t* p, uint64_t& old, uint64_t value);

// Everything is made of these two. Returns what was there before.
template <class T, class Change>
EMU_INLINE T atomic_update(T* p, Change change) {
  using Bits = std::conditional_t<sizeof(T) == 2, uint16_t, std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>>;
  note_atomic(p, sizeof(T));
  Bits* cell = reinterpret_cast<Bits*>(p);
  Bits old = atomic_load(cell);
  while (!atomic_replace(cell, old, std::bit_cast<Bits>(change(std::bit_cast<T>(old))))) {
  }
  return std::bit_cast<T>(old);
}

template <class T, class... Types>
concept OneOf = (std::same_as<T, Types> || ...);
template <class T>
concept Word = OneOf<T, int, unsigned, unsigned long long>;
template <class T>
concept Number = Word<T> || OneOf<T, float, double, __half, __nv_bfloat16>;
template <class T>
concept Pair = OneOf<T, __half2, __nv_bfloat162>;
template <class T>
concept Ordered = Word<T> || OneOf<T, long long>;
template <class T>
using As = std::type_identity_t<T>;  // the pointer alone decides about the type

}  // namespace emu

template <emu::Number T>
EMU_INLINE T atomicAdd(T* p, emu::As<T> value) {
  return emu::atomic_update(p, [=](T old) {
    if constexpr (std::is_same_v<T, int>)
      return int(unsigned(old) + unsigned(value));
    else
      return T(old + value);
  });
}
template <emu::Pair T>
EMU_INLINE T atomicAdd(T* p, emu::As<T> value) {
  return emu::atomic_update(p, [=](T old) { return T{old.x + value.x, old.y + value.y}; });
}
template <emu::OneOf<int, unsigned> T>
EMU_INLINE T atomicSub(T* p, emu::As<T> value) {
  return emu::atomic_update(p, [=](T old) { return T(unsigned(old) - unsigned(value)); });
}
template <class T>
requires(emu::Word<T> || std::same_as<T, float>) EMU_INLINE T atomicExch(T* p, emu::As<T> value) {
  return emu::atomic_update(p, [=](T) { return value; });
}
template <class T>
requires(emu::Word<T> || std::same_as<T, unsigned short>) EMU_INLINE T
    atomicCAS(T* p, emu::As<T> expected, emu::As<T> value) {
  const T old = emu::atomic_update(p, [=](T now) { return now == expected ? value : now; });
  if (old != expected) emu::yield();  // whoever holds the lock has to get on
  return old;
}
template <emu::Ordered T>
EMU_INLINE T atomicMin(T* p, emu::As<T> value) {
  return emu::atomic_update(p, [=](T old) { return value < old ? value : old; });
}
template <emu::Ordered T>
EMU_INLINE T atomicMax(T* p, emu::As<T> value) {
  return emu::atomic_update(p, [=](T old) { return old < value ? value : old; });
}
template <emu::Word T>
EMU_INLINE T atomicAnd(T* p, emu::As<T> value) {
  return emu::atomic_update(p, [=](T old) { return T(old & value); });
}
template <emu::Word T>
EMU_INLINE T atomicOr(T* p, emu::As<T> value) {
  return emu::atomic_update(p, [=](T old) { return T(old | value); });
}
template <emu::Word T>
EMU_INLINE T atomicXor(T* p, emu::As<T> value) {
  return emu::atomic_update(p, [=](T old) { return T(old ^ value); });
}
// Count up to `limit` and begin again, and back.
EMU_INLINE unsigned atomicInc(unsigned* p, unsigned limit) {
  return emu::atomic_update(p, [=](unsigned old) { return old >= limit ? 0u : old + 1; });
}
EMU_INLINE unsigned atomicDec(unsigned* p, unsigned limit) {
  return emu::atomic_update(p, [=](unsigned old) { return old == 0 || old > limit ? limit : old - 1; });
}
