// Files: .npy and safetensors in both directions with Python, and what is wrong with a file said in one line.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstring>
#include <fstream>
#include <thread>

#include "autograd/ops.h"
#include "tensor/io/file.h"
#include "tensor/io/npy.h"
#include "tensor/io/safetensors.h"
#include "tests/paths.h"

namespace gradus {
namespace {

using testing::shell;
using testing::TempDir;

void write_raw(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), std::streamsize(bytes.size()));
}

// The message of the Error that `run` throws, which must be one line and name the path.
template <class F>
std::string error_of(const std::string& path, F run) {
  try {
    run();
  } catch (const Error& error) {
    std::string message = error.what();
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    EXPECT_NE(message.find(path), std::string::npos) << message;
    return message;
  }
  ADD_FAILURE() << path << ": no Error";
  return "";
}

::testing::AssertionResult contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "'" << part << "' is not in: " << text;
}

// Bit for bit, so that NaN equals itself and 0 differs from -0.
void expect_same(const std::string& name, const Tensor& got, const Tensor& want) {
  ASSERT_EQ(got.dtype(), want.dtype()) << name;
  ASSERT_EQ(got.shape(), want.shape()) << name;
  auto bytes = [](const Tensor& x) {
    Tensor packed = x.contiguous();
    size_t size = size_of(packed.dtype());
    const char* at = static_cast<const char*>(packed.storage()->data()) + size_t(packed.layout().offset) * size;
    return std::string(at, size_t(packed.numel()) * size);
  };
  EXPECT_EQ(bytes(got), bytes(want)) << name;
}

// The same numbers as `arrays` in interop.py.
std::vector<std::pair<std::string, Tensor>> samples() {
  bool odd[] = {true, false, true};
  std::vector<uint8_t> u8(256);
  for (size_t i = 0; i < 256; ++i) u8[i] = uint8_t(i);
  return {{"odd", from_memory(odd, {3}, boolean)},
          {"f32", from_vector<float>({-0.5f, -0.25f, 0, 0.25f, 0.5f, 0.75f}, {2, 3})},
          {"special", from_vector<float>({NAN, INFINITY, -INFINITY, -0.0f, 1e-45f}, {5})},
          {"f64", from_vector<double>({0, 0.1, 2 * 0.1}, {3})},
          {"i64", from_vector<int64_t>({-(int64_t(1) << 62), (int64_t(1) << 53) + 1, 0, -1}, {2, 2})},
          {"u8", from_vector<uint8_t>(u8, {256})},
          {"empty", zeros({0, 3})},
          {"scalar", from_vector<double>({7.25}, {})}};
}

// --- files ---------------------------------------------------------------------------------------------------------

TEST(File, WriteReplacesAndKeepsModeAndLinks) {
  TempDir dir;
  std::string path = dir / "a", link = dir / "link";
  write_file(path, "one");
  EXPECT_EQ(read_file(path), "one");
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  ASSERT_EQ(::symlink("a", link.c_str()), 0);
  write_file(link, "two");
  EXPECT_EQ(read_file(path), "two");
  struct stat info;
  ASSERT_EQ(::lstat(link.c_str(), &info), 0);
  EXPECT_TRUE(S_ISLNK(info.st_mode));
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0640u);
  EXPECT_FALSE(file_exists(path + ".tmp"));
}

