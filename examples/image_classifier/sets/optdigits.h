// Handwritten digits of 8x8 pixels (Alpaydin and Kaynak 1998, "Cascading classifiers"; UCI's "Optical recognition of
// handwritten digits"): lines of 64 shades from 0 to 16 and the digit, with commas between them.
#pragma once

#include <string>

#include "data/idx.h"

namespace image_classifier {

// 3,823 or 1,797 grey images from optdigits.tra or optdigits.tes in `dir`. Throws Error naming the file and the line
// that is something else.
gradus::data::ImageSet optdigits(const std::string& dir, gradus::data::Split split);

}  // namespace image_classifier
