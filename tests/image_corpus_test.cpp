// Image files of all kinds, whole and damaged: each gives the right picture or one line that says what is wrong, and
// none takes over 1 GiB of memory.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "autograd/ops.h"
#include "data/image.h"
#include "tensor/io/file.h"
#include "tensor/random.h"
#include "tests/errors.h"
#include "tests/paths.h"
#include "tests/sanitized.h"

namespace gradus::data {
namespace {

namespace fs = std::filesystem;
using gradus::testing::TempDir;

constexpr int64_t gib = int64_t(1) << 30;

struct Case {
  std::string name, bytes;
};

// The image files of a folder of the corpora, or of all; none where there are no corpora.
std::vector<Case> corpus(const std::string& folder = "") {
  const std::string root = gradus::testing::data_dir("image-corpora");
  std::vector<Case> files;
  if (root.empty()) return files;
  for (const auto& entry : fs::recursive_directory_iterator(root + "/" + folder)) {
    const std::string extension = entry.path().extension().string();
    for (const char* known : {".png", ".jpg", ".jpeg", ".bmp", ".pgm", ".ppm"}) {
      if (extension != known) continue;
      const std::string path = entry.path().string();
      files.push_back({path.substr(root.size() + 1), read_file(path)});
    }
  }
  std::sort(files.begin(), files.end(), [](const Case& a, const Case& b) { return a.name < b.name; });
  return files;
}

std::string be32(uint32_t n) { return {char(n >> 24), char(n >> 16), char(n >> 8), char(n)}; }

uint32_t checksum(const std::string& bytes) {
  return uint32_t(crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), uInt(bytes.size())));
}

std::string chunk(const std::string& type, const std::string& contents) {
  return be32(uint32_t(contents.size())) + type + contents + be32(checksum(type + contents));
}

// With every chunk's checksum right again, as far as there are chunks.
std::string with_checksums(std::string png) {
  for (size_t at = 8; at + 12 <= png.size();) {
    const size_t length = size_t(uint8_t(png[at])) << 24 | size_t(uint8_t(png[at + 1])) << 16 |
                          size_t(uint8_t(png[at + 2])) << 8 | size_t(uint8_t(png[at + 3]));
    if (length > png.size() - at - 12) break;
    png.replace(at + 8 + length, 4, be32(checksum(png.substr(at + 4, length + 4))));
    at += length + 12;
  }
  return png;
}

// Zeros as a piece of deflated data, after which the same piece means the same again.
std::string deflated_zeros(int64_t count) {
  const std::string zeros(size_t(count), '\0');
  std::string packed(size_t(count) / 100 + 100, '\0');
  z_stream z = {};
  EXPECT_EQ(deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY), Z_OK);
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(zeros.data()));
  z.avail_in = uInt(zeros.size());
  z.next_out = reinterpret_cast<Bytef*>(packed.data());
  z.avail_out = uInt(packed.size());
  EXPECT_EQ(deflate(&z, Z_FULL_FLUSH), Z_OK);
  packed.resize(z.total_out);
  deflateEnd(&z);
  return packed;
}

// A PNG whose data unpack to that many zeros.
std::string png_of_zeros(uint32_t width, uint32_t height, int bits, int colours, int64_t zeros) {
  constexpr int64_t piece = 1 << 20;
  const std::string once = deflated_zeros(piece);
  std::string packed = "\x78\x01";
  for (int64_t done = 0; done + piece <= zeros; done += piece) packed += once;
  packed += deflated_zeros(zeros % piece);
  packed += std::string("\3\0", 2) + be32(1);  // an empty last block, and a sum that nobody looks at
  return "\x89PNG\r\n\x1a\n" +
         chunk("IHDR", be32(width) + be32(height) + char(bits) + char(colours) + std::string(3, '\0')) +
         chunk("IDAT", packed) + chunk("IEND", "");
}

struct Outcomes {
  std::vector<std::string> lines;  // of each case, "" for a picture, else what the error says
  int64_t memory = 0;              // the most that was in use, in bytes
};

