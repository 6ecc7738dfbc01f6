#include "train/interrupt.h"

#include <atomic>
#include <csignal>

namespace gradus::train {

namespace {

std::atomic<bool> flag = false;  // the handler may run in any thread
static_assert(std::atomic<bool>::is_always_lock_free);
int guards = 0;
struct sigaction before_int, before_term;

void note(int) { flag = true; }

}  // namespace

InterruptGuard::InterruptGuard() {
  if (guards++ > 0) return;
  struct sigaction action = {};
  action.sa_handler = note;
  action.sa_flags = int(SA_RESETHAND) | SA_RESTART;  // the second signal does what it does by default
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &before_int);
  sigaction(SIGTERM, &action, &before_term);
  // A program started with Ctrl-C ignored (in the background of a script) keeps ignoring it.
  if (before_int.sa_handler == SIG_IGN) sigaction(SIGINT, &before_int, nullptr);
}

InterruptGuard::~InterruptGuard() {
  if (--guards > 0) return;
  flag = false;
  sigaction(SIGINT, &before_int, nullptr);
  sigaction(SIGTERM, &before_term, nullptr);
}

bool InterruptGuard::requested() { return flag; }

}  // namespace gradus::train