TEST(File, FailuresAreOneLineAndLeaveTheEarlierFile) {
  TempDir dir;
  EXPECT_TRUE(contains(error_of(dir / "none", [&] { read_file(dir / "none"); }), "No such file"));
  EXPECT_TRUE(contains(error_of(dir.path(), [&] { read_file(dir.path()); }), "is a folder"));
  EXPECT_TRUE(contains(error_of("/dev/zero", [&] { read_file("/dev/zero"); }), "not a regular file"));
  EXPECT_TRUE(contains(error_of(dir / "no/x", [&] { write_file(dir / "no/x", "x"); }), "No such file"));
  EXPECT_TRUE(contains(error_of(dir.path(), [&] { write_file(dir.path(), "x"); }), "is a folder"));
  EXPECT_TRUE(contains(error_of("/dev/full", [&] { write_file("/dev/full", "x"); }), "No space left"));
  struct stat info;
  ASSERT_EQ(::stat("/dev/full", &info), 0);
  EXPECT_TRUE(S_ISCHR(info.st_mode)) << "the device was replaced by a file";
  error_of("''", [] { read_file(""); });
  write_file("/dev/null", "x");

  std::string path = dir / "kept";
  write_file(path, "old");
  EXPECT_TRUE(contains(error_of(path, [&] { read_file(path, 2); }), "has 3 bytes"));
  {
    OutputFile unfinished(path);
    unfinished.write("new");
    EXPECT_TRUE(file_exists(path + ".tmp"));
    EXPECT_TRUE(contains(error_of(path, [&] { OutputFile second(path); }), "being written by another"));
  }
  EXPECT_FALSE(file_exists(path + ".tmp"));
  EXPECT_EQ(read_file(path), "old");
  write_raw(path + ".tmp", "left over by a program that was killed");
  write_file(path, "new");
  EXPECT_EQ(read_file(path), "new");
  EXPECT_FALSE(file_exists(path + ".tmp"));
}

