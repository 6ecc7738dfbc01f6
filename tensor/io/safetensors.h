// safetensors files (https://github.com/huggingface/safetensors, README, "Format"): eight bytes of header
// length, a JSON header, then the elements of all tensors without gaps.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tensor/tensor.h"

namespace gradus {

struct TensorFile {
  std::vector<std::pair<std::string, Tensor>> tensors;  // in the order of the header
  std::map<std::string, std::string> metadata;

  const Tensor* find(const std::string& name) const;  // null if there is none
};

// Reads F32, F64, I64, BOOL, U8 and BF16 as they are and F16 as float32. Throws Error naming the file and the
// fault where anything is not as the format demands: a file is accepted whole or not at all.
TensorFile load_safetensors(const std::string& path);

// Replaces `path` in one step. The same tensors and metadata in the same order give the same bytes. Names
// must be UTF-8 and differ. Tensors may be views and on any device.
void save_safetensors(const std::string& path, const TensorFile& file);

}  // namespace gradus
