// The element types that files hold, and how each becomes one of ours.
#pragma once

#include <string>
#include <string_view>

#include "tensor/io/file.h"
#include "tensor/tensor.h"

namespace gradus {

struct ElementType {
  const char* npy;          // its name in a .npy header; null where that format has none
  const char* safetensors;  // likewise
  int size;                 // in bytes, in the file
  DType dtype;              // what it is read as, and what is written as it if `convert` is null
  void (*convert)(const char* from, int64_t count, void* to);  // null: the bytes are the same
};

// Null where the name is none of ours.
const ElementType* find_npy_type(std::string_view name);
const ElementType* find_safetensors_type(std::string_view name);
// The type that `dtype` is written as.
const ElementType& element_type(DType dtype);

// The number of bytes `shape` takes in a file; throws Error where that does not fit 63 bits.
int64_t file_bytes(const Shape& shape, const ElementType& type);
// The next numel(shape) elements of the file, row-major; `name` stands in messages.
Tensor read_elements(InputFile& file, const std::string& name, const Shape& shape, const ElementType& type);
// All elements of `x`, row-major whatever its strides.
void write_elements(OutputFile& file, const Tensor& x);

}  // namespace gradus