TEST(File, NoRoomLeavesTheEarlierFile) {
  // A limit on the size of files stands for a full disk: writing beyond it fails, once the signal is ignored.
  TempDir dir;
  std::string path = dir / "weights.safetensors";
  save_safetensors(path, {{{"w", ones({4})}}, {}});
  std::string before = read_file(path);
  pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    rlimit limit = {1000, 1000};
    setrlimit(RLIMIT_FSIZE, &limit);
    try {
      save_safetensors(path, {{{"w", ones({4000})}}, {}});
    } catch (const Error& error) {
      bool one_line = std::string(error.what()).find('\n') == std::string::npos;
      _exit(std::strstr(error.what(), "cannot write: File too large") && one_line ? 0 : 2);
    }
    _exit(1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_EQ(read_file(path), before);
  EXPECT_FALSE(file_exists(path + ".tmp"));
}

TEST(File, UnwritableFolderAndFile) {
  TempDir dir;
  std::string path = dir / "x";
  write_file(path, "old");
  // Root may write everywhere: be somebody else meanwhile.
  constexpr uid_t nobody = 65534;
  bool root = ::geteuid() == 0;
  if (root) {
    ASSERT_EQ(::chown(dir.path().c_str(), nobody, gid_t(-1)), 0);
    ASSERT_EQ(::chown(path.c_str(), nobody, gid_t(-1)), 0);
    ASSERT_EQ(::seteuid(nobody), 0);
  }
  ::chmod(path.c_str(), 0444);
  EXPECT_TRUE(contains(error_of(path, [&] { write_file(path, "new"); }), "Permission denied"));
  EXPECT_EQ(read_file(path), "old");
  ::chmod(path.c_str(), 0);
  EXPECT_TRUE(contains(error_of(path, [&] { read_file(path); }), "Permission denied"));
  ::chmod(dir.path().c_str(), 0555);
  EXPECT_TRUE(contains(error_of(dir / "y", [&] { write_file(dir / "y", "new"); }), "Permission denied"));
  ::chmod(dir.path().c_str(), 0755);
  if (root) {
    ASSERT_EQ(::seteuid(0), 0);
  }
}

TEST(File, WritersAtOnceNeverMixTheirContents) {
  TempDir dir;
  std::string path = dir / "x";
  write_file(path, std::string(100000, 'a'));
  std::vector<std::thread> writers;
  for (char c : {'b', 'c', 'd'})
    writers.emplace_back([&path, c] {
      for (int i = 0; i < 50; ++i) try {
          write_file(path, std::string(100000, c));
        } catch (const Error&) {  // another one holds it
        }
    });
  for (int i = 0; i < 50; ++i) {
    std::string text = read_file(path);
    EXPECT_EQ(text, std::string(100000, text[0]));
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_FALSE(file_exists(path + ".tmp"));
}

TEST(File, PrintableEscapesWhatATerminalWouldObey) {
  EXPECT_EQ(printable("naïve ✓ 🙂"), "naïve ✓ 🙂");
  EXPECT_EQ(printable("\x1b[2J\n\xff"), "\\x1b[2J\\x0a\\xff");
  EXPECT_EQ(printable("\xc2\x9b!"), "\\xc2\\x9b!");
  EXPECT_EQ(printable("\xc0\xaf\xed\xa0\x80\xe2\x82"), "\\xc0\\xaf\\xed\\xa0\\x80\\xe2\\x82");
  EXPECT_LT(printable(std::string(5000, 'x')).size(), 220u);
}

// --- .npy ----------------------------------------------------------------------------------------------------------

// A version 1.0 file with this header and these bytes.
std::string npy(const std::string& header, const std::string& data) {
  std::string length = {char(header.size() & 255), char(header.size() >> 8)};
  return std::string("\x93NUMPY\x01\x00", 8) + length + header + data;
}

TEST(Npy, RoundTrip) {
  TempDir dir;
  for (const auto& [name, x] : samples()) {
    save_npy(dir / "x.npy", x);
    expect_same(name, load_npy(dir / "x.npy"), x);
  }
  Tensor x = arange(24).reshape({2, 3, 4});
  for (const Tensor& view : {x.permute({2, 0, 1}), x.slice(2, 1, 4, 2), x.select(0, 1), ones({1}).expand({5})}) {
    save_npy(dir / "x.npy", view);
    expect_same("view", load_npy(dir / "x.npy"), view.contiguous());
  }
  EXPECT_EQ(read_file(dir / "x.npy").size() % 4, 0u);
  EXPECT_TRUE(contains(error_of(dir / "b.npy", [&] { save_npy(dir / "b.npy", x.to(bfloat16)); }), "bfloat16"));
}

TEST(Npy, HeadersOfOtherSpelling) {
  TempDir dir;
  std::string four(16, '\0');
  for (const char* header : {"{'descr':'<f4','fortran_order':False,'shape':(4,)}",
                             "{\"shape\": (2, 2,), \"fortran_order\": True, \"descr\": \"<f4\", }   \n",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (2,2)}\n"}) {
    write_raw(dir / "x.npy", npy(header, four));
    EXPECT_EQ(load_npy(dir / "x.npy").numel(), 4) << header;
  }
}

TEST(Npy, HostileFiles) {
  struct Case {
    const char* what;
    std::string bytes, message;
  };
  auto shaped = [](const std::string& shape, const std::string& type = "<f4") {
    return "{'descr': '" + type + "', 'fortran_order': False, 'shape': " + shape + ", }\n";
  };
  std::string four(16, '\0');
  const Case cases[] = {
      {"empty", "", "not a .npy file"},
      {"short", "\x93NUMPY", "not a .npy file"},
      {"other magic", "PK\x03\x04" + std::string(100, ' '), "not a .npy file"},
      {"version 4", std::string("\x93NUMPY\x04\x00", 8) + std::string(100, ' '), "version 4.0 is unknown"},
      {"version 1.1", std::string("\x93NUMPY\x01\x01", 8) + std::string(100, ' '), "version 1.1 is unknown"},
      {"header beyond the end", std::string("\x93NUMPY\x01\x00\xff\xff", 10) + "{", "truncated"},
      {"header of 4 GB", std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12) + "{", "truncated"},
      {"no header", npy("", four), "'{' expected"},
      {"open dictionary", npy("{'descr': '<f4', ", four), "expected"},
      {"open string", npy("{'descr", four), "without end"},
      {"key missing", npy("{'descr': '<f4', 'fortran_order': False}", four), "is missing"},
      {"key twice", npy("{'descr': '<f4', 'descr': '<f4'}", four), "twice"},
      {"unknown key", npy("{'dtype': '<f4'}", four), "unknown key 'dtype'"},
      {"binary key", npy("{'\x1b[2J': 1}", four), "unknown key '\\x1b[2J'"},
      {"fortran_order 1", npy("{'fortran_order': 1}", four), "True or False"},
      {"text behind", npy(shaped("(4,)") + "#", four), "text after"},
      {"list for tuple", npy(shaped("[4]"), four), "'(' expected"},
      {"number for tuple", npy(shaped("(4)"), four), "without a comma"},
      {"negative size", npy(shaped("(-4,)"), four), "a size expected"},
      {"fraction", npy(shaped("(4.0,)"), four), "expected"},
      {"long suffix", npy(shaped("(4L,)"), four), "expected"},
      {"size over 63 bits", npy(shaped("(9223372036854775808,)"), four), "63 bits"},
      {"elements over 63 bits", npy(shaped("(4294967296, 4294967296)"), four), "too many elements"},
      {"zero hides an overflow", npy(shaped("(0, 4294967296, 4294967296)"), ""), "too many elements"},
      {"bytes over 63 bits", npy(shaped("(4611686018427387904,)"), four), "too many bytes"},
      {"a lot more than there is", npy(shaped("(1000000000000,)"), four), "the file has 16"},
      {"too few", npy(shaped("(5,)"), four), "takes 20 bytes"},
      {"too many", npy(shaped("(3,)"), four), "takes 12 bytes"},
      {"nine dimensions", npy(shaped("(1,1,1,1,1,1,1,1,4)"), four), "9 dimensions"},
      {"big-endian", npy(shaped("(4,)", ">f4"), four), "'>f4' is not read"},
      {"complex", npy(shaped("(2,)", "<c8"), four), "'<c8' is not read"},
      {"object", npy(shaped("(2,)", "|O"), four), "'|O' is not read"},
      {"u8", npy(shaped("(2,)", "<u8"), four), "'<u8' is not read"},
      {"bool of 2", npy(shaped("(2,)", "|b1"), std::string("\x01\x02")), "element 1 is 2"},
  };
  TempDir dir;
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    write_raw(dir / "x.npy", c.bytes);
    EXPECT_TRUE(contains(error_of(dir / "x.npy", [&] { load_npy(dir / "x.npy"); }), c.message));
  }
}

