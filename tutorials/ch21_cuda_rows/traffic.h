// Counts what kernels move, on the emulator: the compiler puts a call before each access of a kernel, for the checker
// (tensor/kernels/cuda/emu/check.h), and the linker lets us see these calls first. So the kernels that are counted are
// those of the library and the ladders themselves.
#pragma once

#include <functional>

namespace traffic {

// Bytes of global memory, and barriers.
struct Counts {
  double asked = 0;     // by threads, read and written
  double sectors = 0;   // in the sectors of 32 bytes that the warps' loads and stores touch
  double beyond = 0;    // read from beyond the first cache, and written, each sector of a block once
  double barriers = 0;  // of all blocks
};

// The first cache is a model: 128 bytes for each thread of a block, as an H100's multiprocessor has 256 KB for 2048
// threads. It gives up the sector that was not used for longest, and is empty when a kernel begins. The lanes of a warp
// go in step, and so do the warps of a block.
Counts count(const std::function<void()>& launches);

}  // namespace traffic
