// What the programs of the ladders share: how they take times and read their arguments.
#pragma once

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <exception>
#include <fstream>
#include <string>

#include "tensor/error.h"
#include "tensor/kernels/cpu/threads.h"

namespace gradus::ladder {

// With one thread, what it had of a processor: that leaves out when other programs had it.
inline double seconds_now() {
  if (num_threads() == 1) return double(std::clock()) / CLOCKS_PER_SEC;
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The least that a call took, of as many samples of `calls` calls as fit into `seconds`, one at least.
template <class F>
double best_time(double seconds, int64_t calls, const F& call) {
  double best = 1e300;
  for (double spent = 0; spent < seconds;) {
    const double start = seconds_now();
    for (int64_t i = 0; i < calls; ++i) call();
    const double took = seconds_now() - start;
    best = std::min(best, took / double(calls));
    spent += std::max(took, 1e-6);
  }
  return best;
}

// Whether `text` is a whole number from 1 to `most`.
inline bool parse(const char* text, int most, int& value) {
  const char* end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, value);
  return error == std::errc() && stop == end && value >= 1 && value <= most;
}

// The processor's name, as it calls itself.
inline std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

// A table that programs can read: `row` writes a line of it.
class Csv {
 public:
  Csv(const std::string& path, const std::string& head) : path_(path), file_(path) { file_ << head << '\n'; }
  ~Csv() noexcept(false) {
    file_.close();
    if (std::uncaught_exceptions() == 0) check(file_.good(), "cannot write ", path_);
  }
  template <class... Cells>
  void row(const std::string& first, const Cells&... cells) {
    file_ << first;
    ((file_ << ',' << cells), ...);
    file_ << '\n';
  }

 private:
  std::string path_;
  std::ofstream file_;
};

// With so many digits as are worth showing.
inline std::string digits(double value, int after = 1) {
  char text[40];
  std::snprintf(text, sizeof(text), "%.*f", after, value);
  return text;
}

// The program NAME [SIZE [THREADS]]: climb(size), or with --csv FOLDER behind that write(size, folder).
inline int run(const char* name, int argc, char** argv, void (*climb)(int64_t size),
               void (*write)(int64_t size, const std::string& folder) = nullptr) {
  int size = 1024, threads = num_threads();
  const char* folder = nullptr;
  if (write && argc > 2 && std::string(argv[argc - 2]) == "--csv") {
    folder = argv[argc - 1];
    argc -= 2;
  }
  if (argc > 3 || (argc > 1 && !parse(argv[1], 1 << 14, size)) || (argc > 2 && !parse(argv[2], 1024, threads))) {
    std::fprintf(stderr, "error: usage: %s [SIZE [THREADS]]%s, SIZE at most 16384, THREADS at most 1024\n", name,
                 write ? " [--csv FOLDER]" : "");
    return 2;
  }
  try {
    set_num_threads(threads);
    if (folder)
      write(size, folder);
    else
      climb(size);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 0;
}

}  // namespace gradus::ladder
