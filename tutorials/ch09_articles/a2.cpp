// Article A2: attention in pictures and text.
#include "nn/init.h"
#include "tutorials/ch09_articles/print.h"

using namespace gradus;
using namespace ch09;

namespace {

void cancels() {
  section("A2 3.1: weights of two queries, from W [x; y]");
  //! [cancels]
  const Tensor keys = tensor({{1, 0}, {0, 1}, {1, 1}});                      // (3, 2): x, one row for each place
  const Tensor toward_key = tensor({1, -2}), toward_query = tensor({2, 1});  // (2), (2): the halves of W
  const auto linear_weights = [&](const Tensor& query) {                     // (2) to (3)
    return softmax(matmul(keys, toward_key) + matmul(query, toward_query), 0);
  };
  const auto additive_weights = [&](const Tensor& query) {  // (2) to (3): a tanh between, and v all ones
    return softmax(tanh(keys * toward_key + query * toward_query).sum({1}), 0);
  };
  //! [cancels]
  const Tensor one = tensor({0, 0}), other = tensor({-1, 2});
  row("W [x; y]", text(linear_weights(one)) + " and " + text(linear_weights(other)));
  row("with tanh", text(additive_weights(one)) + " and " + text(additive_weights(other)));
  check(allclose(linear_weights(one), linear_weights(other)), "a number that all scores share cancels");
  check(!allclose(additive_weights(one), additive_weights(other)), "with a tanh it does not");
}

void twice() {
  section("A2 3.2: H = softmax(a) C, where a is a softmax already");
  const Tensor once = softmax(tensor({1, 2, 3}), 0);
  const Tensor twice = softmax(once, 0);
  const Tensor sharp = one_hot(tensor(5).to(int64), 64).to(float32);  // (64): all weight on one of 64 keys
  const Tensor largest = softmax(sharp, 0).max();
  row("once", text(once));
  row("powers", text(exp(once), 3));
  row("twice", text(twice));
  row("limit", text(largest) + ": the most that one of 64 keys can then have");
  check(largest.item() < 0.042, "e / (e + 63)");
}

void patches() {
  section("A2 4.2 and 5.2: the parts of a picture");
  const Tensor picture = zeros({1, 3, 224, 224});                                     // batch, colours, h, w
  const Tensor cut = picture.unflatten(3, {14, 16}).unflatten(2, {14, 16});           // (1, 3, 14, 16, 14, 16)
  const Tensor tokens = cut.permute({0, 2, 4, 1, 3, 5}).flatten(3, 5).flatten(1, 2);  // (1, 14 * 14, 3 * 16 * 16)
  row("article", std::to_string(224 + 224) + " parts, i_1 ... i_H and i_W");
  row("pixels", std::to_string(224 * 224));
  row("patches", to_string(tokens.shape()) + ": 14 x 14 of 16 x 16 pixels");
}

}  // namespace

int main() {
  cancels();
  twice();
  patches();
}