TEST(Npy, EveryTruncationAndEveryChangedByteIsAnErrorOrTheArray) {
  TempDir dir;
  save_npy(dir / "whole.npy", ones({2, 3}));
  std::string whole = read_file(dir / "whole.npy");
  for (size_t length = 0; length < whole.size(); ++length) {
    write_raw(dir / "x.npy", whole.substr(0, length));
    error_of(dir / "x.npy", [&] { load_npy(dir / "x.npy"); });
  }
  for (size_t at = 0; at < whole.size(); ++at)
    for (char change : {'\x01', '\x20', '\x7f'}) {
      std::string bytes = whole;
      bytes[at] = char(bytes[at] ^ change);
      write_raw(dir / "x.npy", bytes);
      try {
        EXPECT_EQ(load_npy(dir / "x.npy").numel() % 3, 0);
      } catch (const Error& error) {
        EXPECT_TRUE(contains(error.what(), "x.npy"));
      }
    }
}

TEST(Npy, FullDisk) {
  EXPECT_TRUE(contains(error_of("/dev/full", [] { save_npy("/dev/full", ones({100})); }), "No space left"));
}

// --- safetensors ---------------------------------------------------------------------------------------------------

std::string safetensors(const std::string& header, const std::string& data = "") {
  uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + data;
}