// Decodes them one after the other in a process of its own.
Outcomes decode(const std::vector<Case>& cases) {
  TempDir dir;
  const std::string report = dir / "report";
  const pid_t child = fork();
  if (child == 0) {
    alarm(300);
    if (!gradus::testing::sanitized) {  // sanitizers reserve terabytes
      rlimit limit = {rlim_t(2 * gib), rlim_t(2 * gib)};
      setrlimit(RLIMIT_AS, &limit);
    }
    std::ofstream out(report);
    for (const Case& c : cases) {
      std::string line = gradus::testing::error_of([&] {
        const Tensor image = decode_image(c.bytes, c.name);
        if (image.dim() != 3 || image.numel() == 0 || (image.size(0) != 1 && image.size(0) != 3))
          fail({"no picture"});
      });
      std::replace(line.begin(), line.end(), '\n', '|');
      out << line << std::endl;
    }
    _exit(0);
  }
  int status = 0;
  rusage used = {};
  EXPECT_EQ(wait4(child, &status, 0, &used), child);
  Outcomes outcomes;
  std::ifstream in(report);
  for (std::string line; std::getline(in, line);) outcomes.lines.push_back(line);
  const size_t at = outcomes.lines.size();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0 && at == cases.size())
      << "ended by signal " << (WIFSIGNALED(status) ? WTERMSIG(status) : 0) << " at "
      << (at < cases.size() ? cases[at].name : "the end");
  outcomes.lines.resize(cases.size(), "none");
#ifdef __APPLE__
  outcomes.memory = used.ru_maxrss;
#else
  outcomes.memory = int64_t(used.ru_maxrss) * 1024;
#endif
  return outcomes;
}

void expect_little_memory(const Outcomes& outcomes) {
  if (gradus::testing::sanitized) return;  // they use more of their own
  EXPECT_LT(outcomes.memory, gib);
}

// Pictures or clear lines, in little memory.
Outcomes expect_pictures_or_errors(const std::vector<Case>& cases) {
  const Outcomes outcomes = decode(cases);
  for (size_t i = 0; i < cases.size(); ++i) {
    const std::string& line = outcomes.lines[i];
    if (line.empty()) continue;
    EXPECT_TRUE(line.starts_with(cases[i].name + ": ") && line.size() > cases[i].name.size() + 10) << line;
    EXPECT_EQ(line.find('|'), std::string::npos) << line;
  }
  expect_little_memory(outcomes);
  return outcomes;
}

int64_t pictures_in(const Outcomes& outcomes) {
  return std::count(outcomes.lines.begin(), outcomes.lines.end(), std::string());
}

// What no correct file is refused for, and what is allowed to be.
TEST(ImageCorpus, WholeFilesReadAndDamagedOnesAreNamed) {
  const std::vector<Case> files = corpus();
  if (files.empty()) GTEST_SKIP() << "no image corpora";
  EXPECT_EQ(files.size(), 473);
  const Outcomes outcomes = expect_pictures_or_errors(files);
  EXPECT_GT(pictures_in(outcomes), 300);
  std::map<std::string, std::string> says;
  for (size_t i = 0; i < files.size(); ++i) says[files[i].name] = outcomes.lines[i];
  // Good files that stb_image does not read: arithmetic coding, and 12 bits a sample.
  std::set<std::string> unread = {"libjpeg-turbo/testimgari.jpg", "libjpeg-turbo/monkey12.jpg",
                                  // a marker of this one is broken, which libjpeg forgives
                                  "jpeg-reference/partial_progressive.jpg"};
  for (const auto& [name, line] : says) {
    for (const char* good :
         {"pngsuite/primary", "pngsuite/16bit", "pngsuite/unused", "jpeg-reference", "jpeg-icc", "libjpeg-turbo"}) {
      if (!name.starts_with(good)) continue;
      EXPECT_EQ(line.empty(), unread.count(name) == 0) << name << line;
    }
    for (const char* bad : {"pngsuite/corrupt", "pngsuite/iphone"}) {
      EXPECT_FALSE(name.starts_with(bad) && line.empty()) << name;
    }
    // In one the sum of the unpacked pixels is wrong, of the other only what a picture can do without.
    if (name.starts_with("libpng-crashers") && name.find("badadler") == name.npos &&
        name.find("empty_ancillary") == name.npos) {
      EXPECT_FALSE(line.empty()) << name;
    }
  }
  // Claims 49,157 x 27,397 pixels, behind a marker that is broken too.
  EXPECT_NE(says["jpeg-malformed/imagetestsuite/6903d4538fd33c8fd0ded32cb30d618e.jpg"], "");
}

