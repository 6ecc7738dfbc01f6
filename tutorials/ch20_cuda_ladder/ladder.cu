// The rungs of the CUDA ladder, counted: the same files as ./run ladder cuda_matmul times on a GPU, compiled a second
// time with a float that tells of its reads and writes.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "tensor/error.h"
#include "tensor/kernels/cuda/runtime.h"
#include "tutorials/ladders/cuda/emu/accesses.h"
#include "tutorials/ladders/cuda_matmul/gemm.h"

using gradus::ladder::make_word4;
using gradus::ladder::Word;
using gradus::ladder::Word4;

#define float Word
#define float4 Word4
#define make_float4 make_word4
#define cp_async counted_cp_async
#include "tutorials/ladders/cuda_matmul/tile.h"

#define RUNG(name)                       \
  namespace name::gradus {               \
  namespace cuda = ::gradus::cuda;       \
  namespace cuda_ladder {                \
  using namespace ::gradus::cuda_ladder; \
  }                                      \
  }
RUNG(one)
RUNG(two)
RUNG(three)
RUNG(four)
RUNG(five)
RUNG(six)
namespace one {
#include "tutorials/ladders/cuda_matmul/1_naive.cu"
}
namespace two {
#include "tutorials/ladders/cuda_matmul/2_coalesced.cu"
}
namespace three {
#include "tutorials/ladders/cuda_matmul/3_shared.cu"
}
namespace four {
#include "tutorials/ladders/cuda_matmul/4_registers.cu"
}
namespace five {
#include "tutorials/ladders/cuda_matmul/5_vectorised.cu"
}
namespace six {
#include "tutorials/ladders/cuda_matmul/6_async.cu"
}
#undef float
#undef float4
#undef make_float4
#undef cp_async

namespace {

using gradus::check;
using gradus::ladder::AccessCounter;
using gradus::ladder::Accesses;
namespace cuda = gradus::cuda;

using Gemm = void(int64_t m, int64_t n, int64_t k, const Word* a, const Word* b, Word* c);
struct Rung {
  const char* name;
  Gemm* gemm;
};
const Rung rungs[] = {
    {"naive", one::gradus::cuda_ladder::naive},
    {"coalesced", two::gradus::cuda_ladder::coalesced},
    {"shared", three::gradus::cuda_ladder::shared},
    {"registers", four::gradus::cuda_ladder::registers},
    {"vectorised", five::gradus::cuda_ladder::vectorised},
    {"async", six::gradus::cuda_ladder::async},
};

// Square matrices of small whole numbers, whose sums are exact.
class Matrix {
 public:
  Matrix(int64_t size, int modulus) : bytes_(size_t(size * size) * 4), data_(cuda::allocate(bytes_)) {
    for (int64_t i = 0; i < size * size; ++i) numbers_.push_back(float(i % modulus - modulus / 2));
    cuda::copy_to_device(data_, numbers_.data(), bytes_);
  }
  ~Matrix() { cuda::deallocate(data_, bytes_); }
  Matrix(const Matrix&) = delete;
  Matrix& operator=(const Matrix&) = delete;
  Word* data() const { return static_cast<Word*>(data_); }
  size_t bytes() const { return bytes_; }
  const std::vector<float>& numbers() const { return numbers_; }
  std::vector<float> from_device() const {
    std::vector<float> numbers(numbers_.size());
    cuda::copy_to_host(numbers.data(), data_, bytes_);
    return numbers;
  }

 private:
  size_t bytes_;
  void* data_;
  std::vector<float> numbers_;
};

Accesses count(const Rung& rung, int64_t n) {
  const Matrix a(n, 7), b(n, 11), c(n, 2);
  AccessCounter counter;
  for (const Matrix* matrix : {&a, &b}) counter.watch(matrix->data(), matrix->bytes());  // C is written but once
  rung.gemm(n, n, n, a.data(), b.data(), c.data());
  cuda::synchronize();
  const std::vector<float> got = c.from_device();
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      float sum = 0;
      for (int64_t p = 0; p < n; ++p) sum += a.numbers()[size_t(i * n + p)] * b.numbers()[size_t(p * n + j)];
      check(got[size_t(i * n + j)] == sum, rung.name, " is wrong at (", i, ", ", j, ")");
    }
  }
  return counter.counted();
}

}  // namespace

int main() {
  constexpr int64_t n = 128;                    // no tile has an edge
  const double steps = double(n * n * n) / 32;  // multiply-adds of warps
  std::vector<Accesses> all;
  for (const Rung& rung : rungs) all.push_back(count(rung, n));

  std::printf("%d x %d x %d: A and B are read\n", int(n), int(n), int(n));
  std::printf("            requests    transactions     operations per byte\n");
  std::printf("rung        of warps   all  a request   as asked for   each once for a block\n");
  for (size_t r = 0; r < all.size(); ++r) {
    const Accesses& a = all[r];
    const double operations = 64 * steps, sectors = double(a.sectors);
    std::printf("%-10s %9d %7d %8.1f %14.2f %14.2f\n", rungs[r].name, int(a.requests), int(a.sectors),
                sectors / double(a.requests), operations / (32 * sectors), operations / double(32 * a.block_sectors));
  }

  std::printf("\nfor 64 multiply-adds of a warp, which take 16 cycles\n");
  std::printf("rung       instructions   cycles of the   share of the peak\n");
  std::printf("           for memory     load units      at most\n");
  std::vector<double> share;
  for (size_t r = 0; r < all.size(); ++r) {
    const Accesses& a = all[r];
    const double instructions = double(a.requests + a.shared_requests) / steps;
    const double cycles = double(a.lines + a.shared_cycles) / steps;
    share.push_back(std::min(1 / (1 + instructions), 0.25 / std::max(cycles, 0.25)));
    std::printf("%-10s %12.1f %15.1f %16.1f%%\n", rungs[r].name, 64 * instructions, 64 * cycles, 100 * share.back());
  }
  check(all[0].sectors > 6 * all[1].sectors, "coalesced should take far fewer transactions than naive");
  check(all[2].sectors < all[1].sectors / 15, "shared should take far fewer transactions than coalesced");
  check(share[3] > 5 * share[2], "registers should allow for far more than shared");
  check(share[5] > 0.9, "async should allow for nearly the peak");
}
