// Whether this is a build with AddressSanitizer or ThreadSanitizer. They keep freed memory for a while, add symbols
// of their own and make stack frames larger.
#pragma once

namespace gradus::testing {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif
#else
inline constexpr bool sanitized = false;
#endif

}  // namespace gradus::testing
