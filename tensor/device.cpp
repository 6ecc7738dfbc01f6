#include "tensor/device.h"

#include "tensor/error.h"

namespace gradus {

std::string to_string(Device d) { return d == Device::cpu ? "cpu" : "cuda"; }

Device device_from_string(std::string_view name) {
  if (name == "cpu") return Device::cpu;
  if (name == "cuda") return Device::cuda;
  fail({"unknown device '", name, "' (known: cpu, cuda)"});
}

}  // namespace gradus
