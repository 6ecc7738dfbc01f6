// Printing in PyTorch's style: aligned columns, the edges only of what is large, one format for all elements.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ostream>

#include "tensor/tensor.h"

namespace gradus {
namespace {

// How every element of one tensor is written.
struct Format {
  enum Style { integer, whole, fixed, scientific, boolean } style = integer;
  int precision = 4;
  size_t width = 0;

  std::string operator()(double value) const {
    char text[64];
    if (style == boolean) return value != 0 ? "true" : "false";
    if (style == integer) {
      std::snprintf(text, sizeof text, "%lld", static_cast<long long>(value));
    } else if (!std::isfinite(value)) {
      return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
    } else if (style == whole) {
      std::snprintf(text, sizeof text, "%.0f.", value);
    } else {
      std::snprintf(text, sizeof text, style == fixed ? "%.*f" : "%.*e", precision, value);
    }
    return text;
  }
};

Format choose_format(const std::vector<double>& values, DType dtype, int precision) {
  Format format;
  format.precision = precision;
  if (dtype == boolean) {
    format.style = Format::boolean;
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
    format.style = all_whole ? (largest > 1e8 ? Format::scientific : Format::whole)
                             : (extreme ? Format::scientific : Format::fixed);
  }
  for (double v : values) format.width = std::max(format.width, format(v).size());
  return format;
}

class Printer {
 public:
  Printer(const Tensor& x, const PrintOptions& options) : options_(options), shorten_(x.numel() > options.threshold) {
    std::vector<double> shown;
    collect(x, shown);
    format_ = choose_format(shown, x.dtype(), options.precision);
  }

  std::string text(const Tensor& x, int indent) const {
    if (x.dim() == 0) return format_(x.item());
    std::string out = "[";
    int64_t n = x.size(0);
    size_t per_line = std::max<size_t>(1, size_t(options_.width - indent) / (format_.width + 2));
    std::vector<double> row = x.dim() == 1 && !cut(n) ? x.to_vector<double>() : std::vector<double>();
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
        std::string word = format_(row.empty() ? x[i].item() : row[size_t(i)]);
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

  void collect(const Tensor& x, std::vector<double>& shown) const {
    if (!shorten_ || x.dim() == 0) {
      std::vector<double> all = x.to_vector<double>();
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
  Format format_;
};

}  // namespace

std::string to_string(const Tensor& x, const PrintOptions& options) {
  if (!x.defined()) return "tensor(undefined)";
  Tensor plain = x.detach();
  std::string out = "tensor(" + (x.numel() == 0 ? std::string("[]") : Printer(plain, options).text(plain, 8));
  if (x.numel() == 0 && x.shape() != Shape{0}) out += ", size=" + to_string(x.shape());
  if (x.dtype() != float32 && x.dtype() != int64 && x.dtype() != boolean) out += ", dtype=" + to_string(x.dtype());
  if (x.device() != Device::cpu) out += ", device=" + to_string(x.device());
  if (x.requires_grad()) out += ", requires_grad=true";
  return out + ")";
}

std::string to_string(const Tensor& x) { return to_string(x, PrintOptions{}); }

std::ostream& operator<<(std::ostream& out, const Tensor& x) { return out << to_string(x); }

}  // namespace gradus
