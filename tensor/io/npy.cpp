#include "tensor/io/npy.h"

#include <algorithm>
#include <vector>

#include "tensor/io/elements.h"

namespace gradus {

namespace {

constexpr std::string_view magic("\x93NUMPY", 6);

struct Header {
  std::string descr;
  bool fortran_order = false;
  std::vector<int64_t> shape;
};

// The header is a Python literal: a dict of exactly three known keys. Nothing else of Python is understood.
class HeaderParser {
 public:
  HeaderParser(const std::string& path, std::string_view text) : path_(path), text_(text) {}

  Header parse() {
    Header header;
    bool seen[3] = {};
    expect('{');
    while (!accept('}')) {
      std::string key = quoted();
      int which = key == "descr" ? 0 : key == "fortran_order" ? 1 : key == "shape" ? 2 : -1;
      need(which >= 0, "unknown key '", printable(key), "'");
      need(!seen[which], "key '", key, "' twice");
      seen[which] = true;
      expect(':');
      if (which == 0) header.descr = quoted();
      if (which == 1) header.fortran_order = boolean_word();
      if (which == 2) header.shape = tuple();
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    need(at_ == text_.size(), "text after the dictionary");
    need(seen[0] && seen[1] && seen[2], "one of 'descr', 'fortran_order', 'shape' is missing");
    return header;
  }

 private:
  template <class... P>
  void need(bool ok, const P&... what) {
    check(ok, path_, ": malformed .npy header: ", what...);
  }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
  }
  bool accept(char c) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) { need(accept(c), "'", std::string_view(&c, 1), "' expected at byte ", at_); }

  std::string quoted() {
    char quote = accept('\'') ? '\'' : '"';
    if (quote == '"') need(accept('"'), "a string expected at byte ", at_);
    size_t end = text_.find(quote, at_);
    need(end != std::string_view::npos, "a string without end");
    std::string word(text_.substr(at_, end - at_));
    at_ = end + 1;
    return word;
  }
  bool boolean_word() {
    skip_space();
    for (std::string_view word : {"True", "False"})
      if (text_.substr(at_, word.size()) == word) {
        at_ += word.size();
        return word == "True";
      }
    need(false, "True or False expected at byte ", at_);
    return false;
  }
  int64_t number() {
    skip_space();
    int64_t value = 0;
    size_t start = at_;
    bool fits = true;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_)
      fits = fits && !__builtin_mul_overflow(value, int64_t(10), &value) &&
             !__builtin_add_overflow(value, int64_t(text_[at_] - '0'), &value);
    need(at_ > start, "a size expected at byte ", at_);
    need(fits, "a size that does not fit 63 bits");
    return value;
  }
  std::vector<int64_t> tuple() {
    std::vector<int64_t> sizes;
    expect('(');
    while (!accept(')')) {
      sizes.push_back(number());
      if (!accept(',')) {
        expect(')');
        need(sizes.size() != 1, "a tuple of one size without a comma");
        break;
      }
    }
    return sizes;
  }

  const std::string& path_;
  std::string_view text_;
  size_t at_ = 0;
};

std::string read_header(InputFile& file) {
  char start[8] = {};
  check(file.left() >= 10, file.name(), ": not a .npy file: only ", file.left(), " bytes");
  file.read(start, 8);
  check(std::string_view(start, 6) == magic, file.name(), ": not a .npy file: it begins with other bytes");
  int major = uint8_t(start[6]), minor = uint8_t(start[7]);
  check(major >= 1 && major <= 3 && minor == 0, file.name(), ": .npy version ", major, ".", minor,
        " is unknown (known: 1.0, 2.0, 3.0)");
  uint32_t length = 0;
  file.read(&length, major == 1 ? 2 : 4);
  check(length <= file.left(), file.name(), ": truncated: a header of ", length, " bytes, ", file.left(), " left");
  check(length <= 1 << 20, file.name(), ": malformed .npy header: ", length, " bytes long");
  std::string header(length, '\0');
  file.read(header.data(), length);
  return header;
}

}  // namespace

Tensor load_npy(const std::string& path) {
  InputFile file(path);
  std::string text = read_header(file);
  Header header = HeaderParser(file.name(), text).parse();
  const ElementType* type = find_npy_type(header.descr);
  check(type, file.name(), ": .npy type '", printable(header.descr),
        "' is not read (known: <f2, <f4, <f8, |i1, <i2, <i4, <i8, |u1, <u2, <u4, |b1)");
  check(header.shape.size() <= size_t(max_dims), file.name(), ": ", header.shape.size(), " dimensions, at most ",
        max_dims, " are read");
  if (header.fortran_order) std::reverse(header.shape.begin(), header.shape.end());
  Shape shape(header.shape);
  int64_t bytes = -1;
  try {
    bytes = file_bytes(shape, *type);
  } catch (const Error& error) {
    fail({file.name(), ": ", error.what()});
  }
  check(bytes == file.left(), file.name(), ": shape ", shape, " of '", header.descr, "' takes ", bytes,
        " bytes, the file has ", file.left(), " after its header");
  Tensor x = read_elements(file, "the array", shape, *type);
  if (!header.fortran_order) return x;
  Dims order;  // column-major is row-major of the dimensions reversed
  for (int i = shape.size() - 1; i >= 0; --i) order.push_back(i);
  return x.permute(order).contiguous();
}

void save_npy(const std::string& path, const Tensor& x) {
  const ElementType& type = element_type(x.dtype());
  check(type.npy, printable(path), ": .npy has no ", x.dtype(), "; convert with .to(float32)");
  std::string shape;
  for (int64_t size : x.shape()) shape += std::to_string(size) + ", ";
  if (x.dim() == 1) shape.pop_back();  // "(3,)"
  if (x.dim() > 1) shape.resize(shape.size() - 2);
  std::string header =
      std::string("{'descr': '") + type.npy + "', 'fortran_order': False, 'shape': (" + shape + "), }";
  header.append(63 - (10 + header.size()) % 64, ' ');  // data begin at a multiple of 64
  header += '\n';
  OutputFile file(path);
  file.write(magic);
  const char rest[] = {1, 0, char(header.size() & 255), char(header.size() >> 8)};
  file.write(rest, sizeof rest);
  file.write(header);
  write_elements(file, x);
  file.commit();
}

}  // namespace gradus
