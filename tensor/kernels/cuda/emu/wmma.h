// nvcuda::wmma: matrix products by a whole warp, with fragments of half, bfloat16 and tf32. Which lane holds which
// element is not specified, and here it is unlike any hardware's, so that code that relies on it fails.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

#include "tensor/kernels/cuda/emu/device.h"
#include "tensor/kernels/cuda/emu/half.h"

namespace nvcuda::wmma {

struct matrix_a {};
struct matrix_b {};
struct accumulator {};
struct row_major {};
struct col_major {};
namespace precision {
struct tf32 {};  // float's range with half's precision, stored as a float
}  // namespace precision
enum layout_t { mem_row_major, mem_col_major };

template <class Use, int M, int N, int K, class T, class Layout = void>
struct fragment {
  using element_type = std::conditional_t<std::is_same_v<T, precision::tf32>, float, T>;
  static constexpr int rows = std::is_same_v<Use, matrix_b> ? K : M, columns = std::is_same_v<Use, matrix_a> ? K : N;
  static constexpr int num_elements = rows * columns / 32;
  element_type x[num_elements];

  static constexpr int row(int lane, int element) { return place(lane, element) / columns; }
  static constexpr int column(int lane, int element) { return place(lane, element) % columns; }

 private:
  static constexpr int place(int lane, int element) { return (element * 32 + lane) * 7 % (rows * columns); }
};

inline float __float_to_tf32(float value) {
  return std::bit_cast<float>((std::bit_cast<uint32_t>(value) + 0x1000u) & 0xffffe000u);
}

template <class Use, int M, int N, int K, class T, class Layout, class Value>
void fill_fragment(fragment<Use, M, N, K, T, Layout>& f, Value value) {
  for (auto& x : f.x) x = value;
}

template <class Fragment, class T>
EMU_INLINE void load_fragment(Fragment& f, const T* p, unsigned stride, bool by_columns) {
  for (int e = 0; e < f.num_elements; ++e) {
    const int row = f.row(emu::lane, e), column = f.column(emu::lane, e);
    f.x[e] = by_columns ? p[column * stride + row] : p[row * stride + column];
  }
}
template <class Use, int M, int N, int K, class T, class Layout, class S>
EMU_INLINE void load_matrix_sync(fragment<Use, M, N, K, T, Layout>& f, const S* p, unsigned stride) {
  load_fragment(f, p, stride, std::is_same_v<Layout, col_major>);
}
template <int M, int N, int K, class T, class S>
EMU_INLINE void load_matrix_sync(fragment<accumulator, M, N, K, T>& f, const S* p, unsigned stride, layout_t layout) {
  load_fragment(f, p, stride, layout == mem_col_major);
}
template <int M, int N, int K, class T, class S>
EMU_INLINE void store_matrix_sync(S* p, const fragment<accumulator, M, N, K, T>& f, unsigned stride,
                                  layout_t layout) {
  for (int e = 0; e < f.num_elements; ++e) {
    const int row = f.row(emu::lane, e), column = f.column(emu::lane, e);
    (layout == mem_col_major ? p[column * stride + row] : p[row * stride + column]) = f.x[e];
  }
}

template <class D, class A, class B, class C>
struct Product {
  D* d;
  const A* a;
  const B* b;
  const C* c;

  template <bool tf32>
  static void run(unsigned, void* const* posts) {
    static thread_local float a[A::rows][A::columns], b[B::rows][B::columns];
    const auto gather = [&](auto& matrix, auto member) {
      for (int lane = 0; lane < 32; ++lane) {
        const auto& f = *(static_cast<Product*>(posts[lane])->*member);
        for (int e = 0; e < f.num_elements; ++e) {
          const uint32_t bits = std::bit_cast<uint32_t>(float(f.x[e]));  // tf32 hardware ignores the lowest bits
          matrix[f.row(lane, e)][f.column(lane, e)] = std::bit_cast<float>(tf32 ? bits & 0xffffe000u : bits);
        }
      }
    };
    gather(a, &Product::a);
    gather(b, &Product::b);
    for (int lane = 0; lane < 32; ++lane) {
      const Product& product = *static_cast<Product*>(posts[lane]);
      for (int e = 0; e < D::num_elements; ++e) {
        float sum = float(product.c->x[e]);
        for (int k = 0; k < A::columns; ++k) sum += a[D::row(lane, e)][k] * b[k][D::column(lane, e)];
        product.d->x[e] = sum;
      }
    }
  }
};

template <int M, int N, int K, class TA, class LA, class TB, class LB, class TC, class TD>
void mma_sync(fragment<accumulator, M, N, K, TD>& d, const fragment<matrix_a, M, N, K, TA, LA>& a,
              const fragment<matrix_b, M, N, K, TB, LB>& b, const fragment<accumulator, M, N, K, TC>& c, EMU_HERE) {
  using P = Product<fragment<accumulator, M, N, K, TD>, fragment<matrix_a, M, N, K, TA, LA>,
                    fragment<matrix_b, M, N, K, TB, LB>, fragment<accumulator, M, N, K, TC>>;
  P post{&d, &a, &b, &c};
  emu::warp_collective(0xffffffffu, &P::template run<std::is_same_v<TA, precision::tf32>>, &post, "wmma::mma_sync",
                       {file, line});
}

}  // namespace nvcuda::wmma
