// Normalisation on the device against the reference in float64.
#include <random>
#include <vector>

#include "tests/cuda/device.h"

namespace gradus {
namespace {

using testing::device_kernels;
using testing::difference;
using testing::on_device;
using testing::pointer;

// Of the largest number in a result: some roundings of what sums of up to 20000 normal numbers lose.
double tolerance(DType dtype) { return dtype == bfloat16 ? 0x1p-8 : dtype == float32 ? 4e-6 : 1e-13; }

// In bfloat16, statistics are float32.
DType statistic(DType dtype) { return dtype == bfloat16 ? float32 : dtype; }

class CudaNorms : public testing::OnDevice {
 protected:
  // Numbers of the dtype in float64 on the host, and on the device.
  struct Numbers {
    Tensor host, device;
    void *on_host, *on_device;
  };
  // `shift` elements lie before the first, so that rows need not begin at packs.
  Numbers numbers(int64_t count, DType dtype, double mean = 0, double scale = 1, int64_t shift = 0) {
    std::normal_distribution<double> normal(mean, scale);
    std::vector<double> v(size_t(count + shift), 0);
    for (double& x : v) x = scale == 0 ? NAN : normal(random_);
    Numbers x{from_vector(v, {count + shift}).to(dtype), {}, nullptr, nullptr};
    x.device = on_device(x.host);
    x.host = x.host.to(float64).narrow(0, shift, count).contiguous();
    x.on_host = pointer(x.host);
    x.on_device = static_cast<char*>(pointer(x.device)) + shift * int64_t(size_of(dtype));
    return x;
  }
  // Of results: NaN until written.
  Numbers nothing(int64_t count, DType dtype, int64_t shift = 0) { return numbers(count, dtype, 0, 0, shift); }
  static Numbers absent() { return {{}, {}, nullptr, nullptr}; }

  std::string compare(const Numbers& x, double allowed) {
    if (!x.host.defined()) return "";
    const int64_t count = x.host.numel();
    return difference(on_host(x.device).narrow(0, x.device.numel() - count, count), x.host, allowed, allowed);
  }
  static Tensor on_host(const Tensor& x) { return testing::on_host(x).to(float64); }

  struct Rows {
    int64_t rows, n, shift = 0;
    bool affine = true;
    double mean = 0.5;
  };
  void check(const Rows& s, DType dtype, bool centred) {
    SCOPED_TRACE(std::string(centred ? "layer norm " : "RMS norm ") + std::to_string(s.rows) + " x " +
                 std::to_string(s.n) + " " + to_string(dtype) + " shifted by " + std::to_string(s.shift));
    const KernelTable &reference = kernels(Device::cpu, float64), &table = device_kernels(dtype);
    const double eps = 1e-5;
    const Numbers x = numbers(s.rows * s.n, dtype, s.mean, 1, s.shift), y = nothing(s.rows * s.n, dtype, s.shift);
    const Numbers w = s.affine ? numbers(s.n, dtype, 1) : absent(), b = s.affine ? numbers(s.n, dtype) : absent();
    const Numbers mean = nothing(s.rows, statistic(dtype)), rstd = nothing(s.rows, statistic(dtype));
    if (centred) {
      reference.layer_norm(x.on_host, w.on_host, b.on_host, eps, s.rows, s.n, y.on_host, mean.on_host, rstd.on_host);
      table.layer_norm(x.on_device, w.on_device, b.on_device, eps, s.rows, s.n, y.on_device, mean.on_device,
                       rstd.on_device);
      EXPECT_EQ(compare(mean, tolerance(statistic(dtype))), "");
    } else {
      reference.rms_norm(x.on_host, w.on_host, eps, s.rows, s.n, y.on_host, rstd.on_host);
      table.rms_norm(x.on_device, w.on_device, eps, s.rows, s.n, y.on_device, rstd.on_device);
    }
    EXPECT_EQ(compare(y, tolerance(dtype)), "");
    EXPECT_EQ(compare(rstd, tolerance(statistic(dtype))), "");

    const Numbers g = numbers(s.rows * s.n, dtype, 0, 1, s.shift), dx = nothing(s.rows * s.n, dtype, s.shift);
    const Numbers dw = s.affine ? nothing(s.n, dtype) : absent(), db = s.affine ? nothing(s.n, dtype) : absent();
    if (centred) {
      reference.layer_norm_grad(x.on_host, w.on_host, mean.on_host, rstd.on_host, g.on_host, s.rows, s.n, dx.on_host,
                                dw.on_host, db.on_host);
      table.layer_norm_grad(x.on_device, w.on_device, mean.on_device, rstd.on_device, g.on_device, s.rows, s.n,
                            dx.on_device, dw.on_device, db.on_device);
      EXPECT_EQ(compare(db, tolerance(dtype)), "");
    } else {
      reference.rms_norm_grad(x.on_host, w.on_host, rstd.on_host, g.on_host, s.rows, s.n, dx.on_host, dw.on_host);
      table.rms_norm_grad(x.on_device, w.on_device, rstd.on_device, g.on_device, s.rows, s.n, dx.on_device,
                          dw.on_device);
    }
    EXPECT_EQ(compare(dx, tolerance(dtype)), "");
    EXPECT_EQ(compare(dw, tolerance(dtype)), "");
  }

