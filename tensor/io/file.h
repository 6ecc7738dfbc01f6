// Files read and written whole: what fails, fails in one line that names the file, and a file that is being
// replaced is either the old one or the new one, never half of each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace gradus {

// A regular file open for reading. Every member throws Error naming the path.
class InputFile {
 public:
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& name() const { return name_; }  // the path, fit for a message
  int64_t left() const { return left_; }             // bytes not yet read
  // Exactly `bytes` bytes; throws Error where the file ends before.
  void read(void* to, int64_t bytes);

 private:
  std::string name_;
  int64_t left_ = 0;
  int fd_;
};

// A file that takes the place of `path` when committed: written to "PATH.tmp", synced, renamed. Without commit the
// temporary goes and `path` stays as it was. A path that exists and is no regular file (a pipe, a device) is written
// to directly. Two writers of one path at once are an Error. Every member throws Error naming the path.
class OutputFile {
 public:
  explicit OutputFile(const std::string& path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(const void* from, size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  void commit();

 private:
  [[noreturn]] void give_up(const char* what);

  std::string path_, target_, temporary_;  // as given; with links followed; empty when written to directly
  int fd_ = -1;
};

// A file that only grows: each write is in the file when it returns.
class LogFile {
 public:
  // Continues an existing file if `append`, else starts it afresh.
  LogFile(const std::string& path, bool append);
  ~LogFile();
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  void write(std::string_view text);

 private:
  std::string path_;
  int fd_;
};

std::string read_file(const std::string& path, int64_t limit = int64_t(1) << 32);  // in bytes; more is an Error
void write_file(const std::string& path, std::string_view contents);               // as OutputFile does
bool file_exists(const std::string& path);
// With its parents, where they are missing.
void make_folder(const std::string& path);
void rename_file(const std::string& from, const std::string& to);

// Text from outside made fit for one line of a message: control characters and broken UTF-8 as \xNN, the rest
// of a long one left out.
std::string printable(std::string_view text);

}  // namespace gradus
