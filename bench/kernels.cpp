// What is limited by memory, layers whose weights stay, convolutions, attention and what an op costs by itself, the
// same as in peer_torch.py. Results are newly made in every call on both sides, except where the name says "into":
// there they are given.
#include <memory>

#include "autograd/ops.h"
#include "bench/bench.h"
#include "optim/adam.h"
#include "optim/clip.h"
#include "optim/sgd.h"
#include "tensor/kernels/table.h"

namespace gradus::bench {
namespace {

// Results that nobody uses: all of this is behind calls the compiler cannot see through.
Call plain(std::function<void()> f) {
  return [f = std::move(f)] {
    NoGrad guard;
    f();
  };
}

// y = f(x), its gradient for a given one of y, and x's and the parameters' gradients forgotten again.
template <class F>
Call both_ways(const Tensor& input, std::vector<Tensor> parameters, F f) {
  Tensor x = input.requires_grad_();
  parameters.push_back(x);
  Tensor g = randn(f(x).shape());
  return [=] {
    f(x).backward(g);
    for (const Tensor& p : parameters) p.zero_grad();
  };
}

class Items {
 public:
  std::vector<Item> all;

  // `read` and `written` in numbers of float32.
  void memory(const std::string& name, double read, double written, std::function<Call()> make) {
    all.push_back(
        {.group = "memory", .name = name, .read = 4 * read, .written = 4 * written, .make = std::move(make)});
  }
  void conv(const std::string& name, double flops, double read, double written, std::function<Call()> make) {
    all.push_back({.group = "conv",
                   .name = name,
                   .flops = flops,
                   .read = 4 * read,
                   .written = 4 * written,
                   .make = std::move(make)});
  }
  void attention(const std::string& name, double flops, std::function<Call()> make) {
    all.push_back({.group = "attention", .name = name, .flops = flops, .make = std::move(make)});
  }
  void linear(const std::string& name, double flops, std::function<Call()> make) {
    all.push_back({.group = "linear", .name = name, .flops = flops, .make = std::move(make)});
  }
  void overhead(const std::string& name, std::function<Call()> make) {
    all.push_back({.group = "overhead", .name = name, .make = std::move(make)});
  }
};

void elementwise(Items& items) {
  const int64_t large = 1 << 26;
  items.memory("add 64M, into", 2 * large, large, [=] {
    Tensor a = randn({large}), b = randn({large}), y = zeros({large});
    return plain([=] { kernels(a).binary(Binary::add, a.raw(), b.raw(), y.raw()); });
  });
  items.memory("copy 64M, into", large, large, [=] {
    Tensor a = randn({large}), y = zeros({large});
    return plain([=] { kernels(a).copy(a.raw(), y.raw()); });
  });
  struct {
    const char* name;
    Unary op;
  } unary[] = {{"exp", Unary::exp},
               {"tanh", Unary::tanh},
               {"sigmoid", Unary::sigmoid},
               {"erf", Unary::erf},
               {"gelu", Unary::gelu},
               {"silu", Unary::silu},
               {"gelu tanh", Unary::gelu_tanh},
               {"relu", Unary::relu},
               {"log", Unary::log},
               {"sin", Unary::sin},
               {"cos", Unary::cos},
               {"sqrt", Unary::sqrt}};
  for (auto [name, op] : unary) {
    for (int64_t n : {64 << 10, 4 << 20}) {
      std::string full = std::string(name) + (n == 64 << 10 ? " 64K" : " 4M") + ", into";
      items.memory(full, double(n), double(n), [=] {
        Tensor x = op == Unary::log || op == Unary::sqrt ? rand({n}) : randn({n}), y = zeros({n});
        return plain([=] { kernels(x).unary(op, x.raw(), y.raw(), 0, 0); });
      });
    }
  }
  for (auto [name, op] :
       {std::pair("tanh", Unary::tanh), {"sigmoid", Unary::sigmoid}, {"gelu", Unary::gelu}, {"silu", Unary::silu}}) {
    const int64_t n = 4 << 20;
    items.memory(std::string(name) + " gradient 4M, into", 2. * n, n, [=] {
      Tensor x = rand({n}), g = randn({n}), y = zeros({n});
      return plain([=] { kernels(x).unary_grad(op, x.raw(), g.raw(), y.raw(), 0, 0); });
    });
  }
  const int64_t n = 4 << 20;
  items.memory("bfloat16 of 4M", n, n / 2, [=] { return plain([x = randn({n})] { x.to(bfloat16); }); });
  items.memory("normal numbers, 4M", 0, n, [=] { return plain([=] { randn({n}); }); });
  items.memory("dropout 4M", n, n, [=] { return plain([x = randn({n})] { dropout(x, 0.1); }); });
  items.memory("dropout 4M, both ways", 2. * n, 2. * n,
               [=] { return both_ways(randn({n}), {}, [](const Tensor& x) { return dropout(x, 0.1); }); });
}

void rows(Items& items) {
  const double n = 4096 * 1024, v = 1600 * 8000, d = 4096 * 256;
  items.memory("softmax 4096x1024", n, n, [] { return plain([x = randn({4096, 1024})] { softmax(x, -1); }); });
  items.memory("softmax 4096x1024, both ways", 3 * n, 2 * n, [] {
    return both_ways(randn({4096, 1024}), {}, [](const Tensor& x) { return softmax(x, -1); });
  });
  items.memory("log_softmax 1600x8000", v, v, [] {
    return plain([x = randn({1600, 8000})] { log_softmax(x, -1); });
  });
  items.memory("log_softmax 1600x8000, both ways", 3 * v, 2 * v, [] {
    return both_ways(randn({1600, 8000}), {}, [](const Tensor& x) { return log_softmax(x, -1); });
  });
  items.memory("cross_entropy 1600x8000, both ways", 2 * v, v, [] {
    return both_ways(randn({1600, 8000}), {},
                     [y = randint(0, 8000, {1600})](const Tensor& x) { return cross_entropy(x, y); });
  });
  const double shorts = 12288 * 25, sorted = 64 * 4096;
  items.memory("log_softmax 12288x25", shorts, shorts, [] {
    return plain([x = randn({12288, 25})] { log_softmax(x, -1); });
  });
  items.memory("sort 64x4096", sorted, 3 * sorted, [] { return plain([x = randn({64, 4096})] { x.sort(-1); }); });
  items.memory("layer_norm 4096x256", d, d, [] {
    return plain([x = randn({4096, 256}), w = ones({256}), b = zeros({256})] { layer_norm(x, {256}, w, b); });
  });
  items.memory("layer_norm 4096x256, both ways", 3 * d, 2 * d, [] {
    Tensor w = ones({256}).requires_grad_(), b = zeros({256}).requires_grad_();
    return both_ways(randn({4096, 256}), {w, b}, [=](const Tensor& x) { return layer_norm(x, {256}, w, b); });
  });
  items.memory("rms_norm 4096x256", d, d, [] {
    return plain([x = randn({4096, 256}), w = ones({256})] { rms_norm(x, w); });
  });
  items.memory("rms_norm 4096x256, both ways", 3 * d, 2 * d, [] {
    Tensor w = ones({256}).requires_grad_();
    return both_ways(randn({4096, 256}), {w}, [=](const Tensor& x) { return rms_norm(x, w); });
  });
  const double image = 64 * 32 * 28 * 28;
  items.memory("batch_norm 64x32x28x28", 2 * image, image, [] {
    return plain([x = randn({64, 32, 28, 28}), mean = zeros({32}), var = ones({32}), w = ones({32}),
                  b = zeros({32})] { batch_norm(x, mean, var, w, b, true); });
  });
  items.memory("batch_norm 64x32x28x28, both ways", 6 * image, 2 * image, [] {
    Tensor mean = zeros({32}), var = ones({32}), w = ones({32}).requires_grad_(), b = zeros({32}).requires_grad_();
    return both_ways(randn({64, 32, 28, 28}), {w, b},
                     [=](const Tensor& x) { return batch_norm(x, mean, var, w, b, true); });
  });
  items.memory("embedding 1600 of 8000x256, both ways", 2 * 1600 * 256, 1600 * 256 + 8000 * 256, [] {
    return both_ways(randn({8000, 256}), {},
                     [i = randint(0, 8000, {64, 25})](const Tensor& w) { return embedding(i, w); });
  });
}

void reductions(Items& items) {
  const Shape shape{256, 256, 256};
  const double n = 256 * 256 * 256;
  items.memory("sum of 256x256x256", n, 1, [=] { return plain([x = randn(shape)] { x.sum(); }); });
  for (int64_t axis : {0, 1, 2}) {
    items.memory("sum over axis " + std::to_string(axis) + " of 256x256x256", n, n / 256,
                 [=] { return plain([=, x = randn(shape)] { x.sum({axis}); }); });
    items.memory("amax over axis " + std::to_string(axis) + " of 256x256x256", n, n / 256,
                 [=] { return plain([=, x = randn(shape)] { x.amax({axis}); }); });
  }
  items.memory("transpose 2048x2048", 2048 * 2048, 2048 * 2048, [] {
    return plain([x = randn({2048, 2048})] { x.t().contiguous(); });
  });
  items.memory("permute 64x25x8x32 to 64x8x25x32", 64 * 25 * 8 * 32, 64 * 25 * 8 * 32, [] {
    return plain([x = randn({64, 25, 8, 32})] { x.permute({0, 2, 1, 3}).contiguous(); });
  });
}

void optimisers(Items& items) {
  auto parameters = [] {
    std::vector<Tensor> all;
    for (int i = 0; i < 10; ++i) {
      all.push_back(randn({1 << 20}).requires_grad_());
      all.back().set_grad(randn({1 << 20}));
    }
    return all;
  };
  const double n = 10 * (1 << 20);
  items.memory("Adam, 10.5M parameters", 4 * n, 3 * n,
               [=] { return [adam = std::make_shared<optim::Adam>(parameters())] { adam->step(); }; });
  items.memory("SGD with momentum, 10.5M parameters", 3 * n, 2 * n, [=] {
    return [sgd = std::make_shared<optim::SGD>(parameters(), optim::SGDOptions{.momentum = 0.9})] { sgd->step(); };
  });
  items.memory("clip_grad_norm_, 10.5M parameters", n, 0, [=] {  // nothing is above the limit
    return [p = parameters()] { optim::clip_grad_norm_(p, 1e9); };
  });
}

void convolution(Items& items, const std::string& name, Conv2d c) {
  c.out_h = (c.height + 2 * c.pad_h - c.kernel_h) / c.stride_h + 1;
  c.out_w = (c.width + 2 * c.pad_w - c.kernel_w) / c.stride_w + 1;
  const Shape in{c.batch, c.in_channels, c.height, c.width}, out{c.batch, c.out_channels, c.out_h, c.out_w};
  const Shape kernel{c.out_channels, c.in_channels / c.groups, c.kernel_h, c.kernel_w};
  double flops = 2. * double(numel(out)) * double(c.in_channels / c.groups * c.kernel_h * c.kernel_w);
  double nx = double(numel(in)), nw = double(numel(kernel)), ny = double(numel(out));
  items.conv(name + ", forward", flops, nx + nw, ny, [=] {
    return plain([=, x = randn(in), w = randn(kernel)] {
      Tensor y = empty(out);
      kernels(x).conv2d(c, x.data<float>(), w.data<float>(), nullptr, y.data<float>());
    });
  });
  items.conv(name + ", input's gradient", flops, ny + nw, nx, [=] {
    return plain([=, g = randn(out), w = randn(kernel)] {
      Tensor x = empty(in);
      kernels(g).conv2d_grad_input(c, g.data<float>(), w.data<float>(), x.data<float>());
    });
  });
  items.conv(name + ", weight's gradient", flops, nx + ny, nw, [=] {
    return plain([=, x = randn(in), g = randn(out)] {
      Tensor w = empty(kernel);
      kernels(g).conv2d_grad_weight(c, x.data<float>(), g.data<float>(), w.data<float>());
    });
  });
}

void convolutions(Items& items) {
  auto square = [](int64_t batch, int64_t in, int64_t out, int64_t size, int64_t kernel, int64_t stride = 1,
                   int64_t groups = 1) {
    Conv2d c{.batch = batch,
             .in_channels = in,
             .height = size,
             .width = size,
             .out_channels = out,
             .kernel_h = kernel,
             .kernel_w = kernel,
             .out_h = 0,
             .out_w = 0};
    c.stride_h = c.stride_w = stride;
    c.pad_h = c.pad_w = kernel / 2;
    c.groups = groups;
    return c;
  };
  convolution(items, "64x1x28x28 to 16, 3x3", square(64, 1, 16, 28, 3));
  convolution(items, "64x16x14x14 to 32, 3x3", square(64, 16, 32, 14, 3));
  convolution(items, "64x32x14x14 to 64, 5x5", square(64, 32, 64, 14, 5));
  convolution(items, "8x64x56x56 to 64, 3x3", square(8, 64, 64, 56, 3));
  convolution(items, "8x64x56x56 to 128, 3x3 by 2", square(8, 64, 128, 56, 3, 2));
  convolution(items, "8x256x7x7 to 256, 3x3", square(8, 256, 256, 7, 3));
  convolution(items, "8x64x56x56 to 256, 1x1", square(8, 64, 256, 56, 1));
  convolution(items, "8x128x28x28 depthwise, 3x3", square(8, 128, 128, 28, 3, 1, 128));
  const double n = 64 * 32 * 28 * 28;
  items.memory("max_pool2d 64x32x28x28 by 2", n, n / 4, [] {
    return plain([x = randn({64, 32, 28, 28})] { max_pool2d(x, {.kernel = 2}); });
  });
  items.memory("max_pool2d 64x32x28x28 by 2, both ways", n * 5 / 4, n * 5 / 4, [] {
    return both_ways(randn({64, 32, 28, 28}), {}, [](const Tensor& x) { return max_pool2d(x, {.kernel = 2}); });
  });
  items.memory("avg_pool2d 64x32x28x28 by 2, both ways", n * 5 / 4, n * 5 / 4, [] {
    return both_ways(randn({64, 32, 28, 28}), {}, [](const Tensor& x) { return avg_pool2d(x, {.kernel = 2}); });
  });
}

// Of 8 heads of 64 features. Of causal attention the half that counts.
void attentions(Items& items) {
  struct Sizes {
    int64_t batch, queries, keys;
    bool causal;
  };
  for (const Sizes s : {Sizes{8, 64, 64, true}, Sizes{4, 512, 512, false}, Sizes{4, 512, 512, true},
                        Sizes{1, 4096, 4096, false}, Sizes{1, 4096, 4096, true}, Sizes{32, 1, 512, false}}) {
    const std::string name = "attention " + std::to_string(s.batch) + "x8x" + std::to_string(s.queries) + " to " +
                             std::to_string(s.keys) + (s.causal ? ", causal" : "");
    const Shape queries{s.batch, 8, s.queries, 64}, keys{s.batch, 8, s.keys, 64};
    const double pairs = double(s.batch * 8 * s.queries) * double(s.causal ? (s.keys + 1) / 2 : s.keys);
    const AttentionOptions options{.is_causal = s.causal};
    items.attention(name + ", forward", 4 * 64 * pairs, [=] {
      return plain([=, q = randn(queries), k = randn(keys), v = randn(keys)] {
        scaled_dot_product_attention(q, k, v, options);
      });
    });
    if (s.queries == 1) continue;  // of a decoder at work
    items.attention(name + ", both ways", 14 * 64 * pairs, [=] {
      const Tensor k = randn(keys).requires_grad_(), v = randn(keys).requires_grad_();
      return both_ways(randn(queries), {k, v},
                       [=](const Tensor& q) { return scaled_dot_product_attention(q, k, v, options); });
    });
  }
}

// x (m, k) and weights (n, k) that are used again and again; matrices of bfloat16.
void linears(Items& items) {
  struct Sizes {
    int64_t m, n, k;
  };
  for (DType dtype : {float32, bfloat16}) {
    for (Sizes s : {Sizes{1, 1024, 256}, Sizes{1, 4096, 4096}, Sizes{32, 1024, 256}, Sizes{64, 768, 256},
                    Sizes{64, 256, 784}, Sizes{1024, 1024, 1024}}) {
      const std::string sizes = std::to_string(s.m) + "x" + std::to_string(s.n) + "x" + std::to_string(s.k);
      items.linear("linear " + sizes + " " + to_string(dtype), 2 * double(s.m * s.n * s.k), [=] {
        return plain([x = randn({s.m, s.k}).to(dtype), w = randn({s.n, s.k}).to(dtype).requires_grad_(),
                      b = randn({s.n}).to(dtype)] { linear(x, w, b); });
      });
    }
  }
}

void overheads(Items& items) {
  auto pair = [](bool recorded) {
    return std::pair(randn({10}).requires_grad_(recorded), randn({10}).requires_grad_(recorded));
  };
  items.overhead("add of 10 elements, gradients on", [=] { return [p = pair(true)] { p.first + p.second; }; });
  items.overhead("add of 10 elements, gradients off",
                 [=] { return plain([p = pair(false)] { p.first + p.second; }); });
  items.overhead("add of 10 elements and backward", [=] {
    return [p = pair(true), g = ones({10})] {
      (p.first + p.second).backward(g);
      p.first.zero_grad();
      p.second.zero_grad();
    };
  });
  items.overhead("add_ of 10 elements in place, gradients off",
                 [] { return plain([a = zeros({10}), b = zeros({10})]() mutable { a.add_(b); }); });
  items.overhead("sum of 10 elements, gradients off", [] { return plain([a = randn({10})] { a.sum(); }); });
  items.overhead("linear 1x16 to 16, gradients on", [] {
    return [x = randn({1, 16}), w = randn({16, 16}).requires_grad_(), b = randn({16}).requires_grad_()] {
      linear(x, w, b);
    };
  });
  items.overhead("transpose of 4x5, gradients on", [] {
    return [x = randn({4, 5}).requires_grad_()] { x.transpose(0, 1); };
  });
}

std::vector<Item> items() {
  Items items;
  elementwise(items);
  rows(items);
  reductions(items);
  optimisers(items);
  convolutions(items);
  attentions(items);
  linears(items);
  overheads(items);
  return std::move(items.all);
}

}  // namespace
}  // namespace gradus::bench

int main(int argc, char** argv) { return gradus::bench::run_items(gradus::bench::items(), argc, argv); }