  struct Images {
    int64_t batch, channels, inner, shift = 0;
    bool affine = true;
    double mean = 0.5;
  };
  void check(const Images& s, DType dtype) {
    SCOPED_TRACE("batch norm " + std::to_string(s.batch) + " x " + std::to_string(s.channels) + " x " +
                 std::to_string(s.inner) + " " + to_string(dtype) + " shifted by " + std::to_string(s.shift));
    const KernelTable &reference = kernels(Device::cpu, float64), &table = device_kernels(dtype);
    const double eps = 1e-5;
    const int64_t count = s.batch * s.channels * s.inner, c = s.channels;
    const Numbers x = numbers(count, dtype, s.mean, 1, s.shift), y = nothing(count, dtype, s.shift);
    const Numbers w = s.affine ? numbers(c, dtype, 1) : absent(), b = s.affine ? numbers(c, dtype) : absent();
    const Numbers mean = nothing(c, statistic(dtype)), rstd = nothing(c, statistic(dtype));
    reference.batch_norm(x.on_host, w.on_host, b.on_host, eps, s.batch, c, s.inner, y.on_host, mean.on_host,
                         rstd.on_host);
    table.batch_norm(x.on_device, w.on_device, b.on_device, eps, s.batch, c, s.inner, y.on_device, mean.on_device,
                     rstd.on_device);
    // Where all elements are far from 0 on one side, x - mean is as wrong as x is rounded.
    const double far = dtype == bfloat16 ? 1 : 1 + std::abs(s.mean) / 4;
    EXPECT_EQ(compare(mean, tolerance(statistic(dtype))), "");
    EXPECT_EQ(compare(rstd, tolerance(statistic(dtype))), "");
    EXPECT_EQ(compare(y, tolerance(dtype) * far), "");

    const Numbers g = numbers(count, dtype, 0, 1, s.shift), dx = nothing(count, dtype, s.shift);
    const Numbers dw = s.affine ? nothing(c, dtype) : absent(), db = s.affine ? nothing(c, dtype) : absent();
    // From the statistics that the device has.
    const Tensor device_mean = on_host(mean.device), device_rstd = on_host(rstd.device);
    reference.batch_norm_grad(x.on_host, w.on_host, pointer(device_mean), pointer(device_rstd), g.on_host, s.batch, c,
                              s.inner, dx.on_host, dw.on_host, db.on_host);
    table.batch_norm_grad(x.on_device, w.on_device, mean.on_device, rstd.on_device, g.on_device, s.batch, c, s.inner,
                          dx.on_device, dw.on_device, db.on_device);
    EXPECT_EQ(compare(dx, tolerance(dtype) * far), "");
    EXPECT_EQ(compare(dw, tolerance(dtype) * far), "");
    EXPECT_EQ(compare(db, tolerance(dtype) * far), "");

    const Numbers z = nothing(count, dtype, s.shift), scale = numbers(c, dtype);
    reference.channel_affine(x.on_host, scale.on_host, b.on_host, s.batch, c, s.inner, z.on_host);
    table.channel_affine(x.on_device, scale.on_device, b.on_device, s.batch, c, s.inner, z.on_device);
    EXPECT_EQ(compare(z, tolerance(dtype)), "");
  }

