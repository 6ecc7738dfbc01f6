#include "picture.h"

#include <algorithm>
#include <cmath>

#include "data/image.h"

// stb's warnings are not ours.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb_easy_font.h>
#pragma GCC diagnostic pop

namespace image_classifier {

using namespace gradus;

Tensor blank(int64_t height, int64_t width, Colour colour) {
  Tensor picture = empty({3, height, width}, {.dtype = uint8});
  fill(picture, 0, 0, height, width, colour);
  return picture;
}

void fill(Tensor& picture, int64_t top, int64_t left, int64_t height, int64_t width, Colour colour) {
  const int64_t rows = picture.size(1), columns = picture.size(2);
  const int64_t bottom = std::min(top + height, rows), right = std::min(left + width, columns);
  const uint8_t values[] = {colour.red, colour.green, colour.blue};
  left = std::max<int64_t>(left, 0);
  if (right <= left) return;
  for (int64_t c = 0; c < 3; ++c) {
    for (int64_t y = std::max<int64_t>(top, 0); y < bottom; ++y) {
      uint8_t* row = picture.data<uint8_t>() + (c * rows + y) * columns;
      std::fill(row + left, row + right, values[c]);
    }
  }
}

void outline(Tensor& picture, int64_t top, int64_t left, int64_t height, int64_t width, int64_t thickness,
             Colour colour) {
  fill(picture, top, left, thickness, width, colour);
  fill(picture, top + height - thickness, left, thickness, width, colour);
  fill(picture, top, left, height, thickness, colour);
  fill(picture, top, left + width - thickness, height, thickness, colour);
}

void paste(Tensor& picture, int64_t top, int64_t left, const Tensor& image) {
  const int64_t height = std::min(image.size(1), picture.size(1) - top);
  const int64_t width = std::min(image.size(2), picture.size(2) - left);
  if (height <= 0 || width <= 0) return;
  Tensor place = picture.narrow(1, top, height).narrow(2, left, width);
  place.copy_(image.narrow(1, 0, height).narrow(2, 0, width));
}

namespace {

// stb_easy_font's letters are bytes; what is more than one byte of UTF-8 counts as one letter.
std::string ascii(const std::string& text) {
  std::string plain;
  for (const char c : text) {
    if ((uint8_t(c) & 0xc0) == 0x80) continue;
    plain += c >= ' ' && c <= '~' ? c : '?';
  }
  return plain;
}

}  // namespace

int64_t text_width(const std::string& text, int64_t scale) { return scale * stb_easy_font_width(ascii(text).data()); }

void write(Tensor& picture, int64_t top, int64_t left, const std::string& text, int64_t scale, Colour colour) {
  std::string letters = ascii(text);
  struct Vertex {
    float x, y, z;
    uint8_t colour[4];
  };
  // A letter has at most 11 strokes of four corners, each a rectangle of whole pixels.
  std::vector<Vertex> corners(letters.size() * 11 * 4);
  const int strokes =
      stb_easy_font_print(0, 0, letters.data(), nullptr, corners.data(), int(corners.size() * sizeof(Vertex)));
  for (int i = 0; i < strokes; ++i) {
    const Vertex &from = corners[size_t(4 * i)], &to = corners[size_t(4 * i + 2)];
    fill(picture, top + scale * int64_t(from.y), left + scale * int64_t(from.x), scale * int64_t(to.y - from.y),
         scale * int64_t(to.x - from.x), colour);
  }
}

std::string shortened(const std::string& text, int64_t width, int64_t scale) {
  std::string letters = ascii(text);
  if (text_width(letters, scale) <= width) return letters;
  while (!letters.empty() && text_width(letters + "..", scale) > width) letters.pop_back();
  return letters + "..";
}

Tensor enlarge(const Tensor& image, int64_t factor) {
  const Tensor rgb = data::to_channels(image, 3);
  const int64_t height = rgb.size(1), width = rgb.size(2);
  return rgb.reshape({3, height, 1, width, 1})
      .expand({3, height, factor, width, factor})
      .reshape({3, height * factor, width * factor});
}

Colour heat_colour(double value) {
  // Inferno (van der Walt and Smith 2015) at 0, 1/8 ... 1, as matplotlib gives it; straight lines between.
  static constexpr Colour points[] = {{0, 0, 4},     {33, 12, 74},  {87, 16, 110},  {138, 34, 106}, {188, 55, 84},
                                      {228, 90, 49}, {249, 142, 9}, {249, 203, 53}, {252, 255, 164}};
  const double place = std::clamp(value, 0.0, 1.0) * 8;
  const int low = std::min(int(place), 7);
  auto mix = [&](uint8_t Colour::*part) {
    const double from = points[low].*part, to = points[low + 1].*part;
    return uint8_t(std::lround(from + (place - low) * (to - from)));
  };
  return {mix(&Colour::red), mix(&Colour::green), mix(&Colour::blue)};
}

Tensor overlay(const Tensor& picture, const Tensor& map) {
  // Bilinear, in 256 steps.
  Tensor levels = empty({1, map.size(0), map.size(1)}, {.dtype = uint8});
  const std::vector<double> values = map.to_vector();
  for (size_t i = 0; i < values.size(); ++i) {
    levels.data<uint8_t>()[i] = uint8_t(std::lround(255 * std::clamp(values[i], 0.0, 1.0)));
  }
  const int64_t height = picture.size(1), width = picture.size(2), area = height * width;
  levels = data::resize(levels, height, width);
  const Tensor shades = data::to_channels(picture, 1);
  Tensor result = empty({3, height, width}, {.dtype = uint8});
  for (int64_t i = 0; i < area; ++i) {
    const double level = levels.data<uint8_t>()[i] / 255.0, share = 0.25 + 0.6 * level;
    const Colour heat = heat_colour(level);
    const uint8_t parts[] = {heat.red, heat.green, heat.blue};
    for (int64_t c = 0; c < 3; ++c) {
      const double below = shades.data<uint8_t>()[i];
      result.data<uint8_t>()[c * area + i] = uint8_t(std::lround((1 - share) * below + share * parts[c]));
    }
  }
  return result;
}

Tensor sheet(const std::string& title, const std::vector<std::vector<Cell>>& rows) {
  constexpr int64_t margin = 16, gap = 12, scale = 2, line = letter_height * scale + 4, title_scale = 3;
  int64_t width = 0, columns = 0;
  for (const auto& row : rows) {
    columns = std::max(columns, int64_t(row.size()));
    for (const Cell& cell : row) {
      if (cell.picture.defined()) width = std::max(width, cell.picture.size(2));
    }
  }
  auto picture_height = [](const std::vector<Cell>& row) {
    int64_t height = 0;
    for (const Cell& cell : row) {
      if (cell.picture.defined()) height = std::max(height, cell.picture.size(1));
    }
    return height;
  };
  auto lines = [](const std::vector<Cell>& row) {
    size_t count = 0;
    for (const Cell& cell : row) {
      size_t last = cell.caption.size();
      while (last > 0 && cell.caption[last - 1].empty()) --last;
      count = std::max(count, last);
    }
    return int64_t(count);
  };
  const int64_t top = margin + (title.empty() ? 0 : title_scale * letter_height + gap);
  int64_t height = top;
  for (const auto& row : rows) height += picture_height(row) + gap / 2 + lines(row) * line + gap;
  Tensor all = blank(height + margin - gap,
                     2 * margin + std::max(columns * (width + gap) - gap, text_width(title, title_scale)));
  write(all, margin, margin, title, title_scale);
  int64_t y = top;
  for (const auto& row : rows) {
    const int64_t caption = y + picture_height(row) + gap / 2;
    for (size_t i = 0; i < row.size(); ++i) {
      const int64_t x = margin + int64_t(i) * (width + gap);
      if (row[i].picture.defined()) paste(all, y, x, row[i].picture);
      for (size_t k = 0; k < row[i].caption.size(); ++k) {
        write(all, caption + int64_t(k) * line, x, shortened(row[i].caption[k], width, scale), scale,
              k == 0 ? black : grey);
      }
    }
    y = caption + lines(row) * line + gap;
  }
  return all;
}

}  // namespace image_classifier
