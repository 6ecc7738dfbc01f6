// What the exercises of chapter 14 ask for.
#pragma once

#include <vector>

#include "autograd/ops.h"
#include "tensor/tensor.h"

namespace ch14 {

// What putting a class token before the words of a picture makes, and the gradients of what it was made of.
struct Prepended {
  gradus::Tensor tokens;          // (batch, 1 + words, features)
  gradus::Tensor token_gradient;  // (features)
  gradus::Tensor words_gradient;  // (batch, words, features)
};

struct Exercises {
  // 14.1 ★ The pictures (batch, channels, height, width) in patches: (batch, rows, columns, channels, patch, patch),
  // where rows and columns count patches. A view: nothing is copied. The patch divides height and width; throws Error
  // where it does not.
  gradus::Tensor (*patchify)(const gradus::Tensor& pictures, int64_t patch);

  // 14.2 ★★ The class token (features) before the words (batch, words, features) of each picture; and, for the gradient
  // g (batch, 1 + words, features) of the result, the gradients of the token and of the words. Plain numbers: nothing
  // is recorded.
  Prepended (*prepend)(const gradus::Tensor& token, const gradus::Tensor& words, const gradus::Tensor& g);

  // 14.3 ★★ Sinusoidal positions on a grid, float64 (rows * columns, features), row after row, features a multiple of
  // 4. The first h = features / 2 features tell the row r: feature 2i is sin(r / 10000^(2i / h)), feature 2i + 1 the
  // cosine of the same angle. The other h tell the column in the same way.
  gradus::Tensor (*positions)(int64_t rows, int64_t columns, int64_t features);

  // 14.4 ★★★ Attention rollout, for each patch how much of it reached the class token: (batch, patches). The layers'
  // weights, first to last, are (batch, heads, tokens, tokens), a query in each row; token 0 is the class token, the
  // others are the patches.
  gradus::Tensor (*rollout)(const std::vector<gradus::Tensor>& layers);
};

}  // namespace ch14
