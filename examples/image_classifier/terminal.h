// Pictures in a terminal.
#pragma once

#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace image_classifier {

enum class Style {
  ascii,   // characters from light to dark, one for two pixels
  blocks,  // black and white half blocks
  shades,  // half blocks in 24 greys, by escape sequences
};

// What standard output can show: shades on a terminal, blocks where the locale is UTF-8, else ascii.
Style terminal_style();
int terminal_columns();

// Lines of text that show a grey image (1, height, width), two rows of pixels in one line. Each line is
// `width` columns wide.
std::vector<std::string> draw(const gradus::Tensor& image, Style style);

}  // namespace image_classifier
