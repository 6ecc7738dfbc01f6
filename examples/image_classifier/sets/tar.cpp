#include "tar.h"

#include <charconv>

#include "data/unpacked.h"
#include "tensor/error.h"
#include "tensor/io/file.h"

namespace image_classifier {

using namespace gradus;

namespace {

constexpr int64_t block = 512;

std::string_view text(std::string_view field) { return field.substr(0, field.find('\0')); }

// Octal digits with blanks around them; -1 if there is anything else.
int64_t octal(std::string_view field) {
  int64_t number = 0;
  for (char c : text(field)) {
    if (c == ' ') continue;
    if (c < '0' || c > '7') return -1;
    number = number * 8 + (c - '0');
  }
  return number;
}

// The path among the records of a pax header, each "LENGTH KEY=VALUE\n"; "" where there is none.
std::string pax_path(std::string_view records, const std::string& name) {
  std::string path;
  while (!records.empty()) {
    size_t length = 0;
    const char* end = std::from_chars(records.data(), records.data() + records.size(), length).ptr;
    const size_t key = size_t(end - records.data()) + 1;
    check(length > key && length <= records.size(), name, ": damaged pax header in the tar archive");
    const std::string_view record = records.substr(key, length - key - 1);
    if (record.starts_with("path=")) path = record.substr(5);
    records.remove_prefix(length);
  }
  return path;
}

}  // namespace

Tar::Tar(const std::string& path, int64_t limit) : path_(path), bytes_(data::read_unpacked(path, limit)) {
  const std::string who = printable(path);
  const std::string_view all = bytes_;
  const int64_t size = int64_t(all.size());
  std::string long_name;  // of the next file
  for (int64_t at = 0;;) {
    check(at + block <= size, who, ": truncated tar archive, or none: it ends without an end mark");
    const std::string_view header = all.substr(size_t(at), block);
    if (header.find_first_not_of('\0') == header.npos) return;
    int64_t sum = 0;  // with blanks in place of the sum itself
    for (int64_t i = 0; i < block; ++i) sum += i >= 148 && i < 156 ? ' ' : uint8_t(header[size_t(i)]);
    check(octal(header.substr(148, 8)) == sum, who, ": not a tar archive, or a damaged one (header at byte ", at,
          ")");
    const int64_t length = octal(header.substr(124, 12)), left = size - at - block;
    check(length >= 0 && length <= left, who, ": truncated tar archive: ", printable(text(header.substr(0, 100))),
          " is said to have ", length, " bytes, but ", left, " are left");
    const std::string_view contents = all.substr(size_t(at + block), size_t(length));
    at += block + (length + block - 1) / block * block;

    const char type = header[156];
    if (type == 'L' || type == 'x') {
      long_name = type == 'L' ? std::string(text(contents)) : pax_path(contents, who);
      continue;
    }
    std::string name = std::move(long_name);
    long_name.clear();
    if (name.empty()) {
      // GNU's own format ("ustar  ") has other things where the front of a long name would be.
      const std::string_view front = text(header.substr(345, 155));
      if (header.substr(257, 6) == std::string_view("ustar\0", 6) && !front.empty()) name = std::string(front) + "/";
      name += text(header.substr(0, 100));
    }
    while (name.starts_with("./")) name.erase(0, 2);
    if (type == '0' || type == '\0') files_[name] = contents;
  }
}

}  // namespace image_classifier
