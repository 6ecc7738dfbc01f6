// Which source word each target word looked at, drawn.
#pragma once

#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace translation {

struct Alignment {
  std::vector<std::string> source, target;
  gradus::Tensor weights;  // (target, source), each row from 0 to 1
};

// A table of shades for a terminal: a row for each target word, the source words below it.
std::string draw_terminal(const Alignment& alignment);
// The same as a picture, source words along the top. Several follow one below the other.
std::string draw_svg(const std::vector<Alignment>& alignments);

}  // namespace translation
