// Judges the exercises of chapter 09, against plain loops or the library's own functions.
#include <cmath>

#include "autograd/ops.h"
#include "exercises.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using grading::Grade;

namespace {

constexpr TensorOptions precise{.dtype = float64};

Tensor random(Grade& grade, const Shape& shape, double scale = 1) {
  return scale * randn(shape, precise, &grade.random());
}
Tensor numbers(const NestedList& list) { return tensor(list, precise); }
// Of the sum of `output` times `toward`.
Tensor gradient_of(const Tensor& output, const Tensor& input, const Tensor& toward) {
  return grad({(output * toward).sum()}, {input})[0];
}

// --- 9.1 to 9.3 ----------------------------------------------------------------------------------------------------

void grade_weights(const ch09::Exercises& student, Grade& grade) {
  const Tensor three = numbers({1, 2, 3});
  grade.equal("the scores 1, 2, 3", student.attention_weights(three), softmax(three, 0),
              {{three / three.sum(), "these are shares of the sum, without exp"}});
  const Tensor scores = random(grade, {4, 7}).t();  // (7, 4), not contiguous
  const Tensor powers = exp(scores - scores.amax({-1}, true));
  grade.equal("a matrix of scores", student.attention_weights(scores), softmax(scores, -1),
              {{powers / powers.sum({0}, true), "the sum runs over the queries, not over the keys"},
               {softmax(scores, 0), "the sum runs over the queries, not over the keys"}});
  const Tensor large = numbers({{1000, 1001, 999}, {-2000, -2001, -2000}});
  const Tensor got = student.attention_weights(large);
  grade.that(!isnan(got).any().item(), "scores of a thousand give NaN: take the largest of each row away before exp");
  grade.equal("large scores", got, softmax(large, -1));
}

void grade_context(const ch09::Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& what, const Tensor& query, const Tensor& keys, const Tensor& values) {
    const Tensor scores = matmul(keys, query), weights = softmax(scores, 0);
    const Tensor calmer = softmax(scores / std::sqrt(double(query.size(0))), 0);
    grade.equal(what, student.context(query, keys, values), matmul(weights, values),
                {{matmul(scores, values), "a score stands where the weight belongs"},
                 {scores.unsqueeze(1) * values, "a score stands where the weight belongs, and nothing is added up"},
                 {weights.unsqueeze(1) * values, "the weighted values are not added up"},
                 {matmul(calmer, values), "the scores are divided by sqrt(d), which this article does not do"}});
  };
  const Tensor h = numbers({1, 0, 0, 0, 0});
  const Tensor c = numbers({1, 2, 3, 4, 5}).unsqueeze(1) * h;
  judge("h = [1 0 0 0 0] and c_i = [i 0 0 0 0]", h, c, c);
  judge("7 keys of 3 features, values of 2", random(grade, {3}), random(grade, {3, 7}).t(), random(grade, {7, 2}));
  judge("a single key", random(grade, {4}), random(grade, {1, 4}), random(grade, {1, 3}));
}

void grade_matrix(const ch09::Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& what, const Tensor& queries, const Tensor& keys) {
    std::vector<double> products;
    for (int64_t i = 0; i < queries.size(0); ++i)
      for (int64_t j = 0; j < keys.size(0); ++j) products.push_back((queries[i] * keys[j]).sum().item());
    const Tensor expected = from_vector(products, {queries.size(0), keys.size(0)});
    std::vector<grading::Known> known = {
        {expected.t(), "rows are keys and columns are queries, the other way round"},
        {expected / std::sqrt(double(queries.size(1))), "the products are divided by sqrt(d), which comes later"}};
    if (queries.size(0) == keys.size(0))
      known.push_back({expected.diagonal(), "query i meets key i alone, which is the diagonal"});
    grade.equal(what, student.score_matrix(queries, keys), expected, known);
  };
  judge("three queries and three keys", numbers({{1, 2}, {3, 4}, {5, 6}}), numbers({{1, 0}, {0, 1}, {1, 1}}));
  judge("5 queries and 3 keys of 4 features", random(grade, {5, 4}), random(grade, {4, 3}).t());
}

// --- 9.4 to 9.7 ----------------------------------------------------------------------------------------------------

