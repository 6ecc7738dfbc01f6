// The backends that dispatch.cpp chooses from. Each fills a table with what it has.
#pragma once

#include <concepts>

#include "tensor/kernels/table.h"

namespace gradus {

namespace reference {
// Every entry, for any dtype; those that make no sense for it throw Error naming the kernel and the dtype.
void fill_table(KernelTable& table, DType dtype);

// Defined for float and double in reference_recurrent.cpp.
template <std::floating_point T>
void recurrent(const Recurrence& r);
template <std::floating_point T>
void recurrent_grad(const Recurrence& r, const void* gy, const void* gh, const void* gc, void* dx, void* da,
                    void* dh0, void* dc0);
template <std::floating_point T>
void additive_scores(const void* q, const void* k, const void* v, int64_t batch, int64_t queries, int64_t keys,
                     int64_t n, void* y);
template <std::floating_point T>
void additive_scores_grad(const void* q, const void* k, const void* v, const void* g, int64_t batch, int64_t queries,
                          int64_t keys, int64_t n, void* dq, void* dk, void* dv);

// Defined for float and double in reference_attention.cpp.
template <std::floating_point T>
void attention(const Attention& a);
template <std::floating_point T>
void attention_grad(const Attention& a, const View& g, const View& dq, const View& dk, const View& dv);
}  // namespace reference

// Of the tables of float32 and bfloat16, what the instruction set makes faster.
namespace avx2 {
void fill_table(KernelTable& table, DType dtype);
}
namespace avx512 {
void fill_table(KernelTable& table, DType dtype);
}
namespace neon {
void fill_table(KernelTable& table, DType dtype);
}

// Every entry for tensors on the device "cuda"; those it lacks throw Error naming the kernel and the dtype.
namespace cuda {
void fill_table(KernelTable& table, DType dtype);
}

}  // namespace gradus
