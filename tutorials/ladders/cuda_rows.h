// What the ladders of kernels over rows share, cuda_softmax and cuda_layer_norm: matrices in the device's memory, and
// the program that times rungs and says how close they come to what memory can do.
#pragma once

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "tensor/kernels/cuda/runtime.h"
#include "tutorials/ladders/timing.h"

namespace gradus::ladder {

// Numbers in the device's memory.
class DeviceNumbers {
 public:
  explicit DeviceNumbers(int64_t count) : bytes_(size_t(count) * sizeof(float)), data_(cuda::allocate(bytes_)) {
    std::vector<float> numbers(size_t(count), 0);
    for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = float(i * 7 % 31) / 8 - 2;
    cuda::copy_to_device(data_, numbers.data(), bytes_);
  }
  ~DeviceNumbers() { cuda::deallocate(data_, bytes_); }
  DeviceNumbers(const DeviceNumbers&) = delete;
  DeviceNumbers& operator=(const DeviceNumbers&) = delete;
  float* data() const { return static_cast<float*>(data_); }
  size_t bytes() const { return bytes_; }

 private:
  size_t bytes_;
  void* data_;
};

// Seconds for one call, of the best of a few samples of several calls, all waited for together.
template <class F>
double seconds_on_device(const F& call, bool emulated) {
  call();
  cuda::synchronize();
  const double once = best_time(1e-9, 1, [&] { call(), cuda::synchronize(); });
  const int64_t calls = emulated ? 1 : std::clamp<int64_t>(int64_t(0.05 / once), 1, 1000);
  return best_time(emulated ? 1e-9 : 0.2, 1,
                   [&] {
                     for (int64_t i = 0; i < calls; ++i) call();
                     cuda::synchronize();
                   }) /
         double(calls);
}

// Times each rung of `rungs` on rows of n numbers, as many as make 2^25 (2^13 in the emulator); `call` runs a rung on
// (rows, n, x, y). Into `folder`, unless it is empty, goes KERNEL.csv, which tools/bandwidth.py draws.
template <class Rungs, class Call>
void climb_rows(const char* kernel, const Rungs& rungs, int64_t n, const std::string& folder, const Call& call) {
  const bool emulated = cuda::description().find("emulat") != std::string::npos;
  const int64_t rows = std::max<int64_t>((int64_t(1) << (emulated ? 13 : 25)) / n, 1);
  const DeviceNumbers x(rows * n), y(rows * n);
  const double bytes = 2 * double(x.bytes());  // read once and written once
  const auto speed = [&](const auto& f) { return bytes / seconds_on_device(f, emulated) * 1e-9; };
  const double copy = speed([&] { cuda::copy_on_device(y.data(), x.data(), x.bytes()); });
  std::printf("%d rows of %d, %s, a copy: %.0f GB/s\n\n", int(rows), int(n), cuda::description().c_str(), copy);
  std::printf("%-10s %8s %14s %18s\n", "rung", "GB/s", "share of copy", "times rung before");
  double before = 0;
  std::vector<double> reached;
  for (const auto& rung : rungs) {
    const double now = speed([&] { call(rung, rows, n, x.data(), y.data()); });
    std::printf("%-10s %8.1f %13.1f%% ", rung.name, now, 100 * now / copy);
    if (before > 0)
      std::printf("%18.1f\n", now / before);
    else
      std::printf("%18s\n", "-");
    before = now;
    reached.push_back(now);
  }
  if (folder.empty()) return;
  Csv csv(folder + "/" + kernel + ".csv", "device,kernel,rung,GB/s,copy GB/s");
  const std::string what = std::string(kernel) + " " + std::to_string(rows) + " x " + std::to_string(n);
  for (size_t i = 0; i < reached.size(); ++i)
    csv.row(cuda::description(), what, rungs[i].name, digits(reached[i]), digits(copy));
}

// The program NAME [SIZE] [--csv FOLDER]: climb(size, folder), 4096 and "" at first, 256 in the emulator.
inline int run_rows(const char* name, int argc, char** argv, void (*climb)(int64_t n, const std::string& folder)) {
  std::string folder;
  if (argc > 2 && std::string(argv[argc - 2]) == "--csv") {
    folder = argv[argc - 1];
    argc -= 2;
  }
  try {
    if (!cuda::available()) {
      std::fprintf(stderr, "error: device cuda: %s\n", cuda::description().c_str());
      return 1;
    }
    int size = cuda::description().find("emulat") != std::string::npos ? 256 : 4096;
    if (argc > 2 || (argc > 1 && !parse(argv[1], 1 << 20, size))) {
      std::fprintf(stderr, "error: usage: %s [SIZE] [--csv FOLDER], SIZE at most 1048576\n", name);
      return 2;
    }
    climb(size, folder);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 0;
}

}  // namespace gradus::ladder
