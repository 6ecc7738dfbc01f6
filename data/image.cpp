#include "data/image.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "tensor/io/file.h"

// stb's code is in this file alone, and its warnings are not ours.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
// A few kilobytes of a PNG can unpack to gigabytes, but no image that is read needs more than this in one piece: 8
// bytes a pixel, where there are 16 bits to each of red, green, blue and alpha, and one a row.
static constexpr size_t most_in_a_piece = 9 * gradus::data::max_pixels;
// Zeros, because what a JPEG lacks is read all the same.
#define STBI_MALLOC(bytes) ((bytes) <= most_in_a_piece ? std::calloc(1, bytes) : nullptr)
#define STBI_REALLOC(memory, bytes) ((bytes) <= most_in_a_piece ? std::realloc(memory, bytes) : nullptr)
#define STBI_FREE(memory) std::free(memory)
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_BMP
#define STBI_ONLY_PNM
#define STBI_NO_STDIO
#define STBI_MAX_DIMENSIONS (1 << 20)
#include <stb_image.h>
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#include <stb_image_write.h>
#pragma GCC diagnostic pop

namespace gradus::data {

namespace {

// Hands a decoder its bytes and remembers whether it asked for more than there are: stb goes on with zeros
// then, and would give a picture whose lower half is missing as if it were whole.
struct Source {
  const std::string& bytes;
  size_t at = 0;
  bool overrun = false;

