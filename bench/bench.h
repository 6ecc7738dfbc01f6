// What the benchmark programs share: the things they measure, and who asks for them.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace gradus::bench {

using Call = std::function<void()>;

// One thing to measure. `peer_torch.py` has the same by the same name.
struct Item {
  std::string group, name;
  double flops = 0, read = 0, written = 0;  // operations and bytes that one call cannot do without
  std::function<Call()> make;               // makes the inputs and gives the call to time
};

// The main of a program with items: Google Benchmark over all of them, or with --serve answers to bench.py, one
// line for each line of standard input (see serve.cpp).
int run_items(std::vector<Item> items, int argc, char** argv);

struct Seconds {
  double median, decile;  // one sample in ten is below `decile`; the very least may be an error of the clock
};
// Seconds per call, of samples taken for about `seconds` after some calls that are not timed. A sample is as many
// calls as take 20 microseconds, so that reading the clock is not what is measured. The clock is the wall's, or
// counts what the calling thread had of a processor: that leaves out when others had it, and the other threads.
enum class Time { wall, processor };
Seconds time_calls(const Call& call, double seconds, Time time);

// What the machine can do at best.
namespace roof {
// "avx512", "avx2", "neon" or "none": the widest the processor has, and GRADUS_ISA allows.
std::string isa();
// What 10^9 operations take as float32 multiply-adds without loads or stores, on all threads; 0 where there is no
// loop for the instruction set.
Seconds giga_operations(const std::string& isa, double seconds, Time time);
// GB/s of the better of ordinary and streaming stores (read + written), and of reading alone, where all that is
// touched is `bytes`.
double copy(double bytes, int threads, Time time);
double read(double bytes, int threads, Time time);
}  // namespace roof

}  // namespace gradus::bench
