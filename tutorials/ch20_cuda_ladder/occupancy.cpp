// How many blocks fit on a multiprocessor at a time, and what limits them.
#include <algorithm>
#include <cstdio>
#include <string>

#include "tensor/error.h"

namespace {

struct Multiprocessor {
  const char* name;
  int threads, blocks, registers, shared_bytes;
};

//! [occupancy]
struct Fit {
  int blocks;  // at a time
  const char* limit;
};

Fit resident_blocks(const Multiprocessor& sm, int threads, int registers, int shared_bytes) {
  const int warps = (threads + 31) / 32;
  const int of_warp = (32 * registers + 255) / 256 * 256;  // registers are given out by 256, to a warp
  const Fit by_threads = {sm.threads / (32 * warps), "threads"};
  const Fit by_blocks = {sm.blocks, "blocks"};
  const Fit by_registers = {sm.registers / of_warp / warps, "registers"};
  const Fit by_shared = {sm.shared_bytes / (shared_bytes + 1024), "shared memory"};  // 1 KB is the system's
  return std::min({by_threads, by_blocks, by_registers, by_shared},
                  [](const Fit& x, const Fit& y) { return x.blocks < y.blocks; });
}
//! [occupancy]

// NVIDIA, CUDA C++ Programming Guide, technical specifications for each compute capability.
const Multiprocessor sms[] = {{"8.0", 2048, 32, 65536, 164 << 10}, {"9.0", 2048, 32, 65536, 228 << 10}};

void show(const char* what, int threads, int registers, int shared_bytes) {
  std::printf("%-32s %5d %9d %7d", what, threads, registers, shared_bytes);
  for (const Multiprocessor& sm : sms) {
    const Fit fit = resident_blocks(sm, threads, registers, shared_bytes);
    const int resident = fit.blocks * ((threads + 31) / 32 * 32);
    std::printf("  %d %5.1f%% %-13s", fit.blocks, 100.0 * resident / sm.threads, fit.limit);
  }
  std::printf("\n");
}

}  // namespace

int main() {
  std::printf("a block                        threads registers   bytes  on 8.0                 on 9.0\n");
  show("naive, if it takes 32 registers", 256, 32, 0);
  show("shared, if it takes 32 registers", 1024, 32, 2 * 32 * 32 * 4);
  show("shared, if it takes 40", 1024, 40, 2 * 32 * 32 * 4);
  show("registers, bounded to 128", 256, 128, 2 * 128 * 8 * 4);
  show("async, bounded to 128", 256, 128, 2 * 2 * 8 * 132 * 4);
  show("the same, unbounded, with 136", 256, 136, 2 * 2 * 8 * 132 * 4);
  show("three stages of bfloat16 tiles", 256, 128, 3 * 2 * 128 * 64 * 2);
  const auto blocks = [](int registers) { return resident_blocks(sms[1], 256, registers, 0).blocks; };
  gradus::check(blocks(128) == 2 && blocks(136) == 1, "128 registers leave room for two blocks of 256 threads");
}
