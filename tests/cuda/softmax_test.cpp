// Softmax, its logarithm and cross-entropy on the device against the reference in float64.
#include <limits>
#include <random>
#include <vector>

#include "tensor/error.h"
#include "tensor/kernels/cuda/runtime.h"
#include "tests/cuda/device.h"

namespace gradus {
namespace {

using testing::device_kernels;
using testing::difference;
using testing::on_device;
using testing::on_host;
using testing::pointer;

constexpr double infinity = std::numeric_limits<double>::infinity();

// Of results that are at most 1, or of the size of the numbers in a test: a few roundings of exp, log and sums.
double tolerance(DType dtype) { return dtype == bfloat16 ? 0x1p-8 : dtype == float32 ? 2e-6 : 1e-13; }

struct Size {
  int64_t rows, n;
};

// Every shape of rows in registers, whole packs and not, the limits between shapes, and rows beyond all.
const std::vector<Size> sizes = {{1, 1},    {0, 7},    {70, 3},   {33, 32},  {5, 33},    {9, 64},    {6, 100},
                                 {5, 256},  {3, 257},  {3, 512},  {2, 513},  {2, 1000},  {3, 1024},  {2, 1536},
                                 {1, 4096}, {2, 4097}, {1, 8192}, {1, 9000}, {1, 16384}, {6, 16385}, {1, 50257}};

class CudaSoftmax : public testing::OnDevice {
 protected:
  // Rounded to the dtype; `shift` elements lie before the first, so that rows need not begin at packs.
  struct Rows {
    Tensor host, device;
    int64_t shift;
    const void* in() const {
      return static_cast<const char*>(pointer(device)) + shift * int64_t(size_of(device.dtype()));
    }
    void* out() const { return const_cast<void*>(in()); }
  };
  Rows rows_of(const std::vector<double>& values, DType dtype, int64_t shift = 0) {
    std::vector<double> padded(size_t(shift), NAN);
    padded.insert(padded.end(), values.begin(), values.end());
    const Tensor rounded = from_vector(padded, {int64_t(padded.size())}).to(dtype);
    return {rounded.to(float64).narrow(0, shift, int64_t(values.size())).contiguous(), on_device(rounded), shift};
  }
  Rows nothing(int64_t count, DType dtype, int64_t shift = 0) {
    return rows_of(std::vector<double>(size_t(count), NAN), dtype, shift);
  }
  std::vector<double> normal(int64_t count, double scale) {
    std::normal_distribution<double> numbers(0, scale);
    std::vector<double> v(size_t(count), 0);
    for (double& x : v) x = numbers(random_);
    return v;
  }
  std::string compare(const Rows& got, const Rows& expected, double allowed) {
    const int64_t count = expected.host.numel();
    const Tensor device = on_host(got.device).to(float64).narrow(0, got.shift, count);
    return difference(device, expected.host, allowed, allowed);
  }

  using Forward = void (*KernelTable::*)(const void*, void*, int64_t, int64_t);
  using Gradient = void (*KernelTable::*)(const void*, const void*, void*, int64_t, int64_t);
  void check(Forward forward, Gradient gradient, const Size& s, DType dtype, int64_t shift,
             const std::vector<double>& values) {
    SCOPED_TRACE(std::to_string(s.rows) + " x " + std::to_string(s.n) + " " + to_string(dtype) + " shifted by " +
                 std::to_string(shift));
    const KernelTable &reference = kernels(Device::cpu, float64), &table = device_kernels(dtype);
    const Rows x = rows_of(values, dtype, shift), y = nothing(s.rows * s.n, dtype, shift);
    (reference.*forward)(pointer(x.host), pointer(y.host), s.rows, s.n);
    (table.*forward)(x.in(), y.out(), s.rows, s.n);
    EXPECT_EQ(compare(y, y, tolerance(dtype)), "");

    const Rows p = rows_of(y.host.to_vector(), dtype, shift), g = rows_of(normal(s.rows * s.n, 1), dtype, shift);
    const Rows dx = nothing(s.rows * s.n, dtype, shift);
    (reference.*gradient)(pointer(p.host), pointer(g.host), pointer(dx.host), s.rows, s.n);
    (table.*gradient)(p.in(), g.in(), dx.out(), s.rows, s.n);
    EXPECT_EQ(compare(dx, dx, tolerance(dtype)), "");
  }
  void check(const Size& s, DType dtype, int64_t shift, const std::vector<double>& values) {
    check(&KernelTable::softmax, &KernelTable::softmax_grad, s, dtype, shift, values);
    check(&KernelTable::log_softmax, &KernelTable::log_softmax_grad, s, dtype, shift, values);
  }

