// The rules of the tree itself: which layer may include which, how large it may grow, how it is written and compiled,
// that an instruction set stays in its own namespace, and that the installed package works.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/paths.h"
#include "tests/sanitized.h"

namespace {

namespace fs = std::filesystem;
using gradus::testing::binary_dir;
using gradus::testing::sanitized;
using gradus::testing::shell;
using gradus::testing::source_dir;
using gradus::testing::TempDir;

const std::vector<std::string> core = {"tensor", "autograd", "nn", "optim", "data", "train"};

// What each layer may include besides itself: the arrows of the design and what lies behind them.
const std::map<std::string, std::set<std::string>> below = {
    {"tensor", {}},
    {"autograd", {"tensor"}},
    {"nn", {"autograd", "tensor"}},
    {"optim", {"autograd", "tensor"}},
    {"data", {"autograd", "tensor"}},
    {"train", {"nn", "optim", "data", "autograd", "tensor"}},
};

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

bool is_code(const fs::path& path) {
  static const std::set<std::string> endings = {".h", ".cpp", ".inl", ".cu", ".cuh"};
  return endings.count(path.extension().string()) > 0;
}

// The code files below a folder, as paths from the root.
std::vector<std::string> code_in(const std::string& folder) {
  std::vector<std::string> files;
  if (!fs::exists(source_dir() + "/" + folder)) return files;
  for (const auto& entry : fs::recursive_directory_iterator(source_dir() + "/" + folder))
    if (entry.is_regular_file() && is_code(entry.path()))
      files.push_back(fs::relative(entry.path(), source_dir()).generic_string());
  std::sort(files.begin(), files.end());
  return files;
}

std::string first_folder(const std::string& path) { return path.substr(0, path.find('/')); }
bool is_header(const std::string& path) { return path.ends_with(".h"); }
bool is_kernel(const std::string& path) { return path.starts_with("tensor/kernels/"); }

struct Include {
  std::string file;
  bool quoted;  // "file" rather than <file>
};

std::vector<Include> includes_of(const std::string& path) {
  std::vector<Include> found;
  std::istringstream lines(read(source_dir() + "/" + path));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string word, file;
    words >> word;
    if (word != "#include" || !(words >> file) || file.size() < 3) continue;
    found.push_back({file.substr(1, file.size() - 2), file[0] == '"'});
  }
  return found;
}

TEST(House, LayersIncludeOnlyWhatIsBelowThem) {
  int seen = 0;
  for (const std::string& layer : core)
    for (const std::string& path : code_in(layer))
      for (const Include& include : includes_of(path)) {
        if (!include.quoted) continue;
        ++seen;
        const std::string other = first_folder(include.file);
        EXPECT_TRUE(fs::exists(source_dir() + "/" + include.file))
            << path << " includes \"" << include.file << "\", which is no path from the root";
        EXPECT_TRUE(other == layer || below.at(layer).count(other))
            << path << " includes \"" << include.file << "\", but " << layer << " may not know " << other;
      }
  EXPECT_GT(seen, 100);  // or nothing was looked at
}

TEST(House, KernelsKnowNothingOfTensors) {
  const std::set<std::string> allowed = {"tensor/allocator.h", "tensor/device.h", "tensor/dtype.h", "tensor/error.h",
                                         "tensor/segments.h"};
  for (const std::string& path : code_in("tensor/kernels"))
    for (const Include& include : includes_of(path))
      EXPECT_TRUE(!include.quoted || is_kernel(include.file) || allowed.count(include.file))
          << path << " includes \"" << include.file << '"';
}

