// One layer of an encoder over two words, small enough to follow with a pencil, and the library's layer with the same
// weights.
#include <cmath>
#include <cstdio>

#include "nn/transformer.h"

using namespace gradus;

namespace {

const TensorOptions whole{.dtype = float64};

void show(const char* what, const Tensor& x) {  // (rows, columns)
  for (int64_t row = 0; row < x.size(0); ++row) {
    std::printf("%-29s", row > 0 ? "" : (what + (" " + to_string(x.shape()))).c_str());
    for (int64_t column = 0; column < x.size(1); ++column) std::printf("%8.4f", x[row][column].item() + 0.0);
    std::printf("\n");
  }
}

// Each row of x (places, features) with mean 0 and variance 1.
Tensor normalised(const Tensor& x) {
  const Tensor away = x - x.mean({-1}, true);             // (places, features)
  const Tensor variance = square(away).mean({-1}, true);  // (places, 1): over the features, not over the places
  return away / sqrt(variance + 1e-5);
}

}  // namespace

int main() {
  //! [attention]
  const Tensor x = tensor({{1, 0, 0, 1}, {0, 2, 1, 1}}, whole);         // (2 places, 4 features): "a", "dog"
  const Tensor heads = x.unflatten(-1, {2, 2}).transpose(0, 1);         // (2 heads, 2 places, 2): q, k and v at once
  const Attended looked = attend(heads, heads, heads);                  // weights (2 heads, 2 queries, 2 keys)
  const Tensor joined = looked.output.transpose(0, 1).flatten(-2, -1);  // (2, 4)
  //! [attention]
  show("words", x);
  show("weights, first head", looked.weights[0]);
  show("weights, second head", looked.weights[1]);
  show("heads, joined", joined);

  //! [rest]
  const Tensor first_sum = x + joined;          // (2, 4): the shortcut
  const Tensor middle = normalised(first_sum);  // (2, 4)

  const Tensor w1 = tensor({{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, -1, 1}}, whole);   // (3 inner features, 4)
  const Tensor w2 = tensor({{1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {0, 1, 1}}, whole);  // (4, 3)
  const Tensor inner = relu(matmul(middle, w1.t()));                              // (2, 3)
  const Tensor fed = matmul(inner, w2.t());                                       // (2, 4)
  const Tensor output = normalised(middle + fed);                                 // (2, 4)
  //! [rest]
  std::printf("\n");
  show("with the shortcut", first_sum);
  show("mean", first_sum.mean({-1}, true));
  show("variance", first_sum.var({-1}, false, true));
  show("normalised", middle);
  std::printf("\n");
  show("before the ReLU", matmul(middle, w1.t()));
  show("inner", inner);
  show("fed forward", fed);
  show("with the shortcut", middle + fed);
  show("normalised: output", output);

  nn::TransformerEncoderLayer layer({.d_model = 4, .heads = 2, .ffn = 3, .dropout = 0});
  layer.to(float64);
  const Tensor one = eye(4, whole);
  layer.load_state_dict({{"self_attn.in_proj_weight", cat({one, one, one}, 0)},
                         {"self_attn.in_proj_bias", zeros({12}, whole)},
                         {"self_attn.out_proj.weight", one},
                         {"self_attn.out_proj.bias", zeros({4}, whole)},
                         {"linear1.weight", w1},
                         {"linear1.bias", zeros({3}, whole)},
                         {"linear2.weight", w2},
                         {"linear2.bias", zeros({4}, whole)},
                         {"norm1.weight", ones({4}, whole)},
                         {"norm1.bias", zeros({4}, whole)},
                         {"norm2.weight", ones({4}, whole)},
                         {"norm2.bias", zeros({4}, whole)}});
  const NoGrad guard;
  const Tensor library = layer(x.unsqueeze(0)).squeeze(0);
  std::printf("\nthe library's layer %s\n", allclose(library, output) ? "agrees" : "differs");
  check(allclose(library, output), "the library and the hand disagree");
}
