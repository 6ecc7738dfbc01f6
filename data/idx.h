// The IDX files of MNIST (LeCun, Cortes and Burges, "The MNIST database", file formats), plain or packed with gzip.
#pragma once

#include <string>

#include "data/dataset.h"

namespace gradus::data {

// Reads a file of unsigned bytes with 1 to 8 dimensions, as uint8. A file that is not exactly what its header
// says throws Error naming the file and what is wrong with it.
Tensor read_idx(const std::string& path);

enum class Split { train, test };

// Images and labels of MNIST or Fashion-MNIST (Xiao, Rasul and Vollgraf 2017) from `dir`, which holds the
// four files under their original names, with or without ".gz".
ImageSet mnist(const std::string& dir, Split split);
ImageSet fashion_mnist(const std::string& dir, Split split);

}  // namespace gradus::data
