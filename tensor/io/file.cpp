#include "tensor/io/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "tensor/error.h"

namespace gradus {

static std::string name_of(const std::string& path) { return path.empty() ? "''" : printable(path); }

[[noreturn]] static void fail_with_errno(const std::string& path, const char* what, int code = errno) {
  fail({name_of(path), ": cannot ", what, ": ", std::strerror(code)});
}

static int open_file(const std::string& path, int flags) {
  int fd;
  do fd = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  while (fd < 0 && errno == EINTR);
  return fd;
}

// The number of bytes written; fewer than asked only on an error, which errno then tells.
static size_t write_all(int fd, const char* from, size_t bytes) {
  size_t done = 0;
  while (done < bytes) {
    ssize_t n = ::write(fd, from + done, std::min<size_t>(bytes - done, 1 << 30));
    if (n > 0) done += size_t(n);
    if (n == 0) errno = ENOSPC;
    if (n == 0 || (n < 0 && errno != EINTR)) break;
  }
  return done;
}

InputFile::InputFile(const std::string& path) : name_(name_of(path)) {
  fd_ = open_file(path, O_RDONLY | O_NONBLOCK);  // or opening a pipe would wait for a writer
  if (fd_ < 0) fail_with_errno(path, "open");
  struct stat info;
  bool known = ::fstat(fd_, &info) == 0;
  int code = errno;
  if (!known || !S_ISREG(info.st_mode)) {
    ::close(fd_);
    check(known, name_, ": cannot read: ", std::strerror(code));
    fail({name_, S_ISDIR(info.st_mode) ? ": is a folder, not a file" : ": is not a regular file"});
  }
  left_ = info.st_size;
}

InputFile::~InputFile() { ::close(fd_); }

void InputFile::read(void* to, int64_t bytes) {
  check(bytes <= left_, name_, ": truncated: ", bytes, " more bytes expected, ", left_, " left");
  for (char* at = static_cast<char*>(to); bytes > 0;) {
    ssize_t n = ::read(fd_, at, size_t(std::min<int64_t>(bytes, 1 << 30)));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_with_errno(name_, "read");
    check(n > 0, name_, ": truncated while it was being read");
    at += n;
    bytes -= n;
    left_ -= n;
  }
}

OutputFile::OutputFile(const std::string& path) : path_(path), target_(path) {
  struct stat old;
  bool exists = ::stat(path.c_str(), &old) == 0;
  check(!exists || !S_ISDIR(old.st_mode), name_of(path), ": is a folder, not a file");
  if (exists && !S_ISREG(old.st_mode)) {
    fd_ = open_file(path, O_WRONLY);
    if (fd_ < 0) fail_with_errno(path, "write");
    return;
  }
  // Renaming would replace what the folder's permissions allow; a file marked read-only is meant to stay.
  if (exists && ::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) != 0) fail_with_errno(path, "write");
  if (char* real = ::realpath(path.c_str(), nullptr)) {  // so that a link is kept and its target replaced
    target_ = real;
    std::free(real);
  }
  std::string temporary = target_ + ".tmp";
  for (;;) {
    fd_ = open_file(temporary, O_WRONLY | O_CREAT);
    if (fd_ < 0) fail_with_errno(path, "write");
    bool locked = ::flock(fd_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
    // Another writer may have renamed this very file between opening and locking.
    struct stat mine, there;
    bool same = ::fstat(fd_, &mine) == 0 && ::stat(temporary.c_str(), &there) == 0 && mine.st_ino == there.st_ino &&
                mine.st_dev == there.st_dev;
    if (locked && same) break;
    ::close(fd_);
    fd_ = -1;
    check(locked, name_of(path), ": is being written by another process");
  }
  temporary_ = temporary;
  if (::ftruncate(fd_, 0) != 0) give_up("write");
  if (exists && ::fchmod(fd_, old.st_mode & 07777) != 0) give_up("write");
}

OutputFile::~OutputFile() {
  if (fd_ < 0) return;
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  ::close(fd_);
}

void OutputFile::give_up(const char* what) {
  int code = errno;
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  ::close(fd_);
  fd_ = -1;
  fail_with_errno(path_, what, code);
}

void OutputFile::write(const void* from, size_t bytes) {
  check(fd_ >= 0, name_of(path_), ": is closed");
  if (write_all(fd_, static_cast<const char*>(from), bytes) < bytes) give_up("write");
}

void OutputFile::commit() {
  check(fd_ >= 0, name_of(path_), ": is closed");
  bool direct = temporary_.empty();
  if (::fsync(fd_) != 0 && !(direct && (errno == EINVAL || errno == ENOTSUP || errno == EROFS))) give_up("write");
  // Renamed before it is closed: closing gives up the lock.
  if (!direct && ::rename(temporary_.c_str(), target_.c_str()) != 0) give_up("replace");
  int fd = fd_;
  fd_ = -1;
  if (::close(fd) != 0) fail_with_errno(path_, "write");
  if (direct) return;
  size_t slash = target_.rfind('/');
  std::string folder = slash == std::string::npos ? "." : target_.substr(0, slash + 1);
  int folder_fd = open_file(folder, O_RDONLY);
  if (folder_fd < 0) return;  // a folder one may write to but not list: the rename has happened all the same
  ::fsync(folder_fd);
  ::close(folder_fd);
}

LogFile::LogFile(const std::string& path, bool append) : path_(path) {
  fd_ = open_file(path, O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC));
  if (fd_ < 0) fail_with_errno(path, "write");
}

