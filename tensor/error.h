// The one exception of the library, and the one way to raise it.
//
// `check(ok, parts...)` states a precondition on what a user gave: when it fails, the parts are joined into a
// message and thrown as `Error`. Nothing is formatted while it holds. Internal invariants use `assert`.
#pragma once

#include <concepts>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>

namespace gradus {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// One piece of a message. Types of the library join in by providing `std::string to_string(const T&)`.
struct Part {
  std::string text;
  Part(const char* s) : text(s) {}
  Part(std::string_view s) : text(s) {}
  Part(const std::string& s) : text(s) {}
  Part(bool b) : text(b ? "true" : "false") {}
  Part(double number);
  template <std::integral I>
  Part(I number) : text(std::to_string(number)) {}
  template <class T>
  requires requires(const T& t) {
    { to_string(t) } -> std::convertible_to<std::string>;
  } &&(!std::is_arithmetic_v<T>)Part(const T& value) : text(to_string(value)) {
  }
};

// Throws Error with the parts joined, after "path: " where `error_context` gives a path.
[[noreturn]] void fail(std::initializer_list<Part> parts);

template <class... P>
inline void check(bool ok, const P&... parts) {
  if (!ok) [[unlikely]]
    fail({Part(parts)...});
}

// Names what is running for the front of an error message (nn sets it to give the module's path).
extern std::string (*error_context)();

}  // namespace gradus
