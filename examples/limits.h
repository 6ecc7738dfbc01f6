// How large the whole numbers among the programs' options may be, on the command line and in a checkpoint.
#pragma once

#include <cstdint>
#include <string>

namespace examples {

inline constexpr int64_t many = 1'000'000'000;

// Of an option of that name.
inline int64_t most_of(const std::string& name) {
  if (name == "fold") return 9;
  // Larger models would fill any memory before anything is said.
  if (name == "layers") return 1000;
  if (name == "depth") return 1202;
  if (name == "width" || name == "reduction" || name == "heads" || name == "patch") return 4096;
  if (name == "size" || name == "ffn" || name == "lora") return 65536;
  return many;
}

}  // namespace examples
