// Where a tensor's bytes live.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace gradus {

enum class Device : uint8_t { cpu, cuda };

std::string to_string(Device d);
// Whether tensors can be put there: in this build, on this machine.
bool is_available(Device d);
// What it is: "cpu", the name of a GPU, or why there is none.
std::string describe(Device d);
// Waits until all work so far is done. Work on a GPU goes on after the call that asked for it has returned; what was
// wrong with it (an index out of range, a kernel that failed) is thrown here, or by whatever reads results.
void synchronize(Device d);

// What `work` asks of a GPU, recorded instead of done, and done anew by each `replay`: one call for thousands of
// kernels. Tensors made meanwhile keep their places, and each replay fills them again. Throws Error on a CPU, and where
// `work` reads results or copies between devices.
class DeviceGraph {
 public:
  explicit DeviceGraph(Device d, const std::function<void()>& work);
  void replay();

 private:
  std::shared_ptr<void> graph_;
};

// "cpu" or "cuda"; anything else throws Error listing both.
Device device_from_string(std::string_view name);

}  // namespace gradus
