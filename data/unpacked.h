// Files that may be packed with gzip.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace gradus::data {

// The bytes of a file, unpacked on the way if they are gzip. Only as much is unpacked as is asked for: a few
// kilobytes of gzip can hold gigabytes of zeros. Refers to `bytes`; `name` stands in messages.
class Unpacked {
 public:
  Unpacked(std::string name, const std::string& bytes);
  ~Unpacked();
  Unpacked(const Unpacked&) = delete;
  Unpacked& operator=(const Unpacked&) = delete;

  // Up to `count` bytes; fewer only at the end. Throws Error where gzip data are truncated or damaged.
  int64_t read(void* to, int64_t count);

 private:
  struct Stream;
  std::string name_;
  const std::string& bytes_;
  std::unique_ptr<Stream> stream_;  // null: not packed
  int64_t at_ = 0;
};

// A whole file, unpacked. More than `limit` bytes are an Error, which like all others names the path.
std::string read_unpacked(const std::string& path, int64_t limit = int64_t(1) << 30);

}  // namespace gradus::data
