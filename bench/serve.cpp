// How bench.py talks to a program with items. A line of standard input asks, a line of JSON answers:
//   items           what there is: [{"group", "name", "flops", "read", "written"}]
//   threads N       how many threads everything after this uses
//   set NAME        drops the item of before and makes this one; null if there is none of that name
//   time SECONDS TIME   [median, first decile] of the time of a call, in seconds; TIME: wall, or processor
//   calls N         calls it N times
//   memory          {"live", "peak"} of the allocator, in bytes
//   roof TIME BYTES...   {"isa", "peak", "copy", "read"}: GFLOP/s, and GB/s where all that is touched is BYTES
#include <benchmark/benchmark.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "bench/bench.h"
#include "tensor/allocator.h"
#include "tensor/kernels/cpu/threads.h"

namespace gradus::bench {

using Json = nlohmann::ordered_json;

namespace {

Time which_time(const std::string& word) { return word == "processor" ? Time::processor : Time::wall; }

Json serve_roof(std::istream& words) {
  std::string clock;
  words >> clock;
  Time time = which_time(clock);
  int threads = num_threads();
  double giga = roof::giga_operations(roof::isa(), 0.1, time).decile;
  Json answer = {{"isa", roof::isa()}, {"peak", giga > 0 ? 1 / giga : 0}};
  answer["copy"] = answer["read"] = Json::array();
  for (double bytes; words >> bytes;) {
    answer["copy"].push_back(roof::copy(bytes, threads, time));
    answer["read"].push_back(roof::read(bytes, threads, time));
  }
  return answer;
}

void serve(const std::vector<Item>& items) {
  Call call;
  for (std::string line, word; std::getline(std::cin, line);) {
    std::istringstream words(line);
    words >> word;
    Json answer = true;
    if (word == "items") {
      answer = Json::array();
      for (const Item& i : items) {
        answer.push_back(
            {{"group", i.group}, {"name", i.name}, {"flops", i.flops}, {"read", i.read}, {"written", i.written}});
      }
    } else if (word == "threads") {
      int count = 1;
      words >> count;
      set_num_threads(count);
    } else if (word == "set") {
      std::string name = line.substr(4);
      call = nullptr;
      release_cached_memory();
      auto item = std::find_if(items.begin(), items.end(), [&](const Item& i) { return i.name == name; });
      if (item == items.end()) {
        answer = nullptr;
      } else {
        call = item->make();
      }
    } else if (word == "time" && call) {
      double seconds = 0;
      words >> seconds >> word;
      Seconds time = time_calls(call, seconds, which_time(word));
      answer = {time.median, time.decile};
    } else if (word == "calls" && call) {
      int count = 0;
      for (words >> count; count > 0; --count) call();
    } else if (word == "memory") {
      answer = {{"live", memory_stats().live}, {"peak", memory_stats().peak}};
    } else if (word == "roof") {
      answer = serve_roof(words);
    } else {
      answer = {{"error", "not understood: " + line}};
    }
    std::cout << answer.dump() << std::endl;
  }
}

}  // namespace

int run_items(std::vector<Item> items, int argc, char** argv) {
  if (argc == 2 && std::string(argv[1]) == "--serve") {
    serve(items);
    return 0;
  }
  for (const Item& item : items) {
    std::string name = item.group + "/" + item.name;
    auto run = [&item](benchmark::State& state) {
      Call call = item.make();
      for (auto _ : state) call();
      auto rate = [](double each) { return benchmark::Counter(each, benchmark::Counter::kIsIterationInvariantRate); };
      if (item.flops > 0) state.counters["FLOP/s"] = rate(item.flops);
      if (item.read + item.written > 0) state.counters["B/s"] = rate(item.read + item.written);
    };
    benchmark::RegisterBenchmark(name.c_str(), run)->UseRealTime();
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace gradus::bench
