#include "tensor/kernels/backends.h"
namespace gradus::avx2 {
void fill_table(KernelTable&) {}
}  // namespace gradus::avx2
