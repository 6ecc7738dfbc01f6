// Every PTX instruction that the kernels use, wrapped once: the instruction itself under nvcc, its documented meaning
// in the emulator.
#pragma once

namespace simt {
#if SIMT_EMULATED
// cp.async of 4, 8 or 16 bytes, of which the first `valid` are read and the others are zeros; lands at cp_async_wait.
template <int bytes>
EMU_INLINE void cp_async(void* to, const void* from, int valid = bytes) {
  emu::async_copy(to, from, bytes, unsigned(valid));
}
EMU_INLINE void cp_async16(void* to, const void* from, bool exists = true) {
  cp_async<16>(to, from, exists ? 16 : 0);
}
inline void cp_async_commit() { emu::async_commit(); }
// Until at most `pending` of the committed groups are on their way.
template <int pending>
inline void cp_async_wait() {
  emu::async_wait(pending);
}

// ldmatrix.x4: lane l gives the address of row l % 8 of matrix l / 8; it gets elements 2 (l % 4) and the next of row
// l / 4 of each. Turned on the way (.trans), it gets rows 2 (l % 4) and the next of column l / 4.
struct MatrixRow {
  uint32_t* registers;
  const uint16_t* row;
};
template <bool turned>
EMU_INLINE void load_matrices(uint32_t (&r)[4], const void* row, const char* what, emu::Where where) {
  MatrixRow post{r, static_cast<const uint16_t*>(row)};
  emu::note_read(row, 16);
  emu::warp_collective(
      0xffffffffu,
      [](unsigned, void* const* posts) {
        const auto of = [&](int l) { return static_cast<const MatrixRow*>(posts[l]); };
        for (int l = 0; l < 32; ++l)
          for (int matrix = 0; matrix < 4; ++matrix) {
            const int line = l / 4, pair = 2 * (l % 4);
            const auto element = [&](int i) -> uint32_t {
              return turned ? of(matrix * 8 + pair + i)->row[line] : of(matrix * 8 + line)->row[pair + i];
            };
            of(l)->registers[matrix] = element(0) | element(1) << 16;
          }
      },
      &post, what, where);
}
EMU_INLINE void ldmatrix_x4(uint32_t (&r)[4], const void* row, EMU_HERE) {
  load_matrices<false>(r, row, "ldmatrix.x4", {file, line});
}
EMU_INLINE void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row, EMU_HERE) {
  load_matrices<true>(r, row, "ldmatrix.x4.trans", {file, line});
}

// mma.sync: d (16 x 8) += a (16 x k) b (k x 8). Which lane holds which elements the PTX ISA's figures show: lane l has
// those of row l / 4 and from column l % 4 on.
struct MmaPost {
  float* d;
  const uint32_t *a, *b;
};
struct Bf16Operands {  // two to a register
  static constexpr int k = 16, in_a = 8, in_b = 4;
  static float value(const uint32_t* registers, int i) {
    return std::bit_cast<float>((registers[i / 2] >> (i % 2 * 16) & 0xffffu) << 16);
  }
  static constexpr int row_of_a(int i) { return i / 2 % 2 * 8; }
  static constexpr int k_of_a(int thread, int i) { return thread * 2 + i % 2 + i / 4 * 8; }
  static constexpr int k_of_b(int thread, int i) { return thread * 2 + i % 2 + i / 2 * 8; }
};
struct Tf32Operands {  // the lowest 13 bits do not count
  static constexpr int k = 8, in_a = 4, in_b = 2;
  static float value(const uint32_t* registers, int i) { return std::bit_cast<float>(registers[i] & 0xffffe000u); }
  static constexpr int row_of_a(int i) { return i % 2 * 8; }
  static constexpr int k_of_a(int thread, int i) { return thread + i / 2 * 4; }
  static constexpr int k_of_b(int thread, int i) { return thread + i * 4; }
};
template <class Operands>
void mma(MmaPost post, const char* what, emu::Where where) {
  emu::warp_collective(
      0xffffffffu,
      [](unsigned, void* const* posts) {
        float a[16][Operands::k], b[Operands::k][8];
        const auto of = [&](int l) { return *static_cast<const MmaPost*>(posts[l]); };
        for (int l = 0; l < 32; ++l) {
          const int group = l / 4, thread = l % 4;
          for (int i = 0; i < Operands::in_a; ++i)
            a[group + Operands::row_of_a(i)][Operands::k_of_a(thread, i)] = Operands::value(of(l).a, i);
          for (int i = 0; i < Operands::in_b; ++i)
            b[Operands::k_of_b(thread, i)][group] = Operands::value(of(l).b, i);
        }
        for (int l = 0; l < 32; ++l)
          for (int i = 0; i < 4; ++i)
            for (int k = 0; k < Operands::k; ++k) of(l).d[i] += a[l / 4 + i / 2 * 8][k] * b[k][l % 4 * 2 + i % 2];
      },
      &post, what, where);
}
inline void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], EMU_HERE) {
  mma<Bf16Operands>({d, a, b}, "mma.m16n8k16", {file, line});
}
inline void mma_m16n8k8_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], EMU_HERE) {
  mma<Tf32Operands>({d, a, b}, "mma.m16n8k8", {file, line});
}

// ex2.approx: 2 to the x, of which the hardware makes 22 bits.
inline float exp2_approx(float x) { return std::exp2(x); }
// cvt.rn.bf16x2: two numbers rounded to bfloat16, the first in the lower half.
inline uint32_t pack_bf16(float low, float high) { return std::bit_cast<uint32_t>(__floats2bfloat162_rn(low, high)); }
#else
__device__ inline void cp_async_commit() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;\n" ::: "memory");
#endif
}
template <int N>
__device__ inline void cp_async_wait() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;\n" ::"n"(N) : "memory");
#endif
}
__device__ inline void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}
__device__ inline void ldmatrix_x4(uint32_t (&r)[4], const void* row) {
  unsigned s = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(s)
               : "memory");
}
template <int bytes>
__device__ inline void cp_async(void* to, const void* from, int valid = bytes) {
#if __CUDA_ARCH__ >= 800
  const unsigned shared = static_cast<unsigned>(__cvta_generic_to_shared(to));
  if constexpr (bytes == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(from), "r"(valid) : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared), "l"(from), "n"(bytes), "r"(valid)
                 : "memory");
#else
  if constexpr (bytes == 4) {
    *static_cast<unsigned*>(to) = valid ? *static_cast<const unsigned*>(from) : 0;
  } else if constexpr (bytes == 8) {
    *static_cast<uint2*>(to) = valid ? *static_cast<const uint2*>(from) : make_uint2(0, 0);
  } else if (valid == 16) {
    *static_cast<uint4*>(to) = *static_cast<const uint4*>(from);
  } else {  // a part, of whole words or of bfloat16
    for (int i = 0; i < 8; ++i)
      static_cast<uint16_t*>(to)[i] = 2 * i < valid ? static_cast<const uint16_t*>(from)[i] : uint16_t(0);
  }
#endif
}
__device__ inline void cp_async16(void* to, const void* from, bool exists = true) {
  cp_async<16>(to, from, exists ? 16 : 0);
}
__device__ inline void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row) {
  const unsigned shared = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared)
               : "memory");
}
__device__ inline void mma_m16n8k8_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}
__device__ inline float exp2_approx(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
__device__ inline uint32_t pack_bf16(float low, float high) {
#if __CUDA_ARCH__ >= 800
  uint32_t both;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  return both;
#else
  const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&both);
#endif
}
#endif
}  // namespace simt