  std::mt19937 random_{1};
};

// Every shape of rows in registers, whole packs and not, limits between shapes, rows beyond all, more rows than blocks.
TEST_F(CudaNorms, RowsEqualTheReference) {
  const std::vector<Rows> sizes = {
      {1, 1},    {0, 8},       {70, 3},    {33, 32},      {5, 33, 1},        {9, 64},
      {6, 100},  {5, 256},     {3, 257},   {300, 16},     {40, 512},         {2, 513},
      {21, 768}, {3, 1024, 1}, {2, 2048},  {3, 4096},     {2, 4097},         {1, 8192},
      {2, 8200}, {1, 16384},   {3, 17000}, {2, 17001, 0}, {5, 96, 0, false}, {2, 20000, 0, false}};
  for (const DType dtype : {float32, float64, bfloat16}) {
    for (const Rows& s : sizes) {
      check(s, dtype, true);
      check(s, dtype, false);
    }
  }
}

// The variance of numbers that are 1000 times as far from 0 as from each other: only two passes give it.
TEST_F(CudaNorms, RowsFarFromZeroKeepTheirVariance) {
  for (const int64_t n : {100, 768, 5000, 20000}) {
    const Numbers x = numbers(2 * n, float32, 1000, 1), y = nothing(2 * n, float32);
    const Numbers mean = nothing(2, float32), rstd = nothing(2, float32);
    kernels(Device::cpu, float64)
        .layer_norm(x.on_host, nullptr, nullptr, 1e-5, 2, n, y.on_host, mean.on_host, rstd.on_host);
    device_kernels(float32).layer_norm(x.on_device, nullptr, nullptr, 1e-5, 2, n, y.on_device, mean.on_device,
                                       rstd.on_device);
    EXPECT_EQ(compare(rstd, 2e-6), "") << n;
    EXPECT_EQ(compare(y, 1e-4), "") << n;  // the mean itself is rounded to 2^-14
  }
}

TEST_F(CudaNorms, ChannelsEqualTheReference) {
  const std::vector<Images> sizes = {{1, 1, 1},
                                     {2, 3, 1},
                                     {100, 5, 1},
                                     {130, 40, 1},
                                     {70, 64, 1, 1},
                                     {700, 4, 1},
                                     {3, 5, 7},
                                     {20, 7, 9},
                                     {5, 6, 64},
                                     {2, 3, 65},
                                     {2, 3, 68},
                                     {3, 4, 196, 1},
                                     {2, 2, 6000},
                                     {1, 1, 33001},
                                     {4, 9, 1, 0, false},
                                     {2, 3, 100, 0, false, 30},
                                     {64, 3, 2, 0, true, 30}};
  for (const DType dtype : {float32, float64, bfloat16}) {
    for (const Images& s : sizes) check(s, dtype);
  }
}

// Two runs with different blocks at the same time must give the same bits; so must a second run.
TEST_F(CudaNorms, GradientsAreTheSameBitsEveryTime) {
  const int64_t rows = 200, n = 300;
  const Numbers x = numbers(rows * n, float32), g = numbers(rows * n, float32), mean = numbers(rows, float32);
  const Numbers rstd = numbers(rows, float32, 2, 0.1);
  std::vector<double> first;
  for (int run = 0; run < 3; ++run) {
    const Numbers dx = nothing(rows * n, float32), dw = nothing(n, float32), db = nothing(n, float32);
    device_kernels(float32).layer_norm_grad(x.on_device, nullptr, mean.on_device, rstd.on_device, g.on_device, rows,
                                            n, dx.on_device, dw.on_device, db.on_device);
    const std::vector<double> now = cat({on_host(dx.device), on_host(dw.device), on_host(db.device)}, 0).to_vector();
    if (run == 0)
      first = now;
    else
      EXPECT_EQ(now, first);
  }
}

}  // namespace
}  // namespace gradus
