// A progress bar on a terminal, plain lines in a file or a pipe.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>

namespace gradus::train {

struct ProgressState {
  std::string label;  // "epoch 3/5"
  int64_t done, total;
  double rate;         // per second
  std::string values;  // "loss 0.1234"
};
// "epoch 3/5 [####------]  40%  loss 0.1234  1532/s  0:12 left", in fewer than `width` columns: the bar gives
// way first, then the end of the line. Without a width: all of it but the bar.
std::string progress_line(const ProgressState& state, std::optional<int> width = {});

//   Progress progress("epoch 3/5", samples);
//   for (...) progress.update(done, "loss 0.1234");
//   progress.finish("loss 0.1234  accuracy 0.9012");
//
// A terminal shows one line, redrawn at most ten times a second. Elsewhere there is a line every ten seconds,
// and none of the bar. What else is to be printed meanwhile goes through `print`.
class Progress {
 public:
  // Counts from `start`, of which the rate knows that it was done before.
  Progress(std::string label, int64_t total, int64_t start = 0, std::FILE* out = stdout);
  ~Progress();  // takes an unfinished bar away
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(int64_t done, const std::string& values);
  void print(const std::string& line);
  // Replaces the bar by "LABEL SUMMARY (23.4 s, 1532/s)": all the time it took, and the rate of the last update.
  void finish(const std::string& summary);

 private:
  using Clock = std::chrono::steady_clock;
  double rate() const;
  void draw();
  void clear();

  ProgressState state_;
  int64_t start_;
  std::FILE* out_;
  bool terminal_, drawn_ = false;
  Clock::time_point began_, shown_;
};

}  // namespace gradus::train
