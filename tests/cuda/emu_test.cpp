// The emulator itself: that what CUDA promises holds in every order of blocks and threads, and that each kind of
// mistake is reported where it is. Mistakes in memory accesses need the checker, a build of its own.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "tensor/kernels/cuda/simt.h"

#include "tensor/kernels/cuda/emu/check.h"
#include "tensor/kernels/cuda/emu/memory.h"
#include "tests/paths.h"

namespace {

using emu::Order;

template <class T>
class Buffer {
 public:
  explicit Buffer(size_t count) : count_(count) { EXPECT_EQ(cudaMalloc(&data_, count * sizeof(T)), cudaSuccess); }
  explicit Buffer(const std::vector<T>& host) : Buffer(host.size()) {
    EXPECT_EQ(cudaMemcpy(data_, host.data(), count_ * sizeof(T), cudaMemcpyHostToDevice), cudaSuccess);
  }
  ~Buffer() { cudaFree(data_); }
  operator T*() const { return data_; }
  std::vector<T> host() const {
    std::vector<T> result(count_);
    EXPECT_EQ(cudaMemcpy(result.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost), cudaSuccess);
    return result;
  }

 private:
  T* data_ = nullptr;
  size_t count_;
};

template <class... P>
void start(void (*kernel)(P...), dim3 blocks, dim3 threads, size_t shared_bytes,
           std::type_identity_t<P>... arguments) {
  emu::launch(kernel, blocks, threads, shared_bytes, nullptr, arguments...);
}

struct Schedule {
  Order order;
  uint64_t seed;
};
void PrintTo(const Schedule& s, std::ostream* out) {
  *out << (s.order == Order::forward ? "forward" : s.order == Order::reverse ? "reverse" : "random") << s.seed;
}

class Emulator : public testing::TestWithParam<Schedule> {
 protected:
  Emulator() : before_(emu::options()) {
    emu::options().order = GetParam().order;
    emu::options().seed = GetParam().seed;
  }
  ~Emulator() override {
    EXPECT_EQ(emu::take_report(), "");
    emu::options() = before_;
  }
  // The report since the last one names the kernel and its line marked "FAULT", unless it is about all of the kernel,
  // and says this.
  static void expect_report(const std::string& kernel, const std::string& what, bool has_line = true) {
    const std::string report = emu::take_report();
    const std::string place = has_line ? place_of("FAULT", kernel) + ": " : "";
    EXPECT_NE(report.find(kernel + ": " + place), std::string::npos) << report;
    EXPECT_NE(report.find(what), std::string::npos) << report;
  }

  // "FILE:LINE" of the first line with this text behind the beginning of the kernel.
  static std::string place_of(const std::string& text, const std::string& kernel) {
    std::ifstream file(gradus::testing::source_dir() + "/tests/cuda/emu_test.cpp");
    std::string line;
    bool inside = false;
    for (int number = 1; std::getline(file, line); ++number) {
      inside = inside || (line.find("__global__") == 0 && line.find(kernel + "(") != std::string::npos);
      if (inside && line.find(text) != std::string::npos) return "emu_test.cpp:" + std::to_string(number);
    }
    ADD_FAILURE() << "no " << text << " in " << kernel;
    return "";
  }

 private:
  const emu::Options before_;
};
INSTANTIATE_TEST_SUITE_P(Orders, Emulator,
                         testing::Values(Schedule{Order::forward, 1}, Schedule{Order::reverse, 1},
                                         Schedule{Order::random, 1}, Schedule{Order::random, 2},
                                         Schedule{Order::random, 3}),
                         testing::PrintToStringParamName());

#define NEEDS_CHECKER() \
  if (!emu::check::compiled_in) GTEST_SKIP() << "built without the checker"

// --- what holds ----------------------------------------------------------------------------------------------------

__global__ void indices_kernel(int* seen) {
  const dim3 g = gridDim, b = blockDim;
  const unsigned block = (blockIdx.z * g.y + blockIdx.y) * g.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * b.y + threadIdx.y) * b.x + threadIdx.x;
  atomicAdd(seen + block * b.x * b.y * b.z + thread, int(emu::lane == thread % 32));
}
TEST_P(Emulator, EachThreadOfEachBlockRunsOnce) {
  const Buffer<int> seen(std::vector<int>(24 * 105, 0));
  start(indices_kernel, dim3(2, 3, 4), dim3(3, 5, 7), 0, seen);
  EXPECT_EQ(seen.host(), std::vector<int>(24 * 105, 1));
}

