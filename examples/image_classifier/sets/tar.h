// Tar archives.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace image_classifier {

// The files of an archive, plain or packed with gzip, held in memory: ustar (IEEE Std 1003.1, pax, "ustar Interchange
// Format"), with long names as pax and GNU tar write them. Links and devices are passed over, and nothing is ever
// written to disk, so that it does not matter where names point.
class Tar {
 public:
  // Throws Error naming `path` where the archive is truncated or damaged or unpacks to more than `limit` bytes.
  explicit Tar(const std::string& path, int64_t limit = (int64_t(1) << 32) - 1);
  Tar(const Tar&) = delete;
  Tar& operator=(const Tar&) = delete;

  const std::string& path() const { return path_; }
  // By name ("folder/file", without "./" in front). Of several files of one name the last counts.
  const std::map<std::string, std::string_view>& files() const { return files_; }

 private:
  std::string path_, bytes_;
  std::map<std::string, std::string_view> files_;  // inside bytes_
};

}  // namespace image_classifier
