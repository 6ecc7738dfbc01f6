// Matrix products beside OpenBLAS, BLIS and oneDNN, all in this process, one short round of each in turn.
//
//   gemm [NAME=LIBRARY]...      NAME: openblas, blis, onednn; LIBRARY: the path of a shared library
//
// It answers bench.py: a line of standard input asks, a line of JSON answers.
//   peers                              what was asked for: [{"name", "version", "there"}]
//   threads N                          how many threads everything after this uses
//   gemm KIND M N K BATCH ROUNDS SECONDS TIME
//     KIND says of A and B whether they lie as they are (N) or transposed (T). Answers {NAME: {"seconds": [[median,
//     decile] per round], "error": largest difference from the product in double, in units of what rounding may
//     make of it}}, and as "peak" the same seconds for 10^9 multiplications and additions in registers, measured in
//     turn with the libraries as the processor's frequency varies.
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "autograd/ops.h"
#include "bench/bench.h"
#include "tensor/kernels/cpu/threads.h"
#include "tensor/kernels/table.h"

namespace gradus::bench {
namespace {

using Json = nlohmann::ordered_json;

struct Problem {
  bool a_transposed, b_transposed;
  int64_t m, n, k, batch;
  Tensor a, b, c;  // a: (batch, m, k), or (batch, k, m) if transposed; so b; c: (batch, m, n)
  Matmul ours;     // of these
};

// One product: pointers to its matrices.
using Product = std::function<void(const Problem& p, const float* a, const float* b, float* c)>;

struct Library {
  std::string name, version;
  std::function<void(int)> set_threads;  // of the calling thread's products
  Product product;                       // none: ours

