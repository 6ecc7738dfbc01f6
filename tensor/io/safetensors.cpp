#include "tensor/io/safetensors.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "tensor/io/elements.h"

namespace gradus {

const Tensor* TensorFile::find(const std::string& name) const {
  for (const auto& [key, tensor] : tensors)
    if (key == name) return &tensor;
  return nullptr;
}

namespace {

constexpr int64_t max_header = 100'000'000;  // the format's own limit

struct Entry {
  std::string name, dtype;
  std::vector<int64_t> shape, offsets;
  bool has_dtype = false, has_shape = false, has_offsets = false;
};

// Takes the header's JSON as it is parsed, so that nothing but the one permitted structure is ever built.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderReader(const std::string& path) : path_(path) {}

  std::vector<Entry> entries;
  std::map<std::string, std::string> metadata;

  bool start_object(size_t) override {
    need(depth_ == 0 || (depth_ == 1 && !in_array_), "an object where none belongs", where());
    ++depth_;
    return true;
  }
  bool end_object() override {
    if (--depth_ == 1 && !in_metadata_) {
      const Entry& e = entries.back();
      need(e.has_dtype && e.has_shape && e.has_offsets, "dtype, shape or data_offsets missing", where());
    }
    return true;
  }
  bool key(string_t& name) override {
    if (depth_ == 1) {
      need(names_.insert(name).second, "the name '", printable(name), "' twice");
      in_metadata_ = name == "__metadata__";
      if (!in_metadata_) entries.emplace_back().name = name;
    } else if (in_metadata_) {
      need(metadata.emplace(name, "").second, "the metadata key '", printable(name), "' twice");
    } else {
      Entry& e = entries.back();
      bool* seen = name == "dtype"          ? &e.has_dtype
                   : name == "shape"        ? &e.has_shape
                   : name == "data_offsets" ? &e.has_offsets
                                            : nullptr;
      need(seen, "unknown key '", printable(name), "'", where());
      need(!*seen, "key '", name, "' twice", where());
      *seen = true;
    }
    key_ = name;
    return true;
  }
  bool string(string_t& value) override {
    need(depth_ == 2 && !in_array_ && (in_metadata_ || key_ == "dtype"), "a string where none belongs", where());
    (in_metadata_ ? metadata[key_] : entries.back().dtype) = value;
    return true;
  }
  bool start_array(size_t) override {
    need(depth_ == 2 && !in_metadata_ && !in_array_ && key_ != "dtype", "a list where none belongs", where());
    in_array_ = true;
    return true;
  }
  bool end_array() override {
    in_array_ = false;
    need(key_ != "data_offsets" || entries.back().offsets.size() == 2, "data_offsets must be two numbers", where());
    return true;
  }
  bool number_unsigned(number_unsigned_t value) override {
    need(in_array_, "a number where none belongs", where());
    need(value <= uint64_t(INT64_MAX), "a number beyond 63 bits", where());
    std::vector<int64_t>& list = key_ == "shape" ? entries.back().shape : entries.back().offsets;
    need(list.size() < size_t(max_dims), "more than ", max_dims, " numbers in ", key_, where());
    list.push_back(int64_t(value));
    return true;
  }
  bool number_integer(number_integer_t) override { return refuse("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { return refuse("a number that is not whole"); }
  bool null() override { return refuse("null"); }
  bool boolean(bool) override { return refuse("true or false"); }
  bool binary(binary_t&) override { return refuse("binary"); }
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) override {
    need(false, "not JSON in UTF-8 at byte ", position);
    return false;
  }

 private:
  template <class... P>
  void need(bool ok, const P&... what) {
    check(ok, path_, ": malformed safetensors header: ", what...);
  }
  bool refuse(const char* what) {
    need(false, what, " where none belongs", where());
    return false;
  }
  std::string where() const {
    if (names_.empty()) return "";
    return in_metadata_ ? " in __metadata__" : " in '" + printable(entries.back().name) + "'";
  }

  const std::string& path_;
  std::set<std::string> names_;
  std::string key_;
  int depth_ = 0;  // of objects
  bool in_array_ = false, in_metadata_ = false;
};

// Checks an entry against itself; gives its type.
const ElementType& checked_type(const std::string& path, const Entry& e) {
  std::string name = printable(e.name);
  const ElementType* type = find_safetensors_type(e.dtype);
  check(type, path, ": tensor '", name, "' has dtype '", printable(e.dtype),
        "', which is not read (known: F16, BF16, F32, F64, I64, U8, BOOL)");
  int64_t bytes = -1;
  try {
    bytes = file_bytes(Shape(e.shape), *type);
  } catch (const Error& error) {
    fail({path, ": tensor '", name, "': ", error.what()});
  }
  check(e.offsets[0] <= e.offsets[1] && e.offsets[1] - e.offsets[0] == bytes, path, ": tensor '", name, "' of ",
        e.dtype, " ", Shape(e.shape), " takes ", bytes, " bytes, its data_offsets are ", e.offsets[0], " to ",
        e.offsets[1]);
  return *type;
}

}  // namespace

TensorFile load_safetensors(const std::string& path) {
  InputFile file(path);
  check(file.left() >= 8, file.name(), ": not a safetensors file: only ", file.left(), " bytes");
  uint64_t length = 0;
  file.read(&length, 8);
  check(length <= uint64_t(max_header), file.name(), ": not a safetensors file: it claims a header of ", length,
        " bytes, at most ", max_header, " are allowed");
  check(int64_t(length) <= file.left(), file.name(), ": truncated: a header of ", length, " bytes, ", file.left(),
        " left");
  std::string text(length, '\0');
  file.read(text.data(), int64_t(length));
  check(!text.empty() && text[0] == '{', file.name(), ": not a safetensors file: its header does not begin with '{'");

  HeaderReader header(file.name());
  // Without this the parser would take a zero byte for the end of the text.
  check(text.find('\0') == std::string::npos, file.name(), ": malformed safetensors header: it has zero bytes");
  nlohmann::json::sax_parse(text, &header);

  // The elements are read in the order in which they lie, which need not be the header's.
  std::vector<size_t> order(header.entries.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return header.entries[a].offsets < header.entries[b].offsets; });
  std::vector<const ElementType*> types;
  for (const Entry& e : header.entries) types.push_back(&checked_type(file.name(), e));
  int64_t at = 0;
  for (size_t i : order) {
    const Entry& e = header.entries[i];
    check(e.offsets[0] == at, file.name(), ": tensor '", printable(e.name), "' begins at byte ", e.offsets[0],
          ", the one before it ends at ", at);
    at = e.offsets[1];
  }
  check(at <= file.left(), file.name(), ": truncated: ", at, " bytes of elements expected, ", file.left(), " left");
  check(at == file.left(), file.name(), ": ", file.left() - at, " bytes too many at its end");

