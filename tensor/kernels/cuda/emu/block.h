// One block at a time, its threads taking turns: the heart of the emulator.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tensor/kernels/cuda/emu/check.h"
#include "tensor/kernels/cuda/emu/device.h"
#include "tensor/kernels/cuda/emu/fiber.h"
#include "tensor/kernels/cuda/emu/scheduler.h"

namespace emu {

inline constexpr unsigned max_threads = 1024, warp_lanes = 32;

class Block {
 public:
  Block();
  ~Block();
  // Runs one block of the grid; `id` counts blocks over all launches. Whether all its threads came to their end.
  bool run(const Grid& grid, unsigned index, uint32_t launch_begin, uint32_t id);

  // What the running thread asks for; see device.h.
  Votes barrier(int predicate, const char* what, Where where);
  void collective(unsigned mask, WarpFunction* operation, void* post, const char* what, Where where,
                  bool orders_memory);
  void* shared_array(const void* key, size_t bytes, const char* name);
  void yield();
  void complain(const std::string& what, const std::string& detail, Where where) const;
  [[noreturn]] void abandon();  // the whole block, from one of its threads
  struct Copy {
    void* to;
    const void* from;
    unsigned size, filled, group;
    const void* instruction;
  };
  void async_copy(const Copy& copy);
  void async_commit() { ++current_->groups; }
  void async_wait(unsigned pending);

 private:
  enum class State : uint8_t { fresh, ready, at_barrier, at_warp, done };
  struct Thread {
    uint3 index;
    unsigned lane, warp;
    State state;
    Fiber* fiber;
    uint16_t warp_epoch;
    // While it waits: for what, and what it brought.
    const char* what;
    Where where;
    unsigned mask;
    WarpFunction* operation;
    void* post;
    bool orders_memory;
    std::vector<Copy> copies;  // under way
    unsigned groups;           // of copies, committed
  };
  struct Warp {
    unsigned alive, waiting;  // lanes
  };
  struct SharedArray {
    const void* key;
    unsigned char* begin;
  };

  void fiber_main();
  void thread_ends();
  void make_current(Thread& thread);
  void leave(Fiber& mine,
             Thread* next);  // for the next thread, or for `run` if there is none
  void wait();
  Thread* pop();
  void push_back(const Thread& thread);
  void push_front(const Thread& thread);
  bool release_barrier();
  bool meet(unsigned warp, unsigned mask);
  void check_barrier(const char* what, Where where);
  void complain(const std::string& place, const std::string& what, const std::string& detail,
                const Thread& thread) const;
  void complain_of_gone_lane(const Thread& thread, unsigned gone) const;
  void report_deadlock() const;
  Thread& thread_of(unsigned warp, unsigned lane_index) { return threads_[warp * warp_lanes + lane_index]; }

  const Grid* grid_ = nullptr;
  unsigned count_ = 0, alive_ = 0;  // threads
  Thread threads_[max_threads];
  Warp warps_[max_threads / warp_lanes];
  Thread* current_ = nullptr;
  uint16_t ready_[max_threads];  // a ring: who can go on
  unsigned ready_begin_ = 0, ready_count_ = 0;
  uint64_t random_ = 1;
  Order order_ = Order::forward;
  bool abandoned_ = false;

  unsigned arrived_ = 0;  // at the barrier
  int yes_ = 0;
  Votes votes_{};  // of the last barrier
  Where barrier_where_{};
  unsigned spins_ = 0;  // of yield without anybody getting on
  check::Position position_{};

  Fiber main_;  // who called run
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;
  unsigned char* shared_;  // dynamic first, ending where it ends; then the
                           // arrays with gaps between them
  unsigned char* dynamic_ = nullptr;
  std::vector<SharedArray> arrays_;
  size_t arrays_end_ = 0;
  size_t static_bytes_ = 0;
};

std::string hexadecimal(unsigned mask);

// The block of this thread of the machine.
extern constinit thread_local Block* block;

}  // namespace emu
