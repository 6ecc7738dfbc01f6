#include "tensor/io/elements.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace gradus {

static_assert(std::endian::native == std::endian::little, "the file formats are little-endian, and so are we");

template <class From, class To>
static void widen(const char* from, int64_t count, void* to) {
  for (int64_t i = 0; i < count; ++i) {
    From value;
    std::memcpy(&value, from + i * int64_t(sizeof value), sizeof value);
    static_cast<To*>(to)[i] = To(value);
  }
}

static void widen_half(const char* from, int64_t count, void* to) {
  for (int64_t i = 0; i < count; ++i) {
    uint16_t bits;
    std::memcpy(&bits, from + 2 * i, 2);
    static_cast<float*>(to)[i] = half_to_float(bits);
  }
}

static constexpr ElementType types[] = {
    {"<f4", "F32", 4, DType::float32, nullptr},
    {"<f8", "F64", 8, DType::float64, nullptr},
    {"<i8", "I64", 8, DType::int64, nullptr},
    {"|b1", "BOOL", 1, DType::boolean, nullptr},
    {"|u1", "U8", 1, DType::uint8, nullptr},
    {nullptr, "BF16", 2, DType::bfloat16, nullptr},
    {"<f2", "F16", 2, DType::float32, widen_half},
    {"|i1", nullptr, 1, DType::int64, widen<int8_t, int64_t>},
    {"<i2", nullptr, 2, DType::int64, widen<int16_t, int64_t>},
    {"<i4", nullptr, 4, DType::int64, widen<int32_t, int64_t>},
    {"<u2", nullptr, 2, DType::int64, widen<uint16_t, int64_t>},
    {"<u4", nullptr, 4, DType::int64, widen<uint32_t, int64_t>},
};

const ElementType* find_npy_type(std::string_view name) {
  for (const ElementType& type : types)
    if (type.npy && name == type.npy) return &type;
  return nullptr;
}

const ElementType* find_safetensors_type(std::string_view name) {
  for (const ElementType& type : types)
    if (type.safetensors && name == type.safetensors) return &type;
  return nullptr;
}

const ElementType& element_type(DType dtype) {
  return *std::find_if(std::begin(types), std::end(types),
                       [&](const ElementType& type) { return type.dtype == dtype && !type.convert; });
}

int64_t file_bytes(const Shape& shape, const ElementType& type) {
  int64_t bytes;
  check(!__builtin_mul_overflow(numel(shape), int64_t(type.size), &bytes), "shape ", shape, " has too many bytes");
  return bytes;
}

Tensor read_elements(InputFile& file, const std::string& name, const Shape& shape, const ElementType& type) {
  int64_t count = numel(shape);
  check(file_bytes(shape, type) <= file.left(), file.name(), ": ", name, " of shape ", shape, " takes ",
        file_bytes(shape, type), " bytes, ", file.left(), " are left");
  Tensor x = empty(shape, {.dtype = type.dtype});
  char* to = static_cast<char*>(x.storage()->data());
  if (!type.convert) {
    file.read(to, count * type.size);
  } else {
    char buffer[1 << 14];
    for (int64_t done = 0; done < count;) {
      int64_t n = std::min<int64_t>(count - done, int64_t(sizeof buffer) / type.size);
      file.read(buffer, n * type.size);
      type.convert(buffer, n, to + done * int64_t(size_of(type.dtype)));
      done += n;
    }
  }
  if (type.dtype == boolean)  // a bool that is neither has no meaning in C++
    for (int64_t i = 0; i < count; ++i)
      check(uint8_t(to[i]) <= 1, file.name(), ": ", name, ": element ", i, " is ", int(uint8_t(to[i])),
            ", a bool is 0 or 1");
  return x;
}

void write_elements(OutputFile& file, const Tensor& x) {
  Tensor packed = x.detach().to(Device::cpu).contiguous();
  size_t size = size_of(packed.dtype());
  const char* from = static_cast<const char*>(packed.storage()->data()) + size_t(packed.layout().offset) * size;
  file.write(from, size_t(packed.numel()) * size);
}

}  // namespace gradus
