// Heads: views of one projection, each an attention of its own, side by side again in the end.
#include <cstdio>
#include <vector>

#include "nn/attention.h"

using namespace gradus;

namespace {

std::string text(const Dims& dims) { return to_string(dims); }

void line(const char* what, const Tensor& x, const Tensor& origin) {
  std::printf("%-22s shape %-14s strides %-16s %s\n", what, text(x.shape()).c_str(), text(x.strides()).c_str(),
              x.storage() == origin.storage() ? "no copy" : "a copy");
}

// One head after the other, cut out of the features by narrow.
//! [one by one]
Tensor one_by_one(const nn::MultiheadAttention& attention, const Tensor& x) {  // x (batch, places, features)
  const int64_t features = x.size(-1), d = features / attention.heads();
  const Tensor all = linear(x, attention.in_proj_weight, attention.in_proj_bias);  // (batch, places, 3 features)
  std::vector<Tensor> outputs;
  for (int64_t head = 0; head < attention.heads(); ++head) {
    const Tensor q = all.narrow(-1, head * d, d);
    const Tensor k = all.narrow(-1, features + head * d, d);
    const Tensor v = all.narrow(-1, 2 * features + head * d, d);
    outputs.push_back(scaled_dot_product_attention(q, k, v));  // (batch, places, d)
  }
  return attention.out_proj(cat(outputs, -1));
}
//! [one by one]

}  // namespace

int main() {
  manual_seed(11);
  const NoGrad guard;
  //! [view]
  const Tensor x = randn({2, 5, 12});             // (batch, places, features)
  const Tensor blocks = x.unflatten(-1, {3, 4});  // (batch, places, heads, d)
  const Tensor heads = blocks.transpose(1, 2);    // (batch, heads, places, d)
  const Tensor output = scaled_dot_product_attention(heads, heads, heads);
  const Tensor joined = output.transpose(1, 2).flatten(2, 3);  // (batch, places, features)
  //! [view]
  line("features", x, x);
  line("in blocks", blocks, x);
  line("heads to the front", heads, x);
  line("output of attention", output, output);
  line("joined", joined, output);
  check(heads.storage() == x.storage() && joined.storage() == output.storage(), "something was copied");

  const Tensor mixed = x.view({2, 3, 5, 4});  // the right shape and the wrong numbers
  std::printf("\nhead 1 at place 0 begins with feature 4 of place 0: %s; by view alone: %s\n",
              heads.select(1, 1).select(1, 0).select(0, 0).select(0, 0).item() == x[0][0][4].item() ? "yes" : "no",
              mixed.select(1, 1).select(1, 0).select(0, 0).select(0, 0).item() == x[0][0][4].item() ? "yes" : "no");

  std::printf("\nheads  features each  parameters  against one head after the other\n");
  for (const int64_t count : {1, 2, 4, 8}) {
    const nn::MultiheadAttention attention(64, count);
    const Tensor words = randn({2, 7, 64});
    const Tensor difference = abs(attention(words).output - one_by_one(attention, words)).max();
    std::printf("%5d %14d %11d  within %s\n", int(count), int(64 / count), int(attention.parameter_count()),
                difference.item() < 1e-5 ? "1e-5" : "more");
    check(difference.item() < 1e-5, "heads differ by ", difference.item());
  }

  //! [cross]
  const nn::MultiheadAttention attention(64, 4);
  const Tensor sentence = randn({2, 7, 64}), image = randn({2, 49, 64});
  const Attended self = attention(sentence, {.need_weights = true});
  const Attended cross = attention(sentence, image, image, {.need_weights = true});
  //! [cross]
  std::printf("\nself:  output %s, weights %s\n", text(self.output.shape()).c_str(),
              text(self.weights.shape()).c_str());
  std::printf("cross: output %s, weights %s\n", text(cross.output.shape()).c_str(),
              text(cross.weights.shape()).c_str());
}
