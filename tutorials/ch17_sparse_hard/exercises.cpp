// The exercises of chapter 17: hard choices with a gradient, and attention to fewer keys.
#include "exercises.h"

#include <cmath>

#include "autograd/ops.h"
#include "tutorials/grading/grading.h"

using namespace gradus;

namespace {

// 17.1 ★ Add the noise to the logits, then soften by tau. All of them have the shape (..., n).
Tensor gumbel_sample(const Tensor& logits, const Tensor& u, double tau) {
  // BEGIN SOLUTION 17.1
  const Tensor noise = -log(-log(u));
  return softmax((logits + noise) / tau, -1);
  // END SOLUTION
  // MISTAKE the noise has the wrong sign
  // - const Tensor noise = -log(-log(u));
  // + const Tensor noise = log(-log(u));
  // MISTAKE the temperature divides the logits but not the noise
  // - return softmax((logits + noise) / tau, -1);
  // + return softmax(logits / tau + noise, -1);
}

// 17.2 ★★ Make the one-hot rows (argmax, one_hot), which have no gradient; then add something that is zero in value and
// has the gradient of soft. detach() gives the same numbers without a gradient.
Tensor straight_through(const Tensor& soft) {
  // BEGIN SOLUTION 17.2
  const Tensor numbers = soft.detach();
  const Tensor chosen = one_hot(numbers.argmax(-1), soft.size(-1)).to(soft.dtype());
  return chosen + (soft - numbers);
  // END SOLUTION
  // MISTAKE no gradient comes through to soft
  // - return chosen + (soft - numbers);
  // + return chosen;
  // MISTAKE soft is added and not taken away again
  // - return chosen + (soft - numbers);
  // + return chosen + soft;
}

// 17.3 ★★ The scores are (batch, n, m). Find the least score that each query keeps, (batch, n, 1); topk gives the
// largest of a dimension and where they stand. masked_softmax(scores, KeepMask(...)) hides the others.
Tensor top_k_attention(const Tensor& q, const Tensor& k, const Tensor& v, int64_t count) {
  // BEGIN SOLUTION 17.3
  const Tensor scores = matmul(q, k.transpose(-2, -1)) / std::sqrt(double(q.size(-1)));
  const Tensor least = scores.detach().topk(count, -1).first.amin(-1, true);
  const Tensor weights = masked_softmax(scores, KeepMask(scores >= least));
  return matmul(weights, v);
  // END SOLUTION
  // MISTAKE dropped scores are set to zero, which hides nothing
  // - const Tensor weights = masked_softmax(scores, KeepMask(scores >= least));
  // + const Tensor weights = softmax(scores.masked_fill(scores < least, 0), -1);
  // MISTAKE each key keeps its largest scores, not each query
  // - const Tensor least = scores.detach().topk(count, -1).first.amin(-1, true);
  // + const Tensor least = scores.detach().topk(count, -2).first.amin(-2, true);
}

// 17.4 ★★★ Mix the n places of keys, and those of values, down to `rank` places: (rank, n) times (batch, n, d). Then
// attend to these.
Tensor low_rank_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mix_keys,
                          const Tensor& mix_values) {
  // BEGIN SOLUTION 17.4
  const int64_t n = k.size(1), first = 0;
  const Tensor keys = matmul(mix_keys.narrow(1, first, n), k);      // (batch, rank, d)
  const Tensor values = matmul(mix_values.narrow(1, first, n), v);  // (batch, rank, d_v)
  const Tensor scores = matmul(q, keys.transpose(-2, -1)) / std::sqrt(double(q.size(-1)));
  return matmul(softmax(scores, -1), values);
  // END SOLUTION
  // MISTAKE the values are mixed by the matrix for keys
  // - const Tensor values = matmul(mix_values.narrow(1, first, n), v);  // (batch, rank, d_v)
  // + const Tensor values = matmul(mix_keys.narrow(1, first, n), v);
  // MISTAKE a short sequence takes the last columns of the mixing matrices, not the first
  // - const int64_t n = k.size(1), first = 0;
  // + const int64_t n = k.size(1), first = mix_keys.size(1) - n;
}

}  // namespace

EXERCISES(ch17::Exercises, gumbel_sample, straight_through, top_k_attention, low_rank_attention);
