#include "tensor/error.h"

#include <cstdio>

namespace gradus {

std::string (*error_context)() = nullptr;

Part::Part(double number) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.6g", number);
  text = buffer;
}

void fail(std::initializer_list<Part> parts) {
  std::string message = error_context ? error_context() : std::string();
  if (!message.empty()) message += ": ";
  for (const Part& part : parts) message += part.text;
  throw Error(message);
}

}  // namespace gradus
