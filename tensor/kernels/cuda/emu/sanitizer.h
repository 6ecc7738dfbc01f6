// What AddressSanitizer has to be told: switches of stacks, and which bytes of our own memory may not be touched.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define EMU_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EMU_ADDRESS_SANITIZER 1
#endif
#endif

#ifdef EMU_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace emu::sanitizer {

#ifdef EMU_ADDRESS_SANITIZER
inline constexpr bool address = true;
inline void start_switch(void** state, const void* stack, size_t bytes) {
  __sanitizer_start_switch_fiber(state, stack, bytes);
}
inline void finish_switch(void* state) { __sanitizer_finish_switch_fiber(state, nullptr, nullptr); }
inline void poison(const void* p, size_t bytes) { __asan_poison_memory_region(p, bytes); }
inline void unpoison(const void* p, size_t bytes) { __asan_unpoison_memory_region(p, bytes); }
#else
inline constexpr bool address = false;
inline void start_switch(void**, const void*, size_t) {}
inline void finish_switch(void*) {}
inline void poison(const void*, size_t) {}
inline void unpoison(const void*, size_t) {}
#endif

}  // namespace emu::sanitizer
