// Puts together, of a block, what the lanes of a warp did at the same place in the code, the same time round. The types
// are this file's own: templates that a kernel file uses, too, could come from there, with the checker's calls in them.
#include "tutorials/ladders/cuda/emu/accesses.h"

#include <algorithm>
#include <vector>

#include "tensor/error.h"

namespace gradus::ladder {
namespace {

constexpr int lanes = 32, max_threads = 1024, max_warps = max_threads / lanes;
constexpr uint64_t word_bytes = 4, sector_bytes = 32, line_bytes = 128, banks = 32;

struct Range {
  uint64_t begin, end;
  bool holds(uint64_t address) const { return address >= begin && address < end; }
};

// What a warp asked for with one instruction.
struct Request {
  bool own = false;
  uint64_t address[lanes];
  uint32_t bytes[lanes] = {};  // 0: this lane took no part
};

// A place in the code, and what the running block has asked for there.
struct Site {
  const void* place;
  bool shared;
  uint32_t times[max_threads] = {};  // that each thread has been there
  std::vector<Request> of_warp[max_warps]{};
};

struct Unit {  // a sector, a line or a word, by its number
  uint64_t number;
  bool operator<(const Unit& other) const { return number < other.number; }
  bool operator==(const Unit& other) const { return number == other.number; }
};

void keep_different(std::vector<Unit>& units) {
  std::sort(units.begin(), units.end());
  units.erase(std::unique(units.begin(), units.end()), units.end());
}

// The different units of `size` bytes that a request touches.
void touched(const Request& request, uint64_t size, std::vector<Unit>& units) {
  units.clear();
  for (int lane = 0; lane < lanes; ++lane)
    if (request.bytes[lane] > 0)
      for (uint64_t n = request.address[lane] / size; n <= (request.address[lane] + request.bytes[lane] - 1) / size;
           ++n)
        units.push_back({n});
  keep_different(units);
}

uint64_t number_of(const uint3& index, const dim3& extent) {
  return index.x + uint64_t(extent.x) * (index.y + uint64_t(extent.y) * index.z);
}

}  // namespace

struct AccessCounter::State {
  Accesses counts;
  std::vector<Range> global, shared;
  std::vector<Site> sites;
  std::vector<Unit> units, of_block;
  uint64_t block = ~uint64_t(0);

  void enter_block() {
    const uint64_t now = number_of(blockIdx, gridDim);
    if (now == block) return;
    finish_block();
    block = now;
  }

  void add(uint64_t address, uint32_t bytes, bool own, const void* place) {
    enter_block();
    const auto within = [&](const std::vector<Range>& ranges) {
      for (const Range& range : ranges)
        if (range.holds(address)) return true;
      return false;
    };
    const bool is_shared = within(shared);
    if (!is_shared && !within(global)) return;  // a register's
    Site* site = nullptr;
    for (Site& s : sites)
      if (s.place == place && s.shared == is_shared) site = &s;
    if (site == nullptr) {
      sites.push_back({place, is_shared});
      site = &sites.back();
    }
    const uint64_t thread = number_of(threadIdx, blockDim);
    const uint32_t time = site->times[thread]++;
    std::vector<Request>& requests = site->of_warp[thread / lanes];
    while (requests.size() <= time) requests.push_back({});
    Request& request = requests[time];
    request.own |= own;
    request.address[thread % lanes] = address;
    request.bytes[thread % lanes] = bytes;
  }

  void count(const Request& request, bool is_shared) {
    if (is_shared) {
      counts.shared_requests += request.own;
      touched(request, word_bytes, units);
      int64_t of_bank[banks] = {};
      for (const Unit& word : units) ++of_bank[word.number % banks];
      counts.shared_cycles += *std::max_element(of_bank, of_bank + banks);
    } else {
      counts.requests += request.own;
      for (const uint32_t bytes : request.bytes) counts.bytes += bytes;
      touched(request, line_bytes, units);
      counts.lines += int64_t(units.size());
      touched(request, sector_bytes, units);
      counts.sectors += int64_t(units.size());
      of_block.insert(of_block.end(), units.begin(), units.end());
    }
  }

  void finish_block() {
    for (const Site& site : sites) {
      for (const std::vector<Request>& requests : site.of_warp)
        for (const Request& request : requests) count(request, site.shared);
      keep_different(of_block);  // now and then, lest it grow
    }
    counts.block_sectors += int64_t(of_block.size());
    of_block.clear();
    sites.clear();
    shared.clear();
    block = ~uint64_t(0);
  }
};

namespace {

AccessCounter::State* active = nullptr;

}  // namespace

AccessCounter::AccessCounter() : state_(std::make_unique<State>()) {
  check(active == nullptr, "there is an AccessCounter already");
  active = state_.get();
}
AccessCounter::~AccessCounter() { active = nullptr; }

void AccessCounter::watch(const void* memory, size_t bytes) {
  state_->global.push_back({uint64_t(memory), uint64_t(memory) + bytes});
}

Accesses AccessCounter::counted() {
  state_->finish_block();
  return state_->counts;
}

void note(const void* p, unsigned bytes, bool own) {
  if (active != nullptr) active->add(uint64_t(p), bytes, own, __builtin_return_address(0));
}

void note_shared(const void* array, size_t bytes) {
  if (active == nullptr) return;
  active->enter_block();
  for (const Range& known : active->shared)
    if (known.begin == uint64_t(array)) return;
  active->shared.push_back({uint64_t(array), uint64_t(array) + bytes});
}

}  // namespace gradus::ladder
