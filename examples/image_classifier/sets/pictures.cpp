#include "pictures.h"

#include <filesystem>
#include <mutex>

#include "data/image.h"
#include "tensor/io/file.h"
#include "tensor/kernels/cpu/threads.h"

namespace image_classifier {

using namespace gradus;
namespace fs = std::filesystem;

namespace {

class ArchiveImages : public data::ImageDataset {
 public:
  // The files FOLDER/CLASS/* of the archive, `front` being "FOLDER/" or "".
  ArchiveImages(std::shared_ptr<const Tar> tar, const std::string& front, const data::ImageFolderOptions& options)
      : tar_(std::move(tar)), options_(options) {
    std::map<std::string, std::vector<File>> by_class;
    for (auto file = tar_->files().lower_bound(front); file != tar_->files().end(); ++file) {
      const std::string& name = file->first;
      if (!name.starts_with(front)) break;
      const size_t slash = name.find('/', front.size());
      if (slash == name.npos || name[front.size()] == '.' || name.find('/', slash + 1) != name.npos) continue;
      if (!data::is_image_name(name.substr(slash + 1))) continue;
      by_class[name.substr(front.size(), slash - front.size())].push_back(file);
    }
    check(!by_class.empty(), printable(tar_->path() + "/" + front), ": no folders with images in it");
    for (const auto& [name, files] : by_class) {
      labels_.insert(labels_.end(), files.size(), int64_t(classes_.size()));
      files_.insert(files_.end(), files.begin(), files.end());
      classes_.push_back(name);
    }
  }
  int64_t size() const override { return int64_t(files_.size()); }
  data::Sample get(int64_t index) const override {
    const auto& [name, bytes] = *files_[size_t(index)];
    const Tensor image = data::decode_image(std::string(bytes), tar_->path() + "/" + name);
    return {data::fit(data::to_channels(image, options_.channels), options_.height, options_.width),
            labels_[size_t(index)]};
  }
  Shape image_shape() const override { return {options_.channels, options_.height, options_.width}; }
  const std::vector<std::string>& classes() const override { return classes_; }

 private:
  using File = std::map<std::string, std::string_view>::const_iterator;
  std::shared_ptr<const Tar> tar_;
  data::ImageFolderOptions options_;
  std::vector<File> files_;
  std::vector<int64_t> labels_;
  std::vector<std::string> classes_;
};

class Kept : public data::ImageDataset {
 public:
  explicit Kept(data::ImageSet set) : set_(std::move(set)), samples_(size_t(set_->size())) {}
  int64_t size() const override { return set_->size(); }
  data::Sample get(int64_t index) const override {
    data::Sample& place = samples_[size_t(index)];
    {
      std::lock_guard lock(mutex_);
      if (place.image.defined()) return place;
    }
    const data::Sample sample = set_->get(index);  // two threads may both make it; it is the same
    std::lock_guard lock(mutex_);
    return place = sample;
  }
  Shape image_shape() const override { return set_->image_shape(); }
  const std::vector<std::string>& classes() const override { return set_->classes(); }

 private:
  data::ImageSet set_;
  mutable std::mutex mutex_;  // guards
  mutable std::vector<data::Sample> samples_;
};

// The folders that all of these are in and that are none of the classes, nor what tells training from test images.
std::string common_front(const std::vector<std::string>& names) {
  std::string front;
  for (;;) {
    const std::string longer = names[0].substr(0, names[0].find('/', front.size()) + 1);
    if (longer.empty() || longer.ends_with("/train/") || longer == "train/") return front;
    for (const std::string& name : names) {
      // What is left is CLASS/FILE at least.
      if (!name.starts_with(longer) || name.find('/', longer.size()) == name.npos) return front;
    }
    front = longer;
  }
}

}  // namespace

Place::Place(const std::string& path) : path_(path) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return;
  tar_ = std::make_shared<Tar>(path);
  std::vector<std::string> names;
  for (const auto& [name, bytes] : tar_->files()) {
    if (data::is_image_name(name.substr(name.rfind('/') + 1))) names.push_back(name);
  }
  check(!names.empty(), printable(path), ": no image files in it (png, jpg, jpeg, bmp, pgm, ppm)");
  front_ = common_front(names);
}

bool Place::has_folder(const std::string& name) const {
  std::error_code ignored;
  if (!tar_) return fs::is_directory(path_ + "/" + name, ignored);
  const auto found = tar_->files().lower_bound(front_ + name + "/");
  return found != tar_->files().end() && found->first.starts_with(front_ + name + "/");
}

data::ImageSet Place::images(const std::string& name, const data::ImageFolderOptions& options) const {
  if (!tar_) return data::image_folder(name.empty() ? path_ : path_ + "/" + name, options);
  return std::make_shared<ArchiveImages>(tar_, name.empty() ? front_ : front_ + name + "/", options);
}

int64_t Place::common_size(int64_t most, bool pass_over_bad) const {
  int64_t size = 0;  // of the first image
  // Whether it is a square of that size.
  auto agrees = [&](const std::string& bytes, const std::string& name) {
    try {
      const Shape shape = data::image_shape_of(bytes, name);
      if (size == 0) size = shape[1];
      return shape[1] == size && shape[2] == size && size <= most;
    } catch (const Error&) {
      if (!pass_over_bad) throw;
      return true;
    }
  };
  if (tar_) {
    for (const auto& [name, bytes] : tar_->files()) {
      const bool in_class = name.starts_with(front_) && name.find('/', front_.size()) != name.npos;
      if (in_class && data::is_image_name(name.substr(name.rfind('/') + 1)) &&
          !agrees(std::string(bytes), path_ + "/" + name))
        return most;
    }
  } else {
    try {
      for (fs::recursive_directory_iterator at(path_), end; at != end; ++at) {
        if (at.depth() == 0 || at->is_directory() || !data::is_image_name(at->path().filename().string())) continue;
        const std::string path = at->path().string();
        if (!agrees(read_file(path), path)) return most;
      }
    } catch (const fs::filesystem_error& e) {
      fail({printable(path_), ": ", e.code().message()});
    }
  }
  return size == 0 ? most : size;
}

data::ImageSet kept(data::ImageSet set, int64_t limit) {
  if (set->size() * numel(set->image_shape()) > limit) return set;
  return std::make_shared<Kept>(std::move(set));
}

data::ImageSet good_images(data::ImageSet set, const std::function<void(const std::string& why)>& bad,
                           const std::function<void(int64_t done)>& progress) {
  std::vector<int64_t> good;
  constexpr int64_t at_once = 256;
  for (int64_t first = 0; first < set->size(); first += at_once) {
    const int64_t count = std::min(at_once, set->size() - first);
    std::vector<std::string> faults(static_cast<size_t>(count));
    parallel_for(count, 8, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        try {
          set->get(first + i);
        } catch (const Error& e) {
          faults[size_t(i)] = e.what();
        }
      }
    });
    for (int64_t i = 0; i < count; ++i) {
      if (faults[size_t(i)].empty())
        good.push_back(first + i);
      else
        bad(faults[size_t(i)]);
    }
    progress(first + count);
  }
  return data::subset(set, good);
}

}  // namespace image_classifier
