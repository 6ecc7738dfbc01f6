#include "charts.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <set>

#include "data/image.h"

namespace image_classifier {

using namespace gradus;

namespace {

std::string percent(double share) {
  char buffer[32];
  std::snprintf(buffer, sizeof(buffer), "%.1f%%", 100 * share);
  return buffer;
}

// --- text ----------------------------------------------------------------------------------------------------------

// Bytes that continue a character of UTF-8 take no room.
bool continues(char c) { return (uint8_t(c) & 0xc0) == 0x80; }
int64_t length(const std::string& text) { return std::count_if(text.begin(), text.end(), std::not_fn(continues)); }

std::string cut(const std::string& text, int64_t characters) {
  size_t end = 0;
  for (; end < text.size() && (characters > 0 || continues(text[end])); ++end) characters -= !continues(text[end]);
  while (end < text.size() && continues(text[end])) ++end;
  return text.substr(0, end);
}

std::string padded(const std::string& text, int64_t width, bool right) {
  const std::string room(size_t(std::max<int64_t>(0, width - length(text))), ' ');
  return right ? room + text : text + room;
}

struct Confusion {
  int64_t label, predicted, count;
};

// The wrong answers that were given, the most frequent first.
std::vector<Confusion> confusions(const data::ConfusionMatrix& matrix) {
  std::vector<Confusion> all;
  for (int64_t t = 0; t < matrix.classes(); ++t) {
    for (int64_t p = 0; p < matrix.classes(); ++p) {
      if (t != p && matrix.count(t, p) > 0) all.push_back({t, p, matrix.count(t, p)});
    }
  }
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.count > b.count; });
  return all;
}

int64_t largest(const data::ConfusionMatrix& matrix) {
  int64_t most = 0;
  for (int64_t t = 0; t < matrix.classes(); ++t) {
    for (int64_t p = 0; p < matrix.classes(); ++p) most = std::max(most, matrix.count(t, p));
  }
  return most;
}

// Of each class, at least 1, so that one may divide by it.
std::vector<double> row_totals(const data::ConfusionMatrix& matrix) {
  std::vector<double> totals;
  for (int64_t t = 0; t < matrix.classes(); ++t) {
    int64_t sum = 0;
    for (int64_t p = 0; p < matrix.classes(); ++p) sum += matrix.count(t, p);
    totals.push_back(double(std::max<int64_t>(sum, 1)));
  }
  return totals;
}

}  // namespace

std::string confusion_text(const data::ConfusionMatrix& matrix, const std::vector<std::string>& classes,
                           int64_t columns, bool colour) {
  const int64_t count = matrix.classes();
  const int64_t digits = int64_t(std::to_string(largest(matrix)).size());
  int64_t longest = 0;
  for (const std::string& name : classes) longest = std::max(longest, length(name));
  int64_t title = std::min<int64_t>(longest, 16);
  int64_t width = std::min((columns - title) / count - 1, std::max(longest, digits));  // of a column, a space aside
  if (width < std::max<int64_t>(digits, 2)) {
    std::string list = "most often confused:\n";
    const std::vector<Confusion> all = confusions(matrix);
    for (size_t i = 0; i < all.size() && i < 10; ++i) {
      list += padded(std::to_string(all[i].count), digits + 2, true) + "  " + classes[size_t(all[i].label)] +
              " taken for " + classes[size_t(all[i].predicted)] + "\n";
    }
    return all.empty() ? "nothing was confused\n" : list;
  }

  std::vector<std::string> rows, headings;
  for (const std::string& name : classes) {
    rows.push_back(cut(name, title));
    headings.push_back(cut(name, width));
  }
  if (std::set<std::string>(headings.begin(), headings.end()).size() < headings.size()) {
    for (int64_t i = 0; i < count; ++i) {
      headings[size_t(i)] = std::to_string(i + 1);
      rows[size_t(i)] = cut(std::to_string(i + 1) + " " + classes[size_t(i)], title);
    }
    width = std::max(digits, int64_t(std::to_string(count).size()));
  }
  std::string text = padded("", title, false);
  for (const std::string& heading : headings) text += " " + padded(heading, width, true);
  text += "\n";
  const std::vector<double> totals = row_totals(matrix);
  for (int64_t t = 0; t < count; ++t) {
    text += padded(rows[size_t(t)], title, false);
    for (int64_t p = 0; p < count; ++p) {
      const int64_t n = matrix.count(t, p);
      const std::string cell = " " + padded(n ? std::to_string(n) : ".", width, true);
      const bool often = double(n) >= totals[size_t(t)] / 10;
      const char* paint = n == 0 ? "2" : t == p ? "32" : often ? "1;31" : "33";
      text += colour ? "\x1b[" + std::string(paint) + "m" + cell + "\x1b[0m" : cell;
    }
    text += "\n";
  }
  return text;
}

