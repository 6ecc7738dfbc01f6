// A folder with one folder of image files for each class.
#pragma once

#include <string>

#include "data/dataset.h"

namespace gradus::data {

struct ImageFolderOptions {
  int64_t channels = 3;  // 1 or 3
  int64_t height = 64, width = 64;
};

// Finds root/CLASS/*.{png,jpg,jpeg,bmp,pgm,ppm} (upper case too), classes and files sorted by name. Files are decoded
// when asked for, and brought to one size by fit (data/image.h); a bad one throws Error naming it. Throws Error where
// there is no class or an empty one.
ImageSet image_folder(const std::string& root, const ImageFolderOptions& options = {});

// Whether this is the name of such a file, and of none that is hidden (".name").
bool is_image_name(const std::string& name);

}  // namespace gradus::data
