// Sets of pictures in files: archives, folders, CIFAR-10. MNIST's are in data_test.cpp.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "autograd/ops.h"
#include "data/image.h"
#include "examples/image_classifier/sets/cifar.h"
#include "examples/image_classifier/sets/pictures.h"
#include "tensor/io/file.h"
#include "tensor/random.h"
#include "tests/errors.h"
#include "tests/paths.h"

namespace image_classifier {
namespace {

using namespace gradus;
using namespace gradus::data;
namespace fs = std::filesystem;
using gradus::testing::error_of;
using gradus::testing::shell;
using gradus::testing::TempDir;

void put_file(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

void expect_error(const std::string& message, const std::string& names, const std::string& says) {
  EXPECT_NE(message.find(names), std::string::npos) << message;
  EXPECT_NE(message.find(says), std::string::npos) << message << "\nshould say: " << says;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
}

// The sum of a header's bytes, put into its place.
void put_sum(std::string& header) {
  header.replace(148, 8, 8, ' ');
  int64_t sum = 0;
  for (char c : header.substr(0, 512)) sum += uint8_t(c);
  char digits[8];
  std::snprintf(digits, sizeof digits, "%06llo", static_cast<long long>(sum));
  header.replace(148, 7, digits, 7);
}

// One member of an archive.
std::string member(const std::string& name, const std::string& contents, char type = '0',
                   const std::string& front = "") {
  std::string header(512, '\0');
  header.replace(0, name.size(), name);
  char digits[16];
  std::snprintf(digits, sizeof digits, "%011llo", static_cast<long long>(contents.size()));
  header.replace(124, 12, digits, 12);
  header[156] = type;
  header.replace(257, 8,
                 std::string("ustar\0"
                             "00",
                             8));
  header.replace(345, front.size(), front);
  put_sum(header);
  return header + contents + std::string((512 - contents.size() % 512) % 512, '\0');
}
const std::string end_mark(1024, '\0');

std::map<std::string, std::string> read_tar(const std::string& path) {
  const Tar tar(path);
  std::map<std::string, std::string> files;
  for (const auto& [name, bytes] : tar.files()) files[name] = std::string(bytes);
  return files;
}

using Files = std::map<std::string, std::string>;

TEST(Tar, ReadsWhatTarWrites) {
  TempDir dir;
  const std::string deep = "a/" + std::string(90, 'x') + "/" + std::string(80, 'y');  // more than fits a ustar name
  make_folder(dir / ("in/" + deep));
  const Files expected = {{"a/empty", ""}, {"b", std::string(512, 'b')}, {deep + "/1", "one"}, {"ä", "two\n"}};
  for (const auto& [name, contents] : expected) put_file(dir / ("in/" + name), contents);
  fs::create_symlink("b", dir / "in/link");
  int formats = 0;
  for (const char* format : {"ustar", "pax", "gnu", "gnutar"}) {
    for (const char* packed : {"", "z"}) {
      const std::string file = dir / (std::string(format) + packed);
      std::string output;
      // Names with ./ in front, and folders too.
      if (shell("tar -c" + std::string(packed) + "f " + file + " --format=" + format + " -C " + (dir / "in") + " .",
                &output) != 0) {
        continue;
      }
      ++formats;
      EXPECT_EQ(read_tar(file), expected) << format << packed;
    }
  }
  EXPECT_GE(formats, 4);
}

TEST(Tar, KnowsTheWaysToWriteLongNames) {
  TempDir dir;
  auto read = [&](const std::string& archive) {
    put_file(dir / "a.tar", archive);
    return read_tar(dir / "a.tar");
  };
  EXPECT_EQ(read(end_mark), Files());
  EXPECT_EQ(read(member("f", "1", '0', "front") + end_mark), (Files{{"front/f", "1"}}));
  EXPECT_EQ(
      read(member("././@LongLink", std::string("long\0", 5), 'L') + member("f", "1") + member("g", "2") + end_mark),
      (Files{{"long", "1"}, {"g", "2"}}));
  EXPECT_EQ(read(member("pax", "11 mtime=1\n14 path=a=b c\n", 'x') + member("f", "1") + end_mark),
            (Files{{"a=b c", "1"}}));
  EXPECT_EQ(read(member("pax", "18 linkpath=a b c\n", 'x') + member("f", "1") + end_mark), (Files{{"f", "1"}}));
  EXPECT_EQ(read(member("pax", "10 path=x\n", 'g') + member("f", "1") + end_mark), (Files{{"f", "1"}}));
  // The last of several with one name; what is no file is passed over, and so is what follows the end.
  EXPECT_EQ(read(member("f", "1") + member("./f", "2") + member("d/", "", '5') + member("l", "", '2') + end_mark +
                 "whatever"),
            (Files{{"f", "2"}}));
  EXPECT_EQ(read(member("../../etc/passwd", "x") + end_mark), (Files{{"../../etc/passwd", "x"}}));  // only a name
}

TEST(Tar, DamagedArchivesAreErrors) {
  TempDir dir;
  const std::string good = member("first", "12345") + member("second", std::string(600, 'x')) + end_mark;
  std::string bad_sum = good, large = good, negative = good, letters = good;
  bad_sum[3] ^= 1;
  large.replace(124, 12, "77777777777\0", 12);
  put_sum(large);
  negative.replace(124, 12, std::string(12, '\xff'));  // GNU's way to write large numbers
  put_sum(negative);
  letters.replace(124, 3, "12x");
  put_sum(letters);
  const std::string after_pax = member("f", "1") + end_mark;
  const struct {
    const char* what;
    std::string bytes;
    const char* says;
  } cases[] = {
      {"empty", "", "truncated"},
      {"text", std::string(2000, 'x'), "not a tar archive"},
      {"no end", good.substr(0, good.size() - 1024), "without an end mark"},
      {"cut in a file", good.substr(0, 1600), "second is said to have 600 bytes, but 64 are left"},
      {"cut in a header", good.substr(0, 1100), "without an end mark"},
      {"wrong sum", bad_sum, "header at byte 0"},
      {"too large", large, "first is said to have 8589934591 bytes"},
      {"negative", negative, "first is said to have -1 bytes"},
      {"letters", letters, "first is said to have -1 bytes"},
      {"pax without a length", member("p", "path=x\n", 'x') + after_pax, "damaged pax header"},
      {"pax of no length", member("p", "0 path=x\n", 'x') + after_pax, "damaged pax header"},
      {"pax too short", member("p", "2 path=x\n", 'x') + after_pax, "damaged pax header"},
      {"pax too long", member("p", "99 path=x\n", 'x') + after_pax, "damaged pax header"},
      {"pax beyond all", member("p", "99999999999999999999999 path=x\n", 'x') + after_pax, "damaged pax header"},
      {"pax that is a number", member("p", "7", 'x') + after_pax, "damaged pax header"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    put_file(dir / "a.tar", c.bytes);
    expect_error(error_of([&] { Tar(dir / "a.tar"); }), dir / "a.tar", c.says);
  }
  EXPECT_NE(error_of([&] { Tar(dir / "none.tar"); }), "");
  put_file(dir / "a.tar", good);
  expect_error(error_of([&] { Tar(dir / "a.tar", 1000); }), "a.tar", "1000");
  // Bytes changed at random: read or refused.
  Generator random(1);
  int refused = 0;
  const std::string with_pax = member("p", "12 path=abc\n", 'x') + good;
  for (int i = 0; i < 400; ++i) {
    std::string bad = with_pax;
    for (int k = 0; k < 3; ++k) bad[size_t(random.below(int64_t(bad.size())))] = char(random.next());
    put_file(dir / "a.tar", i % 2 ? bad : bad.substr(0, size_t(random.below(int64_t(bad.size())))));
    const std::string message = error_of([&] { Tar(dir / "a.tar"); });
    refused += message != "";
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }
  EXPECT_GT(refused, 200);
}

TEST(Cifar, ReadsItsBinaryFiles) {
  TempDir dir;
  // Image i of a file has label i % 10; its channels are of one shade each, another in the third file.
  for (const char* name : {"data_batch_1.bin", "data_batch_3.bin"}) {
    std::string bytes;
    for (int i = 0; i < 10000; ++i) {
      bytes += char(i % 10);
      for (int c = 0; c < 3; ++c) bytes.append(1024, char(i % 50 + 50 * c + (name[11] == '3')));
    }
    put_file(dir / name, bytes);
  }
  for (const char* name : {"data_batch_2.bin", "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"}) {
    fs::create_hard_link(dir / "data_batch_1.bin", dir / name);
  }
  const ImageSet train = cifar10(dir.path(), Split::train), test = cifar10(dir.path(), Split::test);
  EXPECT_EQ(train->size(), 50000);
  EXPECT_EQ(test->size(), 10000);
  EXPECT_EQ(train->image_shape(), Shape({3, 32, 32}));
  EXPECT_EQ(train->classes()[9], "truck");
  const Sample s = train->get(23456);  // of the third file
  EXPECT_EQ(s.label, 6);
  for (int64_t c = 0; c < 3; ++c) EXPECT_TRUE(equal(s.image[c], full({32, 32}, 6 + 50 * c + 1, {.dtype = uint8})));

  std::string bytes = read_file(dir / "data_batch_4.bin");
  fs::remove(dir / "data_batch_4.bin");
  auto message = [&] { return error_of([&] { cifar10(dir.path(), Split::train); }); };
  bytes[3073 * 7] = 10;
  put_file(dir / "data_batch_4.bin", bytes);
  expect_error(message(), "data_batch_4.bin", "label 7 is 10, expected 0 to 9");
  put_file(dir / "data_batch_4.bin", bytes.substr(1));
  expect_error(message(), "data_batch_4.bin", "30729999 bytes, expected 30730000");
  put_file(dir / "data_batch_4.bin", bytes + "x");
  expect_error(message(), "data_batch_4.bin", "30730000");
  fs::remove(dir / "data_batch_4.bin");
  expect_error(message(), "data_batch_4.bin", "No such file");
}

std::string png(const Shape& shape, int shade) { return encode_png(full(shape, shade, {.dtype = uint8})); }

TEST(Pictures, AnArchiveIsLikeTheFolder) {
  TempDir dir;
  std::string archive;
  int shade = 0;
  // The class "a-b" comes before "a" where whole paths are sorted, behind it where classes are.
  for (const char* name : {"front/train/a/2.png", "front/train/a-b/1.png", "front/train/a/1.PNG",
                           "front/test/a/1.png", "front/train/a/notes.txt", "front/train/a/.hidden.png",
                           "front/train/a/b/c.png", "front/train/stray.png", "front/train/.hidden/x.png"}) {
    const std::string bytes = png({3, 6, 6}, ++shade);
    archive += member(name, bytes);
    make_folder((dir / name).substr(0, (dir / name).rfind('/')));
    put_file(dir / name, bytes);
  }
  put_file(dir / "x.tar", archive + end_mark);
  const Place archive_place(dir / "x.tar"), folder_place(dir / "front");
  EXPECT_TRUE(archive_place.has_folder("train") && folder_place.has_folder("train"));
  EXPECT_FALSE(archive_place.has_folder("tra") || folder_place.has_folder("tra"));
  EXPECT_EQ(archive_place.common_size(64, false), 6);
  EXPECT_EQ(folder_place.common_size(64, false), 6);
  const ImageFolderOptions options = {.height = 6, .width = 6};
  const ImageSet packed = kept(archive_place.images("train", options)), plain = folder_place.images("train", options);
  EXPECT_EQ(packed->classes(), (std::vector<std::string>{"a", "a-b"}));
  EXPECT_EQ(plain->classes(), packed->classes());
  ASSERT_EQ(packed->size(), 3);
  ASSERT_EQ(plain->size(), 3);
  const int shades[] = {3, 1, 2};
  for (int64_t i = 0; i < 3; ++i) {
    for (const ImageSet& set : {packed, plain}) {
      for (int again = 0; again < 2; ++again) {  // the second time from memory
        EXPECT_TRUE(equal(set->get(i).image, full({3, 6, 6}, shades[i], {.dtype = uint8}))) << i;
        EXPECT_EQ(set->get(i).label, i / 2);
      }
    }
  }
  expect_error(error_of([&] { archive_place.images("val", options); }), "x.tar/front/val", "no folders");
}

TEST(Pictures, FoldersAroundAreNotClasses) {
  TempDir dir;
  const struct {
    std::vector<std::string> names;
    std::string part;
    std::vector<std::string> classes;
  } cases[] = {
      {{"a/1.png", "b/1.png"}, "", {"a", "b"}},
      {{"x/y/a/1.png", "x/y/b/1.png", "x/README"}, "", {"a", "b"}},
      {{"a/1.png", "a/2.png"}, "", {"a"}},
      {{"x/a/1.png"}, "", {"a"}},
      {{"train/a/1.png", "test/a/1.png"}, "train", {"a"}},
      {{"x/train/a/1.png", "x/train/b/1.png"}, "train", {"a", "b"}},
  };
  for (const auto& c : cases) {
    std::string archive;
    for (const std::string& name : c.names) archive += member(name, png({1, 2, 2}, 3));
    put_file(dir / "x.tar", archive + end_mark);
    EXPECT_EQ(Place(dir / "x.tar").images(c.part, {1, 2, 2})->classes(), c.classes) << c.names[0];
  }
  put_file(dir / "x.tar", member("README", "none") + end_mark);
  expect_error(error_of([&] { Place(dir / "x.tar"); }), "x.tar", "no image files");
}

TEST(Pictures, CommonSize) {
  TempDir dir;
  make_folder(dir / "c");
  const Place place(dir.path());
  EXPECT_EQ(place.common_size(64, false), 64);
  put_file(dir / "c/1.png", png({3, 20, 20}, 1));
  put_file(dir / "c/2.png", png({1, 20, 20}, 1));
  EXPECT_EQ(place.common_size(64, false), 20);
  EXPECT_EQ(place.common_size(19, false), 19);
  put_file(dir / "c/3.png", "damaged");
  EXPECT_EQ(place.common_size(64, true), 20);
  expect_error(error_of([&] { place.common_size(64, false); }), dir / "c/3.png", "not a PNG");
  put_file(dir / "c/3.png", png({1, 20, 21}, 1));
  EXPECT_EQ(place.common_size(64, false), 64);
  EXPECT_NE(error_of([&] { Place(dir / "nowhere").common_size(64, false); }), "");
}

TEST(Pictures, GoodOnesAndBadOnes) {
  TempDir dir;
  for (const char* name : {"a", "b"}) make_folder(dir / name);
  const std::string good = png({3, 20, 20}, 7);
  put_file(dir / "a/1.png", good.substr(0, good.size() - 20));  // its header is whole
  put_file(dir / "a/2.png", "nonsense");
  put_file(dir / "a/3.png", good);
  put_file(dir / "b/1.png", good);
  put_file(dir / "b/2.png", "");
  std::vector<std::string> faults;
  int64_t looked_at = 0;
  const ImageSet all = Place(dir.path()).images("", {3, 20, 20});
  const ImageSet set = good_images(
      kept(all), [&](const std::string& why) { faults.push_back(why); }, [&](int64_t done) { looked_at = done; });
  EXPECT_EQ(looked_at, 5);
  ASSERT_EQ(set->size(), 2);
  fs::remove(dir / "a/3.png");  // it is in memory
  for (int64_t i = 0; i < 2; ++i) {
    EXPECT_EQ(set->get(i).label, i);
    EXPECT_TRUE(equal(set->get(i).image, full({3, 20, 20}, 7, {.dtype = uint8})));
  }
  ASSERT_EQ(faults.size(), 3);
  expect_error(faults[0], dir / "a/1.png", "truncated");
  expect_error(faults[1], dir / "a/2.png", "not a PNG");
  expect_error(faults[2], dir / "b/2.png", "empty");
  expect_error(error_of([&] { kept(all, 100)->get(2); }), dir / "a/3.png", "No such file");  // too many to keep
}

TEST(Pictures, FitKeepsProportions) {
  // A ramp across, 3 rows high and 9 columns wide: the 3 columns in the middle.
  const Tensor wide = arange(0, 9, 1, {.dtype = uint8}).expand({2, 3, 9});
  EXPECT_EQ(fit(wide, 3, 3)[1][2].to_vector<int64_t>(), (std::vector<int64_t>{3, 4, 5}));
  EXPECT_TRUE(equal(fit(wide.permute({0, 2, 1}), 3, 3), fit(wide, 3, 3).permute({0, 2, 1}).contiguous()));
  EXPECT_TRUE(fit(wide, 3, 3).is_contiguous());
  EXPECT_TRUE(equal(fit(wide, 3, 9), wide.contiguous()));
  // Large and small, thin and thick: what is cut away is cut from both ends alike.
  for (const Shape& shape : {Shape{1, 1, 1000}, Shape{1, 1000, 1}, Shape{1, 7, 5}, Shape{1, 100, 200}}) {
    std::vector<uint8_t> across;
    for (int64_t x = 0; x < shape[2]; ++x) across.push_back(uint8_t(std::min(x, shape[2] - 1 - x) / 2));
    const Tensor image = from_vector(across, {1, 1, shape[2]}).expand(shape);
    const Tensor small = fit(image, 16, 24);
    EXPECT_EQ(small.shape(), Shape({1, 16, 24}));
    EXPECT_TRUE(equal(small, small.flip({2}))) << small;
  }
  EXPECT_THROW(fit(wide, 0, 3), Error);
  EXPECT_THROW(fit(wide[0], 3, 3), Error);
}

// CIFAR-10's published means and deviations, which the JPEG files with their losses come close to.
TEST(Cifar, TheArchiveOfJpegFiles) {
  const std::string path = gradus::testing::data_dir("cifar10-jpg/cifar10-jpg.tar.gz");
  if (path.empty()) GTEST_SKIP() << "no CIFAR-10";
  const Place place(path);
  EXPECT_EQ(place.common_size(64, false), 32);
  const ImageSet train = place.images("train", {3, 32, 32}), test = place.images("test", {3, 32, 32});
  EXPECT_EQ(train->size(), 50000);
  EXPECT_EQ(test->size(), 10000);
  EXPECT_EQ(train->image_shape(), Shape({3, 32, 32}));
  EXPECT_EQ(train->classes(), cifar10_classes);
  const ChannelStatistics statistics = channel_statistics(*train, 5000);
  const double mean[] = {0.4914, 0.4822, 0.4465}, std[] = {0.2470, 0.2435, 0.2616};
  for (size_t c = 0; c < 3; ++c) {
    EXPECT_NEAR(statistics.mean[c], mean[c], 0.01);
    EXPECT_NEAR(statistics.std[c], std[c], 0.01);
  }
}

}  // namespace
}  // namespace image_classifier
