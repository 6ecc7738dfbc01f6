// The exercises of chapter 15: the loss of a text, drawing a token, and a step of decoding.
#include "exercises.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "autograd/ops.h"
#include "tutorials/grading/grading.h"

using namespace gradus;

namespace {

// 15.1 ★ Which scores have a target, and which tokens are one? cross_entropy takes logits (count, vocabulary) and
// targets (count), and gives the mean.
Tensor loss(const Tensor& logits, const Tensor& tokens) {
  // BEGIN SOLUTION 15.1
  const int64_t n = tokens.size(1);
  const Tensor scores = logits.narrow(1, 0, n - 1), next = tokens.narrow(1, 1, n - 1);
  return cross_entropy(scores.flatten(0, 1), next.flatten());
  // END SOLUTION
  // MISTAKE nothing is shifted: a place is asked for the token that it has just read
  // - const Tensor scores = logits.narrow(1, 0, n - 1), next = tokens.narrow(1, 1, n - 1);
  // + const Tensor scores = logits.narrow(1, 0, n), next = tokens.narrow(1, 0, n);
  // MISTAKE shifted the wrong way: a place is asked for the token before it
  // - const Tensor scores = logits.narrow(1, 0, n - 1), next = tokens.narrow(1, 1, n - 1);
  // + const Tensor scores = logits.narrow(1, 1, n - 1), next = tokens.narrow(1, 0, n - 1);
}

// 15.2 ★ Add them up, one after the other, until the sum exceeds u. What if it never does?
int64_t draw(const Tensor& probabilities, double u) {
  // BEGIN SOLUTION 15.2
  double sum = 0;
  int64_t last = 0;  // with a probability
  for (int64_t token = 0; token < probabilities.numel(); ++token) {
    const double p = probabilities[token].item();
    sum += p;
    if (p > 0) last = token;
    if (sum > u) return token;
  }
  return last;
  // END SOLUTION
  // MISTAKE u = 0 draws a token of probability zero: the sum has to exceed u, not to reach it
  // - if (sum > u) return token;
  // + if (sum >= u) return token;
  // MISTAKE where the sum stays below u, the last token is drawn although its probability is zero
  // - if (p > 0) last = token;
  // + last = token;
}

// 15.3 ★★ Sort first (`sort` gives the sorted numbers and where each stood). Then both filters keep the first ones, and
// only how many is the question. At the end each probability goes back to where its token stands.
Tensor filter(const Tensor& logits, double temperature, int64_t top_k, double top_p) {
  // BEGIN SOLUTION 15.3
  const auto [sorted, order] = logits.sort(0, true);  // falling; equals in their old order
  const std::vector<double> p = softmax(sorted / temperature, 0).to_vector();
  const size_t most = top_k > 0 ? std::min(p.size(), size_t(top_k)) : p.size();
  const double all = std::accumulate(p.begin(), p.begin() + int64_t(most), 0.0);
  double sum = 0;
  size_t kept = 0;
  while (kept < most && (kept == 0 || sum < top_p * all)) sum += p[kept++];
  std::vector<double> left(p.size());
  for (size_t i = 0; i < kept; ++i) left[size_t(order[int64_t(i)].item())] = p[i] / sum;
  return from_vector(left, {int64_t(left.size())});
  // END SOLUTION
  // MISTAKE the token with which the sum reaches top_p is left out
  // - while (kept < most && (kept == 0 || sum < top_p * all)) sum += p[kept++];
  // + while (kept < most && sum + p[kept] < top_p * all) sum += p[kept++];
  // MISTAKE top_p is a share of all tokens, not of those that top_k has left
  // - const double all = std::accumulate(p.begin(), p.begin() + int64_t(most), 0.0);
  // + const double all = 1;
}

// 15.4 ★★★ Queries, keys and values of the new places only, in heads; rotary(x, first) turns queries and keys to places
// first, first + 1, ... Then the new keys and values go behind the old ones, and causal_mask(queries, keys) is of
// queries that are the last of the keys.
Tensor decode(const Tensor& x, const ch15::Weights& w, ch15::Cache& cache) {
  // BEGIN SOLUTION 15.4
  const int64_t n = x.size(1), d = x.size(2) / w.heads;
  const int64_t before = cache.keys.defined() ? cache.keys.size(2) : 0;
  std::vector<Tensor> parts = linear(x, w.in_proj).chunk(3, -1);                       // (batch, n, features)
  for (Tensor& part : parts) part = part.unflatten(-1, {w.heads, d}).transpose(1, 2);  // (batch, heads, n, d)
  const Tensor q = rotary(parts[0], before), k = rotary(parts[1], before);
  cache.keys = before > 0 ? cat({cache.keys, k}, 2) : k;
  cache.values = before > 0 ? cat({cache.values, parts[2]}, 2) : parts[2];
  const KeepMask keep = causal_mask(n, before + n);
  const Tensor output = scaled_dot_product_attention(q, cache.keys, cache.values, {.keep = keep});
  return linear(output.transpose(1, 2).flatten(2, 3), w.out_proj);
  // END SOLUTION
  // MISTAKE the new places are rotated as if the text began with them
  // - const Tensor q = rotary(parts[0], before), k = rotary(parts[1], before);
  // + const Tensor q = rotary(parts[0]), k = rotary(parts[1]);
  // MISTAKE the mask begins at the wrong end: the newest place sees the oldest only
  // - const KeepMask keep = causal_mask(n, before + n);
  // + const KeepMask keep(arange(before + n) <= arange(n).unsqueeze(1));
}

}  // namespace

EXERCISES(ch15::Exercises, loss, draw, filter, decode);
