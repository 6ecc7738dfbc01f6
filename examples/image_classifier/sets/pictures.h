// Pictures in a folder or an archive, with a folder for each class.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/image_folder.h"
#include "tar.h"

namespace image_classifier {

// A place with files in folders.
class Place {
 public:
  // A folder, or an archive: then the folders that all its images are in, other than those of the classes and a
  // "train", count as part of `path`. Throws Error where an archive is damaged or has no images.
  explicit Place(const std::string& path);

  bool has_folder(const std::string& name) const;
  // What data::image_folder gives for the folder of that name, or for the place itself (""), of an archive too. Images
  // are decoded when asked for.
  gradus::data::ImageSet images(const std::string& name, const gradus::data::ImageFolderOptions& options) const;
  // The height and width that all images have if they are squares of one size up to `most`, else `most`. Reads no more
  // than their headers; a damaged one throws Error naming it, or is passed over.
  int64_t common_size(int64_t most, bool pass_over_bad) const;

 private:
  std::string path_;
  std::shared_ptr<const Tar> tar_;  // null: a folder
  std::string front_;               // of the names in the archive: "", or "cifar10-jpg/"
};

// The same images, each made once and kept, if they take up at most `limit` bytes.
gradus::data::ImageSet kept(gradus::data::ImageSet set, int64_t limit = int64_t(1) << 30);

// Those that can be read. All are, at once and on all cores; `bad` hears why one cannot, in their order, and `progress`
// how many have been looked at.
gradus::data::ImageSet good_images(gradus::data::ImageSet set, const std::function<void(const std::string& why)>& bad,
                                   const std::function<void(int64_t done)>& progress);

}  // namespace image_classifier