__global__ void sum_kernel(const float* x, float* sums) {
  SIMT_SHARED(float, of_warp, [8]);
  SIMT_DYNAMIC_SHARED(float, values);
  values[threadIdx.x] = x[blockIdx.x * blockDim.x + threadIdx.x];
  __syncthreads();
  float sum = values[blockDim.x - 1 - threadIdx.x];
  for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, distance);
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int warp = 1; warp < 8; ++warp) sum += of_warp[warp];
  sums[blockIdx.x] = sum;
}
TEST_P(Emulator, SharedMemoryBelongsToTheBlock) {
  std::vector<float> x(100 * 256), expected(100, 0);
  for (size_t i = 0; i < x.size(); ++i) expected[i / 256] += x[i] = float(i % 1000);
  const Buffer<float> device(x), sums(100);
  start(sum_kernel, 100, 256, 256 * sizeof(float), device, sums);
  EXPECT_EQ(sums.host(), expected);
}

__global__ void barriers_kernel(int* y) {
  const int t = int(threadIdx.x), n = int(blockDim.x);
  const int count = __syncthreads_count(t % 3 == 0), all = __syncthreads_and(t < n),
            none = __syncthreads_and(t < n - 1);
  const int some = __syncthreads_or(t == 5), nobody = __syncthreads_or(t == n);
  if (t >= n / 2) return;  // those that have returned are not waited for
  y[t] = count * 10000 + all * 1000 + none * 100 + some * 10 + nobody + 100000 * __syncthreads_count(1);
}
TEST_P(Emulator, BarriersCountTheirVotes) {
  const Buffer<int> y(50);
  start(barriers_kernel, 1, 100, 0, y);
  EXPECT_EQ(y.host(), std::vector<int>(50, 50 * 100000 + 34 * 10000 + 1010));
}

__global__ void shuffles_kernel(int* y) {
  const int t = int(threadIdx.x);
  const unsigned whole = 0xffffffffu;
  int* mine = y + 10 * t;
  mine[0] = __shfl_sync(whole, t, 7);
  mine[1] = __shfl_sync(whole, t, 9, 8);
  mine[2] = __shfl_up_sync(whole, t, 3);
  mine[3] = __shfl_down_sync(whole, t, 3, 16);
  mine[4] = __shfl_xor_sync(whole, t, 5);
  mine[5] = int(__shfl_xor_sync(whole, double(t), 1) * 2);
  mine[6] = t < 16 ? int(__ballot_sync(0xffffu, t & 1)) : int(__ballot_sync(0xffff0000u, t & 2));
  mine[7] = __any_sync(whole, t == 31) + 2 * __any_sync(whole, t == 32) + 4 * __all_sync(whole, t >= 0) +
            8 * __all_sync(whole, t > 0);
  int same = 0;
  mine[8] = int(__match_any_sync(whole, t / 10)) + (__match_all_sync(whole, 3, &same) == whole && same ? 0 : 1);
  mine[9] = __reduce_add_sync(whole, t) + __reduce_max_sync(whole, t) * 1000 +
            __reduce_min_sync(whole, t + 2) * 100000 + int(__reduce_xor_sync(whole, unsigned(t)));
}
TEST_P(Emulator, LanesExchangeValues) {
  const Buffer<int> y(320);
  start(shuffles_kernel, 1, 32, 0, y);
  const std::vector<int> host = y.host();
  for (int t = 0; t < 32; ++t) {
    const std::vector<int> mine(host.begin() + 10 * t, host.begin() + 10 * t + 10);
    const unsigned groups[] = {0x3ffu, 0x3ffu << 10, 0x3ffu << 20, 3u << 30};
    EXPECT_EQ(mine,
              (std::vector<int>{7, t / 8 * 8 + 1, t < 3 ? t : t - 3, t % 16 + 3 < 16 ? t + 3 : t, t ^ 5, 2 * (t ^ 1),
                                int(t < 16 ? 0xaaaau : 0xcccc0000u), 5, int(groups[t / 10]), 496 + 31000 + 200000}));
  }
}