TensorFile sample_file() {
  TensorFile file{samples(), {{"lang", "C++ ✓"}, {"line\nbreak", "tab\t"}}};
  file.tensors.emplace_back("bf16", from_vector<float>({-1, -0.5f, 0, 0.5f, 1}, {5}).to(bfloat16));
  file.tensors.emplace_back("naïve \"name\"", ones({2}));
  file.tensors.emplace_back("transposed", file.tensors[1].second.t());
  return file;
}

TEST(Safetensors, RoundTripKeepsOrderValuesAndMetadata) {
  TempDir dir;
  TensorFile file = sample_file();
  save_safetensors(dir / "a", file);
  TensorFile read = load_safetensors(dir / "a");
  EXPECT_EQ(read.metadata, file.metadata);
  ASSERT_EQ(read.tensors.size(), file.tensors.size());
  for (size_t i = 0; i < file.tensors.size(); ++i) {
    EXPECT_EQ(read.tensors[i].first, file.tensors[i].first);
    expect_same(file.tensors[i].first, read.tensors[i].second, file.tensors[i].second);
  }
  save_safetensors(dir / "b", read);
  EXPECT_EQ(read_file(dir / "a"), read_file(dir / "b"));
  ASSERT_NE(read.find("f64"), nullptr);
  EXPECT_EQ(read.find("f65"), nullptr);
  save_safetensors(dir / "none", {});
  EXPECT_TRUE(load_safetensors(dir / "none").tensors.empty());
}

TEST(Safetensors, RefusesToWriteWhatCannotBeRead) {
  TempDir dir;
  std::string path = dir / "x";
  auto message = [&](const TensorFile& file) { return error_of(path, [&] { save_safetensors(path, file); }); };
  EXPECT_TRUE(contains(message({{{"a", ones({1})}, {"a", ones({1})}}, {}}), "'a' twice"));
  EXPECT_TRUE(contains(message({{{"a", Tensor()}}, {}}), "undefined"));
  EXPECT_TRUE(contains(message({{{"__metadata__", ones({1})}}, {}}), "twice"));
  EXPECT_TRUE(contains(message({{{"\xff", ones({1})}}, {}}), "not UTF-8"));
  EXPECT_TRUE(contains(message({{}, {{"k", "\xc3"}}}), "not UTF-8"));
  EXPECT_FALSE(file_exists(path));
  EXPECT_TRUE(contains(error_of("/dev/full",
                                [] {
                                  save_safetensors("/dev/full", {{{"a", ones({9})}}, {}});
                                }),
                       "No space left"));
}

