// Drawing on pictures: uint8 tensors (3, height, width), as PNG files and TensorBoard take them. What does not fit on a
// picture is cut off at its edge.
#pragma once

#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace image_classifier {

struct Colour {
  uint8_t red, green, blue;
};
inline constexpr Colour white = {255, 255, 255}, black = {25, 25, 25}, grey = {120, 120, 120}, cyan = {0, 220, 220};

gradus::Tensor blank(int64_t height, int64_t width, Colour colour = white);
void fill(gradus::Tensor& picture, int64_t top, int64_t left, int64_t height, int64_t width, Colour colour);
// The edge of a rectangle, `thickness` pixels inside it.
void outline(gradus::Tensor& picture, int64_t top, int64_t left, int64_t height, int64_t width, int64_t thickness,
             Colour colour);
// An image (1 or 3, h, w), uint8.
void paste(gradus::Tensor& picture, int64_t top, int64_t left, const gradus::Tensor& image);

// --- text: the letters of stb_easy_font, `scale` pixels for each of theirs. It knows ASCII; others become "?". -----
inline constexpr int64_t letter_height = 10;  // at scale 1, with what hangs below the line
int64_t text_width(const std::string& text, int64_t scale);
void write(gradus::Tensor& picture, int64_t top, int64_t left, const std::string& text, int64_t scale = 2,
           Colour colour = black);
// Its beginning and "..", where it is wider than `width` pixels.
std::string shortened(const std::string& text, int64_t width, int64_t scale = 2);

// --- images and maps -----------------------------------------------------------------------------------------------
// Each pixel as a square of factor x factor, so that small images keep their looks: (c, h, w) to (3, h f, w f).
gradus::Tensor enlarge(const gradus::Tensor& image, int64_t factor);
// From black for 0 through violet and orange to pale yellow for 1: matplotlib's inferno, whose steps look equal to the
// eye, in grey too.
Colour heat_colour(double value);
// A map (h, w) from 0 to 1 laid over a picture of any size, (3, height, width): the more, the higher the map, so that
// the picture stays visible where there is little of it. The picture becomes grey, so that all colours are the map's.
gradus::Tensor overlay(const gradus::Tensor& picture, const gradus::Tensor& map);

// --- sheets --------------------------------------------------------------------------------------------------------
struct Cell {
  gradus::Tensor picture;            // undefined: an empty cell
  std::vector<std::string> caption;  // lines below it, shortened to its width
};
// Rows of cells under a title ("": none).
gradus::Tensor sheet(const std::string& title, const std::vector<std::vector<Cell>>& rows);

}  // namespace image_classifier
