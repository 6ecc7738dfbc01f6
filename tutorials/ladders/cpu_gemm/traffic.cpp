// The rungs' own files, compiled once more with a float that reports what is read and written.
#include "tutorials/ladders/cpu_gemm/traffic.h"

#include <vector>

#include "tensor/allocator.h"
#include "tensor/error.h"
#include "tensor/kernels/cpu/threads.h"
#include "tutorials/ladders/cpu_gemm/gemm.h"

namespace gradus::ladder {
namespace {

using Number = Traced<float>;

// The matrices and what a rung allocates, one after the other.
class Memory {
 public:
  explicit Memory(size_t bytes) : bytes_(bytes) {}
  void* take(size_t bytes) {
    const size_t at = used_;
    used_ += (bytes + size_t(line_bytes) - 1) / size_t(line_bytes) * size_t(line_bytes);
    check(used_ <= bytes_.size(), "trace: a rung allocates more than was thought");
    return bytes_.data() + at;
  }
  const void* begin() const { return bytes_.data(); }
  size_t size() const { return bytes_.size(); }

 private:
  std::vector<char> bytes_;
  size_t used_ = 0;
};
thread_local Memory* memory = nullptr;

// What 4_packed.inl takes for the library's.
void* allocate(size_t bytes) { return memory->take(bytes); }
void deallocate(void*, size_t) {}

// clang-format off
//! [again]
#define float Number
namespace one {
#include "tutorials/ladders/cpu_gemm/1_naive.cpp"
}
namespace two {
#include "tutorials/ladders/cpu_gemm/2_reordered.cpp"
}
namespace three {
#include "tutorials/ladders/cpu_gemm/3_blocked.cpp"
}
namespace four {
#include "tutorials/ladders/cpu_gemm/4_packed.cpp"
}
//! [again]
namespace five {

constexpr int64_t tile_rows = 12, tile_columns = 32;

// The sums of 5_vectorised.inl, without vectors.
void add_tile(int64_t steps, const float* a, const float* b, float* c, int64_t c_row) {
  float sum[tile_rows][tile_columns] = {};
  for (int64_t p = 0; p < steps; ++p, a += tile_rows, b += tile_columns) {
    for (int64_t i = 0; i < tile_rows; ++i) {
      for (int64_t j = 0; j < tile_columns; ++j) sum[i][j] += a[i] * b[j];
    }
  }
  for (int64_t i = 0; i < tile_rows; ++i) {
    for (int64_t j = 0; j < tile_columns; ++j) c[i * c_row + j] += sum[i][j];
  }
}

#include "tutorials/ladders/cpu_gemm/4_packed.inl"

}
#undef float
// clang-format on

using TracedGemm = void(int64_t m, int64_t n, int64_t k, const Number* a, const Number* b, Number* c);
constexpr TracedGemm* rung_functions[traced_rungs] = {one::gradus::ladder::naive, two::gradus::ladder::reordered,
                                                      three::gradus::ladder::blocked, four::gradus::ladder::packed,
                                                      five::multiply};

}  // namespace

void trace(size_t rung, int64_t m, int64_t n, int64_t k, Cache& cache, bool with_stack) {
  const size_t a_bytes = size_t(m * k) * sizeof(Number), b_bytes = size_t(k * n) * sizeof(Number);
  const size_t c_bytes = size_t(m * n) * sizeof(Number), for_panels = size_t(2) << 20;
  Memory mine(a_bytes + b_bytes + c_bytes + for_panels + 4 * size_t(line_bytes));
  memory = &mine;
  const auto* a = static_cast<const Number*>(mine.take(a_bytes));
  const auto* b = static_cast<const Number*>(mine.take(b_bytes));
  auto* c = static_cast<Number*>(mine.take(c_bytes));
  {
    const Trace to_cache(cache, mine.begin(), mine.size(), with_stack);
    rung_functions[rung](m, n, k, a, b, c);
  }
  memory = nullptr;
}

Traffic count_traffic(size_t rung, int64_t m, int64_t n, int64_t k) {
  Cache second(second_cache / line_bytes, second_ways, line_bytes);
  Cache first(first_cache / line_bytes, first_ways, line_bytes, &second);
  trace(rung, m, n, k, first);
  first.flush();
  second.flush();
  return {2 * double(m) * double(n) * double(k), first.bytes(), second.bytes()};
}

std::array<Traffic, traced_rungs> count_traffic(int64_t m, int64_t n, int64_t k) {
  std::array<Traffic, traced_rungs> all;
  parallel_for(int64_t(traced_rungs), 1, [&](int64_t begin, int64_t end) {
    for (int64_t rung = begin; rung < end; ++rung) all[size_t(rung)] = count_traffic(size_t(rung), m, n, k);
  });
  return all;
}

}  // namespace gradus::ladder
