#include "data/image_folder.h"

#include <algorithm>
#include <filesystem>

#include "data/image.h"
#include "tensor/io/file.h"

namespace gradus::data {

namespace fs = std::filesystem;

namespace {

class ImageFolder : public ImageDataset {
 public:
  ImageFolder(const std::string& root, const ImageFolderOptions& options) : options_(options) {
    classes_ = list(root, [](const fs::directory_entry& e) { return e.is_directory(); });
    check(!classes_.empty(), printable(root), ": no folders in it, expected one for each class");
    for (size_t c = 0; c < classes_.size(); ++c) {
      const std::string folder = root + "/" + classes_[c];
      const auto files = list(folder, [](const fs::directory_entry& e) {
        return !e.is_directory() && is_image_name(e.path().filename().string());
      });
      check(!files.empty(), printable(folder), ": no image files in it (png, jpg, jpeg, bmp, pgm, ppm)");
      for (const std::string& file : files) files_.push_back({folder + "/" + file, int64_t(c)});
    }
  }
  int64_t size() const override { return int64_t(files_.size()); }
  Sample get(int64_t index) const override {
    const auto& [path, label] = files_[index];
    const Tensor image = to_channels(read_image(path), options_.channels);
    return {fit(image, options_.height, options_.width), label};
  }
  Shape image_shape() const override { return {options_.channels, options_.height, options_.width}; }
  const std::vector<std::string>& classes() const override { return classes_; }

 private:
  // Names of the entries wanted, hidden ones left out, sorted by byte: the same everywhere.
  template <class Wanted>
  static std::vector<std::string> list(const std::string& folder, Wanted wanted) {
    std::vector<std::string> names;
    try {
      for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
        const std::string name = entry.path().filename().string();
        if (name[0] != '.' && wanted(entry)) names.push_back(name);
      }
    } catch (const fs::filesystem_error& e) {
      fail({printable(folder), ": ", e.code().message()});
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  ImageFolderOptions options_;
  std::vector<std::string> classes_;
  std::vector<std::pair<std::string, int64_t>> files_;
};

}  // namespace

bool is_image_name(const std::string& name) {
  std::string extension = fs::path(name).extension().string();
  for (char& c : extension) c = c >= 'A' && c <= 'Z' ? char(c + 32) : c;
  for (const char* known : {".png", ".jpg", ".jpeg", ".bmp", ".pgm", ".ppm"}) {
    if (extension == known) return name[0] != '.';
  }
  return false;
}

ImageSet image_folder(const std::string& root, const ImageFolderOptions& options) {
  check((options.channels == 1 || options.channels == 3) && options.height > 0 && options.width > 0,
        "image_folder: ", options.channels, " channels of ", options.height, "x", options.width,
        ", expected 1 or 3 channels of positive size");
  return std::make_shared<ImageFolder>(root, options);
}

}  // namespace gradus::data
