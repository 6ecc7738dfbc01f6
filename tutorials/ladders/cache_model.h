// A model of a processor's caches, and numbers that tell it of every read and write: for counting what a loop moves.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace gradus::ladder {

//! [cache]
// A cache of `lines` lines in sets of `ways`: each line of memory has its set, which gives up the line that was not
// used for longest. A line that was written goes back to `next` when it leaves. Nothing is fetched ahead of time. The
// number of sets and line_bytes are powers of 2.
class Cache {
 public:
  Cache(int64_t lines, int64_t ways, int64_t line_bytes, Cache* next = nullptr)
      : ways_(ways),
        shift_(std::countr_zero(uint64_t(line_bytes))),
        last_set_(uint64_t(lines / ways) - 1),
        next_(next),
        entries_(size_t(lines), nothing) {}

  void touch(uint64_t address, bool write) {
    const uint64_t line = address >> shift_;
    Entry* set = entries_.data() + (line & last_set_) * uint64_t(ways_);  // the line used last comes first
    int64_t way = 0;
    while (way < ways_ - 1 && set[way].line != line) ++way;
    bool written = write;
    if (set[way].line == line) {
      written |= set[way].written;
    } else {
      leave(set[way]);
      ++fetched;
      if (next_) next_->touch(address, false);
    }
    for (; way > 0; --way) set[way] = set[way - 1];
    set[0] = {line, written};
  }
  //! [cache]

  // Writes back all that was written; the cache is empty then.
  void flush() {
    for (Entry& entry : entries_) leave(std::exchange(entry, nothing));
  }

  int64_t fetched = 0, written_back = 0;  // lines
  double bytes() const { return double((fetched + written_back) << shift_); }

 private:
  struct Entry {
    uint64_t line;
    bool written;
  };
  static constexpr Entry nothing{~uint64_t(0), false};

  void leave(const Entry& entry) {
    if (!entry.written) return;
    ++written_back;
    if (next_) next_->touch(entry.line << shift_, true);
  }

  int64_t ways_;
  int shift_;
  uint64_t last_set_;
  Cache* next_;
  std::vector<Entry> entries_;
};

// While one exists, the Traced numbers of this thread report to it. Addresses count from `memory`, and those of the
// stack from where this object lies, so that counts are the same in each run.
class Trace {
 public:
  Trace(Cache& cache, const void* memory, size_t bytes, bool with_stack)
      : cache_(cache), memory_(uint64_t(memory)), bytes_(bytes), with_stack_(with_stack), before_(active) {
    active = this;
  }
  ~Trace() { active = before_; }
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  void touch(const void* p, bool write) {
    const uint64_t place = uint64_t(p) - memory_;
    if (place < bytes_)
      cache_.touch(place, write);
    else if (with_stack_)
      cache_.touch(uint64_t(p) - uint64_t(this) + stack, write);
  }

  static inline constinit thread_local Trace* active = nullptr;

 private:
  static constexpr uint64_t stack = uint64_t(1) << 40;

  Cache& cache_;
  uint64_t memory_, bytes_;
  bool with_stack_;
  Trace* before_;
};

// A number that reports when it is read and written; otherwise it is used like a T.
template <class T>
class Traced {
 public:
  Traced() = default;
  Traced(T value) : value_(value) { report(true); }
  Traced(const Traced& x) : Traced(T(x)) {}
  operator T() const {
    report(false);
    return value_;
  }
  Traced& operator=(T value) {
    report(true);
    value_ = value;
    return *this;
  }
  Traced& operator=(const Traced& x) { return *this = T(x); }
  Traced& operator+=(T value) { return *this = T(*this) + value; }

 private:
  void report(bool write) const {
    if (Trace::active) Trace::active->touch(this, write);
  }
  T value_;
};

}  // namespace gradus::ladder
