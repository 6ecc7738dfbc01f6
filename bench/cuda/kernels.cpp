// Times of the device's kernels, each on inputs of the size that training has. One line of JSON for each: its name, and
// the median of the seconds that a call takes; peers.py has PyTorch's by the same names. Calls take turns with copies
// of their inputs, together larger than the cache. --small is for trying it out on an emulator.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "autograd/ops.h"
#include "tensor/kernels/table.h"
#include "tensor/random.h"

using namespace gradus;

namespace {

bool small = false;
std::string chosen;  // measured is what has this in its name

// A size of an input.
int64_t size(int64_t n) { return small ? std::min<int64_t>(n, 16) : n; }

Tensor numbers(const Shape& shape, DType dtype = float32) { return randn(shape, {.device = Device::cuda}).to(dtype); }
Tensor room(const Shape& shape, DType dtype = float32) {
  return empty(shape, {.dtype = dtype, .device = Device::cuda});
}
Tensor indices(int64_t below, const Shape& shape) {
  return randint(0, below, shape, {.dtype = int64}).to(Device::cuda);
}
void* at(const Tensor& x) { return x.raw().data; }
int64_t* indices_at(const Tensor& x) { return static_cast<int64_t*>(at(x)); }
const KernelTable& table(DType dtype) { return kernels(Device::cuda, dtype); }

using Call = std::function<void()>;

double seconds_for(const std::vector<Call>& calls, int64_t times) {
  synchronize(Device::cuda);
  const auto start = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < times; ++i) calls[size_t(i) % calls.size()]();
  synchronize(Device::cuda);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// `make` makes inputs, of so many bytes, and gives the call that works on them.
void measure(const std::string& name, double bytes, const std::function<Call()>& make) {
  constexpr double cache = 128e6, group = 0.02;
  if (name.find(chosen) == std::string::npos) return;
  try {
    std::vector<Call> calls(small ? 1 : size_t(std::clamp(std::ceil(cache / bytes), 1.0, 16.0)));
    for (Call& call : calls) call = make();
    seconds_for(calls, int64_t(calls.size()));
    const double one = small ? 1 : seconds_for(calls, 3) / 3;
    const int64_t times = small ? 1 : std::clamp<int64_t>(int64_t(group / one), 2, 2000);
    std::vector<double> samples(small ? 1 : 7);
    for (double& s : samples) s = seconds_for(calls, times) / double(times);
    std::nth_element(samples.begin(), samples.begin() + int64_t(samples.size() / 2), samples.end());
    std::printf("{\"name\": \"%s\", \"seconds\": %.6g}\n", name.c_str(), samples[samples.size() / 2]);
    std::fflush(stdout);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s: %s\n", name.c_str(), error.what());
  }
}

constexpr DType floats[] = {float32, bfloat16};

void memory() {
  const int64_t n = size(64 << 20);
  measure("copy float32, 64M", 8.0 * n,
          [=] { return [x = numbers({n}), y = room({n})] { table(float32).copy(x.raw(), y.raw()); }; });
  for (DType type : floats) {
    const double bytes = double(size_of(type)) * n;
    measure("add " + to_string(type) + ", 64M", 3 * bytes, [=] {
      return [=, a = numbers({n}, type), b = numbers({n}, type), y = room({n}, type)] {
        table(type).binary(Binary::add, a.raw(), b.raw(), y.raw());
      };
    });
    measure("gelu " + to_string(type) + ", 64M", 2 * bytes, [=] {
      return [=, x = numbers({n}, type), y = room({n}, type)] {
        table(type).unary(Unary::gelu, x.raw(), y.raw(), 0, 0);
      };
    });
  }
  measure("dropout float32, 64M", 8.0 * n, [=] {
    return [=, x = numbers({n}), y = room({n})] { table(float32).dropout(at(x), at(y), n, {1, 0}, 0.1); };
  });
  measure("transposing copy float32, 8192 x 8192", 8.0 * size(8192) * size(8192), [] {
    Tensor x = numbers({size(8192), size(8192)}), y = room({size(8192), size(8192)});
    return [=] { table(float32).copy(x.t().raw(), y.raw()); };
  });
}

void rows() {
  for (DType type : floats) {
    const std::string of = " " + to_string(type);
    const int64_t many = size(32768), n = size(2048), features = size(768);
    const double bytes = double(size_of(type)) * many;
    measure("softmax" + of + ", 32768 x 2048", 2 * bytes * n, [=] {
      return [=, x = numbers({many, n}, type), y = room({many, n}, type)] {
        table(type).softmax(at(x), at(y), many, n);
      };
    });
    auto norm = [=](bool gradient) {
      Tensor x = numbers({many, features}, type), w = numbers({features}, type), b = numbers({features}, type);
      Tensor y = room({many, features}, type), g = numbers({many, features}, type);
      Tensor mean = room({many}, type), rstd = room({many}, type), dw = room({features}, type),
             db = room({features}, type);
      auto forward = [=] {
        table(type).layer_norm(at(x), at(w), at(b), 1e-5, many, features, at(y), at(mean), at(rstd));
      };
      forward();
      if (!gradient) return Call(forward);
      return Call([=] {
        table(type).layer_norm_grad(at(x), at(w), at(mean), at(rstd), at(g), many, features, at(y), at(dw), at(db));
      });
    };
    measure("layer_norm" + of + ", 32768 x 768", 2 * bytes * features, [=] { return norm(false); });
    measure("layer_norm gradient" + of + ", 32768 x 768", 3 * bytes * features, [=] { return norm(true); });
  }
  const int64_t tokens = size(8192), classes = size(50257);
  auto loss = [=](bool gradient) {
    Tensor x = numbers({tokens, classes}), target = indices(classes, {tokens}), dx = gradient ? room(x.shape()) : x;
    Tensor losses = room({tokens}), log_sum = room({tokens}), g = numbers({tokens});
    CrossEntropy c{tokens, classes};
    auto forward = [=] {
      table(float32).cross_entropy(c, at(x), indices_at(target), nullptr, at(losses), at(log_sum));
    };
    forward();
    if (!gradient) return Call(forward);
    return Call([=] {
      table(float32).cross_entropy_grad(c, at(x), indices_at(target), nullptr, at(log_sum), at(g), at(dx));
    });
  };
  const double scores = 4.0 * tokens * classes;
  measure("cross_entropy float32, 8192 x 50257", scores, [=] { return loss(false); });
  measure("cross_entropy gradient float32, 8192 x 50257", 2 * scores, [=] { return loss(true); });
}

// b is given as it is, or as the transpose of what is stored: the weights of a linear layer.
void product(const std::string& name, DType type, int64_t m, int64_t n, int64_t k, bool transposed) {
  m = size(m), n = size(n), k = size(k);
  measure("matmul " + to_string(type) + ", " + name, double(size_of(type)) * (m * k + k * n + m * n), [=] {
    Tensor a = numbers({1, m, k}, type), b = numbers(transposed ? Shape{1, n, k} : Shape{1, k, n}, type);
    Tensor c = room({1, m, n}, type);
    return [=] {
      Matmul p{a.raw(), (transposed ? b.transpose(1, 2) : b).raw(), c.raw()};
      table(type).matmul(p);
    };
  });
}

void products() {
  product("4096 x 4096 x 4096", float32, 4096, 4096, 4096, false);
  product("1024 x 1024 x 1024", float32, 1024, 1024, 1024, false);
  product("8192 x 8192 x 8192", bfloat16, 8192, 8192, 8192, false);
  product("4096 x 4096 x 4096", bfloat16, 4096, 4096, 4096, false);
  product("8192 x 3072 x 768, linear", bfloat16, 8192, 3072, 768, true);
}

void attend(int64_t batch, int64_t heads, int64_t length, int64_t d) {
  const std::string shape = std::to_string(batch) + " x " + std::to_string(heads) + " x " + std::to_string(length) +
                            " x " + std::to_string(d) + ", causal";
  batch = size(batch), heads = size(heads), length = size(length);  // d has few values a kernel may be made for
  const double bytes = 8.0 * batch * heads * length * d;
  auto make = [=](bool gradient) {
    const Shape s{batch, heads, length, d};
    Tensor q = numbers(s, bfloat16), k = numbers(s, bfloat16), v = numbers(s, bfloat16), y = room(s, bfloat16);
    Tensor log_sum = room({batch, heads, length}), g = numbers(s, bfloat16);
    Tensor dq = room(s, bfloat16), dk = room(s, bfloat16), dv = room(s, bfloat16);
    auto attention = [=] {
      Attention a{};
      a.q = q.raw(), a.k = k.raw(), a.v = v.raw(), a.output = y.raw(), a.log_sum = at(log_sum);
      a.causal = true, a.scale = 1 / std::sqrt(double(d));
      return a;
    };
    auto forward = [=] { table(bfloat16).attention(attention()); };
    forward();
    if (!gradient) return Call(forward);
    return Call([=] { table(bfloat16).attention_grad(attention(), g.raw(), dq.raw(), dk.raw(), dv.raw()); });
  };
  measure("attention bfloat16, " + shape, bytes, [=] { return make(false); });
  measure("attention gradient bfloat16, " + shape, 2 * bytes, [=] { return make(true); });
}

void convolve(const std::string& name, DType type, int64_t in, int64_t out, int64_t kernel, int64_t plane,
              int64_t stride = 1, int64_t groups = 1) {
  Conv2d c{};
  c.batch = size(64), c.groups = groups == 1 ? 1 : size(groups), c.in_channels = size(in), c.out_channels = size(out);
  c.height = c.width = size(plane), c.kernel_h = c.kernel_w = kernel, c.stride_h = c.stride_w = stride;
  c.pad_h = c.pad_w = kernel / 2;
  c.out_h = c.out_w = (c.height + 2 * c.pad_h - kernel) / stride + 1;
  const Shape images{c.batch, c.in_channels, c.height, c.width}, results{c.batch, c.out_channels, c.out_h, c.out_w};
  const Shape weights{c.out_channels, c.in_channels / c.groups, kernel, kernel};
  const double bytes = double(size_of(type)) * (numel(images) + numel(results));
  const std::string what = to_string(type) + ", " + name;
  measure("conv2d " + what, bytes, [=] {
    return [=, x = numbers(images, type), w = numbers(weights, type), y = room(results, type)] {
      table(type).conv2d(c, at(x), at(w), nullptr, at(y));
    };
  });
  measure("conv2d input gradient " + what, bytes, [=] {
    return [=, g = numbers(results, type), w = numbers(weights, type), dx = room(images, type)] {
      table(type).conv2d_grad_input(c, at(g), at(w), at(dx));
    };
  });
  measure("conv2d weight gradient " + what, bytes, [=] {
    return [=, x = numbers(images, type), g = numbers(results, type), dw = room(weights, type)] {
      table(type).conv2d_grad_weight(c, at(x), at(g), at(dw));
    };
  });
}

void images() {
  convolve("3 x 3, 64 to 64, 56 x 56, batch 64", float32, 64, 64, 3, 56);
  convolve("3 x 3, 64 to 64, 56 x 56, batch 64", bfloat16, 64, 64, 3, 56);
  convolve("3 x 3, 256 to 256, 14 x 14, batch 64", float32, 256, 256, 3, 14);
  convolve("1 x 1, 256 to 64, 56 x 56, batch 64", float32, 256, 64, 1, 56);
  convolve("3 x 3, 128 to 128, 56 x 56, stride 2, batch 64", float32, 128, 128, 3, 56, 2);
  convolve("3 x 3, depthwise 128, 56 x 56, batch 64", float32, 128, 128, 3, 56, 1, 128);
  Pool2d p{};
  p.planes = size(64) * size(64), p.height = p.width = size(112), p.out_h = p.out_w = size(112) / 2;
  p.kernel_h = p.kernel_w = p.stride_h = p.stride_w = 2;
  const Shape planes{p.planes, p.height, p.width}, pooled{p.planes, p.out_h, p.out_w};
  measure("max_pool2d float32, 2 x 2, 112 x 112, 4096 planes", 4.0 * (numel(planes) + numel(pooled)), [=] {
    return [=, x = numbers(planes), y = room(pooled)] { table(float32).max_pool2d(p, at(x), at(y), nullptr); };
  });
  measure("max_pool2d gradient float32, 2 x 2, 112 x 112, 4096 planes", 4.0 * (2 * numel(planes) + numel(pooled)),
          [=] {
            return [=, x = numbers(planes), g = numbers(pooled), dx = room(planes)] {
              table(float32).max_pool2d_grad(p, at(x), at(g), at(dx));
            };
          });
}

void language() {
  const int64_t words = size(50257), d = size(768), tokens = size(8192), parameters = size(124439808);
  measure("embedding float32, 8192 of 50257 x 768", 8.0 * tokens * d, [=] {
    return [=, w = numbers({words, d}), index = indices(words, {tokens}), y = room({tokens, d})] {
      table(float32).index_select(at(w), indices_at(index), at(y), 1, words, d, tokens);
    };
  });
  measure("embedding gradient float32, 8192 of 50257 x 768", 4.0 * (words + tokens) * d, [=] {
    return [=, g = numbers({tokens, d}), index = indices(words, {tokens}), dw = room({words, d})] {
      table(float32).fill(dw.raw(), 0);
      table(float32).index_add(at(dw), indices_at(index), at(g), 1, words, d, tokens);
    };
  });
  measure("AdamW float32, 124M parameters", 28.0 * parameters, [=] {
    const AdamStep step{3e-4, 0.9, 0.999, 1e-8, 0.1, true, 1};
    Tensor p = numbers({parameters}), g = numbers({parameters}), m = room({parameters}), v = room({parameters});
    table(float32).fill(m.raw(), 0), table(float32).fill(v.raw(), 0);
    return [=] { table(float32).adam_step(step, parameters, at(p), at(g), at(m), at(v)); };
  });
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--small") == 0)
      small = true;
    else
      chosen = argv[i];
  }
  try {
    manual_seed(1);
    memory();
    rows();
    products();
    attend(4, 16, 4096, 128);
    attend(8, 12, 1024, 64);
    images();
    language();
  } catch (const Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
