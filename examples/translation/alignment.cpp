#include "alignment.h"

#include <algorithm>
#include <cstdio>

#include "data/text/unicode.h"

namespace translation {

using gradus::data::display_width;

namespace {

std::string padded_left(const std::string& text, int64_t width) {
  return std::string(size_t(std::max<int64_t>(0, width - display_width(text))), ' ') + text;
}

std::string escaped(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    if (c == '<')
      safe += "&lt;";
    else if (c == '>')
      safe += "&gt;";
    else if (c == '&')
      safe += "&amp;";
    else if (c == '"')
      safe += "&quot;";
    else
      safe += c;
  }
  return safe;
}

template <class... A>
std::string format(const char* pattern, A... arguments) {
  char buffer[256];
  std::snprintf(buffer, sizeof buffer, pattern, arguments...);
  return buffer;
}

}  // namespace

std::string draw_terminal(const Alignment& a) {
  const std::vector<double> w = a.weights.to_vector();
  const size_t columns = a.source.size();
  int64_t margin = 0;
  for (const std::string& word : a.target) margin = std::max(margin, display_width(word));
  std::string text;
  for (size_t row = 0; row < a.target.size(); ++row) {
    text += padded_left(a.target[row], margin) + " ";
    for (size_t i = 0; i < columns; ++i) {
      static const char* shades[] = {"·", "░", "▒", "▓", "█"};
      const double weight = w[row * columns + i];
      const char* shade = shades[weight < 0.05 ? 0 : std::min<size_t>(4, 1 + size_t(weight * 4))];
      for (int64_t k = 0; k < display_width(a.source[i]); ++k) text += shade;
      text += ' ';
    }
    text += '\n';
  }
  text += std::string(size_t(margin) + 1, ' ');
  for (const std::string& word : a.source) text += word + " ";
  return text + "\n";
}

std::string draw_svg(const std::vector<Alignment>& alignments) {
  constexpr int cell = 28, top = 110, left = 140, gap = 30;
  std::string body;
  int y = 0, width = 0;
  for (const Alignment& a : alignments) {
    const std::vector<double> w = a.weights.to_vector();
    const int columns = int(a.source.size()), rows = int(a.target.size());
    for (int i = 0; i < columns; ++i) {
      const int x = left + i * cell + cell / 2, bottom = y + top - 8;
      body += format("<text transform=\"translate(%d %d) rotate(-50)\">", x, bottom) + escaped(a.source[size_t(i)]) +
              "</text>\n";
    }
    for (int row = 0; row < rows; ++row) {
      const int at = y + top + row * cell;
      body += format("<text x=\"%d\" y=\"%d\" text-anchor=\"end\">", left - 8, at + cell / 2 + 5) +
              escaped(a.target[size_t(row)]) + "</text>\n";
      for (int i = 0; i < columns; ++i) {
        const double weight = w[size_t(row * columns + i)];
        body += format("<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"#1f4e9c\" fill-opacity=\"%.3f\">",
                       left + i * cell, at, cell - 1, cell - 1, weight) +
                format("<title>%.3f</title></rect>\n", weight);
      }
    }
    body += format("<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"none\" stroke=\"#888\"/>\n", left - 1,
                   y + top - 1, columns * cell + 1, rows * cell + 1);
    width = std::max(width, left + columns * cell + 60);
    y += top + rows * cell + gap;
  }
  return format("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" ", width, y) +
         "font-family=\"sans-serif\" font-size=\"15\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n" +
         body + "</svg>\n";
}

}  // namespace translation
