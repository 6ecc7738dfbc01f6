// Exercises of chapter 19. What each function has to do is in exercises.h.
#include "exercises.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "autograd/ops.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using namespace ch19;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

// 19.1 ★ The larger of both largest scores; sums and outputs times exp(old largest - new largest), added. Parts may
// have seen no key: one alone takes care of itself, since exp(-infinity) is zero; look at both together.
Running merge(const Running& a, const Running& b) {
  // BEGIN SOLUTION 19.1
  const double largest = std::max(a.largest, b.largest);
  if (largest == -infinity) return a;
  const double correct_a = std::exp(a.largest - largest), correct_b = std::exp(b.largest - largest);
  return {largest, correct_a * a.sum + correct_b * b.sum, correct_a * a.output + correct_b * b.output};
  // END SOLUTION
  // MISTAKE the sums are added as they are, though each was taken from a largest score of its own
  // - const double correct_a = std::exp(a.largest - largest), correct_b = std::exp(b.largest - largest);
  // + const double correct_a = 1, correct_b = 1;
  // MISTAKE two parts that have seen no key give NaN
  // - if (largest == -infinity) return a;
}

// 19.2 ★★ For each tile: its scores (keys), the largest score so far, by what that corrects the sum and the output of
// before, and weights exp(scores - largest), which are added to the sum, and times their values to the output.
Tensor attend_query(const Tensor& q, const Tensor& k, const Tensor& v, int64_t tile) {
  // BEGIN SOLUTION 19.2
  const double scale = 1 / std::sqrt(double(q.size(0)));
  double largest = -infinity, sum = 0;
  Tensor output = zeros({v.size(1)}, v.options());
  for (int64_t first = 0; first < k.size(0); first += tile) {
    const int64_t keys = std::min(tile, k.size(0) - first);
    const Tensor scores = scale * matmul(k.narrow(0, first, keys), q);
    const double before = largest;
    largest = std::max(before, scores.amax().item());
    const double correction = std::exp(before - largest);
    const Tensor weights = exp(scores - largest);
    sum = correction * sum + weights.sum().item();
    output = correction * output + matmul(weights, v.narrow(0, first, keys));
  }
  return output / sum;
  // END SOLUTION
  // MISTAKE the output of before is not corrected when the largest score grows
  // - output = correction * output + matmul(weights, v.narrow(0, first, keys));
  // + output = output + matmul(weights, v.narrow(0, first, keys));
  // MISTAKE the scores are not multiplied by 1 / sqrt(d)
  // - const double scale = 1 / std::sqrt(double(q.size(0)));
  // + const double scale = 1;
}

// 19.3 ★★ For each tile of queries the loop of 19.2, with a column (queries, 1) of largest scores and one of sums. In a
// block of scores (queries, keys) those of keys behind the query become -infinity (masked_fill); tiles behind the last
// query of a tile are left out.
Result attend_causal(const Tensor& q, const Tensor& k, const Tensor& v, int64_t tile) {
  // BEGIN SOLUTION 19.3
  const int64_t m = q.size(0), n = k.size(0);
  const int64_t behind = n - m;
  const double scale = 1 / std::sqrt(double(q.size(1)));
  Result result = {zeros({m, v.size(1)}, v.options()), zeros({m}, v.options())};
  for (int64_t i = 0; i < m; i += tile) {
    const int64_t queries = std::min(tile, m - i), seen = i + queries + behind;
    const Tensor rows = q.narrow(0, i, queries);
    const Tensor last = arange(double(i + behind), double(seen), 1, v.options()).unsqueeze(1);  // key that each sees
    Tensor largest = full({queries, 1}, -infinity, v.options()), sum = zeros({queries, 1}, v.options());
    Tensor output = zeros({queries, v.size(1)}, v.options());
    for (int64_t j = 0; j < seen; j += tile) {
      const int64_t keys = std::min(tile, seen - j);
      const Tensor key = arange(double(j), double(j + keys), 1, v.options());
      const Tensor scores = (scale * matmul(rows, k.narrow(0, j, keys).t())).masked_fill(key > last, -infinity);
      const Tensor before = largest;
      largest = maximum(before, scores.amax({1}, true));
      const Tensor correction = exp(before - largest), weights = exp(scores - largest);
      sum = correction * sum + weights.sum({1}, true);
      output = correction * output + matmul(weights, v.narrow(0, j, keys));
    }
    result.output.narrow(0, i, queries).copy_(output / sum);
    result.log_sum.narrow(0, i, queries).copy_((largest + log(sum)).squeeze(1));
  }
  return result;
  // END SOLUTION
  // MISTAKE the queries are taken for the first of the keys, not for the last
  // - const int64_t behind = n - m;
  // + const int64_t behind = 0;
  // MISTAKE a query does not see the key at its own place
  // - const Tensor scores = (scale * matmul(rows, k.narrow(0, j, keys).t())).masked_fill(key > last, -infinity);
  // + const Tensor hidden = logical_and(key >= last, key > 0.0);
  // + const Tensor scores = (scale * matmul(rows, k.narrow(0, j, keys).t())).masked_fill(hidden, -infinity);
}

// 19.4 ★★★ For a tile of keys: weights (m, keys) are exp(scores - log_sum). With dP = g v^T, what a score changes is
// weights (dP - D), where D (m, 1) is the sum of g times the output along its features. From that dq, dk; and dv.
AttentionGradients gradients(const Tensor& q, const Tensor& k, const Tensor& v, const Result& result, const Tensor& g,
                             int64_t tile) {
  // BEGIN SOLUTION 19.4
  const double scale = 1 / std::sqrt(double(q.size(1)));
  const Tensor mean = (g * result.output).sum({1}, true);
  AttentionGradients d = {zeros_like(q), zeros_like(k), zeros_like(v)};
  for (int64_t j = 0; j < k.size(0); j += tile) {
    const int64_t keys = std::min(tile, k.size(0) - j);
    const Tensor some_k = k.narrow(0, j, keys), some_v = v.narrow(0, j, keys);
    const Tensor weights = exp(scale * matmul(q, some_k.t()) - result.log_sum.unsqueeze(1));
    const Tensor change = weights * (matmul(g, some_v.t()) - mean);
    d.q.add_(scale * matmul(change, some_k));
    d.k.narrow(0, j, keys).copy_(scale * matmul(change.t(), q));
    d.v.narrow(0, j, keys).copy_(matmul(weights.t(), g));
  }
  return d;
  // END SOLUTION
  // MISTAKE D is left out, as if weights could grow without others shrinking
  // - const Tensor change = weights * (matmul(g, some_v.t()) - mean);
  // + const Tensor change = weights * matmul(g, some_v.t());
  // MISTAKE dq lacks the factor 1 / sqrt(d)
  // - d.q.add_(scale * matmul(change, some_k));
  // + d.q.add_(matmul(change, some_k));
}

}  // namespace

EXERCISES(ch19::Exercises, merge, attend_query, attend_causal, gradients);
