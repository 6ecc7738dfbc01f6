// What the kernel files of this folder share, and what each of them puts into the table.
#pragma once

#include <type_traits>

#include "tensor/dtype.h"
#include "tensor/kernels/cuda/simt.h"
#include "tensor/kernels/table.h"

namespace gradus::cuda {

// Each sets the entries it has for the dtype and leaves the others alone.
void fill_elementwise(KernelTable& table, DType dtype);  // unary ... triangle
void fill_random(KernelTable& table, DType dtype);       // random, dropout
void fill_reduce(KernelTable& table, DType dtype);       // reduce, arg_reduce, cumsum, sort
void fill_softmax(KernelTable& table, DType dtype);      // softmax, log_softmax, cross_entropy
void fill_norms(KernelTable& table, DType dtype);        // layer_norm ... channel_affine
void fill_indexing(KernelTable& table, DType dtype);     // gather, scatter_add, index_select, index_add
void fill_matmul(KernelTable& table, DType dtype);       // matmul, pack, matmul_packed
void fill_recurrent(KernelTable& table, DType dtype);    // additive_scores, recurrent
void fill_attention(KernelTable& table, DType dtype);    // attention
void fill_conv(KernelTable& table, DType dtype);         // conv2d
void fill_pool(KernelTable& table, DType dtype);         // max_pool2d, avg_pool2d
void fill_optimisers(KernelTable& table, DType dtype);   // sgd_step ... adagrad_step
// All of them; an entry that no file has throws Error naming the kernel and the dtype.
void fill_table(KernelTable& table, DType dtype);

void* allocate(size_t bytes);
void deallocate(void* block, size_t bytes) noexcept;

// Device memory that kernels use among themselves; it may go once they are launched.
template <class T>
class Scratch {
 public:
  explicit Scratch(int64_t count) : data_(allocate(size_t(count) * sizeof(T))), bytes_(size_t(count) * sizeof(T)) {}
  ~Scratch() { deallocate(data_, bytes_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  T* data() const { return static_cast<T*>(data_); }

 private:
  void* data_;
  size_t bytes_;
};

// What kernels found wrong, in memory that the host reads at the next `synchronize`.
struct Fault {
  unsigned set;  // 0 until the first
  int64_t index, limit;
  const char* op;
};

// Indices come from tensors, and only a kernel sees them: one that is out of range is reported, not followed.
struct IndexGuard {
  Fault* fault;
  const char* op;
  int64_t limit;  // valid are 0 .. limit - 1
  __device__ bool operator()(int64_t index) const {
    if (index >= 0 && index < limit) return true;
    if (atomicCAS(&fault->set, 0u, 1u) == 0) fault->index = index, fault->limit = limit, fault->op = op;
    return false;
  }
};
IndexGuard index_guard(const char* op, int64_t limit);

struct DeviceLimits {
  int multiprocessors, major;  // and the first number of the compute capability
  size_t shared_bytes;         // that a block may have, asked for
};
const DeviceLimits& device_limits();

inline constexpr int warp_size = 32;
inline constexpr unsigned whole_warp = 0xffffffffu;

// Integer division that rounds up.
GRADUS_DEVICE constexpr int64_t div_up(int64_t n, int64_t by) { return (n + by - 1) / by; }

// What elements of T are computed in.
template <class T>
using Compute = std::conditional_t<std::is_same_v<T, float> || std::is_same_v<T, bf16>, float,
                                   std::conditional_t<std::is_same_v<T, double>, double, int64_t>>;

}  // namespace gradus::cuda
