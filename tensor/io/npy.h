// NumPy's .npy files (https://numpy.org/neps/nep-0001-npy-format.html), versions 1.0, 2.0 and 3.0.
#pragma once

#include <string>

#include "tensor/tensor.h"

namespace gradus {

// Reads f4, f8, i8, b1 and u1 as they are, f2 as float32, and i1, i2, i4, u2, u4 as int64; either element order.
// Throws Error naming the file where the header is malformed, of another type, or does not fit the file's size.
Tensor load_npy(const std::string& path);

// Writes version 1.0, row-major, replacing `path` in one step. bfloat16, which NumPy lacks, throws Error.
void save_npy(const std::string& path, const Tensor& x);

}  // namespace gradus