TEST(House, ThirdPartyCodeStaysInItsPlace) {
  // Who may include what of others, and never in a header that users see.
  const std::map<std::string, std::set<std::string>> places = {
      {"CLI", {"examples", "tutorials"}},
      {"gtest", {"tests"}},
      {"benchmark", {"bench"}},
      {"nlohmann", {"tensor", "data", "train", "tests", "bench"}},
      {"zlib.h", {"tensor", "data", "train", "tests"}},
      {"stb_image.h", {"data"}},
      {"utf8proc.h", {"data"}},
      {"stb_image_write.h", {"data"}},
      {"stb_easy_font.h", {"examples"}},
  };
  const std::set<std::string> heavy = {"regex", "iostream", "filesystem"};
  std::vector<std::string> folders = core;
  folders.insert(folders.end(), {"gradus", "examples", "tests", "bench", "tutorials"});
  for (const std::string& folder : folders)
    for (const std::string& path : code_in(folder))
      for (const Include& include : includes_of(path)) {
        if (include.quoted) continue;
        const auto place = places.find(first_folder(include.file));
        const bool in_core = std::count(core.begin(), core.end(), folder) > 0;
        if (place != places.end()) {
          EXPECT_TRUE(place->second.count(folder)) << path << " includes <" << include.file << '>';
          EXPECT_FALSE(in_core && is_header(path)) << path << " shows its users <" << include.file << '>';
        }
        EXPECT_FALSE(include.file == "regex") << path << " includes <regex>";
        EXPECT_FALSE(in_core && is_header(path) && heavy.count(include.file))
            << path << " makes everyone compile <" << include.file << '>';
      }
}

void gather_includes(const std::string& path, std::set<std::string>& reached) {
  for (const Include& include : includes_of(path))
    if (include.quoted && reached.insert(include.file).second) gather_includes(include.file, reached);
}

TEST(House, TheUmbrellaReachesEveryPublicHeader) {
  // These are for the library's own files.
  const std::set<std::string> internal = {"autograd/ops/common.h", "tensor/io/elements.h", "tensor/io/file.h",
                                          "tensor/segments.h"};
  std::set<std::string> reached;
  gather_includes("gradus/gradus.h", reached);
  for (const std::string& layer : core)
    for (const std::string& path : code_in(layer)) {
      if (!is_header(path) || is_kernel(path)) continue;
      EXPECT_TRUE(reached.count(path) || internal.count(path)) << path << " is not in gradus/gradus.h";
    }
}

// Except for kernel headers, some of which are included once in each instruction set's namespace.
TEST(House, HeadersAreGuarded) {
  for (const std::string& layer : core)
    for (const std::string& path : code_in(layer)) {
      if (is_kernel(path)) continue;
      const bool guarded = read(source_dir() + "/" + path).find("\n#pragma once\n") != std::string::npos;
      EXPECT_EQ(guarded, is_header(path)) << path;
    }
}

int64_t lines_of(const std::string& path) {
  const std::string text = read(source_dir() + "/" + path);
  return std::count(text.begin(), text.end(), '\n');
}

// Lines that are neither blank nor a comment alone.
int64_t code_lines_of(const std::string& path) {
  std::istringstream lines(read(source_dir() + "/" + path));
  int64_t count = 0;
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find_first_not_of(' ');
    count += first != std::string::npos && line.compare(first, 2, "//") != 0;
  }
  return count;
}

// Small enough to read. What makes it fast on one kind of machine is counted apart.
TEST(House, TheCoreStaysSmall) {
  int64_t lines = 0, cpu = 0, cuda = 0, emulator = 0;
  for (const std::string& layer : core)
    for (const std::string& path : code_in(layer))
      (path.starts_with("tensor/kernels/cpu/")        ? cpu
       : path.starts_with("tensor/kernels/cuda/emu/") ? emulator
       : path.starts_with("tensor/kernels/cuda/")     ? cuda
                                                      : lines) += code_lines_of(path);
  RecordProperty("lines", std::to_string(lines));
  RecordProperty("lines of cpu", std::to_string(cpu));
  EXPECT_LT(lines, 15000);
  EXPECT_LT(cpu, 7000);
  EXPECT_LT(cuda, 7000);
  EXPECT_LT(emulator, 3000);
}

