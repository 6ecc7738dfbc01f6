// Self-attention over three words, small enough to follow with a pencil, and what order, masks and two heads do to it.
#include <cmath>
#include <cstdio>

#include "autograd/ops.h"

using namespace gradus;

namespace {

const TensorOptions whole{.dtype = float64};

void show(const char* what, const Tensor& x, const char* format = "%8.4f") {  // (rows, columns)
  std::printf("%s\n", what);
  for (int64_t row = 0; row < x.size(0); ++row) {
    for (int64_t column = 0; column < x.size(1); ++column) {
      const double value = x[row][column].item();
      std::isnan(value) ? std::printf("%8s", "nan") : std::printf(format, value);
    }
    std::printf("\n");
  }
}

}  // namespace

int main() {
  //! [attention]
  const Tensor x = tensor({{1, 0}, {0, 1}, {1, 1}}, whole);  // (3 words, 2 features)
  const Tensor w_query = tensor({{1, 0}, {0, 1}}, whole);    // (2, 2), and so are the next two
  const Tensor w_key = tensor({{0, 1}, {1, 0}}, whole);
  const Tensor w_value = tensor({{1, 0}, {0, 2}}, whole);

  const Tensor q = matmul(x, w_query), k = matmul(x, w_key), v = matmul(x, w_value);  // (3, 2) each
  const Tensor products = matmul(q, k.t());                                           // (3 queries, 3 keys)
  const Tensor weights = softmax(products / std::sqrt(2.0), -1);                      // each row sums to 1
  const Tensor output = matmul(weights, v);                                           // (3, 2)
  //! [attention]
  show("query (2 columns), key (2) and value (2) of each word", cat({q, k, v}, 1), "%6.0f");
  show("products of each query with each key", products, "%6.0f");
  const Tensor scores = products / std::sqrt(2.0);
  show("divided by the root of 2", scores);
  show("their exponentials, and the sum of the row", cat({exp(scores), exp(scores).sum(1, true)}, 1));
  show("weights", weights);
  show("output", output);
  check(allclose(output, scaled_dot_product_attention(q, k, v)), "the library's attention is another");

  const Tensor order = from_vector<int64_t>({2, 0, 1}, {3});  // the third word first
  const Tensor shuffled = x.index_select(0, order);
  const Tensor shuffled_output =
      scaled_dot_product_attention(matmul(shuffled, w_query), matmul(shuffled, w_key), matmul(shuffled, w_value));
  show("\noutput when the third word comes first", shuffled_output);
  check(allclose(shuffled_output, output.index_select(0, order)), "order is seen");

  const Tensor heads_q = q.unflatten(-1, {2, 1}).transpose(0, 1);  // (3, 2) to (3 words, 2 heads, 1) to (2, 3, 1)
  const Tensor heads_k = k.unflatten(-1, {2, 1}).transpose(0, 1);
  const Tensor heads_v = v.unflatten(-1, {2, 1}).transpose(0, 1);
  const Attended heads = attend(heads_q, heads_k, heads_v);            // a head is one more batch
  const Tensor joined = heads.output.transpose(0, 1).flatten(-2, -1);  // (3 words, 2)
  show("\nweights of the first of two heads", heads.weights[0]);
  show("weights of the second", heads.weights[1]);
  show("their outputs side by side", joined);

  show("\nwho may look at whom, causally", causal_mask(3, 3).kept, "%6.0f");
  show("causal weights", attend(q, k, v, {.keep = causal_mask(3, 3)}).weights);

  //! [nothing]
  const KeepMask nothing(zeros({3, 3}, {.dtype = boolean}));
  const Tensor asked = q.requires_grad_();
  const Tensor blind = scaled_dot_product_attention(asked, k, v, {.keep = nothing});
  blind.sum().backward();
  //! [nothing]
  show("\noutput when every row is masked", blind);
  show("gradient of its queries", asked.grad());
  show("softmax of a row of -inf", softmax(full({1, 3}, -INFINITY, whole), -1));
  check(abs(blind).sum().item() == 0 && abs(asked.grad()).sum().item() == 0, "it saw something");
}
