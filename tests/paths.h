// Where tests find things, so that they can be run from any folder.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace gradus::testing {

std::string source_dir();                       // the root of the tree
std::string binary_dir();                       // the root of the build
std::string program(const std::string& name);   // the built example program of that name
std::string data_dir(const std::string& name);  // the real data set in $GRADUS_DATA or ../shared/data; "" if absent

// A folder of its own for one test, removed at the end.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Runs a command with the shell; `output` receives what it wrote to stdout and stderr. Returns its exit status.
int shell(const std::string& command, std::string* output = nullptr);

// What a built example program did with these arguments; `before` stands in front of it in the shell's line.
struct Outcome {
  int status;
  std::string output;
};
Outcome run_program(const std::string& name, const std::string& arguments, const std::string& before = "");
// Expects each of these arguments to be refused in one line that has these words in it.
void expect_refused(const std::string& name,
                    const std::vector<std::pair<std::string, std::string>>& arguments_and_words);

// A Python ($GRADUS_PYTHON, else python3) that can import these modules ("numpy, safetensors"); "" if there is none.
std::string python(const std::string& modules);

}  // namespace gradus::testing
