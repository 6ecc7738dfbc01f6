#include "tensor/device.h"

#include "tensor/error.h"

#ifdef GRADUS_CUDA
#include "tensor/kernels/cuda/runtime.h"
#endif

namespace gradus {

#ifdef GRADUS_CUDA
bool is_available(Device d) { return d == Device::cpu || cuda::available(); }
std::string describe(Device d) { return d == Device::cpu ? "cpu" : cuda::description(); }
void synchronize(Device d) {
  if (d == Device::cuda) cuda::synchronize();
}
DeviceGraph::DeviceGraph(Device d, const std::function<void()>& work) {
  check(d == Device::cuda, "DeviceGraph: only work on a GPU is captured");
  graph_ = std::make_shared<cuda::Graph>(work);
}
void DeviceGraph::replay() { static_cast<cuda::Graph*>(graph_.get())->replay(); }
#else
bool is_available(Device d) { return d == Device::cpu; }
std::string describe(Device d) { return d == Device::cpu ? "cpu" : "none: this build has no CUDA"; }
void synchronize(Device) {}
DeviceGraph::DeviceGraph(Device, const std::function<void()>&) { fail({"DeviceGraph: this build has no CUDA"}); }
void DeviceGraph::replay() {}
#endif

std::string to_string(Device d) { return d == Device::cpu ? "cpu" : "cuda"; }

Device device_from_string(std::string_view name) {
  if (name == "cpu") return Device::cpu;
  if (name == "cuda") return Device::cuda;
  fail({"unknown device '", name, "' (known: cpu, cuda)"});
}

}  // namespace gradus
