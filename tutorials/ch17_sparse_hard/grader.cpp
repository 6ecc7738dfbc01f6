// Grades the exercises of chapter 17.
#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "autograd/ops.h"
#include "exercises.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using grading::Grade;

namespace {

const TensorOptions whole{.dtype = float64};

// softmax of x (rows, n), each row by a loop.
Tensor softmax_of(const Tensor& rows, const std::function<double(int64_t row, int64_t i)>& score) {
  std::vector<double> values;
  for (int64_t row = 0; row < rows.size(0); ++row) {
    double largest = -INFINITY, sum = 0;
    for (int64_t i = 0; i < rows.size(1); ++i) largest = std::max(largest, score(row, i));
    for (int64_t i = 0; i < rows.size(1); ++i) sum += std::exp(score(row, i) - largest);
    for (int64_t i = 0; i < rows.size(1); ++i) values.push_back(std::exp(score(row, i) - largest) / sum);
  }
  return from_vector(values, rows.shape());
}

void grade_sample(const ch17::Exercises& student, Grade& grade, const Tensor& logits, double tau) {
  const Tensor u = uniform(logits.shape(), 1e-6, 1, whole, &grade.random());
  const auto noise = [&](int64_t row, int64_t i) { return -std::log(-std::log(u[row][i].item())); };
  const auto logit = [&](int64_t row, int64_t i) { return logits[row][i].item(); };
  grade.equal("gumbel_sample of " + to_string(logits.shape()) + " at tau " + std::to_string(tau),
              student.gumbel_sample(logits, u, tau),
              softmax_of(logits, [&](int64_t row, int64_t i) { return (logit(row, i) + noise(row, i)) / tau; }),
              {{softmax_of(logits, [&](int64_t row, int64_t i) { return (logit(row, i) - noise(row, i)) / tau; }),
                "the noise has the wrong sign"},
               {softmax_of(logits, [&](int64_t row, int64_t i) { return logit(row, i) / tau + noise(row, i); }),
                "the temperature divides the logits but not the noise"}});
}

void grade_straight_through(const ch17::Exercises& student, Grade& grade, const Tensor& logits) {
  const Tensor leaf = logits.detach().requires_grad_();
  const Tensor soft = softmax(leaf, -1), hard = student.straight_through(soft);
  const Tensor chosen = (soft.detach() == soft.detach().amax(-1, true)).to(float64);
  grade.equal("straight_through of " + to_string(logits.shape()), hard.detach(), chosen,
              {{chosen + soft.detach(), "soft is added and not taken away again"}});
  grade.that(hard.requires_grad(), "no gradient comes through to soft");
  const Tensor direction = randn(logits.shape(), whole, &grade.random());
  (hard * direction).sum().backward();
  const Tensor other = logits.detach().requires_grad_();
  (softmax(other, -1) * direction).sum().backward();
  grade.equal("the gradient of the logits", leaf.grad(), other.grad());
}

// Row by row: the query's scores sorted, the others dropped.
Tensor top_k(const Tensor& q, const Tensor& k, const Tensor& v, int64_t count) {
  const Tensor scores = einsum("bnd,bmd->bnm", {q, k}) / std::sqrt(double(q.size(-1)));
  std::vector<Tensor> rows;
  for (int64_t b = 0; b < q.size(0); ++b)
    for (int64_t row = 0; row < q.size(1); ++row) {
      const auto [largest, places] = scores[b][row].sort(-1, true);
      const Tensor weights = softmax(largest.narrow(0, 0, count), 0);
      rows.push_back(matmul(weights, v[b].index_select(0, places.narrow(0, 0, count))));
    }
  return stack(rows).reshape({q.size(0), q.size(1), v.size(-1)});
}

void grade_top_k(const ch17::Exercises& student, Grade& grade, const Tensor& q, const Tensor& k, const Tensor& v,
                 int64_t count) {
  const Tensor scores = matmul(q, k.transpose(-2, -1)) / std::sqrt(double(q.size(-1)));
  std::vector<grading::Known> known = {
      {matmul(softmax(scores.masked_fill(scores < scores.topk(count, -1).first.amin(-1, true), 0), -1), v),
       "dropped scores are set to zero, which hides nothing"}};
  if (count <= q.size(1))
    known.push_back(
        {matmul(masked_softmax(scores, KeepMask(scores >= scores.topk(count, -2).first.amin(-2, true))), v),
         "each key keeps its largest scores, not each query"});
  grade.equal("top_k_attention of " + to_string(q.shape()) + " to " + to_string(k.shape()) + " with count " +
                  std::to_string(count),
              student.top_k_attention(q, k, v, count), top_k(q, k, v, count), known);
}

void grade_low_rank(const ch17::Exercises& student, Grade& grade, int64_t n, int64_t length, int64_t rank) {
  const Tensor q = randn({2, n, 5}, whole, &grade.random());
  const Tensor k = randn({2, 5, n}, whole, &grade.random()).transpose(1, 2);
  const Tensor v = randn({2, n, 3}, whole, &grade.random());
  const Tensor mix_keys = randn({rank, length}, whole, &grade.random());
  const Tensor mix_values = randn({length, rank}, whole, &grade.random()).t();
  const auto attended = [&](int64_t first, const Tensor& values_by) {
    const auto mixed = [&](const Tensor& by, const Tensor& x) {
      return einsum("rn,bnd->brd", {by.slice(1, first, first + n), x});
    };
    return scaled_dot_product_attention(q, mixed(mix_keys, k), mixed(values_by, v));
  };
  grade.equal("low_rank_attention of " + std::to_string(n) + " places with matrices for " + std::to_string(length),
              student.low_rank_attention(q, k, v, mix_keys, mix_values), attended(0, mix_values),
              {{attended(0, mix_keys), "the values are mixed by the matrix for keys"},
               {attended(length - n, mix_values),
                "a short sequence takes the last columns of the mixing matrices, not the first"}});
}

const std::vector<grading::Task<ch17::Exercises>> tasks = {
    {.number = "17.1",
     .title = "a Gumbel-softmax sample",
     .stars = 1,
     .grade =
         [](const ch17::Exercises& student, Grade& grade) {
           grade_sample(student, grade, randn({3, 5}, whole, &grade.random()), 0.5);
           grade_sample(student, grade, randn({7, 2}, whole, &grade.random()).t(), 3);
           grade_sample(student, grade, randn({2, 4}, whole, &grade.random()) * 300.0, 0.1);
         },
     .hints =
         {"What is added to the logits, and what is divided?",
          "log is the natural logarithm, and u lies in (0, 1): -log(u) is positive, so that its logarithm exists.",
          "softmax((logits - log(-log(u))) / tau, -1)"}},
    {.number = "17.2",
     .title = "straight through",
     .stars = 2,
     .grade =
         [](const ch17::Exercises& student, Grade& grade) {
           grade_straight_through(student, grade, randn({4, 5}, whole, &grade.random()));
           grade_straight_through(student, grade, randn({3, 2, 7}, whole, &grade.random()).transpose(0, 1));
         },
     .hints = {"Which expression is zero in value, but has a gradient?",
               "soft - soft.detach() is zero, and its gradient is that of soft.",
               "one_hot(soft.detach().argmax(-1), soft.size(-1)).to(soft.dtype()) is the value; add the above."}},
    {.number = "17.3",
     .title = "the largest scores alone",
     .stars = 2,
     .grade =
         [](const ch17::Exercises& student, Grade& grade) {
           const auto random = [&](const Shape& shape) { return randn(shape, whole, &grade.random()); };
           grade_top_k(student, grade, random({2, 5, 3}), random({2, 7, 3}), random({2, 7, 4}), 3);
           grade_top_k(student, grade, random({1, 4, 6}).transpose(1, 2), random({1, 9, 4}), random({1, 9, 2}), 1);
           grade_top_k(student, grade, random({2, 6, 3}), random({2, 6, 3}), random({2, 6, 3}), 6);
         },
     .hints =
         {"A score is kept where it is at least as large as the count-th largest of its row.",
          "scores.topk(count, -1).first is (batch, n, count); its smallest, with amin(-1, true), is (batch, n, 1).",
          "masked_softmax(scores, KeepMask(scores >= least)) times v."}},
    {.number = "17.4",
     .title = "low-rank attention",
     .stars = 3,
     .grade =
         [](const ch17::Exercises& student, Grade& grade) {
           grade_low_rank(student, grade, 9, 9, 4);
           grade_low_rank(student, grade, 6, 11, 3);
           grade_low_rank(student, grade, 1, 5, 2);
         },
     .hints = {"Which dimension shrinks, that of places or that of features?",
               "mix_keys is (rank, length); its first n columns times k, (batch, n, d), is (batch, rank, d).",
               "matmul(mix_keys.narrow(1, 0, n), k) and likewise for v; from there on it is ordinary attention of n "
               "queries to rank keys."}},
};

}  // namespace

int main(int argc, char** argv) { return grading::run("ch17", tasks, argc, argv); }