LogFile::~LogFile() { ::close(fd_); }

void LogFile::write(std::string_view text) {
  if (write_all(fd_, text.data(), text.size()) < text.size()) fail_with_errno(path_, "write");
}

std::string read_file(const std::string& path, int64_t limit) {
  InputFile file(path);
  check(file.left() <= limit, file.name(), ": has ", file.left(), " bytes, at most ", limit, " are read");
  std::string contents(size_t(file.left()), '\0');
  file.read(contents.data(), file.left());
  return contents;
}

void write_file(const std::string& path, std::string_view contents) {
  OutputFile file(path);
  file.write(contents);
  file.commit();
}

bool file_exists(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0;
}

void make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  check(!error, name_of(path), ": cannot make the folder: ", error.message());
  check(std::filesystem::is_directory(path, error), name_of(path), ": is not a folder");
}

void rename_file(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) fail_with_errno(from, "rename");
}

// The length of the UTF-8 sequence that `text` starts with (RFC 3629, section 4), 0 if it starts with none.
static size_t utf8_length(std::string_view text) {
  auto byte = [&](size_t i) { return i < text.size() ? uint8_t(text[i]) : uint8_t(0); };
  uint8_t b = byte(0);
  size_t length = b < 0x80                 ? 1
                  : b >= 0xc2 && b <= 0xdf ? 2
                  : b >= 0xe0 && b <= 0xef ? 3
                  : b >= 0xf0 && b <= 0xf4 ? 4
                                           : 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  // Overlong forms, surrogates, and what lies beyond U+10FFFF.
  bool outside = (b == 0xe0 && byte(1) < 0xa0) || (b == 0xed && byte(1) > 0x9f) || (b == 0xf0 && byte(1) < 0x90) ||
                 (b == 0xf4 && byte(1) > 0x8f);
  return outside ? 0 : length;
}

std::string printable(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (out.size() > 200) return out + "...";
    size_t length = utf8_length(text.substr(i));
    uint8_t b = uint8_t(text[i]);
    // U+0080 to U+009F are control characters too.
    bool control = b < 0x20 || b == 0x7f || (b == 0xc2 && length == 2 && uint8_t(text[i + 1]) < 0xa0);
    if (length == 0 || control) {
      char hex[8];
      std::snprintf(hex, sizeof hex, "\\x%02x", b);
      out += hex;
      length = 1;
    } else {
      out += text.substr(i, length);
    }
    i += length;
  }
  return out;
}

}  // namespace gradus