template <class T>
__global__ void add_kernel(T* sum) {
  atomicAdd(sum, T(1));
}
template <class T>
void expect_sum() {
  const Buffer<T> sum(std::vector<T>{T(0)});
  start(add_kernel<T>, 4, 50, 0, sum);
  EXPECT_EQ(float(sum.host()[0]), 200.0f);
}
__global__ void atomics_kernel(unsigned* u, int* i, unsigned long long* l) {
  const int t = int(threadIdx.x);
  atomicMax(i, t), atomicMin(i + 1, t), atomicSub(i + 2, 2);
  atomicOr(u, 1u << t % 32), atomicAnd(u + 1, ~(1u << t % 16)), atomicXor(u + 2, 1u << t % 32), atomicInc(u + 3, 9);
  atomicDec(u + 4, 9), atomicMax(l, 1ull << t % 60);
  atomicExch(u + 5, 7u);
  if (t == 3) atomicCAS(u + 6, 5u, 6u);
}
__global__ void pair_kernel(__nv_bfloat162* p) { atomicAdd(p, __nv_bfloat162{1.0f, 2.0f}); }
TEST_P(Emulator, AtomicsLoseNothing) {
  expect_sum<int>();
  expect_sum<unsigned>();
  expect_sum<unsigned long long>();
  expect_sum<float>();
  expect_sum<double>();
  expect_sum<__half>();
  expect_sum<__nv_bfloat16>();
  const Buffer<unsigned> u(std::vector<unsigned>{0, ~0u, 0, 0, 0, 0, 5});
  const Buffer<int> i(std::vector<int>{-1, 1000, 0});
  const Buffer<unsigned long long> l(std::vector<unsigned long long>{0});
  start(atomics_kernel, 1, 64, 0, u, i, l);
  EXPECT_EQ(u.host(), (std::vector<unsigned>{~0u, 0xffff0000u, 0, 4, 6, 7, 6}));
  EXPECT_EQ(i.host(), (std::vector<int>{63, 0, -128}));
  EXPECT_EQ(l.host()[0], 1ull << 59);
  const Buffer<__nv_bfloat162> pair(std::vector<__nv_bfloat162>{{0.0f, 0.0f}});
  start(pair_kernel, 2, 32, 0, pair);
  EXPECT_EQ(float(pair.host()[0].x), 64.0f);
  EXPECT_EQ(float(pair.host()[0].y), 128.0f);
}

// All threads want one lock; threads that spin let the one that holds it get on.
__global__ void lock_kernel(int* lock, int* counter) {
  while (atomicCAS(lock, 0, 1) != 0) {
  }
  __threadfence();
  const int before = atomicAdd(counter, 0);
  __nanosleep(100);
  atomicExch(counter, before + 1);
  __threadfence();
  atomicExch(lock, 0);
}
TEST_P(Emulator, SpinningThreadsLetOthersGetOn) {
  const Buffer<int> lock(std::vector<int>{0}), counter(std::vector<int>{0});
  start(lock_kernel, 3, 40, 0, lock, counter);
  EXPECT_EQ(counter.host()[0], 120);
}

template <class T, class Element, int M, int N, int K>
__global__ void wmma_kernel(const Element* a, const Element* b, float* c) {
  using namespace nvcuda::wmma;
  fragment<matrix_a, M, N, K, T, row_major> left;
  fragment<matrix_b, M, N, K, T, col_major> right;
  fragment<accumulator, M, N, K, float> sum;
  fill_fragment(sum, 1.0f);
  load_matrix_sync(left, a, K);
  load_matrix_sync(right, b, K);
  mma_sync(sum, left, right, sum);
  store_matrix_sync(c, sum, N, mem_row_major);
}
template <class T, class Element, int M, int N, int K>
void expect_product() {
  std::vector<Element> a, b;
  for (int i = 0; i < M * K; ++i) a.push_back(Element(float(i % 7 - 3)));
  for (int i = 0; i < N * K; ++i) b.push_back(Element(float(i % 5 - 2) / 4));
  std::vector<float> expected;
  for (int m = 0; m < M; ++m)
    for (int n = 0; n < N; ++n) {
      float sum = 1;
      for (int k = 0; k < K; ++k) sum += float(a[size_t(m * K + k)]) * float(b[size_t(n * K + k)]);
      expected.push_back(sum);
    }
  const Buffer<Element> left(a), right(b);
  const Buffer<float> c(M * N);
  start(wmma_kernel<T, Element, M, N, K>, 1, 32, 0, left, right, c);
  EXPECT_EQ(c.host(), expected);
}
TEST_P(Emulator, FragmentsMultiply) {
  expect_product<__half, __half, 16, 16, 16>();
  expect_product<__nv_bfloat16, __nv_bfloat16, 16, 16, 16>();
  expect_product<__half, __half, 32, 8, 16>();
  expect_product<nvcuda::wmma::precision::tf32, float, 16, 16, 8>();
}