TEST(House, FilesOfOneInstructionSetStaySmall) {
  for (const std::string& path : code_in("tensor/kernels/cpu")) {
    const bool one = path.find("avx") != std::string::npos || path.find("neon") != std::string::npos;
    EXPECT_LT(one ? lines_of(path) : 0, 400) << path;
  }
}

// compile_commands.json: how every file of the build is compiled.
nlohmann::json commands() { return nlohmann::json::parse(read(binary_dir() + "/compile_commands.json")); }

bool is_ours(const std::string& file) {
  return file.starts_with(source_dir() + "/") && file.find("/_deps/") == std::string::npos;
}

TEST(House, OnlyInstructionSetsHaveMachineFlags) {
  int seen = 0;
  for (const auto& entry : commands()) {
    const std::string file = entry.at("file"), command = entry.at("command");
    if (!is_ours(file)) continue;
    ++seen;
    EXPECT_NE(command.find(" -ffp-contract=off"), std::string::npos) << file;
    EXPECT_EQ(command.find(" -ffast-math"), std::string::npos) << file;
    const bool machine = command.find(" -mavx") != std::string::npos ||
                         command.find(" -march") != std::string::npos ||
                         command.find(" -mfma") != std::string::npos || command.find(" -msse") != std::string::npos;
    const std::string path = fs::relative(file, source_dir()).generic_string(), stem = fs::path(file).stem().string();
    const bool isa = (is_kernel(path) && (stem == "avx2" || stem == "avx512")) ||
                     (path.starts_with("tutorials/ladders/") && stem == "isa");
    EXPECT_EQ(machine, isa) << file;
  }
  EXPECT_GT(seen, 40);
}

// Names that the linker may take from any object: where two objects compile the same inline function or template with
// different flags, one of them wins, and a machine without AVX-512 is handed an AVX-512 function.
void expect_weak_symbols_inside(const std::string& isa, const std::string& object) {
  std::string listing;
  ASSERT_EQ(shell("nm " + object, &listing), 0) << listing;
  const std::string space = "6gradus" + std::to_string(isa.size()) + isa;  // gradus::isa, mangled
  int symbols = 0;
  std::istringstream lines(listing);
  for (std::string line; std::getline(lines, line);) {
    if (line.size() < 20) continue;
    ++symbols;
    const char kind = line[17];
    // DW.ref.X is the address of X for exception tables: data, and the same in every object.
    const bool weak = (kind == 'W' || kind == 'V' || kind == 'u') && line.find(" DW.ref.") == std::string::npos;
    EXPECT_TRUE(!weak || line.find(space) != std::string::npos) << object << ": " << line;
  }
  EXPECT_GT(symbols, 0);
}

TEST(House, InstructionSetsStayInTheirNamespace) {
  if (sanitized) GTEST_SKIP() << "sanitizers add symbols of their own";
  int seen = 0;
  for (const auto& entry : commands()) {
    const std::string file = entry.at("file"), isa = fs::path(file).stem().string();
    if (file != source_dir() + "/tensor/kernels/cpu/" + isa + ".cpp" || (isa != "avx2" && isa != "avx512")) continue;
    ++seen;
    const std::string folder = entry.at("directory"), command = entry.at("command");
    const size_t out = command.find(" -o ");
    ASSERT_NE(out, std::string::npos);
    const size_t end = command.find(' ', out + 4);
    expect_weak_symbols_inside(isa, folder + "/" + command.substr(out + 4, end - out - 4));
    // Unoptimised, nothing is inlined away.
    TempDir temp;
    std::string messages;
    ASSERT_EQ(shell("cd '" + folder + "' && " + command.substr(0, out) + " -O0 -o " + (temp / "plain.o") +
                        command.substr(end),
                    &messages),
              0)
        << messages;
    expect_weak_symbols_inside(isa, temp / "plain.o");
  }
  if (seen == 0) GTEST_SKIP() << "no instruction sets on this processor";
  EXPECT_EQ(seen, 2);
}

