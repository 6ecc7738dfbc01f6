#include "terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>

namespace image_classifier {

Style terminal_style() {
  auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value ? value : "");
  };
  std::string locale = variable("LC_ALL");
  if (locale.empty()) locale = variable("LC_CTYPE");
  if (locale.empty()) locale = variable("LANG");
  const bool utf8 = locale.find("UTF-8") != std::string::npos || locale.find("utf8") != std::string::npos;
  if (!utf8) return Style::ascii;
  const std::string terminal = variable("TERM");
  const bool shades =
      isatty(STDOUT_FILENO) && variable("NO_COLOR").empty() && !terminal.empty() && terminal != "dumb";
  return shades ? Style::shades : Style::blocks;
}

int terminal_columns() {
  winsize size = {};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

std::vector<std::string> draw(const gradus::Tensor& image, Style style) {
  const gradus::Tensor pixels = image.contiguous();
  const int64_t height = pixels.size(1), width = pixels.size(2);
  const uint8_t* data = pixels.data<uint8_t>();
  auto at = [&](int64_t y, int64_t x) { return y < height ? int(data[y * width + x]) : 0; };
  std::vector<std::string> lines;
  for (int64_t y = 0; y < height; y += 2) {
    std::string line;
    for (int64_t x = 0; x < width; ++x) {
      const int upper = at(y, x), lower = at(y + 1, x);
      if (style == Style::ascii) {
        line += " .:-=+*#%@"[(upper + lower) * 9 / 510];
      } else if (style == Style::blocks) {
        line += upper >= 128 ? (lower >= 128 ? "█" : "▀") : (lower >= 128 ? "▄" : " ");
      } else {
        // Colours 232 to 255 of the 256 are a ramp of greys.
        auto grey = [](int value) { return std::to_string(232 + value * 23 / 255); };
        line += "\x1b[38;5;" + grey(upper) + ";48;5;" + grey(lower) + "m▀";
      }
    }
    if (style == Style::shades) line += "\x1b[0m";
    lines.push_back(line);
  }
  return lines;
}

}  // namespace image_classifier
