// Readers, images, drawn digits, transforms and metrics. Loaders have tests of their own (loader_test.cpp).
#include <gtest/gtest.h>
#include <zlib.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <numbers>

#include "autograd/ops.h"
#include "data/idx.h"
#include "data/image.h"
#include "data/image_folder.h"
#include "data/metrics.h"
#include "data/transforms.h"
#include "examples/made_up/digits.h"
#include "tensor/io/file.h"
#include "tests/errors.h"
#include "tests/paths.h"

namespace gradus::data {
namespace {

namespace fs = std::filesystem;
using gradus::testing::error_of;
using gradus::testing::TempDir;

void expect_one_line(const std::string& message, const std::string& names, const std::string& says) {
  EXPECT_NE(message.find(names), std::string::npos) << message;
  EXPECT_NE(message.find(says), std::string::npos) << message << "\nshould say: " << says;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
}

std::string be32(uint32_t n) { return {char(n >> 24), char(n >> 16), char(n >> 8), char(n)}; }

std::string idx(const std::vector<uint32_t>& dims, const std::string& data, int type = 8) {
  std::string bytes = {0, 0, char(type), char(dims.size())};
  for (uint32_t d : dims) bytes += be32(d);
  return bytes + data;
}

std::string gzip(const std::string& data) {
  z_stream z = {};
  EXPECT_EQ(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&z, data.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  z.avail_in = uInt(data.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = uInt(out.size());
  EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

// Without the care that write_file takes (it waits for the disk).
void put_file(const std::string& path, const std::string& bytes) {
  fs::remove(path);
  std::ofstream(path, std::ios::binary) << bytes;
}

TEST(Idx, ReadsPlainAndGzip) {
  TempDir dir;
  const std::string bytes = idx({2, 3}, "abcdef");
  put_file(dir / "plain", bytes);
  put_file(dir / "packed.gz", gzip(bytes));
  put_file(dir / "none", idx({0, 3}, ""));
  for (const char* name : {"plain", "packed.gz"}) {
    const Tensor x = read_idx(dir / name);
    EXPECT_EQ(x.shape(), Shape({2, 3}));
    EXPECT_EQ(x.dtype(), uint8);
    EXPECT_EQ(x.to_vector<int64_t>(), (std::vector<int64_t>{'a', 'b', 'c', 'd', 'e', 'f'}));
  }
  EXPECT_EQ(read_idx(dir / "none").shape(), Shape({0, 3}));
}

TEST(Idx, HostileFilesAreErrors) {
  const std::string good = idx({2, 3}, "abcdef"), packed = gzip(good);
  const std::string zeros = gzip(idx({1}, std::string(50 << 20, '\0')));  // 50 MB in 50 kB
  std::string bad_sum = packed;
  bad_sum[bad_sum.size() - 6] ^= 1;
  std::string bad_body = packed;
  bad_body[11] ^= 0x7f;
  const struct {
    const char* what;
    std::string bytes;
    const char* says;
  } cases[] = {
      {"empty", "", "empty"},
      {"short magic", std::string("\0\0\x08", 3), "too short"},
      {"not idx", "GIF89a..........", "not an IDX file"},
      {"floats", idx({1}, "abcd", 0x0d), "element type 13"},
      {"no dimensions", idx({}, ""), "0 dimensions"},
      {"nine dimensions", idx({1, 1, 1, 1, 1, 1, 1, 1, 1}, "a"), "9 dimensions"},
      {"short header", good.substr(0, 7), "ends within the IDX header"},
      {"short data", good.substr(0, good.size() - 1), "6 bytes, but the file has 5"},
      {"long data", good + "g", "but the file has more"},
      {"lying size", idx({4000000, 1000}, "abc"), "but the file has 3"},
      {"overflow", idx({0xffffffff, 0xffffffff, 0xffffffff, 4}, "abc"), "more than"},
      {"overflow to zero", idx({0x80000000, 0x80000000, 4}, ""), "more than"},
      {"zero after overflow", idx({0xffffffff, 0xffffffff, 0}, ""), "more than"},
      {"gzip header only", packed.substr(0, 10), "truncated gzip"},
      {"gzip cut in the data", packed.substr(0, packed.size() - 9), "truncated gzip"},
      {"gzip cut in the checksum", packed.substr(0, packed.size() - 1), "truncated gzip"},
      {"gzip wrong checksum", bad_sum, "damaged gzip"},
      {"gzip damaged", bad_body, "gzip"},
      {"gzip trailing", packed + "x", "1 bytes after the end of the gzip"},
      {"gzip of a short file", gzip(good.substr(0, 12)), "but the file has"},
      {"gzip of a long file", gzip(good + "gh"), "but the file has more"},
      {"gzip bomb", zeros, "but the file has more"},
  };
  TempDir dir;
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    put_file(dir / "file", c.bytes);
    expect_one_line(error_of([&] { read_idx(dir / "file"); }), dir / "file", c.says);
  }
  expect_one_line(error_of([&] { read_idx(dir / "missing"); }), "missing", "No such file");
  expect_one_line(error_of([&] { read_idx(dir.path()); }), dir.path(), "");
}

// Any prefix of a file, and any file with a byte changed, reads or throws.
TEST(Idx, DamageNeverCrashes) {
  TempDir dir;
  Generator random(3);
  for (const std::string& good : {idx({2, 3}, "abcdef"), gzip(idx({20, 30}, std::string(600, 'x')))}) {
    for (size_t n = 0; n < good.size(); ++n) {
      put_file(dir / "file", good.substr(0, n));
      EXPECT_NE(error_of([&] { read_idx(dir / "file"); }), "") << n;
    }
    for (int i = 0; i < 300; ++i) {
      std::string bad = good;
      bad[size_t(random.below(int64_t(bad.size())))] = char(random.next());
      put_file(dir / "file", bad);
      error_of([&] { read_idx(dir / "file"); });
    }
  }
}

TEST(Idx, SetsThatDisagreeAreErrors) {
  TempDir dir;
  auto put = [&](const std::string& images, const std::string& labels) {
    put_file(dir / "t10k-images-idx3-ubyte", images);
    put_file(dir / "t10k-labels-idx1-ubyte.gz", gzip(labels));
  };
  auto message = [&] { return error_of([&] { mnist(dir.path(), Split::test); }); };
  expect_one_line(message(), "t10k-images-idx3-ubyte", "no such file");
  put(idx({2, 2, 2}, "abcdefgh"), idx({2}, std::string("\1\7")));
  const ImageSet set = mnist(dir.path(), Split::test);
  EXPECT_EQ(set->size(), 2);
  EXPECT_EQ(set->image_shape(), Shape({1, 2, 2}));
  EXPECT_EQ(set->get(1).label, 7);
  EXPECT_EQ(set->get(1).image.to_vector<int64_t>(), (std::vector<int64_t>{'e', 'f', 'g', 'h'}));
  EXPECT_EQ(fashion_mnist(dir.path(), Split::test)->classes()[7], "Sneaker");
  put(idx({2, 2, 2}, "abcdefgh"), idx({3}, std::string("\1\2\3")));
  expect_one_line(message(), dir.path(), "2 images but 3 labels");
  put(idx({2, 2, 2}, "abcdefgh"), idx({2}, std::string("\1\12")));
  expect_one_line(message(), "labels", "label 1 is 10, expected 0 to 9");
  put(idx({2, 4}, "abcdefgh"), idx({2}, std::string("\1\2")));
  expect_one_line(message(), "images", "expected [n, height, width]");
  put(idx({0, 2, 2}, ""), idx({0}, ""));
  expect_one_line(message(), "images", "no images");
}

// The pixel means that everybody normalises with.
TEST(Idx, RealSets) {
  const std::string mnist_dir = gradus::testing::data_dir("mnist");
  const std::string fashion_dir = gradus::testing::data_dir("fashion-mnist");
  if (mnist_dir.empty() || fashion_dir.empty()) GTEST_SKIP() << "no MNIST";
  const ImageSet train = mnist(mnist_dir, Split::train);
  EXPECT_EQ(train->size(), 60000);
  EXPECT_EQ(train->get(0).label, 5);
  const ChannelStatistics digits = channel_statistics(*train),
                          clothes = channel_statistics(*fashion_mnist(fashion_dir, Split::train));
  EXPECT_NEAR(digits.mean[0], 0.1307, 5e-5);
  EXPECT_NEAR(digits.std[0], 0.3081, 5e-5);
  EXPECT_NEAR(clothes.mean[0], 0.2860, 5e-5);
  EXPECT_NEAR(clothes.std[0], 0.3530, 5e-5);
}

Tensor image_of(const Shape& shape, const std::vector<uint8_t>& pixels) { return from_vector(pixels, shape); }

TEST(Image, PngComesBackAsItWas) {
  TempDir dir;
  Generator random(1);
  for (const Shape& shape : {Shape{1, 5, 7}, Shape{3, 4, 3}, Shape{3, 1, 1}}) {
    const Tensor image = randint(0, 256, shape, {.dtype = uint8}, &random);
    write_png(dir / "a.png", image);
    EXPECT_TRUE(equal(read_image(dir / "a.png"), image));
    EXPECT_TRUE(equal(decode_image(encode_png(image.flip({2}))), image.flip({2})));
  }
  const Tensor grey = randint(0, 256, {6, 5}, {.dtype = uint8}, &random);
  EXPECT_TRUE(equal(decode_image(encode_png(grey))[0], grey));
  EXPECT_EQ(encode_png(grey).substr(1, 3), "PNG");
  EXPECT_THROW(encode_png(zeros({2, 2})), Error);
  EXPECT_THROW(encode_png(zeros({2, 3, 3}, {.dtype = uint8})), Error);
  EXPECT_THROW(encode_png(zeros({1, 0, 3}, {.dtype = uint8})), Error);
}

TEST(Image, ReadsPnmAndBmp) {
  EXPECT_TRUE(equal(decode_image("P5 3 2 255\nabcdef"), image_of({1, 2, 3}, {'a', 'b', 'c', 'd', 'e', 'f'})));
  EXPECT_TRUE(equal(decode_image("P6 2 1 255\nabcdef"), image_of({3, 1, 2}, {'a', 'd', 'b', 'e', 'c', 'f'})));
  EXPECT_TRUE(equal(decode_image("P5#a\n# b\n3 2#255\n255\nabcdef"), decode_image("P5 3 2 255\nabcdef")));
  // Values that go up to something else are scaled; of 16 bits the upper eight come first.
  EXPECT_TRUE(equal(decode_image("P6 1 1 15\n\1\2\xf"), image_of({3, 1, 1}, {17, 34, 255})));
  EXPECT_TRUE(equal(decode_image("P5 2 1 65535\n\xfe\1\x80\x80"), image_of({1, 1, 2}, {253, 128})));
  // A BMP of two pixels side by side: the row is blue, green, red of each and two bytes of padding.
  std::string bmp = "BM";
  auto le = [&](uint32_t n, int bytes) {
    for (int i = 0; i < bytes; ++i) bmp += char(n >> (8 * i));
  };
  for (uint32_t n : {62u, 0u, 54u, 40u, 2u, 1u}) le(n, 4);
  le(1, 2), le(24, 2);
  for (uint32_t n : {0u, 8u, 0u, 0u, 0u, 0u}) le(n, 4);
  bmp += "abcdef";
  bmp += std::string(2, '\0');
  EXPECT_TRUE(equal(decode_image(bmp), image_of({3, 1, 2}, {'c', 'f', 'b', 'e', 'a', 'd'})));
  expect_one_line(error_of([&] { decode_image(bmp.substr(0, 56), "x.bmp"); }), "x.bmp", "truncated");
}

TEST(Image, BadFilesAreErrors) {
  TempDir dir;
  const std::string png = encode_png(full({3, 20, 20}, 7, {.dtype = uint8}));
  std::string large = png, huge = png;  // claim 10,000 x 10,000 and 2,000,000 x 2,000,000 pixels
  for (size_t at : {16u, 20u}) {
    large.replace(at, 4, be32(10000));
    huge.replace(at, 4, be32(2000000));
  }
  const struct {
    const char* what;
    std::string bytes;
    const char* says;
  } cases[] = {
      {"empty", "", "empty"},
      {"text", "hello, world", "not a PNG"},
      {"cut", png.substr(0, png.size() / 2), "x.png"},
      {"cut at the end", png.substr(0, png.size() - 12), "x.png"},
      {"header only", png.substr(0, 33), "x.png"},
      {"large", large, "at most 33554432"},
      {"huge", huge, "damaged"},
      {"cut pgm", "P5 30 20 255\nabcdef", "truncated"},
      {"cut large pgm", "P5 30 20 255\n" + std::string(599, 'a'), "truncated"},
      {"pgm of many digits", "P6 " + std::string(30, '7') + " 3 255\nabc", "many digits"},
      {"pgm of 17 bits", "P5 1 1 65536\nabcd", "x.png"},
      {"cut pgm of 16 bits", "P5 2 1 65535\nabc", "truncated"},
      // A table of more codes than there are, behind a first marker that is one byte longer than it need be.
      {"jpeg",
       "\xff\xff\xd8\xff\xc4\x10\x03" + std::string(1, '\0') + std::string(16, '\xff') + std::string(4080, 'a'),
       "4080 codes"},
      {"control characters", std::string("P5 1\n\x1b[31m"), "x.png"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    put_file(dir / "x.png", c.bytes);
    expect_one_line(error_of([&] { read_image(dir / "x.png"); }), "x.png", c.says);
  }
  expect_one_line(error_of([&] { read_image(dir / "missing.png"); }), "missing.png", "No such file");
  expect_one_line(error_of([&] { write_png(dir / "no/such/x.png", zeros({2, 2}, {.dtype = uint8})); }), "x.png", "");
  EXPECT_NE(error_of([&] { write_png("/dev/full", zeros({2, 2}, {.dtype = uint8})); }), "");
}

TEST(Image, Channels) {
  const Tensor rgb = image_of({3, 1, 4}, {255, 0, 0, 10, 0, 255, 0, 20, 0, 0, 255, 30});
  EXPECT_EQ(to_channels(rgb, 1).to_vector<int64_t>(), (std::vector<int64_t>{76, 150, 29, 18}));
  const Tensor grey = image_of({1, 1, 2}, {3, 200});
  EXPECT_EQ(to_channels(grey, 3).to_vector<int64_t>(), (std::vector<int64_t>{3, 200, 3, 200, 3, 200}));
  EXPECT_TRUE(equal(to_channels(to_channels(grey, 3), 1), grey));
  EXPECT_THROW(to_channels(rgb, 2), Error);
}

TEST(Image, Resize) {
  // A row shrunk to half: a triangle over four pixels, cut off and renormalised at the edges.
  const Tensor row = image_of({1, 1, 8}, {0, 80, 160, 240, 0, 80, 160, 240});
  EXPECT_EQ(resize(row, 1, 4).to_vector<int64_t>(), (std::vector<int64_t>{57, 160, 80, 183}));
  // Grown to double: between the centres of two pixels, a quarter of the way from the nearer.
  EXPECT_EQ(resize(image_of({1, 1, 2}, {0, 100}), 1, 4).to_vector<int64_t>(), (std::vector<int64_t>{0, 25, 75, 100}));
  EXPECT_EQ(resize(image_of({1, 2, 1}, {0, 100}), 4, 1).to_vector<int64_t>(), (std::vector<int64_t>{0, 25, 75, 100}));
  EXPECT_TRUE(
      equal(resize(full({3, 37, 53}, 99, {.dtype = uint8}), 28, 64), full({3, 28, 64}, 99, {.dtype = uint8})));
  EXPECT_TRUE(equal(resize(row, 1, 8), row));
  EXPECT_EQ(resize(row.expand({2, 3, 8}), 1, 1).shape(), Shape({2, 1, 1}));
  EXPECT_THROW(resize(row, 0, 4), Error);
  // The mean of a large smooth picture stays.
  const Tensor ramp = arange(0, 250, 1, {.dtype = uint8}).expand({1, 90, 250});
  EXPECT_NEAR(resize(ramp, 28, 28).to(float64).mean().item(), 124.5, 0.3);
}

TEST(ImageFolder, FindsClassesInOrder) {
  TempDir dir;
  for (const char* folder : {"zebra", "ant", ".hidden"}) make_folder(dir / folder);
  write_png(dir / "zebra/b.png", full({3, 4, 4}, 1, {.dtype = uint8}));
  write_png(dir / "zebra/a.PNG", full({1, 8, 9}, 2, {.dtype = uint8}));
  put_file(dir / "zebra/notes.txt", "not an image");
  put_file(dir / "README", "neither");
  expect_one_line(error_of([&] { image_folder(dir.path()); }), dir / "ant", "no image files");
  write_png(dir / "ant/1.png", full({1, 3, 3}, 3, {.dtype = uint8}));
  const ImageSet set = image_folder(dir.path(), {.channels = 1, .height = 5, .width = 6});
  EXPECT_EQ(set->classes(), (std::vector<std::string>{"ant", "zebra"}));
  EXPECT_EQ(set->size(), 3);
  for (int64_t i = 0; i < 3; ++i) {
    const Sample s = set->get(i);
    EXPECT_EQ(s.label, i == 0 ? 0 : 1);
    EXPECT_TRUE(equal(s.image, full({1, 5, 6}, i == 0 ? 3 : 3 - i, {.dtype = uint8})));
  }
  put_file(dir / "ant/1.png", "damaged");
  expect_one_line(error_of([&] { set->get(0); }), dir / "ant/1.png", "not a PNG");
  fs::remove(dir / "ant/1.png");
  expect_one_line(error_of([&] { set->get(0); }), dir / "ant/1.png", "No such file");
  expect_one_line(error_of([&] { image_folder(dir / "nowhere"); }), "nowhere", "No such file");
  expect_one_line(error_of([&] { image_folder(dir / "README"); }), "README", "Not a directory");
  expect_one_line(error_of([&] { image_folder(dir / ".hidden"); }), ".hidden", "no folders");
}

TEST(Sets, SubsetAndTensors) {
  const ImageSet set = examples::digits(20, 5);
  const ImageSet some = subset(set, {13, 2});
  EXPECT_EQ(some->size(), 2);
  EXPECT_EQ(some->get(0).label, 3);
  EXPECT_TRUE(equal(some->get(1).image, set->get(2).image));
  EXPECT_THROW(subset(set, {20}), Error);
  const Tensor images = zeros({2, 1, 3, 3}, {.dtype = uint8}), labels = tensor({0, 1}, {.dtype = int64});
  EXPECT_THROW(tensor_images(images, labels, {"only one"}), Error);
  EXPECT_THROW(tensor_images(images[0], labels, {"a", "b"}), Error);
  EXPECT_THROW(tensor_images(images, labels.narrow(0, 0, 1), {"a", "b"}), Error);
}

TEST(Digits, AreTheSameForASeed) {
  EXPECT_TRUE(equal(examples::draw_digit(4, 7, 3), examples::draw_digit(4, 7, 3)));
  EXPECT_FALSE(equal(examples::draw_digit(4, 7, 3), examples::draw_digit(4, 7, 4)));
  EXPECT_FALSE(equal(examples::draw_digit(4, 7, 3), examples::draw_digit(4, 8, 3)));
  EXPECT_THROW(examples::draw_digit(10, 0, 0), Error);
  // Enough ink, none of it cut off by much.
  const ImageSet set = examples::digits(200, 1);
  for (int64_t i = 0; i < set->size(); ++i) {
    const Tensor x = set->get(i).image.to(float32);
    EXPECT_GT(x.mean().item(), 5) << i;
    EXPECT_LT(x.mean().item(), 120) << i;
    EXPECT_LT(x.select(1, 0).mean().item(), 90) << i;
  }
}

// The nearest mean picture is the right one far more often than one time in ten: they are learnable.
TEST(Digits, ClassesDiffer) {
  const ImageSet train = examples::digits(2000, 1), test = examples::digits(500, 2);
  std::vector<Tensor> means;
  for (int64_t c = 0; c < 10; ++c) means.push_back(zeros({1, 28, 28}));
  for (int64_t i = 0; i < train->size(); ++i) means[size_t(i % 10)].add_(train->get(i).image.to(float32) / 200.0);
  int right = 0;
  for (int64_t i = 0; i < test->size(); ++i) {
    const Tensor x = test->get(i).image.to(float32);
    int64_t nearest = 0;
    double least = INFINITY;
    for (int64_t c = 0; c < 10; ++c) {
      const double d = square(x - means[size_t(c)]).sum().item();
      if (d < least) least = d, nearest = c;
    }
    right += nearest == test->get(i).label;
  }
  EXPECT_GT(right, 200);
}

Tensor ramp_image(const Shape& shape) { return arange(0, double(numel(shape)), 1).reshape(shape).clone(); }

TEST(Transforms, Normalize) {
  Generator random;
  Tensor x = ramp_image({2, 1, 2});
  normalize({1, 2}, {2, 0.5})(x, random);
  EXPECT_EQ(x.to_vector(), (std::vector<double>{-0.5, 0, 0, 2}));
  EXPECT_THROW(normalize({1}, {0}), Error);
  EXPECT_THROW(normalize({1, 2}, {1}), Error);
  EXPECT_THROW(normalize({1, 2, 3}, {1, 1, 1})(x, random), Error);
}

TEST(Transforms, RandomCropShifts) {
  const Tensor original = ramp_image({2, 6, 6}) + 1.0;
  Generator random(1);
  std::vector<int> seen(9);
  for (int trial = 0; trial < 200; ++trial) {
    Tensor x = original.clone();
    random_crop(1)(x, random);
    // The only shifts possible: pad by one and cut.
    const Tensor padded = pad(original, {1, 1, 1, 1});
    int matches = 0;
    for (int i = 0; i < 9; ++i) {
      if (equal(padded.narrow(1, i / 3, 6).narrow(2, i % 3, 6).contiguous(), x)) ++seen[size_t(i)], ++matches;
    }
    EXPECT_EQ(matches, 1);
  }
  for (int n : seen) EXPECT_GT(n, 5);
}

TEST(Transforms, FlipRotateCutout) {
  Generator random(2);
  const Tensor original = ramp_image({2, 3, 5}) + 1.0;
  int flipped = 0;
  for (int trial = 0; trial < 100; ++trial) {
    Tensor x = original.clone();
    random_horizontal_flip()(x, random);
    const bool turned = equal(x, original.flip({2}));
    EXPECT_TRUE(turned || equal(x, original));
    flipped += turned;
  }
  EXPECT_GT(flipped, 30);
  EXPECT_LT(flipped, 70);

  Tensor x = original.clone();
  random_rotation(0)(x, random);
  EXPECT_TRUE(allclose(x, original));
  // A disc about the centre stays what it is; a point moves on a circle, by no more than the angle.
  Tensor dot = zeros({1, 41, 41});
  dot.narrow(1, 20, 1).narrow(2, 35, 1).fill_(1);
  for (int trial = 0; trial < 20; ++trial) {
    Tensor y = dot.clone();
    random_rotation(30)(y, random);
    const Tensor along = arange(0, 41, 1) - 20.0;
    const double mass = y.sum().item();
    const double px = (y[0].sum({0}) * along).sum().item() / mass, py = (y[0].sum({1}) * along).sum().item() / mass;
    EXPECT_NEAR(mass, 1, 0.15);
    EXPECT_NEAR(std::hypot(px, py), 15, 0.5);
    EXPECT_LT(std::abs(std::atan2(py, px)), 31 * std::numbers::pi / 180);
  }

  for (int trial = 0; trial < 50; ++trial) {
    Tensor holed = ones({2, 8, 9});
    cutout(4)(holed, random);
    const double zeros_left = 144 - holed.sum().item();
    EXPECT_GE(zeros_left, 2 * 4);  // a corner of the square at least
    EXPECT_LE(zeros_left, 2 * 16);
    EXPECT_TRUE(equal(holed[0], holed[1]));
  }
}

TEST(Transforms, Mixup) {
  Generator random(4);
  const ImageBatch batch = {arange(0, 8, 1).reshape({8, 1, 1, 1}), arange(8)};
  double sum = 0;
  for (int trial = 0; trial < 500; ++trial) {
    const Mixup m = mixup(batch, 0.4, random);
    EXPECT_GE(m.weight, 0);
    EXPECT_LE(m.weight, 1);
    sum += m.weight;
    const Tensor expected = batch.labels.to(float32) * m.weight + m.other_labels.to(float32) * (1 - m.weight);
    EXPECT_TRUE(allclose(m.images.reshape({8}), expected));
    EXPECT_TRUE(equal(m.other_labels.sort().first, batch.labels));
  }
  EXPECT_NEAR(sum / 500, 0.5, 0.06);
  // Tiny alpha: one of the two images, never NaN.
  for (int trial = 0; trial < 100; ++trial) {
    const double w = mixup(batch, 1e-4, random).weight;
    EXPECT_TRUE(w < 0.01 || w > 0.99) << w;
  }
  EXPECT_THROW(mixup(batch, 0, random), Error);
}

TEST(Transforms, Cutmix) {
  Generator random(4);
  // Image i is i all over: what a box brought is plain to see.
  const Tensor images = arange(1, 9, 1).reshape({8, 1, 1, 1}).expand({8, 2, 40, 60}).contiguous();
  const ImageBatch batch = {images, arange(1, 9)};
  double sum = 0;
  std::vector<int> hit(2400);
  for (int trial = 0; trial < 500; ++trial) {
    const Mixup m = cutmix(batch, 1, random);
    EXPECT_TRUE(equal(m.other_labels.sort().first, batch.labels));
    sum += m.weight;
    std::vector<double> box;  // of the pixels of one image, which are the other's
    for (int64_t i = 0; i < 8; ++i) {
      const double own = double(i + 1), other = m.other_labels[i].item();
      EXPECT_TRUE(equal(m.images[i][0], m.images[i][1]));
      EXPECT_NEAR(m.images[i].mean().item(), own * m.weight + other * (1 - m.weight), 1e-5);
      if (own == other) continue;
      const Tensor hole = (m.images[i][0] - own) / (other - own);
      if (box.empty()) box = hole.to_vector();
      EXPECT_EQ(hole.to_vector(), box);  // the same for all
      EXPECT_NEAR(hole.sum().item(), hole.amax({1}).sum().item() * hole.amax({0}).sum().item(), 1e-5);
    }
    for (size_t k = 0; k < box.size(); ++k) hit[k] += box[k] > 0.5;
  }
  // With r^2 uniform: E (r - r^2 / 4)^2 = 0.32 of the area, r^2 / 4 being what the border cuts off, less a little for
  // halves of whole pixels.
  EXPECT_NEAR(sum / 500, 0.69, 0.04);
  for (int n : hit) EXPECT_GT(n, 10);
  EXPECT_TRUE(equal(batch.images, images));
  EXPECT_THROW(cutmix(batch, 0, random), Error);
}

TEST(Metrics, Accuracy) {
  const Tensor logits = tensor({{1, 3, 2}, {5, 5, 0}, {0, NAN, 1}, {NAN, NAN, NAN}});
  const Tensor labels = tensor({2, 0, 2, 0}, {.dtype = int64});
  EXPECT_DOUBLE_EQ(accuracy(logits, labels), 0.5);
  EXPECT_DOUBLE_EQ(topk_accuracy(logits, labels, 2), 0.75);
  EXPECT_DOUBLE_EQ(topk_accuracy(logits, labels, 3), 0.75);  // a row of NaN is never right
  EXPECT_DOUBLE_EQ(accuracy(logits, tensor({1, 1, 1, 1}, {.dtype = int64})), 0.25);
  EXPECT_THROW(accuracy(logits, tensor({0, 0, 0, 3}, {.dtype = int64})), Error);
  EXPECT_THROW(accuracy(logits, tensor({0, 0}, {.dtype = int64})), Error);
  EXPECT_THROW(topk_accuracy(logits, labels, 0), Error);
}

// The example of scikit-learn's documentation of classification_report.
TEST(Metrics, ReportReadsAsScikitLearns) {
  ConfusionMatrix matrix(3);
  const int64_t labels[] = {0, 1, 2, 2, 2}, predicted[] = {0, 0, 2, 2, 1};
  for (int i = 0; i < 5; ++i) matrix.add(labels[i], predicted[i]);
  EXPECT_EQ(matrix.counts().to_vector<int64_t>(), (std::vector<int64_t>{1, 0, 0, 1, 0, 0, 0, 1, 2}));
  EXPECT_EQ(to_string(classification_report(matrix), {"class 0", "class 1", "class 2"}),
            "              precision    recall  f1-score   support\n"
            "\n"
            "     class 0       0.50      1.00      0.67         1\n"
            "     class 1       0.00      0.00      0.00         1\n"
            "     class 2       1.00      0.67      0.80         3\n"
            "\n"
            "    accuracy                           0.60         5\n"
            "   macro avg       0.50      0.56      0.49         5\n"
            "weighted avg       0.70      0.60      0.61         5\n");
  const std::string wide = to_string(classification_report(matrix), {"ä", "b", "a class of long name"});
  EXPECT_NE(wide.find("                   ä       0.50"), std::string::npos) << wide;
  EXPECT_NE(wide.find("a class of long name       1.00"), std::string::npos) << wide;
}

TEST(Metrics, ConfusionOfLogits) {
  ConfusionMatrix matrix(2);
  matrix.add(tensor({{0, 1}, {2, 1}, {3, 4}}), tensor({1, 1, 0}, {.dtype = int64}));
  EXPECT_EQ(matrix.counts().to_vector<int64_t>(), (std::vector<int64_t>{0, 1, 1, 1}));
  EXPECT_DOUBLE_EQ(matrix.accuracy(), 1.0 / 3);
  EXPECT_THROW(matrix.add(2, 0), Error);
  EXPECT_THROW(matrix.add(tensor({{0, 1, 2}}), tensor({1}, {.dtype = int64})), Error);
  EXPECT_EQ(classification_report(ConfusionMatrix(2)).accuracy, 0);  // nothing seen: zeros, not NaN
}

}  // namespace
}  // namespace gradus::data
