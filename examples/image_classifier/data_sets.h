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
  int64_t size = 64;    // of the images of a folder
  bool grey = false;
};
// "digits", "mnist[:DIR]", "fashion_mnist[:DIR]" (without DIR where find_data says) or "folder:DIR". A folder
// has train/ and test/ (or val/) with a folder for each class; or the folders of the classes themselves, and
// every fifth image is for testing.
DataSets open_data(const std::string& argument, const DataOptions& options);

}  // namespace image_classifier