double largest_difference(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) return INFINITY;
  return abs(a.to(float32) - b.to(float32)).max().item();
}

TEST(ImageCorpus, PngSuiteIsRight) {
  const std::vector<Case> files = corpus("pngsuite/primary");
  if (files.empty()) GTEST_SKIP() << "no image corpora";
  EXPECT_EQ(files.size(), 77);
  const std::string root = gradus::testing::data_dir("image-corpora/pngsuite");
  for (const Case& file : files) {
    const std::string path = root + "/primary_check/" + file.name.substr(file.name.rfind('/') + 1);
    const Tensor image = to_channels(decode_image(file.bytes, file.name), 3);
    EXPECT_EQ(largest_difference(image, to_channels(read_image(path), 3)), 0) << file.name;
  }
  // 16 bits: interlaced and not, in one piece and in many, the same.
  for (const auto& [a, b] : std::map<std::string, std::string>{{"basi0g16", "basn0g16"},
                                                               {"basi2c16", "basn2c16"},
                                                               {"basi4a16", "basn4a16"},
                                                               {"basi6a16", "basn6a16"},
                                                               {"oi1n0g16", "oi9n0g16"},
                                                               {"oi1n2c16", "oi9n2c16"}}) {
    const Tensor image = read_image(root + "/16bit/" + a + ".png");
    EXPECT_EQ(largest_difference(image, read_image(root + "/16bit/" + b + ".png")), 0) << a;
    EXPECT_GT(image.max().item() - image.min().item(), 200) << a;
  }
}

TEST(ImageCorpus, JpegsAreRight) {
  const std::vector<Case> files = corpus("jpeg-reference");
  if (files.empty()) GTEST_SKIP() << "no image corpora";
  const std::string root = gradus::testing::data_dir("image-corpora") + "/";
  // Where stb_image rounds or interpolates otherwise than libjpeg: colours halved in size are spread over pictures of
  // three and four pixels a side in another way. One reads not at all (see above).
  const std::map<std::string, double> tolerances = {{"jpeg-reference/mozilla/jpg-cmyk-2.jpg", 3},
                                                    {"jpeg-reference/mozilla/jpg-size-3x3.jpg", 81},
                                                    {"jpeg-reference/mozilla/jpg-size-4x4.jpg", 75}};
  int compared = 0;
  for (const Case& file : files) {
    if (!file.name.ends_with(".jpg") || file.name.ends_with("/partial_progressive.jpg")) continue;
    const Tensor image = to_channels(decode_image(file.bytes, file.name), 3);
    const Tensor expected = to_channels(read_image(root + file.name.substr(0, file.name.size() - 3) + "png"), 3);
    const auto exception = tolerances.find(file.name);
    const double tolerance = exception == tolerances.end() ? 2 : exception->second;
    EXPECT_FALSE(!(largest_difference(image, expected) <= tolerance)) << file.name;
    ++compared;
  }
  EXPECT_EQ(compared, 33);
}