TEST(Safetensors, HostileFiles) {
  struct Case {
    const char* what;
    std::string bytes, message;
  };
  auto entry = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return "{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
  };
  auto one = [&](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return "{\"a\":" + entry(dtype, shape, offsets) + "}";
  };
  auto two = [&](const std::string& first, const std::string& second) {
    return "{\"a\":" + entry("U8", "[4]", first) + ",\"b\":" + entry("U8", "[4]", second) + "}";
  };
  std::string good = one("F32", "[1]", "[0,4]"), four(4, '\0'), eight(8, '\0');
  const Case cases[] = {
      {"empty", "", "only 0 bytes"},
      {"seven bytes", std::string(7, '\0'), "only 7 bytes"},
      {"no header", safetensors(""), "does not begin with '{'"},
      {"header over the limit", std::string("\x01\xe1\xf5\x05\0\0\0\0", 8) + "{}", "100000001 bytes"},
      {"header of 2^64 - 1", std::string(8, '\xff') + "{}", "18446744073709551615"},
      {"header beyond the end", std::string("\x10\0\0\0\0\0\0\0", 8) + "{}", "truncated"},
      {"space first", safetensors(" {}"), "does not begin with '{'"},
      {"a list", safetensors("[]"), "does not begin with '{'"},
      {"not JSON", safetensors("{a}"), "not JSON"},
      {"cut JSON", safetensors("{\"a\":"), "not JSON"},
      {"two values", safetensors("{}{}"), "not JSON"},
      {"zero bytes behind", safetensors(std::string("{}\0\0", 4)), "zero bytes"},
      {"comment", safetensors("{/**/}"), "not JSON"},
      {"not UTF-8", safetensors("{\"\xff\":1}"), "not JSON in UTF-8"},
      {"null", safetensors("{\"a\":null}"), "null where none belongs"},
      {"true", safetensors("{\"a\":true}"), "true or false"},
      {"string for an entry", safetensors("{\"a\":\"b\"}"), "a string where none belongs"},
      {"list for an entry", safetensors("{\"a\":[1]}"), "a list where none belongs"},
      {"number for an entry", safetensors("{\"a\":1}"), "a number where none belongs"},
      {"empty entry", safetensors("{\"a\":{}}"), "missing in 'a'"},
      {"no shape", safetensors("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", four), "missing"},
      {"unknown key", safetensors("{\"a\":{\"x\":1}}"), "unknown key 'x'"},
      {"key twice", safetensors("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}"), "twice"},
      {"name twice",
       safetensors("{\"a\":" + entry("U8", "[4]", "[0,4]") + ",\"a\":" + entry("U8", "[4]", "[4,8]") + "}", eight),
       "'a' twice"},
      {"name twice, escaped",
       safetensors("{\"a\":" + entry("U8", "[4]", "[0,4]") + ",\"\\u0061\":" + entry("U8", "[4]", "[4,8]") + "}",
                   eight),
       "'a' twice"},
      {"nested object", safetensors("{\"a\":{\"shape\":{}}}"), "an object where none belongs"},
      {"nested list", safetensors(one("F32", "[[1]]", "[0,4]"), four), "a list where none belongs"},
      {"object in a list", safetensors(one("F32", "[{}]", "[0,4]"), four), "an object where none belongs"},
      {"dtype a number", safetensors("{\"a\":{\"dtype\":1}}"), "a number where none belongs"},
      {"shape a string", safetensors("{\"a\":{\"shape\":\"1\"}}"), "a string where none belongs"},
      {"shape a number", safetensors("{\"a\":{\"shape\":1}}"), "a number where none belongs"},
      {"string in shape", safetensors(one("F32", "[\"1\"]", "[0,4]"), four), "a string where none belongs"},
      {"fraction in shape", safetensors(one("F32", "[1.0]", "[0,4]"), four), "not whole"},
      {"negative size", safetensors(one("F32", "[-1]", "[0,4]"), four), "negative"},
      {"size over 63 bits", safetensors(one("F32", "[9223372036854775808]", "[0,4]"), four), "63 bits"},
      {"size over 64 bits", safetensors(one("F32", "[18446744073709551616]", "[0,4]"), four), "not whole"},
      {"elements over 63 bits", safetensors(one("F32", "[4294967296,4294967296]", "[0,0]")), "too many elements"},
      {"zero hides an overflow", safetensors(one("F32", "[0,4294967296,4294967296]", "[0,0]")), "too many elements"},
      {"bytes over 63 bits", safetensors(one("F64", "[2305843009213693952]", "[0,0]")), "too many bytes"},
      {"nine dimensions", safetensors(one("U8", "[1,1,1,1,1,1,1,1,4]", "[0,4]"), four), "more than 8"},
      {"three offsets", safetensors(one("F32", "[1]", "[0,2,4]"), four), "must be two numbers"},
      {"one offset", safetensors(one("F32", "[1]", "[4]"), four), "must be two numbers"},
      {"offsets backwards", safetensors(one("F32", "[1]", "[4,0]"), four), "takes 4 bytes"},
      {"offsets too far apart", safetensors(one("F32", "[1]", "[0,8]"), eight), "takes 4 bytes"},
      {"shape too large", safetensors(one("F32", "[2]", "[0,4]"), four), "takes 8 bytes"},
      {"a terabyte", safetensors(one("F32", "[250000000000]", "[0,1000000000000]"), four), "truncated"},
      {"not from 0", safetensors(one("F32", "[1]", "[4,8]"), eight), "begins at byte 4"},
      {"hole", safetensors(two("[0,4]", "[5,9]"), std::string(9, '\0')), "'b' begins at byte 5"},
      {"overlap", safetensors(two("[0,4]", "[3,7]"), eight), "'b' begins at byte 3"},
      {"the same bytes", safetensors(two("[0,4]", "[0,4]"), four), "begins at byte 0"},
      {"cut", safetensors(good, std::string(3, '\0')), "truncated"},
      {"bytes behind", safetensors(good, eight), "4 bytes too many"},
      {"bytes and no tensor", safetensors("{}", four), "4 bytes too many"},
      {"unknown dtype", safetensors(one("F8_E4M3", "[4]", "[0,4]"), four), "'F8_E4M3', which is not read"},
      {"lower case", safetensors(one("f32", "[1]", "[0,4]"), four), "'f32', which is not read"},
      {"bool of 2", safetensors(one("BOOL", "[4]", "[0,4]"), std::string("\x01\0\x02\0", 4)), "element 2 is 2"},
      {"metadata a number", safetensors("{\"__metadata__\":{\"a\":1}}"), "a number where none belongs"},
      {"metadata a string", safetensors("{\"__metadata__\":\"a\"}"), "a string where none belongs"},
      {"metadata nested", safetensors("{\"__metadata__\":{\"a\":{}}}"), "an object where none belongs"},
      {"metadata a list", safetensors("{\"__metadata__\":{\"a\":[]}}"), "a list where none belongs"},
      {"metadata twice", safetensors("{\"__metadata__\":{},\"__metadata__\":{}}"), "twice"},
      {"metadata key twice", safetensors("{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}}"), "twice"},
      {"terminal codes", safetensors("{\"\\u001b[2J\":" + entry("X", "[]", "[0,0]") + "}"), "'\\x1b[2J'"},
      {"deep", safetensors("{\"a\":" + std::string(1000000, '[')), "a list where none belongs"},
  };
  TempDir dir;
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    write_raw(dir / "x", c.bytes);
    EXPECT_TRUE(contains(error_of(dir / "x", [&] { load_safetensors(dir / "x"); }), c.message));
  }
}

