// Printing in PyTorch's style: aligned columns, the edges only of what is large, one format for all elements.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ostream>

#include "tensor/tensor.h"

namespace gradus {
namespace {

enum class Style { integer, whole, fixed, scientific, boolean };

// How every element of one tensor is written. T is int64_t for whole numbers, which a double may not hold exactly.
template <class T>
struct Format {
  Style style = Style::integer;
  int precision = 4;
  size_t width = 0;

  std::string operator()(T value) const {
    char text[64];
    if (style == Style::boolean) return value != 0 ? "true" : "false";
    if (style == Style::integer) return std::to_string(static_cast<long long>(value));
    double real = double(value);
    if (!std::isfinite(real)) return std::isnan(real) ? "nan" : real > 0 ? "inf" : "-inf";
    if (style == Style::whole)
      std::snprintf(text, sizeof text, "%.0f.", real);
    else
      std::snprintf(text, sizeof text, style == Style::fixed ? "%.*f" : "%.*e", precision, real);
    return text;
  }
};

template <class T>
Format<T> choose_format(const std::vector<T>& values, DType dtype, int precision) {
  Format<T> format;
  format.precision = precision;
  if (dtype == boolean) {
    format.style = Style::boolean;
  } else if (is_floating(dtype)) {
    double largest = 0, smallest = INFINITY;
    bool all_whole = true;
    for (double v : values) {
      if (!std::isfinite(v)) continue;
      all_whole &= v == std::nearbyint(v);
      if (v == 0) continue;
      largest = std::max(largest, std::fabs(v));
      smallest = std::min(smallest, std::fabs(v));
    }
    bool extreme = largest > 0 && (largest / smallest > 1000 || largest > 1e8 || smallest < 1e-4);
    format.style =
        all_whole ? (largest > 1e8 ? Style::scientific : Style::whole) : (extreme ? Style::scientific : Style::fixed);
  }
  for (T v : values) format.width = std::max(format.width, format(v).size());
  return format;
}

template <class T>
class Printer {
 public:
  Printer(const Tensor& x, const PrintOptions& options) : options_(options), shorten_(x.numel() > options.threshold) {
    std::vector<T> shown;
    collect(x, shown);
    format_ = choose_format(shown, x.dtype(), options.precision);
  }

  std::string text(const Tensor& x, int indent) const {
    if (x.dim() == 0) return format_(x.to_vector<T>()[0]);
    std::string out = "[";
    int64_t n = x.size(0);
    size_t per_line = std::max<size_t>(1, size_t(options_.width - indent) / (format_.width + 2));
    std::vector<T> row = x.dim() == 1 && !cut(n) ? x.to_vector<T>() : std::vector<T>();
    size_t on_line = 0;
    for (int64_t i = 0; i < n; ++i) {
      bool first = i == 0;
      if (cut(n) && i == options_.edge) {
        out += x.dim() == 1 ? ", ..."
                            : "," + std::string(size_t(x.dim() - 1), '\n') + std::string(size_t(indent), ' ') + "...";
        i = n - options_.edge;
      }
      if (x.dim() == 1) {
        if (!first) out += on_line % per_line == 0 ? ",\n" + std::string(size_t(indent), ' ') : ", ";
        std::string word = format_(row.empty() ? x[i].to_vector<T>()[0] : row[size_t(i)]);
        out += std::string(format_.width - word.size(), ' ') + word;
        ++on_line;
      } else {
        if (!first) out += "," + std::string(size_t(x.dim() - 1), '\n') + std::string(size_t(indent), ' ');
        out += text(x[i], indent + 1);
      }
    }
    return out + "]";
  }

 private:
  bool cut(int64_t n) const { return shorten_ && n > 2 * options_.edge; }

  void collect(const Tensor& x, std::vector<T>& shown) const {
    if (!shorten_ || x.dim() == 0) {
      std::vector<T> all = x.to_vector<T>();
      shown.insert(shown.end(), all.begin(), all.end());
      return;
    }
    int64_t n = x.size(0);
    for (int64_t i = 0; i < n; ++i) {
      if (cut(n) && i == options_.edge) i = n - options_.edge;
      collect(x[i], shown);
    }
  }

  PrintOptions options_;
  bool shorten_;
  Format<T> format_;
};

template <class T>
std::string elements(const Tensor& x, const PrintOptions& options) {
  return Printer<T>(x, options).text(x, 8);
}

}  // namespace

std::string to_string(const Tensor& x, const PrintOptions& options) {
  if (!x.defined()) return "tensor(undefined)";
  Tensor plain = x.detach();
  std::string out = "tensor(" + (x.numel() == 0       ? "[]"
                                 : x.dtype() == int64 ? elements<int64_t>(plain, options)
                                                      : elements<double>(plain, options));
  if (x.numel() == 0 && x.shape() != Shape{0}) out += ", size=" + to_string(x.shape());
  if (x.dtype() != float32 && x.dtype() != int64 && x.dtype() != boolean) out += ", dtype=" + to_string(x.dtype());
  if (x.device() != Device::cpu) out += ", device=" + to_string(x.device());
  if (x.requires_grad()) out += ", requires_grad=true";
  return out + ")";
}

std::string to_string(const Tensor& x) { return to_string(x, PrintOptions{}); }

std::ostream& operator<<(std::ostream& out, const Tensor& x) { return out << to_string(x); }

}  // namespace gradus
