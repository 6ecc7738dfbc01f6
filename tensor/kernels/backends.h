// The backends that dispatch.cpp chooses from. Each fills a table with what it has.
#pragma once

#include "tensor/kernels/table.h"

namespace gradus {

namespace reference {
// Every entry, for any dtype; those that make no sense for it throw Error naming the kernel and the dtype.
void fill_table(KernelTable& table, DType dtype);
}  // namespace reference

// Of the float32 table, what the instruction set makes faster.
namespace avx2 {
void fill_table(KernelTable& table);
}
namespace avx512 {
void fill_table(KernelTable& table);
}
namespace neon {
void fill_table(KernelTable& table);
}

}  // namespace gradus
