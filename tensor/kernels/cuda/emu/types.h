// CUDA's vector types and built-in variables.
#pragma once

#include <cstddef>
#include <cstdint>

#define EMU_VECTOR2(T, name)              \
  struct alignas(2 * sizeof(T)) name##2 { \
    T x, y;                               \
  };                                      \
  inline name##2 make_##name##2(T x, T y) { return {x, y}; }
#define EMU_VECTORS(T, name)                                         \
  EMU_VECTOR2(T, name)                                               \
  struct name##3 {                                                   \
    T x, y, z;                                                       \
  };                                                                 \
  inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; } \
  struct alignas(4 * sizeof(T)) name##4 {                            \
    T x, y, z, w;                                                    \
  };                                                                 \
  inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }

EMU_VECTORS(signed char, char)
EMU_VECTORS(unsigned char, uchar)
EMU_VECTORS(short, short)
EMU_VECTORS(unsigned short, ushort)
EMU_VECTORS(int, int)
EMU_VECTORS(unsigned, uint)
EMU_VECTORS(float, float)
EMU_VECTOR2(double, double)
EMU_VECTOR2(long long, longlong)
EMU_VECTOR2(unsigned long long, ulonglong)
#undef EMU_VECTORS
#undef EMU_VECTOR2

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
  constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
};

// Plain variables, so that a debugger can print them and stop on them: `break kernel if threadIdx.x == 5`. Each of the
// machine's threads has its own, and the scheduler sets them whenever it switches to another CUDA thread.
extern constinit thread_local uint3 threadIdx;
extern constinit thread_local uint3 blockIdx;
extern constinit thread_local dim3 blockDim;
extern constinit thread_local dim3 gridDim;
inline constexpr int warpSize = 32;
