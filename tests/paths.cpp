#include "tests/paths.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "tensor/error.h"

namespace gradus::testing {

std::string source_dir() { return GRADUS_SOURCE_DIR; }
std::string binary_dir() { return GRADUS_BINARY_DIR; }
std::string program(const std::string& name) { return binary_dir() + "/examples/" + name; }

std::string data_dir(const std::string& name) {
  const char* set = std::getenv("GRADUS_DATA");
  const std::string path = (set ? std::string(set) : source_dir() + "/../shared/data") + "/" + name;
  return std::filesystem::exists(path) ? path : "";
}

TempDir::TempDir() {
  std::string pattern = (std::filesystem::temp_directory_path() / "gradus-test-XXXXXX").string();
  check(mkdtemp(pattern.data()) != nullptr, "no temporary folder at ", pattern);
  path_ = pattern;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

int shell(const std::string& command, std::string* output) {
  std::FILE* pipe = popen(("( " + command + " ) 2>&1").c_str(), "r");
  check(pipe != nullptr, "cannot run ", command);
  char buffer[4096];
  for (size_t n; (n = std::fread(buffer, 1, sizeof(buffer), pipe)) > 0;)
    if (output) output->append(buffer, n);
  const int status = pclose(pipe);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

Outcome run_program(const std::string& name, const std::string& arguments, const std::string& before) {
  Outcome r;
  r.status = shell(before + " " + program(name) + " " + arguments, &r.output);
  return r;
}

void expect_refused(const std::string& name,
                    const std::vector<std::pair<std::string, std::string>>& arguments_and_words) {
  for (const auto& [arguments, words] : arguments_and_words) {
    const Outcome r = run_program(name, arguments);
    EXPECT_TRUE(r.status == 1 || r.status == 2) << r.output;
    EXPECT_EQ(std::count(r.output.begin(), r.output.end(), '\n'), 1) << r.output;
    EXPECT_NE(r.output.find(words), std::string::npos) << r.output << "should say: " << words;
  }
}

std::string python(const std::string& modules) {
  const char* set = std::getenv("GRADUS_PYTHON");
  const std::string interpreter = set ? set : "python3";
  return shell(interpreter + " -c 'import " + modules + "'") == 0 ? interpreter : "";
}

}  // namespace gradus::testing