  TensorFile result;
  result.metadata = std::move(header.metadata);
  for (const Entry& e : header.entries) result.tensors.emplace_back(e.name, Tensor());
  for (size_t i : order) {
    const Entry& e = header.entries[i];
    result.tensors[i].second = read_elements(file, "tensor '" + printable(e.name) + "'", Shape(e.shape), *types[i]);
  }
  return result;
}

// As a JSON string, with quotes.
static std::string json_string(const std::string& path, const std::string& text) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    fail({printable(path), ": '", printable(text), "' is not UTF-8"});
  }
}

void save_safetensors(const std::string& path, const TensorFile& file) {
  // Wider elements first: each then lies at a multiple of its size, as those who map the file into memory want it.
  std::vector<size_t> order(file.tensors.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  for (const auto& [name, tensor] : file.tensors)
    check(tensor.defined(), printable(path), ": tensor '", printable(name), "' is undefined");
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return size_of(file.tensors[a].second.dtype()) > size_of(file.tensors[b].second.dtype());
  });
  std::vector<int64_t> begin(order.size());
  int64_t at = 0;
  for (size_t i : order) {
    begin[i] = at;
    at += file.tensors[i].second.numel() * int64_t(size_of(file.tensors[i].second.dtype()));
  }

  std::string header = "{", comma;
  if (!file.metadata.empty()) {
    header += "\"__metadata__\":{";
    for (const auto& [key, value] : file.metadata) {
      header += comma + json_string(path, key) + ":" + json_string(path, value);
      comma = ",";
    }
    header += "}";
  }
  std::set<std::string> names = {"__metadata__"};
  for (size_t i = 0; i < order.size(); ++i) {
    const auto& [name, x] = file.tensors[i];
    check(names.insert(name).second, printable(path), ": the name '", printable(name), "' twice");
    std::string shape;
    for (int64_t size : x.shape()) shape += (shape.empty() ? "" : ",") + std::to_string(size);
    int64_t end = begin[i] + x.numel() * int64_t(size_of(x.dtype()));
    header += comma + json_string(path, name) + ":{\"dtype\":\"" + element_type(x.dtype()).safetensors +
              "\",\"shape\":[" + shape + "],\"data_offsets\":[" + std::to_string(begin[i]) + "," +
              std::to_string(end) + "]}";
    comma = ",";
  }
  header += "}";
  header.append((8 - header.size() % 8) % 8, ' ');
  check(int64_t(header.size()) <= max_header, printable(path), ": a header of ", header.size(), " bytes, at most ",
        max_header, " are allowed");

  OutputFile out(path);
  uint64_t length = header.size();
  out.write(&length, 8);
  out.write(header);
  for (size_t i : order) write_elements(out, file.tensors[i].second);
  out.commit();
}

}  // namespace gradus