void grade_additive(const ch09::Exercises& student, Grade& grade) {
  const Tensor queries = random(grade, {3, 5}).t(), keys = random(grade, {7, 4});  // (5, 3), (7, 4)
  const Tensor w_query = random(grade, {6, 3}).requires_grad_(), w_key = random(grade, {6, 4}),
               v = random(grade, {6});
  const Tensor q = linear(queries, w_query), k = linear(keys, w_key);
  const Tensor expected = additive_scores(q.unsqueeze(0), k.unsqueeze(0), v)[0];
  const Tensor linear_sum = matmul(q, v).unsqueeze(1) + matmul(k, v);
  const Tensor got = student.additive_scores(queries, keys, w_query, w_key, v);
  grade.equal("5 queries and 7 keys", got, expected,
              {{linear_sum, "there is no tanh, so the softmax cancels what the query says"},
               {tanh(linear_sum), "the tanh comes after the product with v"},
               {matmul(tanh(q), v).unsqueeze(1) + matmul(tanh(k), v),
                "each side has a tanh of its own, so the softmax cancels what the query says"},
               {expected.t(), "rows are keys and columns are queries, the other way round"}});
  const Tensor toward = random(grade, {5, 7});
  grade.that(got.requires_grad(), "the result does not depend on w_query, as its graph tells");
  grade.equal("the gradient of w_query", gradient_of(got, w_query, toward), gradient_of(expected, w_query, toward));
}

void grade_mask(const ch09::Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& what, const Tensor& scores, const Tensor& keep) {
    const Tensor got = student.masked_weights(scores, keep), drop = logical_not(keep);
    grade.that(!isnan(got).any().item(), what + ": there is NaN, as exp(-inf - (-inf)) is");
    grade.equal(what, got, masked_softmax(scores, KeepMask(keep)),
                {{softmax(scores, -1).masked_fill(drop, 0),
                  "the mask comes after the softmax, so a row no longer adds up to one"},
                 {softmax(scores.masked_fill(drop, -1e30), -1), "a query that keeps no key looks at all of them"},
                 {masked_softmax(scores, KeepMask(drop)), "what is kept is hidden, and what is hidden is kept"}});
  };
  judge("the scores 1, 2, 3, the last hidden", numbers({{1, 2, 3}}), numbers({{1, 1, 0}}) != 0.0);
  const Tensor scores = random(grade, {6, 5}, 4).t();  // (5, 6), not contiguous
  judge("5 queries that see the keys up to their own", scores, causal_mask(5, 6).kept);
  Tensor keep = rand({5, 6}, precise, &grade.random()) < 0.6;
  keep[0].fill_(1);
  keep[3].fill_(0);
  judge("a query that may look at nothing", scores, keep);
  judge("scores of many thousands", 10000 * scores, causal_mask(5, 6).kept);
}

void grade_self_attention(const ch09::Exercises& student, Grade& grade) {
  const Tensor x = random(grade, {2, 5, 7}).transpose(1, 2);                        // (2, 7, 5)
  const Tensor w_query = random(grade, {5, 3}), w_key = random(grade, {3, 5}).t();  // (5, 3)
  const Tensor w_value = random(grade, {5, 4}).requires_grad_(), w_out = random(grade, {4, 5});
  const auto with = [&](double divisor) {
    const Tensor q = matmul(x, w_query), k = matmul(x, w_key), v = matmul(x, w_value);
    return matmul(attend(q, k, v, {.scale = 1 / divisor}).output, w_out);
  };
  const Tensor got = student.self_attention(x, w_query, w_key, w_value, w_out), expected = with(std::sqrt(3.0));
  grade.equal("2 sentences of 7 places", got, expected,
              {{with(1), "scores are not divided by sqrt(d_key)"},
               {with(std::sqrt(7.0)),
                "scores are divided by the root of how many keys there are, not of how many features a key has"},
               {with(std::sqrt(5.0)), "scores are divided by the root of the features of x, not of a key"},
               {with(3), "scores are divided by d_key, not by its root"}});
  const Tensor toward = random(grade, {2, 7, 5});
  grade.that(got.requires_grad(), "the result does not depend on w_value, as its graph tells");
  grade.equal("the gradient of w_value", gradient_of(got, w_value, toward), gradient_of(expected, w_value, toward));
}