Tensor confusion_picture(const data::ConfusionMatrix& matrix, const std::vector<std::string>& classes,
                         const std::string& title) {
  const int64_t count = matrix.classes();
  check(count <= most_classes_drawn, "confusion_picture: ", count, " classes, at most ", most_classes_drawn,
        " can be drawn");
  constexpr int64_t margin = 16, scale = 2, title_scale = 3, line = letter_height * scale, longest = 200;
  const int64_t widest = text_width(std::to_string(largest(matrix)), scale);
  // Large enough for the counts, as long as that makes no wall of it; then for names; then what is left.
  const int64_t cell =
      count <= 30 ? std::max(widest + 8, std::min<int64_t>(440 / count, 72)) : std::max<int64_t>(1, 1200 / count);
  const bool counts = count <= 30, names = cell >= line;
  int64_t label = 0;
  for (const std::string& name : classes) label = std::max(label, std::min(text_width(name, scale), longest));
  if (!names) label = 0;
  const std::string across = "columns: what the model says", down = "rows: what it is";
  const int64_t left = margin + label + 8, head = margin + title_scale * letter_height + 8 + 2 * line + 12;
  // Names stand upright where one is wider than its column.
  const bool upright = label > cell - 6;
  const int64_t top = head + (names ? (upright ? label : line) + 8 : 0);
  Tensor picture = blank(
      top + cell * count + margin,
      std::max({left + cell * count, margin + text_width(title, title_scale), margin + text_width(across, scale)}) +
          margin);
  write(picture, margin, margin, title, title_scale);
  write(picture, head - 2 * line - 12, margin, down, scale, grey);
  write(picture, head - line - 12, margin, across, scale, grey);

  const std::vector<double> totals = row_totals(matrix);
  for (int64_t t = 0; t < count; ++t) {
    const int64_t y = top + t * cell;
    if (names) {
      const std::string name = shortened(classes[size_t(t)], label, scale);
      write(picture, y + (cell - line) / 2 + scale, left - 8 - text_width(name, scale), name, scale);
      if (upright) {
        Tensor turned = blank(line, text_width(name, scale));
        write(turned, 0, 0, name, scale);
        turned = turned.transpose(1, 2).flip({1});  // read from below
        paste(picture, top - 8 - turned.size(1), left + t * cell + (cell - line) / 2, turned);
      } else {
        write(picture, top - 8 - line, left + t * cell + (cell - text_width(name, scale)) / 2, name, scale);
      }
    }
    for (int64_t p = 0; p < count; ++p) {
      const int64_t x = left + p * cell, n = matrix.count(t, p);
      const double share = double(n) / totals[size_t(t)];
      // White to dark blue. The root of the share, or errors of a few in a hundred would not be seen.
      auto mix = [&](int dark) { return uint8_t(std::lround(255 + std::sqrt(share) * (dark - 255))); };
      fill(picture, y, x, cell, cell, {mix(10), mix(50), mix(110)});
      if (counts && n > 0) {
        const std::string number = std::to_string(n);
        write(picture, y + (cell - line) / 2 + scale, x + (cell - text_width(number, scale)) / 2, number, scale,
              share > 0.25 ? white : black);
      }
      if (cell >= 12) outline(picture, y, x, cell + 1, cell + 1, 1, {225, 225, 225});
    }
  }
  outline(picture, top, left, cell * count + 1, cell * count + 1, 1, grey);
  return picture;
}

namespace {

// About `width` pixels wide: a small image enlarged by a whole number, a large one made smaller.
Tensor brought_to(const Tensor& image, int64_t width) {
  const int64_t factor = width / image.size(2);
  if (factor >= 1) return enlarge(image, factor);
  return data::to_channels(data::resize(image, std::max<int64_t>(1, image.size(1) * width / image.size(2)), width),
                           3);
}

}  // namespace

Tensor mistakes_sheet(const data::ImageDataset& set, const std::vector<Mistake>& mistakes,
                      const std::vector<std::string>& classes, const std::string& title) {
  constexpr size_t in_a_row = 6;
  std::vector<std::vector<Cell>> rows;
  for (size_t i = 0; i < mistakes.size(); ++i) {
    const Mistake& m = mistakes[i];
    if (i % in_a_row == 0) rows.emplace_back();
    const Tensor image = set.get(m.index).image;
    rows.back().push_back({brought_to(image, 192),
                           {"says " + classes.at(size_t(m.predicted)), "is " + classes.at(size_t(m.label)),
                            percent(m.probability) + " sure"}});
  }
  return sheet(title, rows);
}

Tensor attention_sheet(const std::vector<Explained>& pictures, const std::vector<std::string>& classes) {
  std::vector<std::vector<Cell>> rows;
  for (const Explained& e : pictures) {
    const std::vector<double>& p = e.probabilities;
    const size_t best = size_t(std::max_element(p.begin(), p.end()) - p.begin());
    auto with = [&](size_t c) { return classes.at(c) + " " + percent(p[c]); };
    const Tensor large = brought_to(e.image, 256);
    std::vector<Cell> row = {{large, {e.name, "says " + with(best)}}};
    if (size_t(e.of_class) != best) row[0].caption.push_back(with(size_t(e.of_class)));
    for (const View& view : e.views) {
      Tensor picture = overlay(large, view.map);
      if (view.row >= 0) {
        const int64_t height = large.size(1), width = large.size(2), down = view.map.size(0),
                      across = view.map.size(1);
        outline(picture, view.row * height / down, view.column * width / across, height / down, width / across, 3,
                cyan);
      }
      row.push_back({picture, {view.name, view.detail, view.range}});
    }
    rows.push_back(std::move(row));
  }
  return sheet("", rows);
}

}  // namespace image_classifier