// 500 files truncated and with bytes changed, the sums of PNGs mended in half of them so that the damage gets further.
TEST(ImageCorpus, DamageIsAPictureOrOneLine) {
  std::vector<Case> files = corpus();
  if (files.empty()) GTEST_SKIP() << "no image corpora";
  std::vector<Case> cases;
  for (size_t i = 0; cases.size() < 500; ++i) {
    const Case& file = files[i * 37 % files.size()];
    if (file.bytes.size() > 200000 || file.bytes.empty()) continue;
    Generator random(i);
    std::string bytes = file.bytes;
    const int64_t size = int64_t(bytes.size()), kind = int64_t(i % 4);
    if (kind == 0) {
      bytes.resize(size_t(random.below(size)));
    } else {
      // Headers matter more than pixels, so half of the changes are near the front.
      for (int64_t k = 0; k <= random.below(8); ++k) {
        bytes[size_t(random.below(k % 2 ? size : std::min<int64_t>(size, 600)))] = char(random.next());
      }
      if (kind != 1 && bytes.starts_with("\x89PNG")) bytes = with_checksums(bytes);
    }
    cases.push_back({"case" + std::to_string(i) + " of " + file.name.substr(file.name.rfind('/') + 1), bytes});
  }
  const int64_t pictures = pictures_in(expect_pictures_or_errors(cases));
  EXPECT_GT(pictures, 50);
  EXPECT_LT(pictures, 400);
}

// The JPEG file with another size in its header.
std::string claiming(std::string jpeg, int width, int height) {
  for (size_t at = 2; at + 9 < jpeg.size();) {
    const int marker = uint8_t(jpeg[at + 1]);
    if (marker >= 0xc0 && marker <= 0xc2) {
      const char size[] = {char(height >> 8), char(height), char(width >> 8), char(width)};
      return jpeg.replace(at + 5, 4, size, 4);
    }
    at += size_t(2) + (size_t(uint8_t(jpeg[at + 2])) << 8 | uint8_t(jpeg[at + 3]));
  }
  fail({"no frame header"});
}

// Few bytes that want much memory.
TEST(ImageCorpus, TrapsAreErrorsOrTakeLittle) {
  const std::string root = gradus::testing::data_dir("image-corpora");
  if (root.empty()) GTEST_SKIP() << "no image corpora";
  const std::string jpeg = read_file(root + "/jpeg-reference/mozilla/jpg-progressive.jpg"),
                    cmyk = read_file(root + "/jpeg-reference/mozilla/jpg-cmyk-1.jpg");
  const std::string large = png_of_zeros(4096, 8192, 16, 6, int64_t(8192) * (8 * 4096 + 1));
  EXPECT_EQ(4096 * 8192, max_pixels);
  std::vector<Case> cases = {
      {"one pixel, two gigabytes", png_of_zeros(1, 1, 8, 2, 2 * gib)},
      {"large, and two gigabytes", png_of_zeros(4096, 8192, 16, 6, 2 * gib)},
      {"one pixel too wide", png_of_zeros(4097, 8192, 1, 0, 1)},
      {"many, and no data", png_of_zeros(4096, 8192, 16, 6, 1)},
      {"a row", png_of_zeros(2000000, 1, 8, 2, 6000001)},
  };
  cases.push_back({"jpeg", claiming(jpeg, 49157, 27397)});
  // A table of Huffman codes has 256 at most.
  cases.push_back({"a table", "\xff\xd8\xff\xc4\x10\x03" + std::string(1, '\0') + std::string(16, '\xff') +
                                  std::string(4080, '\0')});
  const size_t errors = cases.size();
  if (!gradus::testing::sanitized) {  // in which these take long
    cases.push_back({"as large as may be", large});
    cases.push_back({"large jpeg", claiming(jpeg, 5792, 5792)});
    cases.push_back({"large cmyk", claiming(cmyk, 5792, 5792)});
  }
  const Outcomes outcomes = decode(cases);
  const char* says[] = {
      "outofmem", "outofmem", "at most 33554432", "damaged", "damaged", "49157x27397 pixels; at most", "4080 codes"};
  for (size_t i = 0; i < errors; ++i) {
    EXPECT_NE(outcomes.lines[i].find(says[i]), std::string::npos) << cases[i].name << ": " << outcomes.lines[i];
  }
  for (size_t i = errors; i < cases.size(); ++i) {
    EXPECT_EQ(outcomes.lines[i].empty(), i == errors) << cases[i].name << ": " << outcomes.lines[i];
  }
  expect_little_memory(outcomes);
}

}  // namespace
}  // namespace gradus::data
