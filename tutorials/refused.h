// What the library says to a mistake, for chapters that show some.
#pragma once

#include <cstdio>
#include <string>

#include "tensor/error.h"

namespace tutorials {

// With line breaks, so that long messages fit a page.
inline std::string folded(std::string text) {
  for (size_t space, start = 0; text.size() - start > 100; start = space) {
    space = text.rfind(' ', start + 100);
    if (space == std::string::npos || space < start + 5) break;  // a word as long as a line
    text.replace(space, 1, "\n    ");
  }
  return text;
}

// Runs f, which has to throw, and prints why it did.
template <class F>
void refused(const char* what, const F& f) {
  try {
    f();
  } catch (const gradus::Error& error) {
    std::printf("%s\n  error: %s\n", what, folded(error.what()).c_str());
    return;
  }
  gradus::check(false, what, ": this ought to be refused");
}

}  // namespace tutorials