// The PTX ISA's figures, by hand: b is the unit matrix, so a comes out.
__global__ void mma_kernel(const __nv_bfloat16* a, float* c) {
  SIMT_SHARED(__nv_bfloat16, tile, [16][16]);
  const int t = int(threadIdx.x);
  simt::cp_async16(&tile[t / 2][t % 2 * 8], a + t / 2 * 16 + t % 2 * 8);
  simt::cp_async_commit();
  simt::cp_async_wait<0>();
  __syncwarp();
  uint32_t registers[4];
  simt::ldmatrix_x4(registers, &tile[t % 16][t / 16 * 8]);
  const auto unit = [&](int k, int n) { return k == n ? 1.0f : 0.0f; };
  for (int half = 0; half < 2; ++half) {  // of the 16 columns
    uint32_t b[2];
    for (int i = 0; i < 2; ++i) {
      const int k = t % 4 * 2 + i * 8, n = t / 4 + half * 8;
      b[i] = simt::pack_bf16(unit(k, n), unit(k + 1, n));
    }
    float d[4] = {};
    simt::mma_m16n8k16_bf16(d, registers, b);
    for (int i = 0; i < 4; ++i) c[(t / 4 + i / 2 * 8) * 16 + half * 8 + t % 4 * 2 + i % 2] = d[i];
  }
}
TEST_P(Emulator, MatrixInstructionsFollowTheFigures) {
  std::vector<__nv_bfloat16> a;
  std::vector<float> expected(256);
  std::iota(expected.begin(), expected.end(), 0.0f);
  for (float value : expected) a.push_back(value);
  const Buffer<__nv_bfloat16> device(a);
  const Buffer<float> c(256);
  start(mma_kernel, 1, 32, 0, device, c);
  EXPECT_EQ(c.host(), expected);
}

// What is copied arrives when it is waited for, group by group, and not before.
__global__ void async_kernel(const float* x, float* y) {
  SIMT_SHARED(float, tile, [3][4]);
  for (int i = 0; i < 3; ++i) {
    simt::cp_async<16>(tile[i], x + 4 * i, i == 1 ? 8 : 16);
    simt::cp_async_commit();
  }
  simt::cp_async_wait<1>();
  for (int i = 0; i < 8; ++i) y[i] = tile[i / 4][i % 4];
  if (!emu::check::compiled_in) y[8] = tile[2][0];
  simt::cp_async_wait<0>();
  for (int i = 9; i < 12; ++i) y[i] = tile[2][i - 8];
}
TEST_P(Emulator, AsynchronousCopiesArriveAtTheWait) {
  std::vector<float> x(12, 1.0f);
  std::iota(x.begin(), x.end(), 1.0f);
  const Buffer<float> device(x), y(12);
  start(async_kernel, 1, 1, 0, device, y);
  std::vector<float> result = y.host();
  EXPECT_TRUE(std::isnan(result[8])) << result[8];
  result[8] = 0;
  EXPECT_EQ(result, (std::vector<float>{1, 2, 3, 4, 5, 6, 0, 0, 0, 10, 11, 12}));
}

__global__ void denormal_kernel(float* y, float x) { y[blockIdx.x * blockDim.x + threadIdx.x] = x * 0.5f; }
TEST_P(Emulator, ArithmeticDoesNotDependOnTheMachineThread) {
  const Buffer<float> y(64 * 256);
  start(denormal_kernel, 64, 256, 0, y, 0x1p-126f);
  EXPECT_EQ(y.host(), std::vector<float>(64 * 256, 0x1p-127f));
}

