// The exercises of chapter 14: patches, class token, places and rollout.
#include "exercises.h"

#include <cmath>
#include <vector>

#include "autograd/ops.h"
#include "tutorials/grading/grading.h"

using namespace gradus;

namespace {

// 14.1 ★ Cut the height into (rows, patch) and the width into (columns, patch); then bring the dimensions into the
// order that is asked for. This is what article A2 lacks in its section 5.2: the step from a picture to vectors.
Tensor patchify(const Tensor& pictures, int64_t patch) {
  // BEGIN SOLUTION 14.1
  const int64_t height = pictures.size(2), width = pictures.size(3);
  check(height % patch == 0 && width % patch == 0, "patches of ", patch, " on ", pictures.shape());
  const Tensor cut = pictures.unflatten(2, {height / patch, patch}).unflatten(4, {width / patch, patch});
  return cut.permute({0, 2, 4, 1, 3, 5});  // from (batch, channels, rows, patch, columns, patch)
  // END SOLUTION
  // MISTAKE the numbers are in their old order: a reshape does not move a dimension
  // - return cut.permute({0, 2, 4, 1, 3, 5});  // from (batch, channels, rows, patch, columns, patch)
  // + return pictures.reshape({pictures.size(0), height / patch, width / patch, pictures.size(1), patch, patch});
  // MISTAKE rows and columns of the pixels within a patch are exchanged
  // - return cut.permute({0, 2, 4, 1, 3, 5});  // from (batch, channels, rows, patch, columns, patch)
  // + return cut.permute({0, 2, 4, 1, 5, 3});
}

// 14.2 ★★ Every picture gets the same token. What was used many times has the sum of the gradients of all its uses.
ch14::Prepended prepend(const Tensor& token, const Tensor& words, const Tensor& g) {
  // BEGIN SOLUTION 14.2
  const int64_t batch = words.size(0), count = words.size(1), features = words.size(2);
  const Tensor tokens = cat({token.expand({batch, 1, features}), words}, 1);
  const Tensor token_gradient = g.select(1, 0).sum({0});
  return {tokens, token_gradient, g.narrow(1, 1, count)};
  // END SOLUTION
  // MISTAKE the token's gradient is averaged over the batch, not summed
  // - const Tensor token_gradient = g.select(1, 0).sum({0});
  // + const Tensor token_gradient = g.select(1, 0).mean({0});
  // MISTAKE the token's gradient is summed over all places, not only over its own
  // - const Tensor token_gradient = g.select(1, 0).sum({0});
  // + const Tensor token_gradient = g.sum({0, 1});
}

// 14.3 ★★ Make the table of one direction first, (places, features / 2), as in exercise 11.3. Then spread it over the
// grid: the row's part is the same in all columns, the column's part in all rows.
Tensor positions(int64_t rows, int64_t columns, int64_t features) {
  // BEGIN SOLUTION 14.3
  const TensorOptions whole{.dtype = float64};
  const int64_t half = features / 2;
  const Tensor rate = exp(arange(0, double(half), 2, whole) * (-std::log(10000.0) / double(half)));
  const auto along = [&](int64_t places) {
    const Tensor angle = arange(0, double(places), 1, whole).unsqueeze(1) * rate;
    return stack({sin(angle), cos(angle)}, -1).flatten(1, 2);  // (places, half)
  };
  const Tensor row = along(rows).unsqueeze(1).expand({rows, columns, half});
  const Tensor column = along(columns).expand({rows, columns, half});
  return cat({row, column}, -1).flatten(0, 1);
  // END SOLUTION
  // MISTAKE the column comes in the first half, the row in the second
  // - return cat({row, column}, -1).flatten(0, 1);
  // + return cat({column, row}, -1).flatten(0, 1);
  // MISTAKE the exponents go up to all features, not up to the half that tells one direction
  // - const Tensor rate = exp(arange(0, double(half), 2, whole) * (-std::log(10000.0) / double(half)));
  // + const Tensor rate = exp(arange(0, double(half), 2, whole) * (-std::log(10000.0) / double(features)));
}

// 14.4 ★★★ Average each layer over its heads, let half of each token be its own (the residual connection), and multiply
// the layers. Then read off the class token's row.
Tensor rollout(const std::vector<Tensor>& layers) {
  // BEGIN SOLUTION 14.4
  const int64_t tokens = layers.at(0).size(-1);
  const Tensor identity = eye(tokens, {.dtype = layers.at(0).dtype()});
  Tensor all = identity;
  for (const Tensor& layer : layers) {
    const Tensor mixed = (layer.mean({1}) + identity) / 2;
    all = matmul(mixed, all);
  }
  return all.select(1, 0).narrow(1, 1, tokens - 1);
  // END SOLUTION
  // MISTAKE the residual connection is left out
  // - const Tensor mixed = (layer.mean({1}) + identity) / 2;
  // + const Tensor mixed = layer.mean({1});
  // MISTAKE the product has the first layer on the left
  // - all = matmul(mixed, all);
  // + all = matmul(all, mixed);
}

}  // namespace

EXERCISES(ch14::Exercises, patchify, prepend, positions, rollout);
