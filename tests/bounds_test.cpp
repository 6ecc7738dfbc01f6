// Kernels touch nothing beyond their arrays, whatever the size: here each array ends where a page begins that nobody
// may touch, so that a load or store too wide ends the program.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "tensor/kernels/table.h"
#include "tests/isas.h"

namespace gradus {
namespace {

class Bounds : public testing::EachIsa {
 protected:
  // `count` numbers, 0.5 each (true for bools), in front of a forbidden page.
  template <class T = float>
  T* array(int64_t count) {
    const size_t page = size_t(sysconf(_SC_PAGESIZE)), bytes = size_t(count) * sizeof(T);
    const size_t whole = (bytes + page - 1) / page * page;
    void* memory = mmap(nullptr, whole + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(memory != MAP_FAILED, "no memory");
    char* fence = static_cast<char*>(memory) + whole;
    check(mprotect(fence, page, PROT_NONE) == 0, "no fence");
    mapped_.push_back({memory, whole + page});
    T* first = reinterpret_cast<T*>(fence - bytes);
    std::fill_n(first, count, T(0.5));
    return first;
  }
  // A contiguous view of this many rows and columns.
  template <class T = float>
  View view(int64_t rows, int64_t columns) {
    return {array<T>(rows * columns), 2, {rows, columns}, {columns, 1}};
  }
  // A matrix for products, laid out along its rows or its columns.
  template <class T = float>
  View matrix(int64_t rows, int64_t columns, bool transposed) {
    return {array<T>(rows * columns), 3, {1, rows, columns}, {0, transposed ? 1 : columns, transposed ? rows : 1}};
  }
  void release() {
    for (const auto& [memory, size] : mapped_) munmap(memory, size);
    mapped_.clear();
  }
  void TearDown() override { release(); }

  static const KernelTable& table() { return kernels(Device::cpu, float32); }

 private:
  std::vector<std::pair<void*, size_t>> mapped_;
};

TEST_P(Bounds, ElementWiseAndReductions) {
  for (int64_t n = 1; n <= 70; ++n, release()) {
    const View x = view(1, n), y = view(1, n), flags = view<bool>(1, n);
    table().unary(Unary::gelu, x, y, 0, 0);
    EXPECT_NEAR(y.as<float>()[n - 1], 0.3457312, 1e-6);
    table().unary_grad(Unary::gelu, x, y, y, 0, 0);
    table().binary(Binary::add, x, x, y);
    table().compare(Compare::eq, x, x, flags);
    table().where(flags, x, y, y);
    table().fill(y, 0.25);
    table().copy(x, y);
    const View tall = view(n, 3), wide = view(3, n);
    table().copy(View{wide.data, 2, {n, 3}, {1, n}}, tall);  // a transposition
    table().reduce(Reduce::sum, wide, View{array(3), 2, {3, n}, {1, 0}});
    table().reduce(Reduce::max, wide, View{array(n), 2, {3, n}, {0, 1}});
    table().dropout(x.data, y.data, n, {}, 0.5);
    table().random(Random::normal, y.data, n, {}, 0, 1);
    table().adam_step({0.1, 0.9, 0.999, 1e-8, 0, false, 1}, n, array(n), x.data, array(n), array(n));
  }
}

TEST_P(Bounds, Rows) {
  for (int64_t n = 1; n <= 70; ++n, release()) {
    const int64_t rows = 3;
    float *x = array(rows * n), *y = array(rows * n), *dx = array(rows * n), *w = array(n), *b = array(n);
    float *dw = array(n), *db = array(n);
    float *mean = array(rows), *rstd = array(rows), *means = array(n), *rstds = array(n);
    table().softmax(x, y, rows, n);
    EXPECT_NEAR(y[rows * n - 1], 1 / double(n), 1e-6);
    table().softmax_grad(y, x, dx, rows, n);
    table().log_softmax(x, y, rows, n);
    table().log_softmax_grad(y, x, dx, rows, n);
    table().layer_norm(x, w, b, 1e-5, rows, n, y, mean, rstd);
    table().layer_norm_grad(x, w, mean, rstd, y, rows, n, dx, dw, db);
    table().rms_norm(x, w, 1e-5, rows, n, y, rstd);
    table().rms_norm_grad(x, w, rstd, y, rows, n, dx, dw);
    for (const bool channels_last : {false, true}) {
      const int64_t channels = channels_last ? n : rows, inner = channels_last ? 1 : n;
      const int64_t batch = channels_last ? rows : 1;
      float *m = channels_last ? means : mean, *r = channels_last ? rstds : rstd;
      table().batch_norm(x, nullptr, nullptr, 1e-5, batch, channels, inner, y, m, r);
      table().batch_norm_grad(x, nullptr, m, r, y, batch, channels, inner, dx, nullptr, nullptr);
    }
  }
}

TEST_P(Bounds, Products) {
  for (const int64_t m : {1, 2, 5, 9, 15, 33}) {
    for (const int64_t n : {1, 3, 4, 5, 13, 17, 35, 70}) {
      for (const int64_t k : {1, 3, 6, 19, 40}) {
        for (int layout = 0; layout < 4; ++layout, release()) {
          SCOPED_TRACE(std::to_string(m) + " " + std::to_string(n) + " " + std::to_string(k));
          Matmul args{matrix(m, k, layout & 1), matrix(k, n, layout & 2), matrix(m, n, false)};
          args.bias = array(n);
          table().matmul(args);
          EXPECT_NEAR(args.c.as<float>()[m * n - 1], 0.25 * double(k) + 0.5, 1e-5);
          Matmul packed = args;
          float* panels = array(packed_size(k, n));
          table().pack(args.b, panels);
          packed.packed_b = panels;
          table().matmul_packed(packed);
          EXPECT_NEAR(args.c.as<float>()[m * n - 1], 0.25 * double(k) + 0.5, 1e-5);
          args = {matrix<BFloat16>(m, k, layout & 1), matrix<BFloat16>(k, n, layout & 2),
                  matrix<BFloat16>(m, n, false)};
          args.bias = array<BFloat16>(n);
          kernels(Device::cpu, bfloat16).matmul(args);
          EXPECT_EQ(float(args.c.as<BFloat16>()[m * n - 1]), float(BFloat16(0.25f * float(k) + 0.5f)));
        }
      }
    }
  }
}

TEST_P(Bounds, Recurrence) {
  for (const Cell cell : {Cell::rnn_tanh, Cell::rnn_relu, Cell::gru, Cell::lstm}) {
    for (int64_t n = 1; n <= 40; ++n, release()) {
      const int64_t batch = 3, time = 2, gates = gates_of(cell) * n;
      Recurrence r{.cell = cell, .batch = batch, .time = time, .hidden = n, .reverse = false, .lengths = nullptr};
      r.x = array(batch * time * gates), r.w = array(gates * n), r.bias = array(gates);
      r.h0 = array(batch * n), r.c0 = array(batch * n);
      r.y = array(batch * time * n), r.h = array(batch * n), r.c = array(batch * n);
      r.before = array(batch * time * n), r.kept = array(batch * time * kept_of(cell) * n);
      table().recurrent(r);
      EXPECT_EQ(static_cast<float*>(r.h)[batch * n - 1], static_cast<float*>(r.y)[batch * time * n - 1]);
      table().recurrent_grad(r, r.y, r.h, r.c, array(batch * time * gates), array(batch * time * gates),
                             array(batch * n), array(batch * n));
    }
  }
}

TEST_P(Bounds, ConvolutionsAndPools) {
  for (int64_t width = 1; width <= 40; ++width, release()) {
    Conv2d c{2, 3, 4, width, 5, 3, 3, 4, width};
    c.pad_h = c.pad_w = 1;
    float *x = array(2 * 3 * 4 * width), *w = array(5 * 3 * 9), *bias = array(5), *y = array(2 * 5 * 4 * width);
    table().conv2d(c, x, w, bias, y);
    EXPECT_NEAR(y[2 * 5 * 4 * width - 1], 0.25 * double(3 * 2 * std::min<int64_t>(2, width)) + 0.5, 1e-5);
    table().conv2d_grad_input(c, y, w, x);
    table().conv2d_grad_weight(c, x, y, w);
    c.stride_h = c.stride_w = 2;
    c.out_h = 2;
    c.out_w = (width + 1) / 2;
    float* strided = array(2 * 5 * 2 * c.out_w);
    table().conv2d(c, x, w, nullptr, strided);
    table().conv2d_grad_input(c, strided, w, x);
    table().conv2d_grad_weight(c, x, strided, w);
    // Many channels, by Winograd's tiles.
    Conv2d many{2, 17, 9, width, 33, 3, 3, 9, width};
    many.pad_h = many.pad_w = 1;
    float *many_x = array(2 * 17 * 9 * width), *many_w = array(33 * 17 * 9), *many_y = array(2 * 33 * 9 * width);
    table().conv2d(many, many_x, many_w, array(33), many_y);
    EXPECT_NEAR(many_y[2 * 33 * 9 * width - 1], 0.25 * double(17 * 2 * std::min<int64_t>(2, width)) + 0.5, 1e-4);
    table().conv2d_grad_input(many, many_y, many_w, many_x);
    table().conv2d_grad_weight(many, many_x, many_y, many_w);
    Pool2d p{6, 4, width, 2, (width + 1) / 2, 2, 2, 2, 2, 0, width % 2};
    p.out_w = (width + 2 * p.pad_w) / 2;
    float *pooled = array(6 * p.out_h * p.out_w), *dx = array(2 * 3 * 4 * width);
    table().max_pool2d(p, x, pooled, array<int64_t>(6 * p.out_h * p.out_w));
    table().max_pool2d(p, x, pooled, nullptr);
    table().max_pool2d_grad(p, x, pooled, dx);
    table().avg_pool2d(p, x, pooled);
    table().avg_pool2d_grad(p, pooled, dx);
  }
}

GRADUS_EACH_ISA(Bounds);

}  // namespace
}  // namespace gradus
