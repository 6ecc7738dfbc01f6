#include "train/csv_log.h"

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "tensor/error.h"

namespace gradus::train {

std::string to_string(const Metrics& metrics) {
  std::string text;
  for (const auto& [name, value] : metrics) {
    char number[64];
    bool small = value != 0 && std::fabs(value) < 1e-3;
    std::snprintf(number, sizeof number, small ? "%.2e" : "%.4f", value);
    text += (text.empty() ? "" : "  ") + name + " " + number;
  }
  return text;
}

// RFC 4180, section 2: quoted where it has a comma, a quote or a line break.
static std::string field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

// The lines of `path` up to the row of that number; none where there is no such file.
static std::string kept_lines(const std::string& path, int64_t last) {
  if (!file_exists(path)) return "";
  std::string text = read_file(path);
  size_t at = text.find('\n');
  if (at == std::string::npos) return "";  // not even a whole header
  for (++at; at < text.size();) {
    int64_t number = 0;
    const char* end = text.data() + text.size();
    size_t next = text.find('\n', at);
    bool whole = next != std::string::npos && std::from_chars(text.data() + at, end, number).ec == std::errc();
    if (!whole || number > last) break;
    at = next + 1;
  }
  return text.substr(0, at);
}

static const std::string& prepared(const std::string& path, std::optional<int64_t> resume_after) {
  if (resume_after && file_exists(path)) write_file(path, kept_lines(path, *resume_after));
  return path;
}

CsvLog::CsvLog(const std::string& path, const std::string& counter, std::optional<int64_t> resume_after)
    : path_(path), counter_(counter), file_(prepared(path, resume_after), resume_after.has_value()) {
  if (!resume_after) return;
  std::string text = read_file(path);
  header_ = text.substr(0, text.find('\n') + 1);
}

void CsvLog::row(int64_t number, const Metrics& values) {
  std::string header = field(counter_), line = std::to_string(number);
  for (const auto& [name, value] : values) {
    char text[64];
    std::snprintf(text, sizeof text, ",%.9g", value);
    header += "," + field(name);
    line += text;
  }
  header += '\n';
  if (header_.empty()) file_.write(header_ = header);
  check(header == header_, path_, ": its columns are ", printable(header_.substr(0, header_.size() - 1)),
        ", a row has ", printable(header.substr(0, header.size() - 1)));
  file_.write(line + "\n");
}

}  // namespace gradus::train
