// Random numbers and dropout, to the bit the CPU's: a thread makes the four elements of one Philox block.
#include "tensor/error.h"
#include "tensor/kernels/cuda/scalar.h"
#include "tensor/kernels/cuda/strided.h"
#include "tensor/kernels/distributions.h"

namespace gradus::cuda {
namespace {

// How a block's words become elements of T. a, b: as in the table's entry.
template <class T, Random kind>
struct Distribution {
  double a, b;
  uint64_t kept = 0;   // bernoulli: the words below this are 1
  uint64_t range = 0;  // randint

  __device__ Vector<T, 4> operator()(const PhiloxBlock& words) const {
    Vector<T, 4> y;
    if constexpr (kind == Random::normal) {  // two words make two numbers
      SIMT_UNROLL
      for (int i = 0; i < 4; i += 2) {
        if constexpr (std::is_same_v<T, float>) {
          const one_lane::NormalPair pair = one_lane::normal_from({words.v[i]}, {words.v[i + 1]});
          y.v[i] = fma(float(b), pair.first.v, float(a));
          y.v[i + 1] = fma(float(b), pair.second.v, float(a));
        } else {
          const NormalPair pair = normal_from(words.v[i], words.v[i + 1]);
          y.v[i] = a + b * pair.first;
          y.v[i + 1] = a + b * pair.second;
        }
      }
    } else {
      SIMT_UNROLL
      for (int i = 0; i < 4; ++i) {
        const uint32_t word = words.v[i];
        if constexpr (kind == Random::uniform)
          y.v[i] = uniform_from(word, T(a), T(b));
        else if constexpr (kind == Random::bernoulli)
          y.v[i] = T(word < kept);
        else
          y.v[i] = convert<T>(a + double(word * range >> 32));
      }
    }
    return y;
  }
};

// Four elements of an array of n from the `first` on, or what there is of them, by accesses of 16 bytes at most.
template <class T>
inline constexpr int vector_size = sizeof(T) > 4 ? 16 / int(sizeof(T)) : 4;

template <class T>
bool is_aligned(const void* p) {
  return uintptr_t(p) % (vector_size<T> * sizeof(T)) == 0;
}

template <class T>
__device__ void store_four(T* y, int64_t first, int64_t n, bool aligned, const Vector<T, 4>& x) {
  constexpr int N = vector_size<T>;
  if (aligned && first + 4 <= n) {
    SIMT_UNROLL
    for (int i = 0; i < 4; i += N) {
      Vector<T, N> part;
      SIMT_UNROLL
      for (int e = 0; e < N; ++e) part.v[e] = x.v[i + e];
      store_vector(y + first + i, part);
    }
  } else {
    SIMT_UNROLL
    for (int i = 0; i < 4; ++i) {
      if (first + i < n) y[first + i] = x.v[i];
    }
  }
}

template <class T>
__device__ Vector<T, 4> load_four(const T* x, int64_t first, int64_t n, bool aligned) {
  constexpr int N = vector_size<T>;
  Vector<T, 4> y{};
  if (aligned && first + 4 <= n) {
    SIMT_UNROLL
    for (int i = 0; i < 4; i += N) {
      const auto part = std::bit_cast<Vector<T, N>>(load_word<N>(x + first + i));
      SIMT_UNROLL
      for (int e = 0; e < N; ++e) y.v[i + e] = part.v[e];
    }
  } else {
    SIMT_UNROLL
    for (int i = 0; i < 4; ++i) {
      if (first + i < n) y.v[i] = x[first + i];
    }
  }
  return y;
}

template <class T, Random kind>
__global__ void __launch_bounds__(map_threads)
    random_kernel(Distribution<T, kind> distribution, PhiloxState state, T* y, int64_t n, bool aligned) {
  const int64_t block = int64_t(blockIdx.x) * map_threads + threadIdx.x;
  if (4 * block < n) store_four(y, 4 * block, n, aligned, distribution(philox(state, uint64_t(block))));
}

template <class T, Random kind>
void random_of(void* y, int64_t n, PhiloxState state, double a, double b) {
  Distribution<T, kind> distribution{a, b};
  if (kind == Random::bernoulli) distribution.kept = threshold(a);
  if (kind == Random::randint) distribution.range = uint64_t(b - a);
  launch(random_kernel<T, kind>, unsigned(div_up(n, 4 * map_threads)), map_threads, 0, distribution, state,
         static_cast<T*>(y), n, is_aligned<T>(y));
}

template <class T>
void random(Random kind, void* y, int64_t n, PhiloxState state, double a, double b) {
  if (kind == Random::bernoulli) return random_of<T, Random::bernoulli>(y, n, state, a, b);
  if (kind == Random::randint) return random_of<T, Random::randint>(y, n, state, a, b);
  if constexpr (std::is_floating_point_v<T>) {
    if (kind == Random::uniform) return random_of<T, Random::uniform>(y, n, state, a, b);
    if (kind == Random::normal) return random_of<T, Random::normal>(y, n, state, a, b);
  } else {
    fail({"random: ", kind == Random::uniform ? "uniform" : "normal", " is not implemented for ", dtype_of<T>,
          " on cuda"});
  }
}

template <class T>
__global__ void __launch_bounds__(map_threads)
    dropout_kernel(const T* x, T* y, int64_t n, PhiloxState state, uint64_t kept, Compute<T> scale, bool aligned) {
  const int64_t block = int64_t(blockIdx.x) * map_threads + threadIdx.x;
  if (4 * block >= n) return;
  Vector<T, 4> four = load_four(x, 4 * block, n, aligned);
  const PhiloxBlock words = philox(state, uint64_t(block));
  SIMT_UNROLL
  for (int i = 0; i < 4; ++i) four.v[i] = words.v[i] < kept ? convert<T>(widen(four.v[i]) * scale) : T(0.0f);
  store_four(y, 4 * block, n, aligned, four);
}

template <class T>
void dropout(const void* x, void* y, int64_t n, PhiloxState state, double p) {
  launch(dropout_kernel<T>, unsigned(div_up(n, 4 * map_threads)), map_threads, 0, static_cast<const T*>(x),
         static_cast<T*>(y), n, state, threshold(1 - p), 1 / (1 - p), is_aligned<T>(x) && is_aligned<T>(y));
}

}  // namespace

void fill_random(KernelTable& table, DType dtype) {
  switch (dtype) {
    case DType::float32: table.random = random<float>, table.dropout = dropout<float>; break;
    case DType::float64: table.random = random<double>, table.dropout = dropout<double>; break;
    case DType::int64: table.random = random<int64_t>; break;
    case DType::boolean: table.random = random<bool>; break;
    case DType::uint8: table.random = random<uint8_t>; break;
    case DType::bfloat16: table.dropout = dropout<bf16>; break;
  }
}

}  // namespace gradus::cuda
