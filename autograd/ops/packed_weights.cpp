// Weights in the form that products read fastest, kept for as long as they stay the same: in inference, for the time
// steps of a recurrence, for one small batch after another.
#include <atomic>
#include <mutex>

#include "autograd/ops/common.h"
#include "tensor/allocator.h"

namespace gradus {
namespace {

std::atomic<bool> keeping{true};
std::mutex mutex;  // of all forms: it is held for a few loads

struct Form {
  const KernelTable* table = nullptr;             // whose form it is
  uint64_t version = 0;                           // of the weight's storage
  std::shared_ptr<const void> numbers = nullptr;  // null after the first use
};

// With fewer rows there are dot products, which take weights as they are; with more, packing is a small part of the
// work. Small weights stay in the first cache.
bool pays(const Tensor& weight, int64_t rows) { return rows >= 16 && rows <= 512 && weight.numel() >= 1 << 14; }

std::shared_ptr<const void> pack(const Tensor& weight, const KernelTable& table) {
  const int64_t out = weight.size(0), in = weight.size(1);
  const size_t bytes = size_t(packed_size(in, out)) * sizeof(float);
  std::shared_ptr<void> form(allocate(bytes), [bytes](void* block) { deallocate(block, bytes); });
  table.pack({data_of(weight), 3, {1, in, out}, {0, weight.strides()[1], weight.strides()[0]}}, form.get());
  return form;
}

}  // namespace

void set_keep_packed_weights(bool on) { keeping = on; }

std::shared_ptr<const void> packed_weight(const Tensor& weight, int64_t rows) {
  // Only leaves' changes are all counted: a temporary may be overwritten where nobody sees it.
  if (weight.device() != Device::cpu || !pays(weight, rows) || !keeping || weight.dtype() != float32 ||
      !weight.requires_grad() || !weight.is_leaf() || weight.storage()->exposed() ||
      (weight.strides()[0] != 1 && weight.strides()[1] != 1))
    return nullptr;
  const KernelTable& table = kernels(weight);
  const uint64_t version = weight.storage()->version();
  std::shared_ptr<void>& kept = weight.node()->packed;
  std::unique_lock lock(mutex);
  if (!kept) kept = std::make_shared<Form>();
  Form& form = *static_cast<Form*>(kept.get());
  const bool again = form.table == &table && form.version == version;
  if (again && form.numbers) return form.numbers;
  form = {&table, version};
  if (!again) return nullptr;
  lock.unlock();
  std::shared_ptr<const void> numbers = pack(weight, table);  // whoever comes meanwhile does the same
  lock.lock();
  form.numbers = numbers;
  return numbers;
}

}  // namespace gradus
