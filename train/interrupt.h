// Ctrl-C that waits for a good moment.
#pragma once

#include <stdexcept>
#include <string>

namespace gradus::train {

// While one lives, the first SIGINT or SIGTERM only sets a flag; the second ends the program at once. They nest.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  static bool requested();  // whether a signal came while one lives
};

// Thrown where work stopped in good order because of such a signal. No Error: nothing is wrong. Programs that
// let it end them exit with 130, as a shell reports a Ctrl-C.
class Interrupted : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
inline constexpr int interrupted_exit_code = 130;

}  // namespace gradus::train
