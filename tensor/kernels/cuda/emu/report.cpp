// Collects what was found wrong, and finds names and lines for addresses.
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <mutex>
#include <vector>

#include "tensor/kernels/cuda/emu/scheduler.h"

namespace emu {
namespace {

constexpr size_t max_lines = 20;
std::mutex mutex;
struct Line {
  const void* kernel;
  std::string what, detail;
};
std::vector<Line> lines;

// Where the program was loaded: what to subtract from an address before looking it up in the file.
uintptr_t load_address() {
  uintptr_t address = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* result) {
        *static_cast<uintptr_t*>(result) = info->dlpi_addr;
        return 1;  // the first is the program itself
      },
      &address);
  return address;
}

// Of "void gradus::(anonymous namespace)::kernel<float>(float*)" what a reader looks for.
std::string short_name(std::string function) {
  for (const std::string noise : {"(anonymous namespace)::", "void "})
    if (const size_t at = function.find(noise); at != std::string::npos) function.erase(at, noise.size());
  return function.substr(0, function.find_first_of("(\n"));
}

std::string file_name(const std::string& path) { return path.substr(path.find_last_of('/') + 1); }

}  // namespace

const void* running_kernel = nullptr;

void report(const std::string& what, const std::string& detail) {
  std::lock_guard lock(mutex);
  const auto same = [&](const Line& line) { return line.kernel == running_kernel && line.what == what; };
  if (lines.size() < max_lines && std::none_of(lines.begin(), lines.end(), same))
    lines.push_back({running_kernel, what, detail});
}

std::string take_report() {
  std::lock_guard lock(mutex);
  std::string text;
  for (const Line& line : lines)
    text += (text.empty() ? "" : "\n") + symbol_of(line.kernel).function + ": " + line.what + line.detail;
  lines.clear();
  return text;
}

namespace {

Symbol look_up(const void* instruction) {
  const uintptr_t offset = uintptr_t(instruction) - load_address();
  char command[120], text[1024];
  std::snprintf(command, sizeof command, "addr2line -iCfe /proc/%d/exe 0x%zx 2>/dev/null", int(getpid()),
                size_t(offset));
  std::snprintf(text, sizeof text, "0x%zx", size_t(offset));
  Symbol symbol{text, text};
  FILE* pipe = popen(command, "r");
  if (pipe == nullptr) return symbol;
  // Pairs of lines, function and place, from the innermost inlined function outwards. The outermost function is the
  // kernel, and its line the first place that is not the emulator's.
  for (bool found = false; std::fgets(text, sizeof text, pipe) != nullptr;) {
    const std::string function = short_name(text);
    if (std::fgets(text, sizeof text, pipe) == nullptr || function == "??") break;
    std::string place(text);
    place.erase(std::min(place.find_first_of("\n "), place.size()));
    symbol = {function, found ? symbol.line : file_name(place)};
    found =
        found || (place.find("/cuda/emu/") == std::string::npos && place.find("/simt_ptx.h") == std::string::npos);
  }
  pclose(pipe);
  return symbol;
}

}  // namespace

Symbol symbol_of(const void* instruction) {
  static std::mutex known_mutex;
  static std::map<const void*, Symbol> known;  // to ask costs a tenth of a second
  std::lock_guard lock(known_mutex);
  const auto [place, fresh] = known.try_emplace(instruction);
  if (fresh) place->second = look_up(instruction);
  return place->second;
}

}  // namespace emu
