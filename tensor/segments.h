// Blocks cut from large segments, for the allocators of the host and of a device.
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <set>
#include <utility>

namespace gradus {

// Each block is cut from the smallest free range that it fits in, and joins its free neighbours when it comes back:
// kept by size, it would lie idle while blocks of other sizes are asked for. What a System offers:
// `segment_bytes(have)`, the least to ask for at once when there is so much; `step`, which segments are multiples of;
// `get(size)`, null where there is no more, `put(segment, size, touched)`; and `touched(from, until)`, told when bytes
// are handed out for the first time.
template <class System>
class Segments {
 public:
  // Null where the system has no more memory.
  char* take(size_t size) {
    auto fit = by_size_.lower_bound({size, nullptr});
    if (fit == by_size_.end()) {
      size_t have = 0;
      for (const auto& [begin, segment] : segments_) have += size_t(segment.end - begin);
      if (!grow(round_up(std::max(size, System::segment_bytes(have)))) && !grow(round_up(size))) return nullptr;
      fit = by_size_.lower_bound({size, nullptr});
    }
    auto [room, block] = *fit;
    remove(block, room);
    if (room > size) insert(block + size, room - size);
    Segment& segment = segment_of(block)->second;
    if (block + size > segment.fresh) {
      System::touched(segment.fresh, block + size);
      segment.fresh = block + size;
    }
    return block;
  }

  void give(char* block, size_t size) {
    auto [begin, segment] = *segment_of(block);
    auto after = free_.lower_bound(block);
    if (after != free_.end() && after->first == block + size && after->first != segment.end) {
      size += after->second;
      remove(block + size - after->second, after->second);
    }
    auto before = free_.lower_bound(block);
    if (block != begin && before != free_.begin() && std::prev(before)->first + std::prev(before)->second == block) {
      auto [neighbour, room] = *std::prev(before);
      remove(neighbour, room);
      block = neighbour, size += room;
    }
    insert(block, size);
  }

  // Whether the block was cut from one of these segments.
  bool owns(const char* block) const {
    auto after = segments_.upper_bound(const_cast<char*>(block));
    return after != segments_.begin() && block < std::prev(after)->second.end;
  }

  bool empty() const { return segments_.empty(); }

  // Those that nothing is left of go back to the system.
  void release() {
    std::erase_if(segments_, [&](const auto& each) {
      auto [begin, segment] = each;
      auto found = free_.find(begin);
      if (found == free_.end() || found->first + found->second != segment.end) return false;
      remove(begin, found->second);
      System::put(begin, size_t(segment.end - begin), size_t(segment.fresh - begin));
      return true;
    });
  }

 private:
  struct Segment {
    char *fresh, *end;  // what lies from `fresh` on was never handed out
  };

  static size_t round_up(size_t bytes) { return (bytes + System::step - 1) / System::step * System::step; }
  void insert(char* at, size_t size) { free_.emplace(at, size), by_size_.emplace(size, at); }
  void remove(char* at, size_t size) { free_.erase(at), by_size_.erase({size, at}); }
  typename std::map<char*, Segment>::iterator segment_of(char* block) {
    return std::prev(segments_.upper_bound(block));
  }

  bool grow(size_t size) {
    char* begin = System::get(size);
    if (!begin) return false;
    segments_[begin] = {begin, begin + size};
    insert(begin, size);
    return true;
  }

  std::map<char*, Segment> segments_;  // by where they begin
  std::map<char*, size_t> free_;
  std::set<std::pair<size_t, char*>> by_size_;
};

}  // namespace gradus
