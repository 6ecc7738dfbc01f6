// Reductions of any dimensions of any strides, and along rows the place of the largest, running sums and sorting.
//
// Once neighbouring dimensions are joined, the elements of a result lie either along a row, which the threads of a warp
// or a block share, or down a column, beside those of its neighbours, which neighbouring threads take. Where that makes
// too few blocks, each takes a part of the elements, and a second launch reduces what the parts gave.
#include <algorithm>
#include <limits>

#include "tensor/kernels/cuda/arg_reduce.h"
#include "tensor/kernels/cuda/block.h"
#include "tensor/kernels/cuda/scalar.h"
#include "tensor/kernels/cuda/scan.h"
#include "tensor/kernels/cuda/sort.h"

namespace gradus::cuda {
namespace {

// Dimensions in row-major order, and how far apart their elements are.
struct Dims {
  int ndim = 0;
  int64_t count = 1, shape[8] = {}, strides[8] = {};

  __device__ int64_t at(int64_t i) const {
    if (ndim == 1) return i * strides[0];
    int64_t offset = 0;
    SIMT_NO_UNROLL
    for (int d = ndim - 1; d >= 0; --d) {
      int64_t rest = 0;
      if (count <= INT32_MAX)  // in a third of the instructions
        rest = uint32_t(i) / uint32_t(shape[d]);
      else
        rest = i / shape[d];
      offset += (i - rest * shape[d]) * strides[d];
      i = rest;
    }
    return offset;
  }
  int64_t inner() const { return ndim ? shape[ndim - 1] : 1; }
  int64_t inner_stride() const { return ndim ? strides[ndim - 1] : 0; }
};

// A reduction of x: `results` of them, each of `elements`.
struct Plan {
  Dims results, to, elements;  // the results' places in x and in y; an element's, from its result's on
};

// Dimensions by falling stride in x, those of size 1 left out, and neighbours joined where both views allow it.
void add_sorted(Dims& dims, Dims& others, int64_t size, int64_t stride, int64_t other_stride) {
  const auto magnitude = [](int64_t s) { return s < 0 ? -s : s; };
  int at = dims.ndim++;
  for (; at > 0 && magnitude(dims.strides[at - 1]) < magnitude(stride); --at) {
    dims.shape[at] = dims.shape[at - 1], dims.strides[at] = dims.strides[at - 1];
    others.strides[at] = others.strides[at - 1];
  }
  dims.shape[at] = size, dims.strides[at] = stride, others.strides[at] = other_stride;
}
void join(Dims& dims, Dims& others) {
  int last = 0;
  for (int d = 1; d < dims.ndim; ++d) {
    if (dims.strides[last] == dims.strides[d] * dims.shape[d] &&
        others.strides[last] == others.strides[d] * dims.shape[d]) {
      dims.shape[last] *= dims.shape[d];
    } else {
      dims.shape[++last] = dims.shape[d];
    }
    dims.strides[last] = dims.strides[d], others.strides[last] = others.strides[d];
  }
  dims.ndim = others.ndim = std::min(dims.ndim, last + 1);
  for (int d = 0; d < dims.ndim; ++d) {
    others.shape[d] = dims.shape[d];
    dims.count *= dims.shape[d], others.count *= dims.shape[d];
  }
}

Plan plan_of(const View& x, const View& y) {
  Plan plan;
  Dims unused;
  for (int d = 0; d < x.ndim; ++d) {
    if (x.shape[d] == 1) continue;
    if (y.strides[d] == 0)
      add_sorted(plan.elements, unused, x.shape[d], x.strides[d], 0);
    else
      add_sorted(plan.results, plan.to, x.shape[d], x.strides[d], y.strides[d]);
  }
  join(plan.elements, unused);
  join(plan.results, plan.to);
  return plan;
}

// What a reduction begins with, and what joins the partial results of one.
template <Reduce op, class T>
__device__ Compute<T> start() {
  if constexpr (std::is_integral_v<T> && op == Reduce::max)
    return std::numeric_limits<T>::lowest();
  else if constexpr (std::is_integral_v<T> && op == Reduce::min)
    return std::numeric_limits<T>::max();
  else
    return Compute<T>(identity<op>());
}
template <Reduce op>
struct Combine {
  template <class V>
  __device__ V operator()(V a, V b) const {
    return combine<op>(a, b);
  }
};

// How many elements a thread loads at a time: of bytes, of which there are seldom many, one.
template <class T>
inline constexpr int pack_of = sizeof(T) == 1 ? 1 : pack_width<T>;

// Where a launch leaves its results: in y, or as one of `parts` partial results.
template <class T>
struct Target {
  T* y;
  Compute<T>* partial;    // null: y
  int64_t parts, length;  // a part has so many elements
};

// Each `lanes` threads reduce a part of a result, with independent sums for what a thread loads at a time.
template <Reduce op, class From, class T, int lanes>
__global__ void __launch_bounds__(RowShape<lanes, 1>::threads)
    reduce_rows(const From* x, Plan plan, Target<T> target, bool packed) {
  using C = Compute<T>;
  constexpr int pack = pack_of<From>, width = pack < 4 ? 4 : pack;
  SIMT_SHARED(C, partial, [warp_size]);
  const int lane = int(threadIdx.x) % lanes;
  const int64_t group = int64_t(blockIdx.x) * RowShape<lanes, 1>::rows + int(threadIdx.x) / lanes;
  const int64_t result = group / target.parts, part = group % target.parts;
  const bool present = result < plan.results.count;
  const int64_t begin = part * target.length;
  const int64_t end = present ? min(begin + target.length, plan.elements.count) : 0;
  const From* from = present ? x + plan.results.at(result) : x;
  C sums[width];
  SIMT_UNROLL
  for (int j = 0; j < width; ++j) sums[j] = start<op, From>();
  if (packed) {
    for (int64_t i = begin + int64_t(lane) * pack; i < end; i += lanes * pack) {
      Compute<From> v[pack];
      load_values(from + plan.elements.at(i), v);
      SIMT_UNROLL
      for (int j = 0; j < pack; ++j) sums[j] = absorb<op>(sums[j], v[j]);
    }
  } else {
    for (int64_t i = begin + lane; i < end; i += int64_t(lanes) * width) {
      SIMT_UNROLL
      for (int j = 0; j < width; ++j) {
        const int64_t at = i + j * lanes;
        if (at < end) sums[j] = absorb<op>(sums[j], Compute<From>(from[plan.elements.at(at)]));
      }
    }
  }
  SIMT_UNROLL
  for (int j = 1; j < width; ++j) sums[0] = combine<op>(sums[0], sums[j]);
  const C total = combine_lanes<lanes>(sums[0], Combine<op>(), partial);
  if (lane == 0 && present) {
    if (target.partial)
      target.partial[group] = total;
    else
      target.y[plan.to.at(result)] = convert<T>(total);
  }
}

// A block reduces the columns of a warp, one or a pack for each lane; its warps share the rows of part blockIdx.y.
constexpr int column_warps = 8;
template <Reduce op, class From, class T, int width>
__global__ void __launch_bounds__(column_warps* warp_size)
    reduce_columns(const From* x, Plan plan, Target<T> target) {
  using C = Compute<T>;
  constexpr int ahead = 4;  // loads on their way at a time
  SIMT_SHARED(C, all, [width][column_warps][warp_size]);
  const int lane = int(threadIdx.x), warp = int(threadIdx.y);
  const int64_t result = (int64_t(blockIdx.x) * warp_size + lane) * width, begin = blockIdx.y * target.length;
  const bool present = result < plan.results.count;
  const int64_t end = present ? min(begin + target.length, plan.elements.count) : 0;
  const From* from = present ? x + plan.results.at(result) : x;
  C sums[width];
  SIMT_UNROLL
  for (int j = 0; j < width; ++j) sums[j] = start<op, From>();
  int64_t i = begin + warp;
  for (; i + (ahead - 1) * column_warps < end; i += ahead * column_warps) {
    C v[ahead][width];
    SIMT_UNROLL
    for (int k = 0; k < ahead; ++k) load_values(from + plan.elements.at(i + k * column_warps), v[k]);
    SIMT_UNROLL
    for (int k = 0; k < ahead; ++k) {
      SIMT_UNROLL
      for (int j = 0; j < width; ++j) sums[j] = absorb<op>(sums[j], v[k][j]);
    }
  }
  for (; i < end; i += column_warps) {
    C v[width];
    load_values(from + plan.elements.at(i), v);
    SIMT_UNROLL
    for (int j = 0; j < width; ++j) sums[j] = absorb<op>(sums[j], v[j]);
  }
  SIMT_UNROLL
  for (int j = 0; j < width; ++j) all[j][warp][lane] = sums[j];
  __syncthreads();
  for (int j = warp; present && j < width; j += column_warps) {
    C total = all[j][0][lane];
    for (int w = 1; w < column_warps; ++w) total = combine<op>(total, all[j][w][lane]);
    if (target.partial)
      target.partial[blockIdx.y * plan.results.count + result + j] = total;
    else
      target.y[plan.to.at(result + j)] = convert<T>(total);
  }
}

// Whether packs may be loaded along the last of these dimensions, the others and `more` being wherever they are.
template <class T>
bool can_pack(const T* x, const Dims& along, const Dims& more) {
  const auto whole = [](int64_t n) { return n % pack_of<T> == 0; };
  bool packs = pack_of<T> > 1 && is_aligned(x) && along.ndim > 0 && along.inner_stride() == 1 && whole(along.inner());
  for (int d = 0; d < along.ndim - 1; ++d) packs = packs && whole(along.strides[d]);
  for (int d = 0; d < more.ndim; ++d) packs = packs && whole(more.strides[d]);
  return packs;
}

// The partial results, (results, parts) or (parts, results), as what is to be reduced next.
Plan plan_of_partial(const Plan& plan, int64_t parts, bool parts_inside) {
  Plan next;
  next.to = next.results = plan.to;
  int64_t step = parts_inside ? parts : 1;
  for (int d = plan.to.ndim - 1; d >= 0; --d) {
    next.results.strides[d] = step;
    step *= plan.to.shape[d];
  }
  next.elements.ndim = 1;
  next.elements.count = next.elements.shape[0] = parts;
  next.elements.strides[0] = parts_inside ? 1 : plan.results.count;
  return next;
}

template <Reduce op, class From, class T>
void reduce_by(const From* x, const Plan& plan, T* y) {
  constexpr int pack = pack_of<From>;
  constexpr Reduce joining = op == Reduce::sum_squares ? Reduce::sum : op;
  const int64_t results = plan.results.count, elements = plan.elements.count;
  if (results == 0) return;
  const int64_t blocks = 8 * device_limits().multiprocessors;  // as many as can run at a time
  const auto next = [&](const Scratch<Compute<T>>& partial, int64_t parts, bool parts_inside) {
    reduce_by<joining>(partial.data(), plan_of_partial(plan, parts, parts_inside), y);
  };
  // Down columns if neighbours are beside each other, or so short that a thread's own share a line of the cache.
  const bool beside =
      plan.results.inner() >= 8 && plan.results.inner_stride() == 1 && plan.elements.inner_stride() != 1;
  if (beside || elements <= 8) {
    const bool packed = can_pack(x, plan.results, plan.elements);
    const int64_t across = div_up(results, warp_size * (packed ? pack : 1));
    // At most 256 parts, which one more launch reduces without dividing them again.
    const int64_t most = elements > 256 ? std::min<int64_t>(div_up(elements, 64), 256) : 1;
    const int64_t wanted = std::min(div_up(blocks, across), most);
    const int64_t length = std::max<int64_t>(div_up(elements, std::max<int64_t>(wanted, 1)), 1);
    const int64_t parts = std::max<int64_t>(div_up(elements, length), 1);
    const Scratch<Compute<T>> partial(parts > 1 ? parts * results : 0);
    const Target<T> target{y, parts > 1 ? partial.data() : nullptr, parts, length};
    const dim3 grid{unsigned(across), unsigned(parts)}, block{warp_size, column_warps};
    if (pack > 1 && packed)
      launch(reduce_columns<op, From, T, pack>, grid, block, 0, x, plan, target);
    else
      launch(reduce_columns<op, From, T, 1>, grid, block, 0, x, plan, target);
    if (parts > 1) next(partial, parts, false);
  } else {
    const bool packed = can_pack(x, plan.elements, plan.results);
    constexpr int step = 256 * std::max(pack, 4);
    const int64_t wanted = std::max<int64_t>(std::min(blocks / results, div_up(elements, 4 * step)), 1);
    const int64_t length = div_up(div_up(elements, wanted), step) * step, parts = div_up(elements, length);
    const Scratch<Compute<T>> partial(parts > 1 ? parts * results : 0);
    const Target<T> target{y, parts > 1 ? partial.data() : nullptr, parts, length};
    if (elements <= 1024)
      launch(reduce_rows<op, From, T, warp_size>, unsigned(RowShape<warp_size, 1>::blocks(results * parts)),
             RowShape<warp_size, 1>::threads, 0, x, plan, target, packed);
    else
      launch(reduce_rows<op, From, T, 256>, unsigned(results * parts), 256, 0, x, plan, target, packed);
    if (parts > 1) next(partial, parts, true);
  }
}

template <class T>
void reduce(Reduce op, const View& x, const View& y) {
  const Plan plan = plan_of(x, y);
  const T* from = static_cast<const T*>(x.data);
  T* to = static_cast<T*>(y.data);
  switch (op) {
    case Reduce::sum: return reduce_by<Reduce::sum>(from, plan, to);
    case Reduce::prod: return reduce_by<Reduce::prod>(from, plan, to);
    case Reduce::max: return reduce_by<Reduce::max>(from, plan, to);
    case Reduce::min: return reduce_by<Reduce::min>(from, plan, to);
    case Reduce::sum_squares: return reduce_by<Reduce::sum_squares>(from, plan, to);
    case Reduce::count_: return;
  }
}

}  // namespace

void fill_reduce(KernelTable& table, DType dtype) {
  const auto fill = [&]<class T>(T) {
    table.reduce = reduce<T>;
    table.arg_reduce = arg_reduce<T>;
    if constexpr (!std::is_same_v<T, bool>) table.cumsum = cumsum<T>;
    if constexpr (!std::is_same_v<T, bf16>) table.sort = sort<T>;
  };
  switch (dtype) {
    case DType::float32: return fill(float());
    case DType::float64: return fill(double());
    case DType::int64: return fill(int64_t());
    case DType::boolean: return fill(bool());
    case DType::uint8: return fill(uint8_t());
    case DType::bfloat16: return fill(bf16());
  }
}

}  // namespace gradus::cuda
