// The binary files of CIFAR-10 (Krizhevsky 2009, "Learning multiple layers of features from tiny images"; layout: the
// data set's page, "Binary version").
#pragma once

#include <string>
#include <vector>

#include "data/idx.h"

namespace image_classifier {

extern const std::vector<std::string> cifar10_classes;

// 50,000 or 10,000 RGB images of 32x32 from `dir`, which holds data_batch_1.bin to data_batch_5.bin and test_batch.bin
// of 10,000 images each. Throws Error naming the file that has another size or a label above 9.
gradus::data::ImageSet cifar10(const std::string& dir, gradus::data::Split split);

}  // namespace image_classifier
