// What the programs keep in a checkpoint besides numbers: their options, as text.
#pragma once

#include <charconv>
#include <concepts>
#include <string>
#include <type_traits>
#include <vector>

#include "examples/limits.h"
#include "tensor/error.h"
#include "tensor/io/file.h"
#include "train/checkpoint.h"

namespace examples {

inline std::string join(const std::vector<std::string>& parts, char separator) {
  std::string all;
  for (const std::string& part : parts) all += (all.empty() ? "" : std::string(1, separator)) + part;
  return all;
}

inline std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(separator, at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

// The shortest text that reads back as the same number.
inline std::string text(double number) {
  char buffer[32];
  return std::string(buffer, std::to_chars(buffer, buffer + sizeof(buffer), number).ptr);
}
inline std::string text(const std::string& value) { return value; }
template <std::integral I>  // bool too: 0 or 1
std::string text(I value) {
  return std::to_string(value);
}
inline std::string texts(const std::vector<double>& numbers) {
  std::vector<std::string> parts;
  for (double x : numbers) parts.push_back(text(x));
  return join(parts, ',');
}

// Reads the entries of a checkpoint's metadata.
struct MetadataReader {
  const char* program;
  const gradus::train::Metadata& metadata;
  const std::string& path;

  const std::string& get(const std::string& key) const {
    const auto entry = metadata.find(key);
    gradus::check(entry != metadata.end(), gradus::printable(path), ": no checkpoint of ", program,
                  ": its metadata lacks '", key, "'");
    return entry->second;
  }
  // Throws Error unless it was this program that wrote the checkpoint.
  void check_program() const {
    const std::string& wrote = get("program");
    gradus::check(wrote == program, gradus::printable(path), ": a checkpoint of ", gradus::printable(wrote),
                  ", not of ", program);
  }
  template <class Number>
  Number parse(const std::string& key, const std::string& value, Number low, Number high) const {
    Number number = 0;
    const char* end = value.data() + value.size();
    const auto result = std::from_chars(value.data(), end, number);
    gradus::check(result.ec == std::errc() && result.ptr == end && number >= low && number <= high,
                  gradus::printable(path), ": metadata '", key, "' is '", gradus::printable(value),
                  "', expected a number from ", low, " to ", high);
    return number;
  }
  template <class Number>
  Number number(const std::string& key, Number low, Number high) const {
    return parse<Number>(key, get(key), low, high);
  }
  // Into an option of any type.
  template <class Value>
  void into(const std::string& key, Value& value) const {
    if constexpr (std::is_same_v<Value, std::string>)
      value = get(key);
    else if constexpr (std::is_same_v<Value, bool>)
      value = number<int64_t>(key, 0, 1) == 1;
    else if constexpr (std::is_integral_v<Value>)
      value = number<Value>(key, 0, Value(most_of(key)));
    else
      value = number<Value>(key, -1e12, 1e12);
  }
  std::vector<double> numbers(const std::string& key, double low, double high) const {
    std::vector<double> all;
    for (const std::string& part : split(get(key), ',')) all.push_back(parse<double>(key, part, low, high));
    return all;
  }
  std::string one_of(const std::string& key, const std::vector<std::string>& known) const {
    const std::string& value = get(key);
    for (const std::string& k : known) {
      if (k == value) return value;
    }
    gradus::fail({gradus::printable(path), ": metadata '", key, "' is '", gradus::printable(value),
                  "', expected one of ", join(known, ',')});
  }
};

}  // namespace examples
