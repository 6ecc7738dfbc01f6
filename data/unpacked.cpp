#include "data/unpacked.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "tensor/error.h"
#include "tensor/io/file.h"

namespace gradus::data {

struct Unpacked::Stream {
  z_stream z = {};
  bool started = false, ended = false;
  ~Stream() {
    if (started) inflateEnd(&z);
  }
};

Unpacked::Unpacked(std::string name, const std::string& bytes) : name_(std::move(name)), bytes_(bytes) {
  if (bytes.size() < 2 || uint8_t(bytes[0]) != 0x1f || uint8_t(bytes[1]) != 0x8b) return;
  stream_ = std::make_unique<Stream>();
  check(inflateInit2(&stream_->z, 15 + 16) == Z_OK, name_, ": zlib does not start");  // + 16: a gzip header
  stream_->started = true;
  stream_->z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream_->z.avail_in = uInt(bytes.size());
}

Unpacked::~Unpacked() = default;

int64_t Unpacked::read(void* to, int64_t count) {
  if (!stream_) {
    const int64_t n = std::min(count, int64_t(bytes_.size()) - at_);
    std::memcpy(to, bytes_.data() + at_, size_t(n));
    at_ += n;
    return n;
  }
  z_stream& z = stream_->z;
  int64_t done = 0;
  while (done < count && !stream_->ended) {
    const uInt room = uInt(std::min<int64_t>(count - done, 1 << 30));
    z.next_out = static_cast<Bytef*>(to) + done;
    z.avail_out = room;
    const int status = inflate(&z, Z_NO_FLUSH);
    done += room - z.avail_out;
    if (status == Z_STREAM_END) {
      check(z.avail_in == 0, name_, ": ", int64_t(z.avail_in), " bytes after the end of the gzip data");
      stream_->ended = true;
    } else {
      // Z_BUF_ERROR: nothing left to read, but the stream is not at its end.
      check(status != Z_BUF_ERROR && (status != Z_OK || z.avail_in > 0 || z.avail_out == 0), name_,
            ": truncated gzip data");
      check(status == Z_OK, name_, ": damaged gzip data (", z.msg ? z.msg : "zlib error", ")");
    }
  }
  return done;
}

std::string read_unpacked(const std::string& path, int64_t limit) {
  const std::string name = printable(path), bytes = read_file(path, limit);
  Unpacked file(name, bytes);
  std::string text;
  for (bool more = true; more;) {
    // Room grows with what is really there.
    const size_t before = text.size(), wanted = std::max<size_t>(before, 1 << 20);
    text.resize(before + wanted);
    const int64_t got = file.read(text.data() + before, int64_t(wanted));
    text.resize(before + size_t(got));
    more = got == int64_t(wanted);
    check(int64_t(text.size()) <= limit, name, ": unpacks to more than ", limit, " bytes");
  }
  return text;
}

}  // namespace gradus::data
