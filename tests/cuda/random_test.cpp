// Random numbers and dropout of the device: the CPU's to the bit.
#include <cstring>
#include <vector>

#include "tests/cuda/device.h"

namespace gradus::testing {
namespace {

class DeviceRandom : public OnDevice {};

// The bytes of all elements.
std::vector<unsigned char> bytes_of(const Tensor& x) {
  const Tensor host = on_host(x);
  std::vector<unsigned char> bytes(size_t(host.numel()) * size_of(host.dtype()));
  if (!bytes.empty()) std::memcpy(bytes.data(), host.raw().data, bytes.size());
  return bytes;
}

struct Kind {
  Random kind;
  double a, b;
  bool whole;  // for integers too
};
const Kind kinds[] = {
    {Random::uniform, 0, 1, false},     {Random::uniform, -3.7, 1.1, false}, {Random::uniform, 1, 1 + 0x1p-22, false},
    {Random::normal, 0, 1, false},      {Random::normal, 2.5, 0.3, false},   {Random::bernoulli, 0.3, 0, true},
    {Random::bernoulli, 0, 0, true},    {Random::bernoulli, 1, 0, true},     {Random::randint, -5, 1000, true},
    {Random::randint, 0, 0x1p32, true}, {Random::randint, 7, 8, true}};
// Counts around blocks of four and of a grid; streams whose counters pass the limit of a word.
constexpr int64_t counts[] = {0, 1, 3, 4, 5, 1023, 1024, 4100};
const PhiloxState states[] = {{1, 0}, {0x123456789abcdef, 77}, {42, 0xffffffff - 3}, {7, UINT64_MAX - 5}};

TEST_F(DeviceRandom, SameBitsAsTheCpu) {
  for (const DType dtype : {float32, float64, int64, boolean, uint8}) {
    for (const Kind& kind : kinds) {
      if (!kind.whole && !is_floating(dtype)) continue;
      for (const PhiloxState& state : states) {
        for (const int64_t n : counts) {
          for (const int64_t skipped : {0, 1}) {  // an array that no vector starts
            const Tensor expected = zeros({n + 1}, {.dtype = dtype}), there = on_device(expected);
            kernels(Device::cpu, dtype)
                .random(kind.kind, expected.narrow(0, skipped, n).raw().data, n, state, kind.a, kind.b);
            device_kernels(dtype).random(kind.kind, there.narrow(0, skipped, n).raw().data, n, state, kind.a, kind.b);
            ASSERT_EQ(bytes_of(there), bytes_of(expected))
                << to_string(dtype) << ", kind " << int(kind.kind) << ", " << n << " from " << skipped;
          }
        }
      }
    }
  }
}

// Whatever instruction set serves the CPU.
TEST_F(DeviceRandom, SameBitsAsEveryInstructionSet) {
  for (const char* isa : {"avx2", "avx512", "neon"}) {
    if (!has_isa(isa)) continue;
    set_isa(isa);
    for (const Kind& kind : kinds) {
      const Tensor expected = zeros({5000}), there = on_device(expected);
      kernels(Device::cpu, float32).random(kind.kind, pointer(expected), 5000, {3, 9}, kind.a, kind.b);
      device_kernels(float32).random(kind.kind, pointer(there), 5000, {3, 9}, kind.a, kind.b);
      EXPECT_EQ(bytes_of(there), bytes_of(expected)) << isa << ", kind " << int(kind.kind);
    }
  }
}

TEST_F(DeviceRandom, IntegersHaveNoUniformNumbers) {
  const Tensor x = on_device(zeros({4}, {.dtype = int64}));
  EXPECT_THROW(device_kernels(int64).random(Random::uniform, pointer(x), 4, {}, 0, 1), Error);
  EXPECT_THROW(device_kernels(uint8).random(Random::normal, pointer(x), 4, {}, 0, 1), Error);
}

TEST_F(DeviceRandom, Dropout) {
  for (const DType dtype : {float32, float64, bfloat16}) {
    for (const double p : {0.0, 0.1, 0.5, 1.0}) {
      for (const int64_t n : counts) {
        for (const int64_t skipped : {0, 1}) {
          std::vector<double> values(size_t(n + 1));
          for (size_t i = 0; i < values.size(); ++i) values[i] = double(i % 37) - 18.25;
          const Tensor x = from_vector(values, {n + 1}).to(dtype), there = on_device(x);
          // bfloat16 is scaled as the float32 that it stands for.
          const DType by = dtype == bfloat16 ? float32 : dtype;
          const Tensor expected = x.to(by).clone();
          const PhiloxState state{11, 5};
          void* on_cpu = expected.narrow(0, skipped, n).raw().data;
          void* on_cuda = there.narrow(0, skipped, n).raw().data;
          kernels(Device::cpu, by).dropout(on_cpu, on_cpu, n, state, p);
          device_kernels(dtype).dropout(on_cuda, on_cuda, n, state, p);
          EXPECT_EQ(bytes_of(there), bytes_of(expected.to(dtype))) << to_string(dtype) << ", p " << p << ", " << n;
        }
      }
    }
  }
}

}  // namespace
}  // namespace gradus::testing
