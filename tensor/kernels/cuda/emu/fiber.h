// Fibers: stacks of their own between which a thread of the machine switches without the kernel's help. Each CUDA
// thread that has to wait for another one is parked on a fiber.
#pragma once

#include <cstddef>

namespace emu {

class Fiber {
 public:
  Fiber() = default;  // whoever runs now: somewhere to come back to
  Fiber(void (*entry)(void*), void* argument);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Forgets what runs on it, destructors included: the next switch to it calls entry(argument).
  void reset();
  // Leaves this fiber, which must be the running one, for the other; returns when somebody switches back.
  void switch_to(Fiber& other);

  const char* stack() const { return stack_; }
  size_t stack_bytes() const { return stack_bytes_; }

 private:
  static void begin(Fiber* fiber);

  void* stack_pointer_ = nullptr;
  char* stack_ = nullptr;
  size_t stack_bytes_ = 0;
  void (*entry_)(void*) = nullptr;
  void* argument_ = nullptr;
  [[maybe_unused]] void* sanitizer_state_ = nullptr;
};

}  // namespace emu