// --- what is reported ----------------------------------------------------------------------------------------------

__global__ void divergent_kernel(int* y) {
  if (threadIdx.x < 32) {
    __syncthreads();  // FIRST
    *y = 1;
  } else {
    __syncthreads();  // SECOND
  }
}
TEST_P(Emulator, ReportsDivergentBarriers) {
  const Buffer<int> y(1);
  start(divergent_kernel, 1, 64, 0, y);
  const std::string report = emu::take_report();
  for (const char* line : {"FIRST", "SECOND"})
    EXPECT_NE(report.find(place_of(line, "divergent_kernel")), std::string::npos) << report;
  EXPECT_NE(report.find("divergent_kernel"), std::string::npos) << report;
  EXPECT_NE(report.find("divergent barriers"), std::string::npos) << report;
}

__global__ void deadlock_kernel() {
  if (threadIdx.x != 3)
    __syncthreads();
  else
    while (true) __nanosleep(10);
}
TEST_P(Emulator, ReportsDeadlocksAndGoesOn) {
  start(deadlock_kernel, 2, 40, 0);
  expect_report("deadlock_kernel", "thread (0, 0, 0) waits in __syncthreads at emu_test.cpp:", false);
  start(deadlock_kernel, 2, 40, 0);
  expect_report("deadlock_kernel", "thread (3, 0, 0) spins", false);
  const Buffer<int> y(50);  // the fibers of those that waited serve again
  start(barriers_kernel, 1, 100, 0, y);
}

__global__ void lost_lane_kernel(int* y) {
  if (threadIdx.x >= 20) return;
  y[threadIdx.x] = __shfl_sync(0xffffffffu, 1, 0);  // FAULT
}
TEST_P(Emulator, ReportsMasksThatNameLanesThatHaveReturned) {
  const Buffer<int> y(32);
  start(lost_lane_kernel, 1, 32, 0, y);
  expect_report("lost_lane_kernel", "__shfl_sync names in its mask a lane that has returned");
}

__global__ void outside_kernel(int* y) {
  if (threadIdx.x < 16) y[threadIdx.x] = __shfl_down_sync(0xffffu, 1, 1);  // FAULT
}
TEST_P(Emulator, ReportsShufflesFromLanesOutsideTheMask) {
  const Buffer<int> y(32);
  start(outside_kernel, 1, 32, 0, y);
  expect_report("outside_kernel", "reads a lane that is not in its mask: lane 16");
}

__global__ void foreign_mask_kernel() { __syncwarp(1u); }  // FAULT
__global__ void mixed_kernel(int* y) {
  if (threadIdx.x % 2 != 0)
    __syncwarp();
  else
    y[0] = __any_sync(0xffffffffu, 1);  // ANY
}
TEST_P(Emulator, ReportsWarpOperationsThatDoNotMatch) {
  start(foreign_mask_kernel, 1, 2, 0);
  expect_report("foreign_mask_kernel", "__syncwarp without its own lane in the mask");
  const Buffer<int> y(1);
  start(mixed_kernel, 1, 32, 0, y);
  expect_report("mixed_kernel", "__any_sync with mask 0xffffffff at " + place_of("ANY", "mixed_kernel"), false);
}

__global__ void unwaited_kernel(const float* x) {
  SIMT_SHARED(float, tile, [4]);
  simt::cp_async16(tile, x);  // FAULT
  simt::cp_async_commit();
}
TEST_P(Emulator, ReportsCopiesThatAreNeverWaitedFor) {
  const Buffer<float> x(4);
  start(unwaited_kernel, 1, 1, 0, x);
  expect_report("unwaited_kernel", "cp.async never waited for");
}

__global__ void large_kernel(float* y) {
  SIMT_SHARED(float, first, [8000]);
  SIMT_SHARED(float, second, [5000]);
  *y = first[0] + second[0];
}
__global__ void trap_kernel() { __trap(); }  // FAULT
TEST_P(Emulator, ReportsTooMuchSharedMemoryAndTraps) {
  const Buffer<float> y(1);
  start(large_kernel, 1, 1, 0, y);
  expect_report("large_kernel", "more than 49152 bytes of static shared memory: 52000 with second", false);
  start(trap_kernel, 1, 32, 0);
  expect_report("trap_kernel", "trap");
}

