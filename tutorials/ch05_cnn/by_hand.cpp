// Convolution, pooling and batch normalisation with numbers small enough to follow by hand.
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "autograd/ops.h"

using namespace gradus;

namespace {

constexpr TensorOptions wide = {.dtype = float64};

// --- printing ------------------------------------------------------------------------------------------------------

struct Titled {
  std::string title;
  Tensor table;  // (rows, columns)
};

// Tables of whole numbers side by side.
void print(const std::vector<Titled>& tables) {
  constexpr int digits = 4;
  int64_t rows = 0;
  for (const Titled& t : tables) rows = std::max(rows, t.table.size(0));
  for (int64_t row = -1; row < rows; ++row) {
    std::string line;
    for (const auto& [title, table] : tables) {
      const size_t start = line.size(), width = std::max<size_t>(size_t(digits * table.size(1)), title.size()) + 4;
      if (row < 0) line += title;
      for (int64_t j = 0; row >= 0 && row < table.size(0) && j < table.size(1); ++j) {
        char text[16];
        std::snprintf(text, sizeof(text), "%*.0f", digits, table[row][j].item() + 0.0);
        line += text;
      }
      line.resize(start + width, ' ');
    }
    std::printf("%s\n", line.substr(0, line.find_last_not_of(' ') + 1).c_str());
  }
  std::printf("\n");
}

// A table as a picture or a weight, (1, 1, h, w), and back.
Tensor image(const Tensor& table) { return table.unsqueeze(0).unsqueeze(0); }
Tensor table(const Tensor& image) { return image[0][0]; }

void say(const char* what, bool ok) {
  std::printf("%s: %s\n", what, ok ? "yes" : "no");
  check(ok, what, ": no");
}

// --- convolution ---------------------------------------------------------------------------------------------------

//! [loops]
// x (in, h, w) and weight (out, in, k, k) give (out, out_h, out_w): every product, one after the other.
Tensor plain_loops(const Tensor& x, const Tensor& weight, int64_t stride, int64_t padding) {
  const int64_t in = x.size(0), h = x.size(1), w = x.size(2), out = weight.size(0), k = weight.size(2);
  const int64_t out_h = (h + 2 * padding - k) / stride + 1, out_w = (w + 2 * padding - k) / stride + 1;
  const Tensor y = zeros({out, out_h, out_w}, wide);
  const double *pixel = x.data<double>(), *factor = weight.data<double>();
  double* sum = y.data<double>();
  for (int64_t o = 0; o < out; ++o)
    for (int64_t i = 0; i < out_h; ++i)
      for (int64_t j = 0; j < out_w; ++j, ++sum)
        for (int64_t c = 0; c < in; ++c)
          for (int64_t a = 0; a < k; ++a)
            for (int64_t b = 0; b < k; ++b) {
              const int64_t row = i * stride - padding + a, column = j * stride - padding + b;
              if (row < 0 || row >= h || column < 0 || column >= w) continue;  // padding is zero and adds nothing
              *sum += pixel[(c * h + row) * w + column] * factor[((o * in + c) * k + a) * k + b];
            }
  return y;
}
//! [loops]

//! [example]
const Tensor picture = tensor({{0, 0, 1, 1}, {0, 0, 1, 1}, {0, 1, 1, 1}, {1, 1, 1, 1}}, wide);
const Tensor filter = tensor({{-1, 0, 1}, {-1, 0, 1}, {-1, 0, 1}}, wide);

void an_edge() {
  const Tensor x = image(picture), weight = image(filter);  // (1, 1, 4, 4) and (1, 1, 3, 3)
  const Tensor turned = weight.flip({2, 3});
  print({{"picture", picture},
         {"filter", filter},
         {"cross-correlation", table(conv2d(x, weight))},
         {"convolution", table(conv2d(x, turned))}});
  print({{"padding 1", table(conv2d(x, weight, {}, {.padding = 1}))},
         {"padding 1, stride 2", table(conv2d(x, weight, {}, {.stride = 2, .padding = 1}))}});
}
//! [example]

void sizes() {
  std::printf("size  kernel  padding  stride  output size\n");
  struct Case {
    int64_t n, k, p, s;
  };
  for (const auto& [n, k, p, s] : {Case{28, 5, 0, 1}, {28, 5, 2, 1}, {28, 3, 1, 2}, {28, 2, 0, 2}, {7, 2, 0, 2}}) {
    const Tensor y = conv2d(zeros({1, 1, n, n}), zeros({1, 1, k, k}), {}, {.stride = s, .padding = p});
    check(y.size(2) == (n + 2 * p - k) / s + 1, "the formula for the output's size does not hold");
    std::printf("%4d  %6d  %7d  %6d  %11d\n", int(n), int(k), int(p), int(s), int(y.size(2)));
  }
  std::printf("\n");
}

void checks() {
  Generator random(1);
  const Tensor x = randn({3, 9, 7}, wide, &random), weight = randn({4, 3, 3, 3}, wide, &random);
  const Tensor y = conv2d(x.unsqueeze(0), weight, {}, {.stride = 2, .padding = 1})[0];
  say("plain loops agree with conv2d", allclose(plain_loops(x, weight, 2, 1), y));

  // Away from the border, where padding would enter.
  const Tensor maps = conv2d(x.unsqueeze(0), weight), moved = conv2d(x.roll(1, 2).unsqueeze(0), weight);
  const int64_t columns = maps.size(3) - 1;
  say("a picture moved by a pixel has its map moved by a pixel",
      allclose(moved.narrow(3, 1, columns), maps.narrow(3, 0, columns)));

  const int64_t pixels = 28 * 28, maps_of = 8, kernel = 5 * 5;
  std::printf("eight maps of a picture: %d parameters by a linear layer, %d by a convolution\n\n",
              int(maps_of * pixels * (pixels + 1)), int(maps_of * (kernel + 1)));
}

void as_a_product() {
  // Each column is what the filter sees at one place.
  const Tensor patches = picture.unfold(0, 3, 1).unfold(1, 3, 1).flatten(2).flatten(0, 1).t();
  const Tensor product = matmul(filter.flatten().unsqueeze(0), patches);
  print({{"patches, one a column", patches}});
  print({{"filter", filter.flatten().unsqueeze(0)}, {"product", product}});
  check(equal(product.flatten(), conv2d(image(picture), image(filter)).flatten()), "the product is no convolution");
}

// --- pooling -------------------------------------------------------------------------------------------------------

void pooling() {
  const Tensor map = conv2d(image(picture), image(filter), {}, {.padding = 1}).requires_grad_();
  const Tensor y = max_pool2d(map, {.kernel = 2});
  y.backward(tensor({{{{1, 2}, {3, 4}}}}, wide));
  print({{"map", table(map.detach())}, {"largest", table(y.detach())}, {"gradient of the map", table(map.grad())}});
}

// --- batch normalisation ---------------------------------------------------------------------------------------------

void print_row(const char* what, const Tensor& x) {
  std::printf("%-36s", what);
  for (const double value : x.to_vector()) std::printf("%8.4f", value == 0 ? 0 : value);
  std::printf("\n");
}

//! [norm]
void normalisation() {
  const Tensor x = tensor({1, 3, 5, 7}, wide).reshape({4, 1}).requires_grad_();  // four samples of one channel
  const Tensor y = batch_norm(x, {}, {}, {}, {}, true, 0.1, 0);                  // no scale, no shift, eps 0
  const Tensor g = tensor({1, 0, 0, 0}, wide).reshape({4, 1});
  y.backward(g);
  const Tensor dx = x.grad(), unit = y.detach();
  const Tensor frozen = g / x.detach().std({}, 0);  // as if mean and variance were given
  print_row("inputs x", x.detach());
  print_row("outputs y, normalised", unit);
  print_row("gradient of y", g);
  print_row("gradient of x", dx);
  print_row("with mean and variance for constants", frozen);
  std::printf("the gradient of x, summed %.4f, times y %.4f\n", std::fabs(dx.sum().item()),
              std::fabs((dx * unit).sum().item()));
}
//! [norm]

}  // namespace

int main() {
  an_edge();
  sizes();
  checks();
  as_a_product();
  pooling();
  normalisation();
}
