// Shows exhibits: what the checker says of each, and of the mended kernel.
#include <cstdio>
#include <cstring>

#include "tensor/error.h"
#include "tutorials/ladders/broken/gallery.h"

namespace {

void show(const broken::Exhibit& exhibit, bool mended) {
  try {
    exhibit.run(mended);
    std::printf("  %s: nothing to report\n", mended ? "mended" : "broken");
  } catch (const gradus::Error& error) {
    std::printf("  %s: %s\n", mended ? "mended" : "broken", error.what());
  }
}

}  // namespace

int main(int count, char** arguments) {
  bool found = false;
  for (const broken::Exhibit& exhibit : broken::exhibits()) {
    if (count > 1 && std::strcmp(arguments[1], exhibit.name) != 0) continue;
    found = true;
    std::printf("%s\n", exhibit.name);
    show(exhibit, false);
    show(exhibit, true);
  }
  if (!found) std::fprintf(stderr, "error: no exhibit is called %s\n", arguments[1]);
  return found ? 0 : 2;
}
