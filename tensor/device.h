// Where a tensor's bytes live.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace gradus {

enum class Device : uint8_t { cpu, cuda };

std::string to_string(Device d);
// "cpu" or "cuda"; anything else throws Error listing both.
Device device_from_string(std::string_view name);

}  // namespace gradus