TEST(Safetensors, AcceptsWhatTheFormatAllows) {
  TempDir dir;
  // Any order in the header, padding, empty metadata, an empty tensor between two others.
  std::string header =
      "{\"b\":{\"shape\":[2],\"data_offsets\":[1,3],\"dtype\":\"U8\"}, \"__metadata__\":{},\n"
      "\"e\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[1,1]},"
      "\"a\":{\"dtype\":\"BOOL\",\"shape\":[],\"data_offsets\":[0,1]}}   ";
  write_raw(dir / "x", safetensors(header, "\x01\x07\x09"));
  TensorFile file = load_safetensors(dir / "x");
  ASSERT_EQ(file.tensors.size(), 3u);
  EXPECT_EQ(file.tensors[0].second.to_vector(), (std::vector<double>{7, 9}));
  EXPECT_EQ(file.tensors[1].second.shape(), (Shape{0, 7}));
  EXPECT_EQ(file.tensors[2].second.item(), 1);
}

TEST(Safetensors, EveryTruncationIsAnErrorAndNoChangedByteCrashes) {
  TempDir dir;
  save_safetensors(dir / "whole", {{{"a", ones({2, 3})}, {"b", arange(2)}}, {{"k", "v"}}});
  std::string whole = read_file(dir / "whole");
  for (size_t length = 0; length < whole.size(); ++length) {
    write_raw(dir / "x", whole.substr(0, length));
    error_of(dir / "x", [&] { load_safetensors(dir / "x"); });
  }
  for (size_t at = 0; at < whole.size(); ++at)
    for (char change : {'\x01', '\x02', '\x20', '\x7f'}) {
      std::string bytes = whole;
      bytes[at] = char(bytes[at] ^ change);
      write_raw(dir / "x", bytes);
      try {
        EXPECT_EQ(load_safetensors(dir / "x").tensors.size(), 2u);
      } catch (const Error& error) {
        EXPECT_TRUE(contains(error.what(), dir / "x"));
      }
    }
}

