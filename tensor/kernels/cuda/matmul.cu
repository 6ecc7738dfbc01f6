// The entries of the table that multiply matrices: which kernel a product goes to.
#include "tensor/kernels/cuda/matmul.h"

namespace gradus::cuda {
namespace {

MatmulPrecision precision = MatmulPrecision::highest;
ForcedTiling forced{-1, 1};

bool aligned(const void* data, int64_t bytes) { return reinterpret_cast<uintptr_t>(data) % uintptr_t(bytes) == 0; }

// Dimension `outer` of x is m or n, dimension `depth` k.
template <class T>
Factor<T> factor(const View& x, int outer, int depth) {
  Factor<T> f{.data = x.as<T>(), .batch_stride = x.shape[0] > 1 ? x.strides[0] : 0};
  // Along a dimension of size 1 any stride will do.
  f.depth_contiguous = x.strides[depth] == 1 && !(x.shape[depth] == 1 && x.strides[outer] == 1);
  f.stride = x.strides[f.depth_contiguous ? outer : depth];
  if (x.shape[f.depth_contiguous ? outer : depth] == 1) f.stride = 0;
  constexpr int64_t vector = 16 / sizeof(T);
  f.vectors = aligned(f.data, 16) && f.stride % vector == 0 && f.batch_stride % vector == 0;
  return f;
}

template <class T>
Product<T> product(const Matmul& m) {
  const View& c = m.c;
  const auto pointer = [](const void* data) { return static_cast<const T*>(data); };
  Product<T> p{.a = factor<T>(m.a, 1, 2),
               .b = factor<T>(m.b, 2, 1),
               .batch = c.shape[0],
               .m = c.shape[1],
               .n = c.shape[2],
               .k = m.a.shape[2],
               .epilogue = {.c = c.as<T>(),
                            .residual = pointer(m.residual),
                            .bias = pointer(m.bias),
                            .batch_stride = c.strides[0],
                            .row_stride = c.strides[1],
                            .alpha = Compute<T>(m.alpha),
                            .activation = m.activation}};
  constexpr int64_t four = 4 * sizeof(T) < 16 ? 4 * sizeof(T) : 16;
  p.epilogue.vectors = aligned(c.data, four) && aligned(m.residual, four) && aligned(m.bias, four) &&
                       c.strides[0] * int64_t(sizeof(T)) % four == 0 && c.strides[1] * int64_t(sizeof(T)) % four == 0;
  return p;
}

template <class T>
void matmul(const Matmul& m) {
  const Product<T> p = product<T>(m);
  if (p.batch == 0 || p.m == 0 || p.n == 0) return;
  if constexpr (std::is_same_v<T, bf16> || std::is_same_v<T, float>) {
    if (forced.kind < 0 && multiply_skinny(p)) return;
    const bool asked = std::is_same_v<T, bf16> || precision == MatmulPrecision::high;
    if (asked && device_limits().major >= 8) return multiply_tensor_cores(p);
  }
  multiply_simt(p);
}

// b is read where it lies.
void pack(const View&, void*) {}

template <class T>
void fill(KernelTable& table) {
  table.matmul = matmul<T>;
  table.matmul_packed = matmul<T>;
  table.pack = pack;
}

}  // namespace

MatmulPrecision matmul_precision() { return precision; }
void set_matmul_precision(MatmulPrecision chosen) { precision = chosen; }
void force_matmul_tiling(int kind, int splits) { forced = {kind, splits}; }
ForcedTiling forced_tiling() { return forced; }

void fill_matmul(KernelTable& table, DType dtype) {
  switch (dtype) {
    case DType::float32: return fill<float>(table);
    case DType::float64: return fill<double>(table);
    case DType::int64: return fill<int64_t>(table);
    case DType::uint8: return fill<uint8_t>(table);
    case DType::bfloat16: return fill<bf16>(table);
    case DType::boolean: return;
  }
}

}  // namespace gradus::cuda
