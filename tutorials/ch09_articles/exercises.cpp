// The exercises of chapter 09.
#include "exercises.h"

#include <cmath>

#include "autograd/ops.h"
#include "tutorials/grading/grading.h"

using namespace gradus;

namespace {

// 9.1 ★ Scores become weights: exp of each, divided by the sum of all along the last dimension (keep that dimension,
// so that the division broadcasts). Take the largest score of each row away first: it changes no weight, and exp cannot
// overflow. Write it without softmax().
Tensor attention_weights(const Tensor& scores) {
  // BEGIN SOLUTION 9.1
  const Tensor powers = exp(scores - scores.amax({-1}, true));
  return powers / powers.sum({-1}, true);
  // END SOLUTION
  // MISTAKE these are shares of the sum, without exp
  // - const Tensor powers = exp(scores - scores.amax({-1}, true));
  // + const Tensor powers = scores;
  // MISTAKE the sum runs over the queries, not over the keys
  // - return powers / powers.sum({-1}, true);
  // + return powers / powers.sum({0}, true);
}

// 9.2 ★ Three steps: scores (n) of the query with each key, weights (n), and the values, each times its weight, added
// up: (d_value).
Tensor context(const Tensor& query, const Tensor& keys, const Tensor& values) {
  // BEGIN SOLUTION 9.2
  const Tensor scores = matmul(keys, query);
  const Tensor weights = softmax(scores, 0);
  return matmul(weights, values);
  // END SOLUTION
  // MISTAKE a score stands where the weight belongs
  // - return matmul(weights, values);
  // + return matmul(scores, values);
  // MISTAKE the weighted values are not added up
  // - return matmul(weights, values);
  // + return weights.unsqueeze(1) * values;
}

// 9.3 ★ Row i, column j: the product of query i with key j.
Tensor score_matrix(const Tensor& queries, const Tensor& keys) {
  // BEGIN SOLUTION 9.3
  return matmul(queries, keys.t());
  // END SOLUTION
  // MISTAKE query i meets key i alone, which is the diagonal
  // - return matmul(queries, keys.t());
  // + return (queries * keys).sum({1});
  // MISTAKE rows are keys and columns are queries, the other way round
  // - return matmul(queries, keys.t());
  // + return matmul(keys, queries.t());
}

// 9.4 ★★ W_q q for each query is (m, h), W_k k for each key (n, h). Make (m, n, h) of them by broadcasting, and only
// then take the tanh and the product with v.
Tensor additive_scores(const Tensor& queries, const Tensor& keys, const Tensor& w_query, const Tensor& w_key,
                       const Tensor& v) {
  // BEGIN SOLUTION 9.4
  const Tensor sums = linear(queries, w_query).unsqueeze(1) + linear(keys, w_key);
  return matmul(tanh(sums), v);
  // END SOLUTION
  // MISTAKE there is no tanh, so the softmax cancels what the query says
  // - return matmul(tanh(sums), v);
  // + return matmul(sums, v);
  // MISTAKE the tanh comes after the product with v
  // - return matmul(tanh(sums), v);
  // + return tanh(matmul(sums, v));
}

// 9.5 ★★ A key that is hidden must not count in the sum below the fraction, so the mask acts on scores. Mind the row
// that keeps nothing: it is zero, not NaN. Write it without masked_softmax().
Tensor masked_weights(const Tensor& scores, const Tensor& keep) {
  // BEGIN SOLUTION 9.5
  const Tensor drop = logical_not(keep);
  const Tensor weights = softmax(scores.masked_fill(drop, -1e30), -1);
  return weights.masked_fill(drop, 0);
  // END SOLUTION
  // MISTAKE the mask comes after the softmax, so a row no longer adds up to one
  // - const Tensor weights = softmax(scores.masked_fill(drop, -1e30), -1);
  // + const Tensor weights = softmax(scores, -1);
  // MISTAKE a query that keeps no key looks at all of them
  // - return weights.masked_fill(drop, 0);
  // + return weights;
}

// 9.6 ★★ Article A1's layer, with what it left out. x W_q, x W_k, x W_v; scores (batch, n, n), divided; weights;
// context (batch, n, d_value); times w_out.
Tensor self_attention(const Tensor& x, const Tensor& w_query, const Tensor& w_key, const Tensor& w_value,
                      const Tensor& w_out) {
  // BEGIN SOLUTION 9.6
  const Tensor query = matmul(x, w_query), key = matmul(x, w_key), value = matmul(x, w_value);
  const double divisor = std::sqrt(double(key.size(-1)));
  const Tensor weights = softmax(matmul(query, key.transpose(-2, -1)) / divisor, -1);
  return matmul(matmul(weights, value), w_out);
  // END SOLUTION
  // MISTAKE scores are not divided by sqrt(d_key)
  // - const double divisor = std::sqrt(double(key.size(-1)));
  // + const double divisor = 1;
  // MISTAKE scores are divided by the root of how many keys there are, not of how many features a key has
  // - const double divisor = std::sqrt(double(key.size(-1)));
  // + const double divisor = std::sqrt(double(key.size(-2)));
}

// 9.7 ★★ If p = softmax(w), then log p = w - c with one c for the whole row. That w adds up to one tells c.
Tensor once_from_twice(const Tensor& twice) {
  // BEGIN SOLUTION 9.7
  const Tensor logs = log(twice);
  return logs + (1 - logs.sum({-1}, true)) / double(twice.size(-1));
  // END SOLUTION
  // MISTAKE the constant is not added: a row does not add up to one
  // - return logs + (1 - logs.sum({-1}, true)) / double(twice.size(-1));
  // + return logs;
  // MISTAKE a constant is added, not multiplied: dividing by the sum makes other weights
  // - return logs + (1 - logs.sum({-1}, true)) / double(twice.size(-1));
  // + return logs / logs.sum({-1}, true);
}

// 9.8 ★★★ Embed the tokens; make queries, keys and values (batch, heads, n, width) with the three matrices; attend,
// scaled by the root of a head's width, to tokens that are not model.pad; put the heads together again and mix them
// with model.out; take the mean over the places that are not padding; and the answer.
Tensor classify(const Tensor& tokens, const ch09::Classifier& model) {
  // BEGIN SOLUTION 9.8
  const Tensor x = embedding(tokens, model.words);  // (batch, n, d)
  const int64_t width = model.query.size(0) / model.heads;
  const auto heads = [&](const Tensor& weight) {  // (batch, heads, n, width)
    return linear(x, weight).unflatten(2, {model.heads, width}).transpose(1, 2);
  };
  const Tensor kept = tokens != double(model.pad);  // (batch, n)
  AttentionOptions options;
  options.keep = KeepMask(kept.unsqueeze(1).unsqueeze(1));
  const Tensor seen = scaled_dot_product_attention(heads(model.query), heads(model.key), heads(model.value), options);
  const Tensor mixed = linear(seen.transpose(1, 2).flatten(2), model.out);  // (batch, n, d)
  const Tensor count = kept.unsqueeze(2).to(x.dtype());
  const Tensor mean = (mixed * count).sum({1}) / count.sum({1});
  return linear(mean, model.answer).squeeze(1);
  // END SOLUTION
  // MISTAKE words look at padding
  // - options.keep = KeepMask(kept.unsqueeze(1).unsqueeze(1));
  // MISTAKE padding counts in the mean
  // - const Tensor mean = (mixed * count).sum({1}) / count.sum({1});
  // + const Tensor mean = mixed.mean({1});
}

}  // namespace

EXERCISES(ch09::Exercises, attention_weights, context, score_matrix, additive_scores, masked_weights, self_attention,
          once_from_twice, classify);