__global__ void touch_kernel(float* y, long index) { y[index] = 1; }  // FAULT
__global__ void write_all_kernel(float* y) { *y = 1; }                // FAULT
TEST_P(Emulator, CheckerReportsWhatIsOutOfBounds) {
  NEEDS_CHECKER();
  const Buffer<float> y(100), pinned_like(1);
  start(touch_kernel, 1, 1, 0, y, 99);
  start(touch_kernel, 1, 1, 0, y, 100);
  expect_report("touch_kernel", "out-of-bounds write: 4 bytes past the end of the 400 bytes of an allocation");
  start(touch_kernel, 1, 1, 0, y, -1);
  expect_report("touch_kernel", "");
  float host = 0;
  start(write_all_kernel, 1, 1, 0, &host);
  expect_report("write_all_kernel", "memory that is not the device's: a host pointer");
  start(write_all_kernel, 1, 1, 0, nullptr);
  expect_report("write_all_kernel", "a null pointer");
  float* pinned = nullptr;
  ASSERT_EQ(cudaMallocHost(reinterpret_cast<void**>(&pinned), 4), cudaSuccess);
  start(write_all_kernel, 1, 1, 0, pinned);
  EXPECT_EQ(*pinned, 1);
  cudaFreeHost(pinned);
}

TEST_P(Emulator, CheckerKnowsTheBlocksThatAllocatorsLend) {
  NEEDS_CHECKER();
  const Buffer<float> y(1000);
  emu::device_memory().lend(y + 100, 40);
  start(touch_kernel, 1, 1, 0, y + 100, 9);
  start(touch_kernel, 1, 1, 0, y + 100, 10);
  expect_report("touch_kernel", "4 bytes past the end of the 40 bytes", false);
  emu::device_memory().take_back(y + 100, 40);
  start(touch_kernel, 1, 1, 0, y + 100, 9);
  expect_report("touch_kernel", "memory that is not the device's", false);
}

// What is right must not be reported: lanes by lanes, blocks by blocks.
__global__ void ordered_kernel(float* y) {
  SIMT_SHARED(float, values, [64]);
  const unsigned t = threadIdx.x;
  values[t] = float(t);
  __syncwarp();
  float sum = values[t ^ 1];
  __syncwarp();
  values[t] = sum + values[t];
  if (t < 32) __syncwarp();
  if (t < 16) sum = values[t ^ 3], __syncwarp(0xffffu), values[t] = sum, __syncwarp(0xffffu), sum = values[15 - t];
  __syncthreads();
  y[blockIdx.x * 64 + t] = sum + values[63 - t];
}
// The last block to finish adds up what all have written.
__global__ void last_block_kernel(float* parts, int* finished, float* sum) {
  SIMT_SHARED(int, last, );
  parts[blockIdx.x * blockDim.x + threadIdx.x] = 1;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) last = atomicAdd(finished, 1) == int(gridDim.x) - 1;
  __syncthreads();
  if (!last || threadIdx.x != 0) return;
  *sum = 0;
  for (unsigned i = 0; i < gridDim.x * blockDim.x; ++i) *sum += parts[i];
}
TEST_P(Emulator, OrderedAccessesAreNoRaces) {
  const Buffer<float> y(640), sum(1);
  start(ordered_kernel, 10, 64, 0, y);
  const Buffer<int> finished(std::vector<int>{0});
  start(last_block_kernel, 10, 64, 0, y, finished, sum);
  EXPECT_EQ(sum.host()[0], 640);
}

__global__ void bytes_kernel(__nv_bfloat16* y, int shift) {
  SIMT_SHARED(unsigned char, flags, [64]);
  flags[threadIdx.x] = 1;
  y[threadIdx.x + shift * blockIdx.x] = float(flags[threadIdx.x]);  // FAULT
}
TEST_P(Emulator, CheckerTellsNeighbouringBytesApart) {
  NEEDS_CHECKER();
  const Buffer<__nv_bfloat16> y(129);
  start(bytes_kernel, 2, 64, 0, y, 64);
  EXPECT_EQ(emu::take_report(), "");
  start(bytes_kernel, 2, 64, 0, y, 63);
  expect_report("bytes_kernel", "data race in global memory, write against the write");
}