void grade_once(const ch09::Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& what, const Tensor& once) {
    const Tensor twice = softmax(once, -1), logs = log(twice);
    grade.equal(what, student.once_from_twice(twice), once,
                {{logs, "the constant is not added: a row does not add up to one"},
                 {logs / logs.sum({-1}, true),
                  "a constant is added, not multiplied: dividing by the sum makes other weights"}});
  };
  judge("softmax([1 2 3])", softmax(numbers({{1, 2, 3}}), -1));
  judge("6 queries and 9 keys", softmax(random(grade, {9, 6}, 3).t(), -1));
  judge("all weight on one key", numbers({{0, 0, 1, 0}}));
}

// --- 9.8 -----------------------------------------------------------------------------------------------------------

// In loops over the words of each sentence. The two faults are those that padding makes.
Tensor classified(const Tensor& tokens, const ch09::Classifier& m, bool look_at_padding = false,
                  bool count_padding = false, double divide = 0) {
  std::vector<Tensor> logits;
  const int64_t width = m.query.size(0) / m.heads, n = tokens.size(1);
  for (int64_t b = 0; b < tokens.size(0); ++b) {
    Tensor total = zeros({m.words.size(1)}, precise);
    double count = 0;
    const auto word = [&](int64_t i) { return m.words[int64_t(tokens[b][i].item())]; };
    const auto is_padding = [&](int64_t i) { return int64_t(tokens[b][i].item()) == m.pad; };
    for (int64_t i = 0; i < n; ++i) {
      if (is_padding(i) && !count_padding) continue;
      std::vector<Tensor> found;
      for (int64_t head = 0; head < m.heads; ++head) {
        const auto part = [&](const Tensor& weight, int64_t j) {
          return matmul(weight.narrow(0, head * width, width), word(j));
        };
        Tensor above = zeros({width}, precise), below = zeros({}, precise);
        for (int64_t j = 0; j < n; ++j) {
          if (is_padding(j) && !look_at_padding) continue;
          const double divisor = divide > 0 ? divide : std::sqrt(double(width));
          const Tensor power = exp(dot(part(m.query, i), part(m.key, j)) / divisor);
          above = above + power * part(m.value, j);
          below = below + power;
        }
        found.push_back(above / below);
      }
      total = total + matmul(m.out, cat(found));
      count += 1;
    }
    logits.push_back(dot(m.answer[0], total / count));
  }
  return stack(logits);
}

void grade_classify(const ch09::Exercises& student, Grade& grade) {
  ch09::Classifier model{.words = random(grade, {11, 6}),
                         .query = random(grade, {8, 6}, 0.5),
                         .key = random(grade, {8, 6}, 0.5),
                         .value = random(grade, {8, 6}),
                         .out = random(grade, {6, 8}),
                         .answer = random(grade, {1, 6}),
                         .heads = 2,
                         .pad = 0};
  const auto judge = [&](const std::string& what, const Tensor& tokens) {
    const Tensor expected = classified(tokens, model);
    ch09::Classifier alike = model, one_head = model;
    alike.key = alike.value = model.query;
    one_head.heads = 1;
    grade.equal(
        what, student.classify(tokens, model), expected,
        {{classified(tokens, model, true, false), "words look at padding"},
         {classified(tokens, model, false, true), "padding counts in the mean"},
         {classified(tokens, model, true, true), "words look at padding, and padding counts in the mean"},
         {classified(tokens, alike), "the query's matrix makes keys and values, too"},
         {classified(tokens, one_head), "there is one head, not model.heads"},
         {classified(tokens, model, false, false, std::sqrt(8.0)),
          "scores are divided by the root of all heads' width"},
         {classified(tokens, model, false, false, 1), "scores are not divided by the root of a head's width"}});
  };
  judge("sentences of 5 words", randint(1, 11, {3, 5}, {.dtype = int64}, &grade.random()));
  Tensor padded = randint(1, 11, {4, 7}, {.dtype = int64}, &grade.random());
  for (int64_t i = 0; i < 4; ++i) padded[i].narrow(0, 6 - 2 * (i / 2) - i % 2, 1 + 2 * (i / 2) + i % 2).fill_(0);
  judge("sentences that are padded", padded);
  model.pad = 10;
  judge("padding that is token 10", padded.masked_fill(padded == 0.0, 10));
}