TEST(House, TheInstalledPackageWorks) {
  if (sanitized) GTEST_SKIP() << "the package is not for sanitizers";
  TempDir temp;
  std::string output;
  ASSERT_EQ(shell("cmake --install '" + binary_dir() + "' --prefix " + (temp / "prefix"), &output), 0) << output;
  ASSERT_EQ(shell("cmake -S '" + source_dir() + "/tests/package' -B " + (temp / "build") +
                      " -DCMAKE_PREFIX_PATH=" + (temp / "prefix") + " && cmake --build " + (temp / "build"),
                  &output),
            0)
      << output;
  output.clear();
  ASSERT_EQ(shell(temp / "build/consumer", &output), 0) << output;
  EXPECT_EQ(output, "gradient 2 4 6\n");
}

// What nobody builds every day still configures: tests without programs, and the tree as part of another project.
TEST(House, EveryWayOfBuildingConfigures) {
  TempDir temp;
  std::string output;
  EXPECT_EQ(shell("cmake -S '" + source_dir() + "' -B " + (temp / "tests") + " -DGRADUS_EXAMPLES=OFF", &output), 0)
      << output;
  std::ofstream(temp / "CMakeLists.txt")
      << "cmake_minimum_required(VERSION 3.22)\nproject(other LANGUAGES CXX)\n"
      << "add_subdirectory(\"" << source_dir() << "\" gradus)\n"
      << "add_executable(consumer \"" << source_dir() << "/tests/package/main.cpp\")\n"
      << "target_link_libraries(consumer PRIVATE gradus::gradus)\n";
  EXPECT_EQ(shell("cmake -S " + temp.path() + " -B " + (temp / "other"), &output), 0) << output;
}

TEST(House, TheReadmeShowsTheQuickstartAndWhatItPrints) {
  const std::string readme = read(source_dir() + "/README.md");
  const std::string code = read(source_dir() + "/examples/quickstart/main.cpp");
  EXPECT_NE(readme.find("```cpp\n" + code.substr(code.find("#include")) + "```"), std::string::npos);
  if (!fs::exists(gradus::testing::program("quickstart"))) GTEST_SKIP() << "built without the examples";
  std::string output;
  ASSERT_EQ(shell(gradus::testing::program("quickstart"), &output), 0) << output;
  EXPECT_NE(readme.find("```\n" + output + "```"), std::string::npos) << output;
}

// clang-format keeps code within 118 columns, but leaves comments as they are, and may be missing.
TEST(House, LinesAreOfReadableLength) {
  std::vector<std::string> folders = core;
  folders.insert(folders.end(), {"gradus", "examples", "tests", "bench", "tutorials"});
  for (const std::string& folder : folders)
    for (const std::string& path : code_in(folder)) {
      std::istringstream lines(read(source_dir() + "/" + path));
      int number = 0;
      for (std::string line; std::getline(lines, line);) {
        ++number;
        const auto starts_character = [](char c) { return (uint8_t(c) & 0xc0) != 0x80; };  // in UTF-8
        EXPECT_LE(std::count_if(line.begin(), line.end(), starts_character), 120) << path << ":" << number;
      }
    }
}

TEST(House, CodeIsFormatted) {
  std::string version;
  if (shell("clang-format --version", &version) != 0 || version.find("version 14.") == std::string::npos)
    GTEST_SKIP() << "clang-format 14 is not installed, and other versions format differently";
  std::vector<std::string> folders = core;
  folders.insert(folders.end(), {"gradus", "examples", "tests", "bench", "tutorials"});
  std::string files, output;
  for (const std::string& folder : folders)
    for (const std::string& path : code_in(folder)) files += " '" + path + "'";
  EXPECT_EQ(shell("cd '" + source_dir() + "' && clang-format --dry-run -Werror" + files, &output), 0)
      << output.substr(0, 4000) << "\nrun clang-format -i on these files";
}

}  // namespace