// --- the runtime ---------------------------------------------------------------------------------------------------

TEST(EmulatedRuntime, RefusesWhatTheDeviceCannotDo) {
  start(indices_kernel, 1, 1025, 0, nullptr);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  start(indices_kernel, dim3(1, 65536), 1, 0, nullptr);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  start(indices_kernel, 1, 1, emu::max_shared_bytes + 1, nullptr);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
  EXPECT_STREQ(cudaGetErrorString(cudaErrorMemoryAllocation), "out of memory");
  EXPECT_STREQ(cudaGetErrorName(cudaErrorMemoryAllocation), "cudaErrorMemoryAllocation");
  cudaDeviceProp properties;
  ASSERT_EQ(cudaGetDeviceProperties(&properties, 0), cudaSuccess);
  EXPECT_EQ(std::string(properties.name).substr(0, 8), "emulated");
  EXPECT_EQ(cudaGetDeviceProperties(&properties, 1), cudaErrorInvalidDevice);
}

TEST(EmulatedRuntime, MemoryIsLimitedAndCopiesAreChecked) {
  const size_t before = std::exchange(emu::options().memory, size_t(1) << 20);
  size_t free = 0, total = 0;
  ASSERT_EQ(cudaMemGetInfo(&free, &total), cudaSuccess);
  EXPECT_EQ(total, size_t(1) << 20);
  void *first = nullptr, *second = nullptr;
  EXPECT_EQ(cudaMalloc(&first, free - 100), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&second, 200), cudaErrorMemoryAllocation);
  EXPECT_EQ(second, nullptr);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  char host[8];
  EXPECT_EQ(cudaMemcpy(host, first, 8, cudaMemcpyDeviceToHost), cudaSuccess);
  EXPECT_EQ(host[3], char(0xff));
  EXPECT_EQ(cudaMemcpy(host, first, 8, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemset(static_cast<char*>(first) + free - 104, 0, 8), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(first), cudaSuccess);
  EXPECT_EQ(cudaFree(first), cudaErrorInvalidValue);
  cudaGetLastError();
  emu::options().memory = before;
}

TEST(EmulatedRuntime, EventsMeasureTime) {
  cudaEvent_t begin, end;
  cudaEventCreate(&begin), cudaEventCreate(&end);
  cudaEventRecord(begin);
  cudaEventRecord(end);
  float milliseconds = -1;
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, begin, end), cudaSuccess);
  EXPECT_GE(milliseconds, 0);
  cudaEventDestroy(begin), cudaEventDestroy(end);
}

__global__ void increase_kernel(int* x, int by) { x[threadIdx.x] += by; }
TEST(EmulatedRuntime, GraphsReplayWhatWasCaptured) {
  const Buffer<int> x(std::vector<int>(32, 1)), y(std::vector<int>(32, 0)), zero(std::vector<int>(32, 5));
  cudaStream_t stream;
  ASSERT_EQ(cudaStreamCreate(&stream), cudaSuccess);
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
  emu::launch(increase_kernel, 1, 32, 0, stream, x, 2);
  EXPECT_EQ(cudaMemcpyAsync(y, x, 32 * sizeof(int), cudaMemcpyDeviceToDevice, stream), cudaSuccess);
  EXPECT_EQ(cudaMemsetAsync(zero, 0, 32 * sizeof(int), stream), cudaSuccess);
  cudaGraph_t graph;
  ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  EXPECT_EQ(x.host()[0], 1);  // nothing has run yet
  cudaGraphExec_t executable;
  ASSERT_EQ(cudaGraphInstantiate(&executable, graph), cudaSuccess);
  cudaGraphDestroy(graph);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(cudaGraphLaunch(executable, stream), cudaSuccess);
  EXPECT_EQ(x.host(), std::vector<int>(32, 7));
  EXPECT_EQ(y.host(), std::vector<int>(32, 7));
  EXPECT_EQ(zero.host(), std::vector<int>(32, 0));
  cudaGraphExecDestroy(executable);
  cudaStreamDestroy(stream);
}

