// The data sets that --data names.
#pragma once

#include <string>

#include "data/dataset.h"

namespace image_classifier {

struct DataSets {
  gradus::data::ImageSet train, test;
};

// What is wrong with a --data argument, or "".
std::string data_argument_fault(const std::string& argument);

struct DataOptions {
  int64_t samples = 0;  // training images to use; 0: all
  // Of the images of a folder; 0: as large as they are where all are squares of one size up to 64x64, else 64.
  int64_t size = 0;
  bool grey = false;
  bool skip_bad = false;  // name damaged files on stderr and go without them
};
// "digits", "mnist[:DIR]", "fashion_mnist[:DIR]", "cifar10[:DIR]", "optdigits[:DIR]" (without DIR where find_data says)
// or "folder:PATH", a folder or an archive (.tar, .tar.gz). That has train/ and test/ (or val/) with a folder for each
// class; or the folders of the classes themselves, and every fifth image is for testing. In an archive all this may be
// inside other folders. CIFAR-10 is its binary files or the archive cifar10-jpg.tar.gz, which is read as any other.
DataSets open_data(const std::string& argument, const DataOptions& options);

}  // namespace image_classifier
