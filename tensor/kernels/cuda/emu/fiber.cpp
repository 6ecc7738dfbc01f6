// The switch itself, in assembly: save what a function must leave as it found it, change the stack, restore.
#include "tensor/kernels/cuda/emu/fiber.h"

#include <pthread.h>
#include <sys/mman.h>

#include <cstdint>
#include <new>

#include "tensor/kernels/cuda/emu/sanitizer.h"

extern "C" void gradus_emu_switch(void** save_stack_pointer, void* stack_pointer);
extern "C" void gradus_emu_start();

#if defined(__x86_64__)
asm(R"(
.text
.type gradus_emu_switch,%function
.globl gradus_emu_switch
gradus_emu_switch:
  push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp
  ret
.type gradus_emu_start,%function
.globl gradus_emu_start
gradus_emu_start:
  .cfi_startproc
  .cfi_undefined rip  # a debugger's backtrace ends here
  mov %r12, %rdi
  call *%rbx
  ud2
  .cfi_endproc
)");
enum { saved_words = 7, entry_word = 4, argument_word = 3, start_word = 6 };
#elif defined(__aarch64__)
asm(R"(
.text
.type gradus_emu_switch,%function
.globl gradus_emu_switch
gradus_emu_switch:
  sub sp, sp, #160
  stp x19, x20, [sp]; stp x21, x22, [sp, #16]; stp x23, x24, [sp, #32]; stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]; stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]; stp d10, d11, [sp, #112]; stp d12, d13, [sp, #128]; stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp]; ldp x21, x22, [sp, #16]; ldp x23, x24, [sp, #32]; ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]; ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]; ldp d10, d11, [sp, #112]; ldp d12, d13, [sp, #128]; ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.type gradus_emu_start,%function
.globl gradus_emu_start
gradus_emu_start:
  .cfi_startproc
  .cfi_undefined x30
  mov x0, x20
  blr x19
  brk #0
  .cfi_endproc
)");
enum { saved_words = 20, entry_word = 0, argument_word = 1, start_word = 11 };
#else
#error "the emulator's switch between fibers is written for x86-64 and AArch64"
#endif

namespace emu {
namespace {

constexpr size_t guard_bytes = 64 << 10;  // a page at least, whatever its size; running into it is a fault
constexpr size_t stack_size = 256 << 10;  // of address space: memory comes with the first use

}  // namespace

Fiber::Fiber(void (*entry)(void*), void* argument) : entry_(entry), argument_(argument) {
  void* memory = mmap(nullptr, guard_bytes + stack_size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  mprotect(memory, guard_bytes, PROT_NONE);
  stack_ = static_cast<char*>(memory) + guard_bytes;
  stack_bytes_ = stack_size;
  reset();
}

Fiber::~Fiber() {
  if (entry_ != nullptr) munmap(stack_ - guard_bytes, guard_bytes + stack_size);
}

void Fiber::reset() {
  sanitizer::unpoison(stack_, stack_bytes_);
  sanitizer_state_ = nullptr;
  // Stacks begin at the same offset of a page; were their tops not apart, they would share a few sets of the caches.
  const size_t offset = (uintptr_t(stack_) >> 16) % 31 * 128;
  void** top = reinterpret_cast<void**>(stack_ + stack_bytes_ - offset - 64) - saved_words;
  for (int word = 0; word < saved_words; ++word) top[word] = nullptr;
  top[entry_word] = reinterpret_cast<void*>(&Fiber::begin);
  top[argument_word] = this;
  top[start_word] = reinterpret_cast<void*>(&gradus_emu_start);
  stack_pointer_ = top;
}

void Fiber::begin(Fiber* fiber) {
  sanitizer::finish_switch(nullptr);
  fiber->entry_(fiber->argument_);
}

void Fiber::switch_to(Fiber& other) {
  if (sanitizer::address && other.stack_ == nullptr) {
    // Only AddressSanitizer wants to know where the stack of a thread of the machine is.
    pthread_attr_t attributes;
    void* stack;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &stack, &other.stack_bytes_);
    pthread_attr_destroy(&attributes);
    other.stack_ = static_cast<char*>(stack);
  }
  sanitizer::start_switch(&sanitizer_state_, other.stack_, other.stack_bytes_);
  gradus_emu_switch(&stack_pointer_, other.stack_pointer_);
  sanitizer::finish_switch(sanitizer_state_);
}

}  // namespace emu
