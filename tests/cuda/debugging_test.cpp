// The page on debugging, tutorials/cuda_debugging.md, shows what gdb really answers. With a debug build of flip.cu.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "tests/paths.h"
#include "tests/sanitized.h"

namespace {

std::string read(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string between(const std::string& text, const std::string& begin, const std::string& end) {
  const size_t from = text.find(begin);
  if (from == std::string::npos) return "no " + begin;
  return text.substr(from + begin.size(), text.find(end, from + begin.size()) - from - begin.size());
}

TEST(CudaDebugging, ThePageShowsWhatGdbAnswers) {
  if (gradus::testing::shell("gdb --version") != 0) GTEST_SKIP() << "no gdb";
  if (gradus::testing::sanitized) GTEST_SKIP() << "built with a sanitizer, which changes what gdb shows";
  const std::string folder = gradus::testing::source_dir() + "/tutorials/cuda_debugging";
  const std::string page = read(folder + ".md");
  std::string output;
  EXPECT_EQ(gradus::testing::shell(
                folder + "/session.sh " + gradus::testing::binary_dir() + "/tutorials/cuda_debugging/flip", &output),
            0);
  EXPECT_EQ(output, between(page, "```text\n", "```"));
  const std::string kernel = "__global__ void flip" + between(page, "__global__ void flip", "```");
  EXPECT_NE(read(folder + "/flip.cu").find(kernel), std::string::npos) << kernel;
}

}  // namespace
