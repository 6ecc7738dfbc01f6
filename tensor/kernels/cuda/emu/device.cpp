// What device.h promises, of the block that runs here, and the two operations that all atomic ones are made of.
#include "tensor/kernels/cuda/emu/device.h"

#include <atomic>
#include <chrono>

#include "tensor/kernels/cuda/emu/atomics.h"
#include "tensor/kernels/cuda/emu/block.h"
#include "tensor/kernels/cuda/emu/memory.h"

namespace emu {

Votes block_barrier(int predicate, const char* what, Where where) { return block->barrier(predicate, what, where); }
void warp_collective(unsigned mask, WarpFunction* run, void* post, const char* what, Where where,
                     bool orders_memory) {
  block->collective(mask, run, post, what, where, orders_memory);
}
void* shared_array(const void* key, size_t bytes, const char* name) { return block->shared_array(key, bytes, name); }
void async_copy(void* to, const void* from, unsigned size, unsigned filled) {
  block->async_copy({to, from, size, filled, 0, __builtin_return_address(0)});
}
void async_commit() { block->async_commit(); }
void async_wait(unsigned pending) { block->async_wait(pending); }
void yield() { block->yield(); }
void fence() {
  check::fence();
  std::atomic_thread_fence(std::memory_order_seq_cst);
}
void shuffle_lost(const char* what, int source, unsigned mask, Where where) {
  block->complain(std::string(what) + " reads a lane that is not in its mask",
                  ": lane " + std::to_string(source) + ", mask " + hexadecimal(mask), where);
}

uint16_t atomic_load(const uint16_t* p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
uint32_t atomic_load(const uint32_t* p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
uint64_t atomic_load(const uint64_t* p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
bool atomic_replace(uint16_t* p, uint16_t& old, uint16_t value) {
  return __atomic_compare_exchange_n(p, &old, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}
bool atomic_replace(uint32_t* p, uint32_t& old, uint32_t value) {
  return __atomic_compare_exchange_n(p, &old, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}
bool atomic_replace(uint64_t* p, uint64_t& old, uint64_t value) {
  return __atomic_compare_exchange_n(p, &old, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

void check_pointer_argument(const void* p) {
  if (options().strict && !device_memory().valid(p)) report("an argument is a pointer to host memory", "");
}

void trap(Where where) {
  block->complain("trap", "", where);
  block->abandon();
}

}  // namespace emu

long long clock64() { return std::chrono::steady_clock::now().time_since_epoch().count(); }