// --- with Python ---------------------------------------------------------------------------------------------------

// Whether Python has what it takes; a fault it finds is a failure.
bool run_interop(const std::string& modules, const std::string& format, const TempDir& dir) {
  std::string python = testing::python(modules), output;
  if (python.empty()) return false;
  int status =
      shell(python + " " + testing::source_dir() + "/tests/interop.py " + format + " " + dir.path(), &output);
  EXPECT_TRUE(status == 0 || status == 77) << output;
  return status != 77;
}

TEST(Interop, Npy) {
  TempDir dir;
  for (const auto& [name, x] : samples()) save_npy(dir / (name + ".npy"), x);
  save_npy(dir / "transposed.npy", samples()[1].second.t());
  if (!run_interop("numpy", "npy", dir)) GTEST_SKIP() << "no Python with numpy";
  for (const auto& [name, x] : samples()) expect_same(name, load_npy(dir / (name + ".npy")), x);
  expect_same("f16", load_npy(dir / "f16.npy"), from_vector<float>({0.5f, -65504, 0x1p-24f, INFINITY}, {4}));
  expect_same("i1", load_npy(dir / "i1.npy"), from_vector<int64_t>({0, 1, 127, -128}, {4}));
  expect_same("i2", load_npy(dir / "i2.npy"), from_vector<int64_t>({0, 1, 32767, -32768}, {4}));
  expect_same("i4", load_npy(dir / "i4.npy"), from_vector<int64_t>({0, 1, INT32_MAX, INT32_MIN}, {4}));
  expect_same("u2", load_npy(dir / "u2.npy"), from_vector<int64_t>({0, 1, 65535, 0}, {4}));
  expect_same("u4", load_npy(dir / "u4.npy"), from_vector<int64_t>({0, 1, UINT32_MAX, 0}, {4}));
  expect_same("fortran", load_npy(dir / "fortran.npy"), arange(0, 24).reshape({2, 3, 4}));
  expect_same("version 2", load_npy(dir / "version2.npy"), samples()[1].second);
  expect_same("version 3", load_npy(dir / "version3.npy"), samples()[1].second);
  for (const char* name : {"big_endian.npy", "complex.npy", "record.npy", "object.npy"})
    error_of(dir / name, [&] { load_npy(dir / name); });
}

TEST(Interop, Safetensors) {
  TempDir dir;
  save_safetensors(dir / "gradus.safetensors", sample_file());
  if (!run_interop("numpy, safetensors", "safetensors", dir))
    GTEST_SKIP() << "no Python with numpy, safetensors and torch";
  TensorFile file = load_safetensors(dir / "python.safetensors");
  EXPECT_EQ(file.metadata, (std::map<std::string, std::string>{{"made by", "Python ✓"}, {"quote", "a\"b\\c"}}));
  auto expect = [&](const std::string& name, const Tensor& want) {
    ASSERT_NE(file.find(name), nullptr) << name;
    expect_same(name, *file.find(name), want);
  };
  for (const auto& [name, x] : samples()) expect(name, x);
  expect("bf16", from_vector<float>({-1, -0.5f, 0, 0.5f, 1}, {5}).to(bfloat16));
  expect("f16", from_vector<float>({0.5f, -65504, 0x1p-24f, INFINITY}, {4}));
  EXPECT_EQ(file.tensors.size(), samples().size() + 2);
  error_of(dir / "int32.safetensors", [&] { load_safetensors(dir / "int32.safetensors"); });
}

}  // namespace
}  // namespace gradus