TEST(EmulatedRuntime, WhatAGraphCannotHoldSpoilsTheCapture) {
  const Buffer<int> x(32);
  cudaStream_t stream;
  ASSERT_EQ(cudaStreamCreate(&stream), cudaSuccess);
  int host[32];
  void* p = nullptr;
  const std::vector<std::function<cudaError_t()>> forbidden = {
      [&] { return cudaMemcpyAsync(host, x, sizeof host, cudaMemcpyDeviceToHost, stream); },
      [&] { return cudaMalloc(&p, 8); }, [&] { return cudaStreamSynchronize(stream); },
      [] { return cudaDeviceSynchronize(); }};
  for (const auto& call : forbidden) {
    ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
    EXPECT_EQ(call(), cudaErrorStreamCaptureUnsupported);
    cudaGraph_t graph;
    EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(graph, nullptr);
  }
  cudaGetLastError();
  cudaStreamDestroy(stream);
}

TEST(EmulatedRuntimeDeathTest, StrictModeKeepsHostCodeOutOfDeviceMemory) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto touch = [] {
    emu::options().strict = true;
    const Buffer<int> x(std::vector<int>(32, 1));
    start(increase_kernel, 1, 32, 0, x, 2);
    if (x.host()[0] == 3 && emu::take_report().empty()) std::fputs("copies and kernels reach it\n", stderr);
    int host = 0;
    start(increase_kernel, 1, 1, 0, &host, 1);
    if (!emu::take_report().empty()) std::fputs("the argument was reported\n", stderr);
    std::exit(x[0] == 3 ? 0 : 1);
  };
  EXPECT_DEATH(touch(), "copies and kernels reach it.*the argument was reported.*host code touches device memory");
}

TEST(EmulatedTypes, SixteenBitNumbersRoundToNearestEven) {
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const __half h = __ushort_as_half(static_cast<unsigned short>(bits));
    const __nv_bfloat16 b = __ushort_as_bfloat16(static_cast<unsigned short>(bits));
    EXPECT_TRUE(__hisnan(h) || __half(float(h)).bits == bits) << bits;
    EXPECT_TRUE(__hisnan(b) || __nv_bfloat16(float(b)).bits == bits) << bits;
    // Half way to the next number in magnitude: the even one of the two.
    const unsigned exponent = bits & 0x7fff;
    if (exponent < 0x7bff) {
      const __half next = __ushort_as_half(static_cast<unsigned short>(bits + 1));
      EXPECT_EQ(__half((float(h) + float(next)) / 2).bits, bits + (bits & 1)) << bits;
    }
    if (exponent < 0x7f7f) {
      const __nv_bfloat16 next = __ushort_as_bfloat16(static_cast<unsigned short>(bits + 1));
      EXPECT_EQ(__nv_bfloat16(float((double(float(b)) + float(next)) / 2)).bits, bits + (bits & 1)) << bits;
    }
  }
  EXPECT_EQ(__half(65519.0f).bits, 0x7bff);
  EXPECT_EQ(__half(65520.0f).bits, 0x7c00);
  EXPECT_TRUE(__hisnan(__half(NAN)));
  EXPECT_TRUE(__hisnan(__nv_bfloat16(NAN)));
}

TEST(EmulatedTypes, MathematicsIsCudas) {
  EXPECT_EQ(max(NAN, 1.0f), 1.0f);
  EXPECT_EQ(min(1.0f, NAN), 1.0f);
  EXPECT_EQ(max(3u, 5), 5u);
  EXPECT_EQ(__popc(0xf0f0u), 8);
  EXPECT_EQ(__clz(1), 31);
  EXPECT_EQ(__clz(0), 32);
  EXPECT_EQ(__ffs(8), 4);
  EXPECT_EQ(__ffs(0), 0);
  EXPECT_EQ(__brev(1u), 0x80000000u);
  EXPECT_EQ(__umulhi(0x80000000u, 6u), 3u);
  EXPECT_EQ(__umul64hi(1ull << 63, 6ull), 3ull);
  EXPECT_EQ(__byte_perm(0x33221100u, 0x77665544u, 0x7520u), 0x77552200u);
  EXPECT_EQ(__funnelshift_l(0x80000000u, 1u, 1), 3u);
  EXPECT_EQ(__float2int_rn(2.5f), 2);
  EXPECT_EQ(__int_as_float(__float_as_int(1.5f)), 1.5f);
}

}  // namespace
