#include "train/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace gradus::train {

static std::string format(const char* pattern, double number) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, pattern, number);
  return buffer;
}

static std::string rate_text(double rate) { return format(rate < 10 ? "%.2f/s" : "%.0f/s", rate); }

// "1:02:03" or "2:03".
static std::string clock_text(double seconds) {
  int64_t s = int64_t(std::min(seconds, 3.6e8) + 0.5);
  char buffer[64];
  if (s >= 3600)
    std::snprintf(buffer, sizeof buffer, "%d:%02d:%02d", int(s / 3600), int(s / 60 % 60), int(s % 60));
  else
    std::snprintf(buffer, sizeof buffer, "%d:%02d", int(s / 60), int(s % 60));
  return buffer;
}

std::string progress_line(const ProgressState& s, std::optional<int> width) {
  double share = s.total > 0 ? std::clamp(double(s.done) / double(s.total), 0.0, 1.0) : 0;
  std::string tail = format(" %3.0f%%", 100 * share);
  if (!s.values.empty()) tail += "  " + s.values;
  if (s.rate > 0) tail += "  " + rate_text(s.rate) + "  " + clock_text(double(s.total - s.done) / s.rate) + " left";
  if (!width) return s.label + tail;
  int room = *width - 1 - int(s.label.size() + tail.size()) - 3;
  std::string bar;
  if (room >= 5) {
    int cells = std::min(room, 30), full = int(share * cells);
    bar = " [" + std::string(size_t(full), '#') + std::string(size_t(cells - full), '-') + "]";
  }
  return (s.label + bar + tail).substr(0, size_t(std::max(*width - 1, 0)));
}

Progress::Progress(std::string label, int64_t total, int64_t start, std::FILE* out)
    : state_{std::move(label), start, total, 0, ""}, start_(start), out_(out), began_(Clock::now()), shown_(began_) {
  const char* term = std::getenv("TERM");
  terminal_ = isatty(fileno(out)) && term && std::strcmp(term, "dumb") != 0;
}

Progress::~Progress() { clear(); }

double Progress::rate() const {
  double seconds = std::chrono::duration<double>(Clock::now() - began_).count();
  return seconds > 0 ? double(state_.done - start_) / seconds : 0;
}

void Progress::clear() {
  if (!drawn_) return;
  std::fputs("\r\033[K", out_);  // to the first column, then erase to the end of the line
  std::fflush(out_);
  drawn_ = false;
}

void Progress::draw() {
  if (terminal_) {
    winsize size = {};
    bool known = ioctl(fileno(out_), TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    std::fprintf(out_, "\r%s\033[K", progress_line(state_, known ? size.ws_col : 80).c_str());
  } else {
    std::fprintf(out_, "%s\n", progress_line(state_).c_str());
  }
  std::fflush(out_);
  drawn_ = terminal_;
}

void Progress::update(int64_t done, const std::string& values) {
  state_.done = done;
  state_.rate = rate();
  state_.values = values;
  Clock::time_point now = Clock::now();
  if (now - shown_ < (terminal_ ? std::chrono::milliseconds(100) : std::chrono::seconds(10))) return;
  shown_ = now;
  draw();
}

void Progress::print(const std::string& line) {
  bool again = drawn_;
  clear();
  std::fprintf(out_, "%s\n", line.c_str());
  std::fflush(out_);
  if (again) draw();
}

void Progress::finish(const std::string& summary) {
  double seconds = std::chrono::duration<double>(Clock::now() - began_).count();
  clear();
  print(state_.label + "  " + summary + format("  (%.1f s, ", seconds) + rate_text(state_.rate) + ")");
}

}  // namespace gradus::train
