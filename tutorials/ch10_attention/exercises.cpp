// The exercises of chapter 10.
#include "exercises.h"

#include "autograd/ops.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using ch10::AdditiveGradients;

namespace {

// 10.1 ★ Compare the tokens with double(pad): that gives (batch, places). Scores have a dimension for the queries
// between these two; the mask has one of size 1 there, and broadcasts.
Tensor word_mask(const Tensor& tokens, int64_t pad) {
  // BEGIN SOLUTION 10.1
  return (tokens != double(pad)).unsqueeze(1);
  // END SOLUTION
  // MISTAKE the padding is kept, and the words are hidden
  // - return (tokens != double(pad)).unsqueeze(1);
  // + return (tokens == double(pad)).unsqueeze(1);
  // MISTAKE there is no dimension for the queries: a row of the mask would meet the query of that number
  // - return (tokens != double(pad)).unsqueeze(1);
  // + return tokens != double(pad);
}

// 10.2 ★★ Write it with exp and sum, without softmax() and masked_softmax(). Of each row take away the largest score
// first, among those that are kept: a hidden one may be larger by thousands. Powers of hidden scores are zero, and so
// is the sum of a row that keeps nothing; divide that row by one instead. x.amax({-1}, true) is the largest of each
// row, x.masked_fill(m, v) has v where m is true, and logical_not(keep) is true where keep is not.
Tensor kept_softmax(const Tensor& scores, const Tensor& keep) {
  // BEGIN SOLUTION 10.2
  const Tensor drop = logical_not(keep);
  const Tensor visible = scores.masked_fill(drop, -1e30);
  const Tensor largest = visible.amax({-1}, true);
  const Tensor powers = exp(visible - largest).masked_fill(drop, 0);
  const Tensor sum = powers.sum({-1}, true);
  return powers / where(sum == 0.0, ones_like(sum), sum);
  // END SOLUTION
  // MISTAKE the largest score is looked for among hidden ones, too: what is kept underflows
  // - const Tensor largest = visible.amax({-1}, true);
  // + const Tensor largest = scores.amax({-1}, true);
  // MISTAKE a row that keeps nothing is divided by zero
  // - return powers / where(sum == 0.0, ones_like(sum), sum);
  // + return powers / sum;
}

// 10.3 ★★ With w = softmax(s) along a row, dw_j / ds_i = w_j (1 if i = j, else 0) - w_j w_i. Multiply by g_j and sum
// over j. You need no mask: where a weight is zero, look at what the formula gives.
Tensor kept_softmax_gradient(const Tensor& weights, const Tensor& g) {
  // BEGIN SOLUTION 10.3
  const Tensor mean = (weights * g).sum({-1}, true);
  return weights * (g - mean);
  // END SOLUTION
  // MISTAKE only the diagonal is there: each weight depends on every score of its row
  // - return weights * (g - mean);
  // + return weights * (1 - weights) * g;
  // MISTAKE the sum runs over the queries, not over the places
  // - const Tensor mean = (weights * g).sum({-1}, true);
  // + const Tensor mean = (weights * g).sum({-2}, true);
}

// 10.4 ★★ Scores (batch, 1, places) of state W with every place, weights among the places that are kept (the library's
// masked_softmax(scores, KeepMask(...)) will do), context (batch, m), and tanh of linear([context; state], c).
// cat({a, b}, -1) joins along the last dimension.
Tensor attention_step(const Tensor& state, const Tensor& memory, const Tensor& keep, const Tensor& w,
                      const Tensor& c) {
  // BEGIN SOLUTION 10.4
  const Tensor scores = matmul(matmul(state, w).unsqueeze(1), memory.transpose(1, 2));
  const Tensor weights = masked_softmax(scores, KeepMask(keep.unsqueeze(1)));
  const Tensor context = matmul(weights, memory).squeeze(1);
  return tanh(linear(cat({context, state}, -1), c));
  // END SOLUTION
  // MISTAKE the padding is looked at
  // - const Tensor weights = masked_softmax(scores, KeepMask(keep.unsqueeze(1)));
  // + const Tensor weights = softmax(scores, -1);
  // MISTAKE the state stands before the context, where c expects the context
  // - return tanh(linear(cat({context, state}, -1), c));
  // + return tanh(linear(cat({state, context}, -1), c));
}

// 10.5 ★★★ Make t = tanh(query + key) for every pair, (batch, queries, places, hidden), by broadcasting. A score is the
// sum of v t over hidden, and the slope of tanh is 1 - t^2. What broadcasts forwards is summed backwards.
AdditiveGradients additive_gradients(const Tensor& query, const Tensor& key, const Tensor& v, const Tensor& g) {
  // BEGIN SOLUTION 10.5
  const Tensor t = tanh(query.unsqueeze(2) + key.unsqueeze(1));
  const Tensor inner = g.unsqueeze(3) * v * (1 - square(t));
  const Tensor outer = g.unsqueeze(3) * t;
  return {inner.sum({2}), inner.sum({1}), outer.sum({0, 1, 2})};
  // END SOLUTION
  // MISTAKE the slope of tanh is left out
  // - const Tensor inner = g.unsqueeze(3) * v * (1 - square(t));
  // + const Tensor inner = (g.unsqueeze(3) * v).expand(t.shape());
  // MISTAKE v serves every sentence, but its gradient is not summed over the batch
  // - return {inner.sum({2}), inner.sum({1}), outer.sum({0, 1, 2})};
  // + return {inner.sum({2}), inner.sum({1}), outer.sum({1, 2})};
}

}  // namespace

EXERCISES(ch10::Exercises, word_mask, kept_softmax, kept_softmax_gradient, attention_step, additive_gradients);