const std::vector<grading::Task<ch09::Exercises>> tasks = {
    {.number = "9.1",
     .title = "weights from scores (A0 4.3, A4 4.3)",
     .stars = 1,
     .grade = grade_weights,
     .hints = {"Do the example by hand: the weights of the scores 1, 2, 3 are not 1/6, 2/6, 3/6.",
               "exp of each score, divided by the sum of those along the last dimension. scores.amax({-1}, true) is "
               "the largest of each row, in a shape that broadcasts.",
               "powers = exp(scores - scores.amax({-1}, true)), and that divided by powers.sum({-1}, true)."}},
    {.number = "9.2",
     .title = "the context is a sum (A0 4.2)",
     .stars = 1,
     .grade = grade_context,
     .hints = {"How many numbers has the context? As many as one value.",
               "matmul(keys, query) is (n, d) times (d): a score for each key. softmax along dimension 0.",
               "matmul(weights, values) is (n) times (n, d_value): it multiplies and adds up at once."}},
    {.number = "9.3",
     .title = "every query meets every key (A1 4.2)",
     .stars = 1,
     .grade = grade_matrix,
     .hints = {"m queries and n keys make m * n scores.",
               "A matrix product takes rows of the left with columns of the right: keys have to stand as columns.",
               "matmul(queries, ...) with the transpose of keys, keys.t()."}},
    {.number = "9.4",
     .title = "additive scores (A1 4.1, A2 3.1)",
     .stars = 2,
     .grade = grade_additive,
     .hints = {"linear(x, w) is x w^T: (m, d_query) and (h, d_query) make (m, h).",
               "(m, 1, h) + (n, h) broadcasts to (m, n, h): unsqueeze(1) puts the 1 there.",
               "tanh of that sum, (m, n, h), then matmul(..., v), which takes the h away."}},
    {.number = "9.5",
     .title = "a mask acts before the softmax (A1 4.1)",
     .stars = 2,
     .grade = grade_mask,
     .hints =
         {"What does a hidden key add to the sum below the fraction? Nothing, so its exp must be 0.",
          "scores.masked_fill(logical_not(keep), -1e30), then the softmax. -INFINITY makes NaN of a row that "
          "keeps nothing; a large negative number makes equal weights of it.",
          "Fill twice with the same mask: the scores with -1e30 before the softmax, the weights with 0 behind it."}},
    {.number = "9.6",
     .title = "scaled self-attention (A1 5.2)",
     .stars = 2,
     .grade = grade_self_attention,
     .hints = {"Write the shape of each result beside its line. The scores are (batch, n, n).",
               "key.transpose(-2, -1) is (batch, d_key, n). Divide by the root of d_key, key.size(-1).",
               "softmax(matmul(query, key^T) / sqrt(d_key), -1), times value, times w_out."}},
    {.number = "9.7",
     .title = "softmax applied once (A2 3.2)",
     .stars = 2,
     .grade = grade_once,
     .hints = {"Take the logarithm of softmax(w)_i = exp(w_i) / S, where S is the same for all i.",
               "log p_i = w_i - log S. Add that up over the n keys, and use that the w_i add up to 1.",
               "1 = sum(log p) + n log S, so log S = (1 - sum(log p)) / n, and w = log p + log S."}},
    {.number = "9.8",
     .title = "query, key and value for the classifier (A4 5.2)",
     .stars = 3,
     .grade = grade_classify,
     .hints =
         {"embedding(tokens, model.words) is (batch, n, d). Write the shapes down before the code.",
          "linear(x, model.query) is (batch, n, heads * width): unflatten(2, {heads, width}) and then "
          "transpose(1, 2). kept = tokens != double(model.pad) is (batch, n), bool.",
          "scaled_dot_product_attention(q, k, v, options) with options.keep of shape (batch, 1, 1, n); back with "
          "transpose(1, 2).flatten(2); the mean is a sum of kept places divided by how many are kept."}},
};

}  // namespace

int main(int argc, char** argv) { return grading::run("ch09", tasks, argc, argv); }
