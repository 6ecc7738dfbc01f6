// Launches, as the host sees them.
#pragma once

#include <string>

#include "tensor/kernels/cuda/emu/types.h"

namespace emu {

struct Grid {
  dim3 blocks, threads;
  size_t shared_bytes;          // dynamic
  void (*call)(void* closure);  // the kernel with its arguments
  void* closure;
  size_t closure_bytes;
  const void* kernel;  // its address, for its name
};
// Runs a whole grid before it returns. What a launch may not ask for becomes the last error instead.
void run(const Grid& grid);

// In which order blocks begin and threads go on when there is a choice. A right kernel cannot tell.
enum class Order { forward, reverse, random };
struct Options {
  Order order = Order::forward;     // GRADUS_EMU_ORDER=forward|reverse|random
  uint64_t seed = 1;                // GRADUS_EMU_SEED
  int threads;                      // GRADUS_EMU_THREADS: of the machine; with the checker one
  size_t memory = size_t(4) << 30;  // GRADUS_EMU_MEMORY, in bytes: the device's
  bool strict = false;              // GRADUS_EMU_STRICT=1: host code that touches device memory faults
};
Options& options();

inline constexpr size_t max_shared_bytes = 163 << 10;  // of a block, as of compute capability 8.0
inline constexpr size_t max_static_shared_bytes = 48 << 10;

// What was found wrong since the last call, a line each; empty if nothing was.
std::string take_report();
// Adds to it, of the kernel that runs: "FILE:LINE: what" or "what", each but once, and the details of the first case.
void report(const std::string& what, const std::string& detail);
extern const void* running_kernel;

// "file:line" of an instruction and the name of its function, as far as the debug information tells.
struct Symbol {
  std::string function, line;
};
Symbol symbol_of(const void* instruction);

}  // namespace emu
