// Chapter 03's exercises. `./run grade ch03` judges them; add `--hint 1`, 2 or 3 where you are stuck.
#include "exercises.h"

#include "autograd/ops.h"
#include "tutorials/grading/grading.h"

using namespace gradus;

namespace {

// Built from exp, log, amax, sum and arithmetic: softmax, log_softmax, logsumexp and cross_entropy would give the
// game away. Reductions keep a dimension as size 1 where their last argument is true: z.sum({1}, true).

// 3.1 ★ log(sum(exp(z))) of each row of scores (rows, classes): (rows). Scores may be 1000 or -1000, or minus infinity
// in some places of a row; the largest of each row is finite.
Tensor log_sum_exp(const Tensor& scores) {
  // BEGIN SOLUTION 3.1
  const Tensor largest = scores.amax({1}, true);
  const Tensor log_total = log(exp(scores - largest).sum({1}, true));
  return (log_total + largest).squeeze(1);
  // END SOLUTION
  // MISTAKE the largest score is not added again
  // - return (log_total + largest).squeeze(1);
  // + return log_total.squeeze(1);
  // MISTAKE exp overflows
  // - const Tensor largest = scores.amax({1}, true);
  // + const Tensor largest = zeros_like(scores.amax({1}, true));
}

// 3.2 ★ softmax of each row of scores (rows, classes): (rows, classes). Each row sums to 1 and does not change when
// all its scores move together.
Tensor softmax(const Tensor& scores) {
  // BEGIN SOLUTION 3.2
  const Tensor e = exp(scores - scores.amax({1}, true));
  return e / e.sum({1}, true);
  // END SOLUTION
  // MISTAKE the sum runs over all rows
  // - return e / e.sum({1}, true);
  // + return e / e.sum();
  // MISTAKE scores are divided by their sum, without exp
  // - const Tensor e = exp(scores - scores.amax({1}, true));
  // + const Tensor e = scores;
}

// 3.3 ★★ The loss is the mean over the rows of -log softmax(scores)[row, target[row]]. Its gradient with respect to
// scores (rows, classes), for target (rows): (rows, classes). one_hot(target, classes) is int64; .to(scores.dtype()).
Tensor cross_entropy_gradient(const Tensor& scores, const Tensor& target) {
  // BEGIN SOLUTION 3.3
  const Tensor p = softmax(scores);
  const Tensor q = one_hot(target, scores.size(1)).to(scores.dtype());
  return (p - q) / double(scores.size(0));
  // END SOLUTION
  // MISTAKE the mean over the rows is forgotten
  // - return (p - q) / double(scores.size(0));
  // + return p - q;
  // MISTAKE the sign is wrong
  // - return (p - q) / double(scores.size(0));
  // + return (q - p) / double(scores.size(0));
}

// 3.4 ★★ The mean of log_sum_exp(row) - row[target] over the rows whose target is not ignore_index (a number that need
// not be a class): a tensor of shape (). scores.gather(1, index) takes index (rows, 1), whose entries have to be
// classes; masked_fill changes what is not.
Tensor cross_entropy(const Tensor& scores, const Tensor& target, int64_t ignore_index) {
  // BEGIN SOLUTION 3.4
  const Tensor ignored = target == double(ignore_index);
  const Tensor index = target.masked_fill(ignored, 0).unsqueeze(1);
  const Tensor losses = log_sum_exp(scores) - scores.gather(1, index).squeeze(1);
  const Tensor counted = logical_not(ignored).to(scores.dtype()).sum();
  return losses.masked_fill(ignored, 0).sum() / counted;
  // END SOLUTION
  // MISTAKE the mean counts rows that are ignored
  // - return losses.masked_fill(ignored, 0).sum() / counted;
  // + return losses.masked_fill(ignored, 0).sum() / double(target.size(0));
  // MISTAKE the probability is 0 before its logarithm is taken
  // - const Tensor losses = log_sum_exp(scores) - scores.gather(1, index).squeeze(1);
  // + const Tensor losses = -log(softmax(scores).gather(1, index).squeeze(1));
}

// 3.5 ★★★ Some loss depends on p = softmax(scores); dp is its gradient with respect to p. Its gradient with respect to
// scores, from p and dp, all (rows, classes). Every p_i depends on every z_j: dp_i/dz_j = p_i ([i = j] - p_j).
Tensor softmax_gradient(const Tensor& p, const Tensor& dp) {
  // BEGIN SOLUTION 3.5
  const Tensor along = (p * dp).sum({1}, true);
  return p * (dp - along);
  // END SOLUTION
  // MISTAKE only the diagonal of the Jacobian counts
  // - return p * (dp - along);
  // + return p * (1.0 - p) * dp;
  // MISTAKE rows are mixed
  // - const Tensor along = (p * dp).sum({1}, true);
  // + const Tensor along = (p * dp).sum();
}

}  // namespace

EXERCISES(ch03::Exercises, log_sum_exp, softmax, cross_entropy_gradient, cross_entropy, softmax_gradient);