  void run(const Problem& p) const {
    if (!product) return kernels(p.a).matmul(p.ours);
    auto one = [&](int64_t i) {
      product(p, p.a.data<float>() + i * p.m * p.k, p.b.data<float>() + i * p.k * p.n,
              p.c.data<float>() + i * p.m * p.n);
    };
    if (p.batch == 1) return one(0);
    // The libraries have each product to themselves; a batch goes faster when threads share the products.
    parallel_for(p.batch, std::max<int64_t>(1, p.batch / (8 * num_threads())), [&](int64_t begin, int64_t end) {
      set_threads(1);
      for (int64_t i = begin; i < end; ++i) one(i);
    });
  }
};

template <class F>
F symbol(void* library, const std::string& name) {
  return reinterpret_cast<F>(dlsym(library, name.c_str()));
}

using Sgemm = void (*)(int order, int ta, int tb, int m, int n, int k, float alpha, const float* a, int lda,
                       const float* b, int ldb, float beta, float* c, int ldc);

Product cblas(Sgemm sgemm) {
  return [=](const Problem& p, const float* a, const float* b, float* c) {
    enum { row_major = 101, plain = 111, transposed = 112 };
    int m = int(p.m), n = int(p.n), k = int(p.k);
    sgemm(row_major, p.a_transposed ? transposed : plain, p.b_transposed ? transposed : plain, m, n, k, 1, a,
          p.a_transposed ? m : k, b, p.b_transposed ? k : n, 0, c, n);
  };
}

// A peer, without a product where the library lacks what is needed.
Library load(const std::string& name, const std::string& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) return {name, dlerror(), {}, {}};
  if (name == "openblas") {
    for (std::string prefix : {"", "scipy_"}) {  // the build for SciPy has names of its own
      auto sgemm = symbol<Sgemm>(library, prefix + "cblas_sgemm");
      auto threads = symbol<void (*)(int)>(library, prefix + "openblas_set_num_threads");
      auto config = symbol<char* (*)()>(library, prefix + "openblas_get_config");
      auto core = symbol<char* (*)()>(library, prefix + "openblas_get_corename");
      if (sgemm && threads && config && core) {
        return {name, std::string(config()) + ", kernels for " + core(), threads, cblas(sgemm)};
      }
    }
  }
  if (name == "blis") {
    auto sgemm = symbol<Sgemm>(library, "cblas_sgemm");
    auto threads = symbol<void (*)(long)>(library, "bli_thread_set_num_threads");
    auto version = symbol<const char* (*)()>(library, "bli_info_get_version_str");
    auto arch = symbol<int (*)()>(library, "bli_arch_query_id");
    auto arch_name = symbol<const char* (*)(int)>(library, "bli_arch_string");
    auto init = symbol<void (*)()>(library, "bli_init");
    if (sgemm && threads && version && arch && arch_name && init) {
      init();
      std::string text = std::string("BLIS ") + version() + ", kernels for " + arch_name(arch());
      return {name, text, [=](int n) { threads(n); }, cblas(sgemm)};
    }
  }
  if (name == "onednn") {
    struct Version {
      int major, minor, patch;
    };
    auto sgemm = symbol<int (*)(char, char, int64_t, int64_t, int64_t, float, const float*, int64_t, const float*,
                                int64_t, float, float*, int64_t)>(library, "dnnl_sgemm");
    auto version = symbol<const Version* (*)()>(library, "dnnl_version");
    auto isa = symbol<int (*)()>(library, "dnnl_get_effective_cpu_isa");
    auto threads = symbol<void (*)(int)>(library, "omp_set_num_threads");  // of the OpenMP it is linked with
    if (sgemm && version && isa && threads) {
      std::ostringstream text;
      text << "oneDNN " << version()->major << '.' << version()->minor << '.' << version()->patch
           << ", instruction set 0x" << std::hex << isa();
      return {name, text.str(), threads, [=](const Problem& p, const float* a, const float* b, float* c) {
                sgemm(p.a_transposed ? 'T' : 'N', p.b_transposed ? 'T' : 'N', p.m, p.n, p.k, 1, a,
                      p.a_transposed ? p.m : p.k, b, p.b_transposed ? p.k : p.n, 0, c, p.n);
              }};
    }
  }
  return {name, path + " lacks a function that the bench calls", {}, {}};
}

// The largest |c - product| / (2^-24 sqrt(k) sum |a| |b|) over some elements spread over c: about 1 or less for any
// correct product in float32.
double error(const Problem& p) {
  const float *a = p.a.data<float>(), *b = p.b.data<float>(), *c = p.c.data<float>();
  double worst = 0;
  int64_t size = p.batch * p.m * p.n, step = std::max<int64_t>(1, size / 199);
  for (int64_t at = 0; at < size; at += step) {
    int64_t i = at / (p.m * p.n), row = at / p.n % p.m, column = at % p.n;
    double sum = 0, magnitude = 1e-30;
    for (int64_t l = 0; l < p.k; ++l) {
      double x = a[i * p.m * p.k + (p.a_transposed ? l * p.m + row : row * p.k + l)];
      double y = b[i * p.k * p.n + (p.b_transposed ? column * p.k + l : l * p.n + column)];
      sum += x * y;
      magnitude += std::abs(x * y);
    }
    double e = std::abs(c[at] - sum) / (std::ldexp(magnitude, -24) * std::sqrt(double(p.k)));
    if (!(e <= worst)) worst = e;  // NaN too
  }
  return worst;
}

Json measure(const std::vector<Library>& libraries, std::istream& words) {
  std::string kind, time;
  Problem p;
  int rounds = 7;
  double seconds = 0.01;
  words >> kind >> p.m >> p.n >> p.k >> p.batch >> rounds >> seconds >> time;
  p.a_transposed = kind[0] == 'T';
  p.b_transposed = kind[1] == 'T';
  p.a = p.a_transposed ? randn({p.batch, p.k, p.m}) : randn({p.batch, p.m, p.k});
  p.b = p.b_transposed ? randn({p.batch, p.n, p.k}) : randn({p.batch, p.k, p.n});
  p.c = empty({p.batch, p.m, p.n});
  p.ours = {.a = (p.a_transposed ? p.a.transpose(1, 2) : p.a).raw(),
            .b = (p.b_transposed ? p.b.transpose(1, 2) : p.b).raw(),
            .c = p.c.raw()};
  Json answer;
  for (const Library& library : libraries) {
    p.c.fill_(std::nan(""));
    library.set_threads(num_threads());
    library.run(p);
    answer[library.name] = {{"seconds", Json::array()}, {"error", error(p)}};
  }
  Time clock = time == "processor" ? Time::processor : Time::wall;
  for (int round = 0; round < rounds; ++round) {
    Seconds giga = roof::giga_operations(roof::isa(), seconds, clock);
    answer["peak"].push_back({giga.median, giga.decile});
    for (const Library& library : libraries) {
      library.set_threads(num_threads());
      // So that the threads of the one before are asleep; see machine.py for how long they stay awake.
      if (num_threads() > 1) std::this_thread::sleep_for(std::chrono::milliseconds(3));
      Seconds took = time_calls([&] { library.run(p); }, seconds, clock);
      answer[library.name]["seconds"].push_back({took.median, took.decile});
    }
  }
  return answer;
}

void serve(const std::vector<Library>& libraries, const Json& peers) {
  for (std::string line, word; std::getline(std::cin, line);) {
    std::istringstream words(line);
    words >> word;
    Json answer = true;
    if (word == "peers") {
      answer = peers;
    } else if (word == "threads") {
      int count = 1;
      words >> count;
      set_num_threads(count);
    } else if (word == "gemm") {
      answer = measure(libraries, words);
    } else {
      answer = {{"error", "not understood: " + line}};
    }
    std::cout << answer.dump() << std::endl;
  }
}

}  // namespace
}  // namespace gradus::bench

int main(int argc, char** argv) {
  using namespace gradus::bench;
  std::vector<Library> libraries{{"gradus", "", gradus::set_num_threads, {}}};
  Json peers = Json::array();
  for (int i = 1; i < argc; ++i) {
    std::string argument = argv[i];
    size_t equals = argument.find('=');
    if (equals == std::string::npos) {
      std::cerr << "usage: gemm [NAME=LIBRARY]...\n";
      return 2;
    }
    Library library = load(argument.substr(0, equals), argument.substr(equals + 1));
    peers.push_back({{"name", library.name}, {"version", library.version}, {"there", bool(library.product)}});
    if (library.product) libraries.push_back(library);
  }
  serve(libraries, peers);
}
