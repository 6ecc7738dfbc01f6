// What an Error says.
#pragma once

#include <string>

#include "tensor/error.h"

namespace gradus::testing {

// The message of the Error that f throws; "" if it throws none.
template <class F>
std::string error_of(const F& f) {
  try {
    (void)f();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace gradus::testing