  std::mt19937 random_{1};
};

TEST_F(CudaSoftmax, EqualsTheReference) {
  for (const DType dtype : {float32, float64, bfloat16}) {
    for (const Size& s : sizes) check(s, dtype, 0, normal(s.rows * s.n, 3));
    for (const Size& s : {Size{3, 64}, Size{2, 1500}, Size{2, 20000}}) check(s, dtype, 1, normal(s.rows * s.n, 3));
  }
}

// A row of -infinity alone, infinities and NaN give NaN where the reference has NaN; large numbers overflow nowhere.
TEST_F(CudaSoftmax, TreatsWhatIsNotFiniteAsTheReference) {
  for (const int64_t n : {int64_t(5), int64_t(600), int64_t(20000)}) {
    std::vector<double> v = normal(6 * n, 100);
    const auto row = [&](int64_t r) { return v.begin() + r * n; };
    std::fill_n(row(0), n, -infinity);
    row(1)[2] = NAN;
    row(2)[3] = infinity;
    std::fill_n(row(3), n / 2, -infinity);
    for (int64_t i = 0; i < n; ++i) row(4)[i] *= 1e30;
    row(5)[0] = -infinity;
    for (const DType dtype : {float32, bfloat16}) check({6, n}, dtype, 0, v);
  }
}

class CudaCrossEntropy : public CudaSoftmax {
 protected:
  void check(CrossEntropy c, DType dtype, bool weighted, int64_t shift = 0) {
    SCOPED_TRACE(std::to_string(c.rows) + " x " + std::to_string(c.classes) + " " + to_string(dtype) +
                 " smoothed by " + std::to_string(c.label_smoothing) + (weighted ? " weighted" : ""));
    const KernelTable &reference = kernels(Device::cpu, float64), &table = device_kernels(dtype);
    // In bfloat16 what belongs to a row is float32.
    const DType of_rows = dtype == bfloat16 ? float32 : dtype;
    std::vector<double> logits = normal(c.rows * c.classes, 3), weights = normal(c.classes, 1);
    for (double& w : weights) w = std::abs(w);
    if (c.classes > 3) weights[1] = 0;
    if (c.rows > 0 && c.classes > 3 && c.label_smoothing == 0)
      logits[2] = -infinity;  // without a share in the loss unless smoothed
    std::vector<double> targets(size_t(c.rows), 0);
    for (int64_t r = 0; r < c.rows; ++r) targets[size_t(r)] = double((r * 7 + c.classes - 1) % c.classes);
    if (c.rows > 2) targets[1] = double(c.ignore_index);
    const Tensor at = from_vector(targets, {c.rows}).to(int64), device_at = on_device(at);
    const Rows x = rows_of(logits, dtype, shift), w = rows_of(weights, dtype),
               g = rows_of(normal(c.rows, 1), of_rows);
    const Rows loss = nothing(c.rows, of_rows), sum = nothing(c.rows, of_rows);
    const Rows dx = nothing(c.rows * c.classes, dtype, shift);
    const auto* device_targets = static_cast<const int64_t*>(pointer(device_at));
    reference.cross_entropy(c, pointer(x.host), at.data<int64_t>(), weighted ? pointer(w.host) : nullptr,
                            pointer(loss.host), pointer(sum.host));
    table.cross_entropy(c, x.in(), device_targets, weighted ? w.in() : nullptr, loss.out(), sum.out());
    const double allowed = dtype == float64 ? 1e-13 : 2e-6;
    EXPECT_EQ(compare(loss, loss, allowed), "");
    EXPECT_EQ(compare(sum, sum, allowed), "");
    const Rows log_sum = rows_of(sum.host.to_vector(), of_rows);
    reference.cross_entropy_grad(c, pointer(x.host), at.data<int64_t>(), weighted ? pointer(w.host) : nullptr,
                                 pointer(log_sum.host), pointer(g.host), pointer(dx.host));
    table.cross_entropy_grad(c, x.in(), device_targets, weighted ? w.in() : nullptr, log_sum.in(), g.in(), dx.out());
    EXPECT_EQ(compare(dx, dx, tolerance(dtype)), "");
    cuda::synchronize();
  }
};

TEST_F(CudaCrossEntropy, EqualsTheReference) {
  for (const DType dtype : {float32, float64, bfloat16}) {
    for (const Size& s :
         {Size{1, 1}, Size{0, 5}, Size{11, 3}, Size{7, 10}, Size{5, 1024}, Size{3, 1025}, Size{2, 5003}}) {
      for (const double smoothing : {0.0, 0.1, 1.0}) {
        for (const bool weighted : {false, true})
          check({.rows = s.rows, .classes = s.n, .label_smoothing = smoothing}, dtype, weighted);
      }
    }
    check({.rows = 5, .classes = 8, .ignore_index = 3}, dtype, false, 1);
    check({.rows = 2, .classes = 50257}, dtype, false);
  }
}

TEST_F(CudaCrossEntropy, ATargetOutOfRangeIsReportedAndNotFollowed) {
  const CrossEntropy c{.rows = 3, .classes = 4};
  for (const int64_t wrong : {int64_t(4), int64_t(-1), int64_t(1) << 40}) {
    const Rows x = rows_of(normal(12, 1), float32), loss = nothing(3, float32), sum = nothing(3, float32);
    const Tensor at = on_device(from_vector(std::vector<double>{1, double(wrong), -100}, {3}).to(int64));
    const auto* targets = static_cast<const int64_t*>(pointer(at));
    device_kernels(float32).cross_entropy(c, x.in(), targets, nullptr, loss.out(), sum.out());
    try {
      cuda::synchronize();
      ADD_FAILURE() << "nothing was reported for " << wrong;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("cross_entropy"), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find(std::to_string(wrong)), std::string::npos) << error.what();
    }
    EXPECT_EQ(on_host(loss.device).to_vector()[1], 0);
  }
}

}  // namespace
}  // namespace gradus
