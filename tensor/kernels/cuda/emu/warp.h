// Operations in which the lanes of a warp take part together. Each names in its mask who does; __activemask, which
// guesses, is left out.
#pragma once

#include <bit>
#include <functional>
#include <type_traits>

#include "tensor/kernels/cuda/emu/device.h"

namespace emu {

// What a lane brings and what it takes away.
template <class Value, class Result>
struct Post {
  Value value;
  Result result;
};

// All lanes get the same result: rule(mask, value of lane), where `value of lane` is a function.
template <class Result, class Rule, class Value>
Result agree(unsigned mask, Value value, const char* what, Where where) {
  using P = Post<Value, Result>;
  P post{value, {}};
  warp_collective(
      mask,
      [](unsigned lanes, void* const* posts) {
        const Result result = Rule()(lanes, [&](int l) { return static_cast<P*>(posts[l])->value; });
        for (unsigned left = lanes; left != 0; left &= left - 1)
          static_cast<P*>(posts[std::countr_zero(left)])->result = result;
      },
      &post, what, where);
  return post.result;
}

template <class T>
struct Shuffle {
  T value;
  int source;
  T result;
  bool lost;  // the source takes no part
};

template <class T>
T shuffle(unsigned mask, T value, int source, const char* what, Where where) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8, "CUDA shuffles 2, 4 and 8 bytes");
  Shuffle<T> post{value, source, value, false};
  warp_collective(
      mask,
      [](unsigned lanes, void* const* posts) {
        for (unsigned left = lanes; left != 0; left &= left - 1) {
          auto& mine = *static_cast<Shuffle<T>*>(posts[std::countr_zero(left)]);
          mine.lost = (lanes >> mine.source & 1) == 0;
          if (!mine.lost) mine.result = static_cast<Shuffle<T>*>(posts[mine.source])->value;
        }
      },
      &post, what, where);
  if (post.lost) shuffle_lost(what, source, mask, where);
  return post.result;
}

struct Ballot {
  template <class Values>
  unsigned operator()(unsigned mask, Values value) const {
    unsigned result = 0;
    for (unsigned left = mask; left != 0; left &= left - 1)
      result |= unsigned(value(std::countr_zero(left)) != 0) << std::countr_zero(left);
    return result;
  }
};

template <class Operation>
struct Reduce {
  template <class Values>
  auto operator()(unsigned mask, Values value) const {
    auto result = value(std::countr_zero(mask));
    for (unsigned left = mask & (mask - 1); left != 0; left &= left - 1)
      result = Operation()(result, value(std::countr_zero(left)));
    return result;
  }
};

// The groups of equal values: for each lane the mask of those that have its own.
template <class T>
struct Groups {
  unsigned mask[32];
};
template <class T>
struct Match {
  template <class Values>
  Groups<T> operator()(unsigned mask, Values value) const {
    Groups<T> groups{};
    for (unsigned left = mask; left != 0; left &= left - 1)
      for (unsigned others = mask; others != 0; others &= others - 1)
        if (value(std::countr_zero(left)) == value(std::countr_zero(others)))
          groups.mask[std::countr_zero(left)] |= 1u << std::countr_zero(others);
    return groups;
  }
};

struct Min {
  template <class T>
  T operator()(T a, T b) const {
    return b < a ? b : a;
  }
};
struct Max {
  template <class T>
  T operator()(T a, T b) const {
    return a < b ? b : a;
  }
};

}  // namespace emu

inline void __syncwarp(unsigned mask = 0xffffffffu, EMU_HERE) {
  emu::warp_collective(
      mask, [](unsigned, void* const*) {}, nullptr, "__syncwarp", {file, line}, true);
}

// A warp may be cut into segments of `width` lanes, a power of two; a lane whose source lies outside keeps its own
// value.
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, EMU_HERE) {
  const int segment = int(emu::lane) & ~(width - 1);
  return emu::shuffle(mask, value, segment | (source & (width - 1)), "__shfl_sync", {file, line});
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, EMU_HERE) {
  const int self = int(emu::lane), source = self - int(delta);
  return emu::shuffle(mask, value, source < (self & ~(width - 1)) ? self : source, "__shfl_up_sync", {file, line});
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, EMU_HERE) {
  const int self = int(emu::lane), source = self + int(delta);
  return emu::shuffle(mask, value, source > (self | (width - 1)) ? self : source, "__shfl_down_sync", {file, line});
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32, EMU_HERE) {
  const int self = int(emu::lane), source = self ^ lane_mask;
  return emu::shuffle(mask, value, source > (self | (width - 1)) ? self : source, "__shfl_xor_sync", {file, line});
}

inline unsigned __ballot_sync(unsigned mask, int predicate, EMU_HERE) {
  return emu::agree<unsigned, emu::Ballot>(mask, predicate, "__ballot_sync", {file, line});
}
inline int __any_sync(unsigned mask, int predicate, EMU_HERE) {
  return int(
      emu::agree<unsigned, emu::Reduce<std::bit_or<>>>(mask, unsigned(predicate != 0), "__any_sync", {file, line}));
}
inline int __all_sync(unsigned mask, int predicate, EMU_HERE) {
  return int(
      emu::agree<unsigned, emu::Reduce<std::bit_and<>>>(mask, unsigned(predicate != 0), "__all_sync", {file, line}));
}
template <class T>
unsigned __match_any_sync(unsigned mask, T value, EMU_HERE) {
  return emu::agree<emu::Groups<T>, emu::Match<T>>(mask, value, "__match_any_sync", {file, line}).mask[emu::lane];
}
template <class T>
unsigned __match_all_sync(unsigned mask, T value, int* all, EMU_HERE) {
  const unsigned same =
      emu::agree<emu::Groups<T>, emu::Match<T>>(mask, value, "__match_all_sync", {file, line}).mask[emu::lane];
  *all = same == mask;
  return *all ? mask : 0;
}

#define EMU_REDUCE(T, name, Operation)                                              \
  inline T name(unsigned mask, T value, EMU_HERE) {                                 \
    return emu::agree<T, emu::Reduce<Operation>>(mask, value, #name, {file, line}); \
  }
EMU_REDUCE(unsigned, __reduce_add_sync, std::plus<>)
EMU_REDUCE(unsigned, __reduce_min_sync, emu::Min)
EMU_REDUCE(int, __reduce_min_sync, emu::Min)
EMU_REDUCE(unsigned, __reduce_max_sync, emu::Max)
EMU_REDUCE(int, __reduce_max_sync, emu::Max)
EMU_REDUCE(unsigned, __reduce_and_sync, std::bit_and<>)
EMU_REDUCE(unsigned, __reduce_or_sync, std::bit_or<>)
EMU_REDUCE(unsigned, __reduce_xor_sync, std::bit_xor<>)
#undef EMU_REDUCE
inline int __reduce_add_sync(unsigned mask, int value, EMU_HERE) {
  return int(__reduce_add_sync(mask, unsigned(value), file, line));
}
