// An event file is a sequence of TFRecords (tensorflow/core/lib/io/record_writer.h), each an `Event` message
// (tensorflow/core/util/event.proto, framework/summary.proto) in the Protocol Buffers wire format
// (https://protobuf.dev/programming-guides/encoding/). The few messages needed are encoded by hand.
#include "train/event_log.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstring>
#include <vector>

#include "data/image.h"

namespace gradus::train {

uint32_t crc32c(std::string_view bytes) {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> t;
    for (uint32_t i = 0; i < 256; ++i) {
      t[i] = i;
      for (int bit = 0; bit < 8; ++bit) t[i] = (t[i] >> 1) ^ (t[i] & 1 ? 0x82f63b78u : 0);
    }
    return t;
  }();
  uint32_t crc = ~0u;
  for (char c : bytes) crc = table[(crc ^ uint8_t(c)) & 255] ^ (crc >> 8);
  return ~crc;
}

namespace {

template <class T>
std::string raw_bytes(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

// record_writer.h masks checksums because a checksum of data that contain checksums is weak.
std::string masked_crc(std::string_view bytes) {
  uint32_t crc = crc32c(bytes);
  return raw_bytes(uint32_t(((crc >> 15) | (crc << 17)) + 0xa282ead8u));
}

std::string record(const std::string& data) {
  std::string length = raw_bytes(uint64_t(data.size()));
  return length + masked_crc(length) + data + masked_crc(data);
}

std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 128; value >>= 7) bytes += char(value | 128);
  return bytes + char(value);
}

// Fields: a number and a wire type in one varint, then the value.
std::string integer_field(int number, int64_t value) {
  return varint(uint64_t(number) << 3 | 0) + varint(uint64_t(value));
}
std::string double_field(int number, double value) { return varint(uint64_t(number) << 3 | 1) + raw_bytes(value); }
std::string float_field(int number, float value) { return varint(uint64_t(number) << 3 | 5) + raw_bytes(value); }
std::string bytes_field(int number, std::string_view bytes) {
  return varint(uint64_t(number) << 3 | 2) + varint(bytes.size()) + std::string(bytes);
}

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// TensorBoard takes files with "tfevents" in their name, in the order of the names.
std::string new_file(const std::string& folder) {
  make_folder(folder);
  static int count = 0;
  std::string start = folder + "/events.out.tfevents." + std::to_string(int64_t(seconds_since_1970())) + "." +
                      std::to_string(getpid()) + ".";
  return start + std::to_string(count++) + ".gradus";
}

}  // namespace

EventLog::EventLog(const std::string& folder, std::optional<int64_t> resume_at) : file_(new_file(folder), false) {
  event(0, bytes_field(3, "brain.Event:2"));
  if (resume_at) event(*resume_at, bytes_field(7, integer_field(1, 1)));  // SessionLog with status START
}

void EventLog::event(int64_t step, const std::string& what) {
  file_.write(record(double_field(1, seconds_since_1970()) + integer_field(2, step) + what));
}

void EventLog::value(int64_t step, const std::string& summary_value) {
  event(step, bytes_field(5, bytes_field(1, summary_value)));
}

void EventLog::scalar(const std::string& tag, double x, int64_t step) {
  value(step, bytes_field(1, tag) + float_field(2, float(x)));
}

void EventLog::histogram(const std::string& tag, const Tensor& x, int64_t step) {
  std::vector<double> values = x.detach().to_vector<double>();
  std::erase_if(values, [](double v) { return !std::isfinite(v); });
  double low = 0, high = 0, sum = 0, squares = 0;
  if (!values.empty()) {
    low = *std::min_element(values.begin(), values.end());
    high = *std::max_element(values.begin(), values.end());
  }
  size_t bins = high > low ? 30 : 1;
  std::vector<double> counts(bins);
  for (double v : values) {
    sum += v;
    squares += v * v;
    double place = high > low ? (v / 2 - low / 2) / (high / 2 - low / 2) * double(bins) : 0;  // no overflow
    counts[std::min(size_t(place), bins - 1)] += 1;
  }
  std::string limits, sizes;
  for (size_t i = 0; i < bins; ++i) {
    double share = double(i + 1) / double(bins);
    limits += raw_bytes(low * (1 - share) + high * share);
    sizes += raw_bytes(counts[i]);
  }
  std::string histogram = double_field(1, low) + double_field(2, high) + double_field(3, double(values.size())) +
                          double_field(4, sum) + double_field(5, squares) + bytes_field(6, limits) +
                          bytes_field(7, sizes);
  value(step, bytes_field(1, tag) + bytes_field(5, histogram));
}

void EventLog::image(const std::string& tag, const Tensor& image, int64_t step) {
  std::string png = data::encode_png(image);  // throws unless it is an image
  int64_t channels = image.dim() == 3 ? image.size(0) : 1;
  std::string fields = integer_field(1, image.size(-2)) + integer_field(2, image.size(-1)) +
                       integer_field(3, channels) + bytes_field(4, png);
  value(step, bytes_field(1, tag) + bytes_field(4, fields));
}

void EventLog::text(const std::string& tag, const std::string& markdown, int64_t step) {
  constexpr int dt_string = 7;
  std::string shape = bytes_field(2, integer_field(1, 1));  // one dimension of size 1
  std::string tensor = integer_field(1, dt_string) + bytes_field(2, shape) + bytes_field(8, markdown);
  std::string metadata = bytes_field(1, bytes_field(1, "text"));  // the plugin that shows it
  value(step, bytes_field(1, tag) + bytes_field(8, tensor) + bytes_field(9, metadata));
}

}  // namespace gradus::train