  static int read(void* self, char* to, int size) {
    Source& s = *static_cast<Source*>(self);
    const size_t n = std::min(size_t(size), s.bytes.size() - s.at);
    std::memcpy(to, s.bytes.data() + s.at, n);
    s.at += n;
    s.overrun |= n == 0 && size > 0;
    return int(n);
  }
  static void skip(void* self, int n) {  // also backwards
    Source& s = *static_cast<Source*>(self);
    s.at = size_t(std::clamp<int64_t>(int64_t(s.at) + n, 0, int64_t(s.bytes.size())));
  }
  static int eof(void* self) {
    const Source& s = *static_cast<Source*>(self);
    return s.at == s.bytes.size();
  }
};
constexpr stbi_io_callbacks callbacks = {Source::read, Source::skip, Source::eof};

void check_image(const char* op, const Tensor& image) {
  check(image.dtype() == uint8 && image.dim() == 3 && image.size(0) >= 1, op, ": image is ", image.dtype(), " ",
        image.shape(), ", expected uint8 [channels, height, width]");
}

// Goes through the segments of a JPEG file, because stb 2.27 writes beyond a table of more than 256 codes.
void check_jpeg(const std::string& bytes, const std::string& who) {
  auto byte = [&](size_t at) { return at < bytes.size() ? size_t(uint8_t(bytes[at])) : 0; };
  for (size_t at = 0; (at = bytes.find('\xff', at)) != bytes.npos;) {
    const size_t marker = byte(++at);
    if (marker == 0xd9) return;                                                         // the end
    if (marker == 0 || marker == 0xff || (marker >= 0xd0 && marker <= 0xd8)) continue;  // those of no length
    const size_t end = at + 1 + std::max<size_t>(byte(at + 1) << 8 | byte(at + 2), 2);
    for (size_t table = at + 3; marker == 0xc4 && table < end;) {
      size_t codes = 0;
      for (size_t i = 1; i <= 16; ++i) codes += byte(table + i);
      check(codes <= 256, who, ": damaged image (", codes, " codes in a table)");
      table += 17 + codes;
    }
    at = end;
  }
}

// Goes through the chunks of a PNG file, whose checksums stb takes on trust.
void check_png(const std::string& bytes, const std::string& who) {
  auto number = [&](size_t at) {
    uint32_t n = 0;
    for (size_t i = at; i < at + 4; ++i) n = n << 8 | uint8_t(bytes[i]);
    return n;
  };
  for (size_t at = 8;;) {
    const size_t left = bytes.size() - at;
    check(left >= 12 && number(at) <= left - 12, who, ": truncated image: the file ends before the picture does");
    const size_t length = number(at);
    const Bytef* type = reinterpret_cast<const Bytef*>(bytes.data()) + at + 4;
    check(std::memcmp(type, "CgBI", 4) != 0, who, ": not a PNG, but Apple's variant of it, which is not read");
    const bool needed = !(type[0] & 32);  // a small letter: the picture can do without
    check(!needed || crc32(0, type, uInt(length + 4)) == number(at + 8 + length), who,
          ": damaged image (a checksum is wrong)");
    if (std::memcmp(type, "IEND", 4) == 0) return;
    at += 12 + length;
  }
}

// Width, height and largest value of a PGM or PPM file; `at` is left behind them. stb 2.27 adds up digits until they
// overflow.
std::array<int64_t, 3> pnm_header(const std::string& bytes, size_t& at, const std::string& who) {
  std::array<int64_t, 3> numbers = {};
  at = 2;
  for (int64_t& number : numbers) {
    while ((at = bytes.find_first_not_of(" \t\n\v\f\r", at)) < bytes.size() && bytes[at] == '#')
      at = bytes.find_first_of("\n\r", at);
    for (; at < bytes.size() && bytes[at] >= '0' && bytes[at] <= '9'; ++at) {
      number = 10 * number + (bytes[at] - '0');
      check(number <= std::numeric_limits<int>::max(), who, ": damaged image (a number of many digits)");
    }
  }
  return numbers;
}

// The PGM or PPM file with values up to 255: stb 2.27 does not scale others, and takes the lower half of 16 bits. Nor
// does it always tell where the file ends too early.
std::string pnm_up_to_255(const std::string& bytes, const Shape& shape, const std::string& who) {
  size_t at = 0;
  const int64_t largest = pnm_header(bytes, at, who)[2];
  check(largest > 0 && largest <= 65535, who, ": values up to ", largest, ", expected 1 to 65535");
  const int64_t values = numel(shape), each = largest > 255 ? 2 : 1;
  check(at < bytes.size() && int64_t(bytes.size() - at) > values * each, who,
        ": truncated image: the file ends before the picture does");
  if (largest == 255) return bytes;
  std::string scaled =
      bytes.substr(0, 2) + " " + std::to_string(shape[2]) + " " + std::to_string(shape[1]) + " 255\n";
  const uint8_t* from = reinterpret_cast<const uint8_t*>(bytes.data()) + at + 1;
  for (int64_t i = 0; i < values; ++i, from += each) {
    const int64_t value = std::min<int64_t>(each == 2 ? from[0] << 8 | from[1] : from[0], largest);
    scaled += char((value * 255 + largest / 2) / largest);
  }
  return scaled;
}

// What one output pixel takes of a row of input pixels: weights of `first`, first + 1, ...
struct Taps {
  int64_t first;
  std::vector<float> weights;
};

std::vector<Taps> triangle_taps(int64_t in, int64_t out) {
  const double scale = double(in) / double(out), radius = std::max(scale, 1.0);
  std::vector<Taps> taps;
  for (int64_t i = 0; i < out; ++i) {
    const double centre = (double(i) + 0.5) * scale;
    const int64_t first = std::max<int64_t>(0, int64_t(std::floor(centre - radius + 0.5)));
    const int64_t last = std::min<int64_t>(in, int64_t(std::floor(centre + radius + 0.5)));
    std::vector<double> weights;
    double total = 0;
    for (int64_t k = first; k < last; ++k) {
      weights.push_back(std::max(0.0, 1 - std::abs((double(k) + 0.5 - centre) / radius)));
      total += weights.back();
    }
    Taps t{first, {}};
    for (double w : weights) t.weights.push_back(float(w / total));
    taps.push_back(std::move(t));
  }
  return taps;
}

}  // namespace

Shape image_shape_of(const std::string& bytes, const std::string& name) {
  const std::string who = printable(name);
  check(!bytes.empty(), who, ": the file is empty");
  if (bytes.starts_with('\xff')) check_jpeg(bytes, who);  // the first marker may be stretched, as all may: ff ff d8
  if (size_t at = 0; bytes[0] == 'P') pnm_header(bytes, at, who);
  int width = 0, height = 0, channels = 0;
  Source header{bytes};
  check(stbi_info_from_callbacks(&callbacks, &header, &width, &height, &channels), who,
        ": not a PNG, JPEG, BMP, PGM or PPM image, or a damaged one");
  check(width > 0 && height > 0, who, ": an image of ", width, "x", height, " pixels");
  check(int64_t(width) * height <= max_pixels, who, ": an image of ", width, "x", height, " pixels; at most ",
        max_pixels, " are read");
  return {channels >= 3 ? 3 : 1, height, width};
}

Tensor decode_image(const std::string& bytes, const std::string& name) {
  const std::string who = printable(name);
  const Shape shape = image_shape_of(bytes, name);  // what is too large or no image is refused unread
  if (bytes.starts_with("\x89PNG")) check_png(bytes, who);
  const std::string pnm = bytes[0] == 'P' ? pnm_up_to_255(bytes, shape, who) : "";
  int width = 0, height = 0, channels = 0;
  Source source{pnm.empty() ? bytes : pnm};
  const std::unique_ptr<stbi_uc, void (*)(void*)> pixels(
      stbi_load_from_callbacks(&callbacks, &source, &width, &height, &channels, 0), stbi_image_free);
  check(pixels != nullptr, who, ": damaged image (", stbi_failure_reason(), ")");
  check(!source.overrun, who, ": truncated image: the file ends before the picture does");

  const int64_t area = int64_t(width) * height, colours = channels >= 3 ? 3 : 1;
  const bool alpha = channels == 2 || channels == 4;
  Tensor image = empty({colours, height, width}, {.dtype = uint8});
  uint8_t* out = image.data<uint8_t>();
  for (int64_t c = 0; c < colours; ++c) {
    const stbi_uc* in = pixels.get() + c;
    for (int64_t i = 0; i < area; ++i, in += channels) {
      const int a = alpha ? in[channels - 1 - c] : 255;
      *out++ = uint8_t((*in * a + 255 * (255 - a) + 127) / 255);
    }
  }
  return image;
}

Tensor read_image(const std::string& path) { return decode_image(read_file(path, int64_t(1) << 28), path); }

std::string encode_png(const Tensor& image) {
  Tensor whole = image.dim() == 2 ? image.unsqueeze(0) : image;
  check_image("encode_png", whole);
  const int64_t channels = whole.size(0), height = whole.size(1), width = whole.size(2);
  check((channels == 1 || channels == 3) && height > 0 && width > 0 && height * width <= max_pixels,
        "encode_png: image ", image.shape(), ", expected 1 or 3 channels and 1 to ", max_pixels, " pixels");
  whole = whole.permute({1, 2, 0}).contiguous();  // PNG has a pixel's channels side by side
  std::string bytes;
  auto append = [](void* to, void* data, int size) {
    static_cast<std::string*>(to)->append(static_cast<const char*>(data), size_t(size));
  };
  const int ok = stbi_write_png_to_func(append, &bytes, int(width), int(height), int(channels), whole.data<uint8_t>(),
                                        int(width * channels));
  check(ok, "encode_png: out of memory for image ", image.shape());
  return bytes;
}

void write_png(const std::string& path, const Tensor& image) { write_file(path, encode_png(image)); }

Tensor to_channels(const Tensor& image, int64_t channels) {
  check_image("to_channels", image);
  const int64_t had = image.size(0);
  check((had == 1 || had == 3) && (channels == 1 || channels == 3), "to_channels: from ", had, " to ", channels,
        " channels, expected 1 or 3");
  if (had == channels) return image;
  if (channels == 3) return image.expand({3, -1, -1}).contiguous();
  const Tensor rgb = image.contiguous();
  const int64_t area = rgb.size(1) * rgb.size(2);
  Tensor grey = empty({1, rgb.size(1), rgb.size(2)}, {.dtype = uint8});
  const uint8_t* in = rgb.data<uint8_t>();
  uint8_t* out = grey.data<uint8_t>();
  // 0.299, 0.587 and 0.114 in 1/65536.
  for (int64_t i = 0; i < area; ++i) {
    out[i] = uint8_t((19595 * in[i] + 38470 * in[area + i] + 7471 * in[2 * area + i] + 32768) >> 16);
  }
  return grey;
}

Tensor resize(const Tensor& image, int64_t height, int64_t width) {
  check_image("resize", image);
  const int64_t channels = image.size(0), in_height = image.size(1), in_width = image.size(2);
  check(height > 0 && width > 0 && in_height > 0 && in_width > 0, "resize: from ", image.shape(), " to ", height, "x",
        width);
  if (height == in_height && width == in_width) return image;
  const Tensor source = image.contiguous();
  const uint8_t* in = source.data<uint8_t>();
  const std::vector<Taps> across = triangle_taps(in_width, width), down = triangle_taps(in_height, height);
  Tensor result = empty({channels, height, width}, {.dtype = uint8});
  uint8_t* out = result.data<uint8_t>();
  std::vector<float> rows(size_t(in_height * width)), line(static_cast<size_t>(width));
  for (int64_t c = 0; c < channels; ++c) {
    float* to = rows.data();
    for (int64_t y = 0; y < in_height; ++y, in += in_width) {
      for (const Taps& t : across) {
        float sum = 0;
        for (size_t k = 0; k < t.weights.size(); ++k) sum += t.weights[k] * float(in[t.first + int64_t(k)]);
        *to++ = sum;
      }
    }
    for (const Taps& t : down) {
      std::fill(line.begin(), line.end(), 0.0f);
      for (size_t k = 0; k < t.weights.size(); ++k) {
        const float* row = rows.data() + (t.first + int64_t(k)) * width;
        for (int64_t x = 0; x < width; ++x) line[x] += t.weights[k] * row[x];
      }
      for (float v : line) *out++ = uint8_t(std::clamp(v + 0.5f, 0.0f, 255.0f));
    }
  }
  return result;
}

Tensor fit(const Tensor& image, int64_t height, int64_t width) {
  check(image.dim() == 3 && image.numel() > 0 && height > 0 && width > 0, "fit: from ", image.shape(), " to ", height,
        "x", width);
  const int64_t in_height = image.size(1), in_width = image.size(2);
  const int64_t h = std::clamp<int64_t>(std::llround(double(in_width) * height / width), 1, in_height);
  const int64_t w = std::clamp<int64_t>(std::llround(double(in_height) * width / height), 1, in_width);
  return resize(image.narrow(1, (in_height - h) / 2, h).narrow(2, (in_width - w) / 2, w), height, width).contiguous();
}

Tensor contact_sheet(const Tensor& images, int64_t columns, int64_t gap) {
  check(images.dtype() == uint8 && images.dim() == 4 && columns > 0 && gap >= 0, "contact_sheet: images are ",
        images.dtype(), " ", images.shape(), " in ", columns,
        " columns, expected uint8 [n, channels, height, width]");
  const int64_t n = images.size(0), height = images.size(2) + gap, width = images.size(3) + gap;
  const int64_t rows = (n + columns - 1) / columns;
  Tensor sheet = full({images.size(1), rows * height + gap, columns * width + gap}, 128, {.dtype = uint8});
  for (int64_t i = 0; i < n; ++i) {
    sheet.narrow(1, i / columns * height + gap, images.size(2))
        .narrow(2, i % columns * width + gap, images.size(3))
        .copy_(images[i]);
  }
  return sheet;
}

}  // namespace gradus::data
