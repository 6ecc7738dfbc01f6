// The map of the repository: which folder includes headers of which others, read from the sources themselves.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tensor/error.h"

namespace fs = std::filesystem;

namespace {

const std::vector<std::string> folders = {"tensor", "autograd", "nn", "optim", "data", "train", "examples"};

// The folders that the files in one folder include headers of, itself left out.
std::set<std::string> included_by(const std::string& folder) {
  const std::set<std::string> code = {".h", ".cpp", ".inl", ".cu"};
  const std::string start = "#include \"";
  std::set<std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(SOURCE_DIR) / folder)) {
    if (!code.contains(entry.path().extension().string())) continue;
    std::ifstream lines(entry.path());
    for (std::string line; std::getline(lines, line);) {
      if (!line.starts_with(start)) continue;
      const std::string other = line.substr(start.size(), line.find('/') - start.size());
      if (other != folder && std::count(folders.begin(), folders.end(), other)) found.insert(other);
    }
  }
  return found;
}

}  // namespace

int main() {
  std::set<std::string> below;
  for (const std::string& folder : folders) {
    std::printf("%-9s includes", folder.c_str());
    const std::set<std::string> others = included_by(folder);
    for (const std::string& other : others) {
      std::printf(" %s", other.c_str());
      gradus::check(below.contains(other), folder, " includes ", other, ", which is not below it");
    }
    std::printf(others.empty() ? " nothing\n" : "\n");
    below.insert(folder);
  }
}
