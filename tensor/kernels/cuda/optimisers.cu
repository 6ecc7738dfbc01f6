// The steps of the optimisers: one pass over the parameter, its gradient and its states.
#include "tensor/kernels/cuda/scalar.h"
#include "tensor/kernels/cuda/strided.h"

namespace gradus::cuda {
namespace {

template <class T, int states>
struct Parameter {
  int64_t n;
  T* values;
  const T* gradient;
  T* state[states];  // null where unused
};

// Takes n elements, at most N, from `first` on; all N as vectors of 16 bytes.
template <int N, class Update, class T, int states>
__device__ void step_at(const Update& update, const Parameter<T, states>& p, int64_t first) {
  Vector<T, N> values = std::bit_cast<Vector<T, N>>(load_word<N>(p.values + first));
  const Vector<T, N> gradient = std::bit_cast<Vector<T, N>>(load_word<N>(p.gradient + first));
  Vector<T, N> state[states]{};
  SIMT_UNROLL
  for (int s = 0; s < states; ++s) {
    if (p.state[s]) state[s] = std::bit_cast<Vector<T, N>>(load_word<N>(p.state[s] + first));
  }
  [&]<size_t... s>(std::index_sequence<s...>) {
    SIMT_UNROLL
    for (int e = 0; e < N; ++e) update(values.v[e], gradient.v[e], state[s].v[e]...);
  }
  (std::make_index_sequence<states>());
  store_vector(p.values + first, values);
  SIMT_UNROLL
  for (int s = 0; s < states; ++s) {
    if (p.state[s]) store_vector(p.state[s] + first, state[s]);
  }
}

template <int N, class Update, class T, int states>
__global__ void __launch_bounds__(map_threads) step_kernel(Update update, Parameter<T, states> p) {
  const int64_t first = (int64_t(blockIdx.x) * map_threads + threadIdx.x) * N;
  if (first + N <= p.n) {
    step_at<N>(update, p, first);
  } else {
    for (int64_t i = first; i < p.n; ++i) step_at<1>(update, p, i);
  }
}

// By vectors where all the arrays allow it.
template <class T, class Update, class... States>
void step(const Update& update, int64_t n, void* values, const void* gradient, States*... states) {
  constexpr int N = 16 / sizeof(T);
  const Parameter<T, sizeof...(States)> p{
      n, static_cast<T*>(values), static_cast<const T*>(gradient), {static_cast<T*>(states)...}};
  const bool aligned = (((uintptr_t(values) | uintptr_t(gradient)) | ... | uintptr_t(states)) % 16) == 0;
  const auto blocks = [n](int size) { return unsigned(div_up(n, size * map_threads)); };
  if (aligned)
    launch(step_kernel<N, Update, T, sizeof...(States)>, blocks(N), map_threads, 0, update, p);
  else
    launch(step_kernel<1, Update, T, sizeof...(States)>, blocks(1), map_threads, 0, update, p);
}

template <class T>
void sgd_step(const SgdStep& o, int64_t n, void* p, const void* g, void* momentum) {
  step<T>(SgdUpdate<T>(o), n, p, g, momentum);
}
template <class T>
void adam_step(const AdamStep& o, int64_t n, void* p, const void* g, void* m, void* v) {
  step<T>(AdamUpdate<T>(o), n, p, g, m, v);
}
template <class T>
void rmsprop_step(const RmspropStep& o, int64_t n, void* p, const void* g, void* v, void* mean, void* momentum) {
  step<T>(RmspropUpdate<T>(o), n, p, g, v, mean, momentum);
}
template <class T>
void adagrad_step(const AdagradStep& o, int64_t n, void* p, const void* g, void* sum) {
  step<T>(AdagradUpdate<T>(o), n, p, g, sum);
}

template <class T>
void fill_for(KernelTable& table) {
  table.sgd_step = sgd_step<T>;
  table.adam_step = adam_step<T>;
  table.rmsprop_step = rmsprop_step<T>;
  table.adagrad_step = adagrad_step<T>;
}

}  // namespace

void fill_optimisers(KernelTable& table, DType dtype) {
  if (dtype == DType::float32) fill_for<float>(table);
  if (dtype == DType::float64) fill_for<double>(table);
}

}  // namespace gradus::cuda
