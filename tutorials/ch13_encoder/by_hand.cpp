// A sentence of three words, alone and padded to five places: what a mean and a softmax make of the two empty places.
#include <cmath>
#include <cstdio>

#include "tutorials/ch13_encoder/encoder.h"

using namespace gradus;

namespace {

const TensorOptions whole{.dtype = float64};

void show(const char* what, const Tensor& x) {  // (n)
  std::printf("%-34s", what);
  for (int64_t i = 0; i < x.size(0); ++i) std::printf("%9.4f", x[i].item() + 0.0);
  std::printf("\n");
}

}  // namespace

int main() {
  //! [mean by hand]
  const Tensor words = tensor({{1, 0}, {0, 2}, {1, 1}}, whole);  // (3 words, 2 features)
  const Tensor pads = tensor({{0, 0}, {0, 0}}, whole);           // (2, 2): what an embedding has for padding
  const Tensor x = cat({words, pads}).unsqueeze(0);              // (1 sentence, 5 places, 2)
  const Tensor there = tensor({{1, 1, 1, 0, 0}}) != 0.0;         // (1, 5) bool

  const Tensor alone = words.mean({0});  // (2): the sentence by itself
  const Tensor padded = x.mean({1})[0];  // the classical mistake
  const Tensor masked = ch13::mean_of_words(x, there)[0];
  //! [mean by hand]
  show("mean of the three words", alone);
  show("mean of all five places", padded);
  show("mean of words, padded", masked);

  //! [attention by hand]
  const Tensor query = words[2];                                     // (2): the third word asks
  const Tensor scores = matmul(x[0], query) / std::sqrt(2.0);        // (5): a padded place scores 0
  const Tensor seen = softmax(scores, 0);                            // (5): exp(0) is 1, not 0
  const Tensor hidden = masked_softmax(scores, KeepMask(there[0]));  // (5)
  //! [attention by hand]
  std::printf("\n");
  show("scores of the third word", scores);
  show("their exponentials", exp(scores));
  show("weights without a mask", seen);
  show("weights with it", hidden);
  show("what it finds without", matmul(seen, x[0]));
  show("what it finds with", matmul(hidden, x[0]));
  const Tensor right = matmul(softmax(scores.narrow(0, 0, 3), 0), words);
  show("the sentence alone", right);

  check(allclose(masked, alone) && !allclose(padded, alone, 0.01, 0.01), "a mean counts padding");
  check(allclose(matmul(hidden, x[0]), right), "a mask has to make padding invisible");
  check(abs(matmul(seen, x[0]) - right).max().item() > 0.01, "without a mask padding is seen");

  // Positions are added to padding, too: then it is not even a vector of zeros.
  const Tensor placed = cat({words, tensor({{1, 2}, {2, 1}}, whole)});  // (5, 2)
  const Tensor placed_scores = matmul(placed, query) / std::sqrt(2.0);
  std::printf("\n");
  show("scores if padding has positions", placed_scores);
  show("weights without a mask", softmax(placed_scores, 0));
  show("weights with it", masked_softmax(placed_scores, KeepMask(there[0])));
}
