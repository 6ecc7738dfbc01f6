// Drawn digits: a set to learn from that needs no files.
#pragma once

#include "data/dataset.h"

namespace examples {

// Digit `digit` (0..9) as a 28x28 grey image (1, 28, 28), white on black: strokes in a random pose, with
// random thickness, slant and noise. A function of its arguments alone.
gradus::Tensor draw_digit(int64_t digit, uint64_t seed, int64_t index);

// `count` of them, image i showing digit i mod 10.
gradus::data::ImageSet digits(int64_t count, uint64_t seed = 0);

}  // namespace examples
