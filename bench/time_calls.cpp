// Taking times. The ladders of tutorials/ladders use it too, without what serve.cpp needs.
#include <algorithm>
#include <ctime>

#include "bench/bench.h"

namespace gradus::bench {

Seconds time_calls(const Call& call, double seconds, Time time) {
  auto now = [time] {
    timespec t;
    clock_gettime(time == Time::wall ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID, &t);
    return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
  };
  double start = now();
  int64_t calls = 0;
  do {
    call();
    ++calls;
  } while (now() - start < std::min(0.2 * seconds, 0.02));
  int64_t per_sample = std::max<int64_t>(1, int64_t(20e-6 * double(calls) / (now() - start)));
  std::vector<double> samples;
  start = now();
  for (double begin = start; samples.empty() || begin - start < seconds;) {
    for (int64_t i = 0; i < per_sample; ++i) call();
    double end = now();
    samples.push_back((end - begin) / double(per_sample));
    begin = end;
  }
  std::sort(samples.begin(), samples.end());
  return {samples[samples.size() / 2], samples[samples.size() / 10]};
}

}  // namespace gradus::bench
