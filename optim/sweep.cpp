#include "optim/sweep.h"

#include <algorithm>

#include "tensor/kernels/cpu/threads.h"

namespace gradus::optim {

// Adam's 28 bytes per element make 460 KB of it: long beside handing a chunk over, short beside a training step.
constexpr int64_t chunk_elements = 16384;
// Tensors begin at multiples of this, so that chunks begin where cache lines do.
constexpr int64_t line_elements = 16;

void Sweep::add(int64_t numel, Body body, Device device) {
  if (device != Device::cpu) {
    on_device_.push_back({0, numel, std::move(body)});
    return;
  }
  int64_t first = items_.empty() ? 0 : (items_.back().end + line_elements - 1) / line_elements * line_elements;
  items_.push_back({first, first + numel, std::move(body)});
}

int64_t Sweep::chunks() const {
  return items_.empty() ? 0 : (items_.back().end + chunk_elements - 1) / chunk_elements;
}

void Sweep::run() const {
  for (const Item& item : on_device_) item.body(0, item.end, 0);
  parallel_for(chunks(), 1, [&](int64_t from, int64_t to) {
    for (int64_t chunk = from; chunk < to; ++chunk) {
      int64_t begin = chunk * chunk_elements, end = begin + chunk_elements;
      auto item = std::partition_point(items_.begin(), items_.end(), [&](const Item& i) { return i.end <= begin; });
      for (; item != items_.end() && item->first < end; ++item) {
        int64_t at = std::max(begin, item->first), n = std::min(end, item->end) - at;
        if (n > 0) item->body(at - item->first, n, chunk);
      }
    }
  });
}

}  // namespace gradus::optim
