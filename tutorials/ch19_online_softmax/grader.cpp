// Judges the exercises of chapter 19, against softmax and matmul with the whole matrix, and against autograd.
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "autograd/autograd.h"
#include "autograd/ops.h"
#include "exercises.h"
#include "tensor/allocator.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using ch19::AttentionGradients;
using ch19::Result;
using ch19::Running;
using grading::Grade;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

// Neither contiguous nor transposed simply: every second column of a larger matrix that lies in columns.
Tensor numbers(Grade& grade, int64_t rows, int64_t columns) {
  return randn({2 * columns, rows}, {.dtype = float64}, &grade.random()).t().slice(1, 0, slice_end, 2);
}

struct Size {
  int64_t m, n, d, features, tile;
};
std::string name(const Size& s) {
  return std::to_string(s.m) + " queries, " + std::to_string(s.n) + " keys, tiles of " + std::to_string(s.tile);
}

// --- 19.1 ---

Running of_keys(const Tensor& scores, const Tensor& values) {
  if (scores.numel() == 0) return {-infinity, 0, zeros({values.size(1)}, values.options())};
  const double largest = scores.amax().item();
  const Tensor e = exp(scores - largest);
  return {largest, e.sum().item(), matmul(e, values)};
}

void judge_merge(const ch19::Exercises& student, Grade& grade, int64_t left, int64_t right, double height) {
  const Tensor scores = randn({left + right}, {.dtype = float64}, &grade.random()) * height;
  const Tensor values = numbers(grade, left + right, 3);
  const Running a = of_keys(scores.narrow(0, 0, left), values.narrow(0, 0, left));
  const Running b = of_keys(scores.narrow(0, left, right), values.narrow(0, left, right));
  const Running got = student.merge(a, b), expected = of_keys(scores, values);
  const std::string what = std::to_string(left) + " and " + std::to_string(right) + " keys: ";
  const std::string sums = "the sums are added as they are, though each was taken from a largest score of its own";
  const std::string none = "two parts that have seen no key give NaN";
  const double nan = std::numeric_limits<double>::quiet_NaN();
  grade.equal(what + "the largest score", got.largest, expected.largest);
  grade.equal(what + "the sum", got.sum, expected.sum, {{a.sum + b.sum, sums}, {nan, none}});
  grade.equal(what + "the output", got.output, expected.output,
              {{a.output + b.output, sums}, {full_like(expected.output, nan), none}});
}

// --- 19.2 and 19.3 ---

double scale_of(const Tensor& q) { return 1 / std::sqrt(double(q.size(-1))); }

// With the whole matrix of scores. Query i sees the keys up to i + last; all of them if `last` is not below n.
Result dense(const Tensor& q, const Tensor& k, const Tensor& v, double scale, int64_t last) {
  const int64_t m = q.size(0), n = k.size(0);
  const Tensor place = arange(double(last), double(last + m), 1, v.options()).unsqueeze(1);
  const Tensor key = arange(0, double(n), 1, v.options());
  const Tensor hidden = logical_and(key > place, key > 0.0);  // the first is always seen
  const Tensor scores = (scale * matmul(q, k.t())).masked_fill(hidden, -infinity);
  return {matmul(softmax(scores, 1), v), scores.logsumexp({1})};
}

// As 19.2, without correcting the output.
Tensor uncorrected(const Tensor& q, const Tensor& k, const Tensor& v, int64_t tile) {
  double largest = -infinity, sum = 0;
  Tensor output = zeros({v.size(1)}, v.options());
  for (int64_t first = 0; first < k.size(0); first += tile) {
    const int64_t keys = std::min(tile, k.size(0) - first);
    const Tensor scores = scale_of(q) * matmul(k.narrow(0, first, keys), q);
    const double before = largest;
    largest = std::max(before, scores.amax().item());
    const Tensor weights = exp(scores - largest);
    sum = std::exp(before - largest) * sum + weights.sum().item();
    output = output + matmul(weights, v.narrow(0, first, keys));
  }
  return output / sum;
}

void judge_query(const ch19::Exercises& student, Grade& grade, const Size& s, double height) {
  const Tensor q = numbers(grade, s.d, 1).select(1, 0) * height, k = numbers(grade, s.n, s.d);
  const Tensor v = numbers(grade, s.n, s.features);
  const auto all = [&](double scale) { return dense(q.unsqueeze(0), k, v, scale, s.n).output.squeeze(0); };
  grade.equal(name(s), student.attend_query(q, k, v, s.tile), all(scale_of(q)),
              {{uncorrected(q, k, v, s.tile), "the output of before is not corrected when the largest score grows"},
               {all(1), "the scores are not multiplied by 1 / sqrt(d)"}});
}

void judge_causal(const ch19::Exercises& student, Grade& grade, const Size& s) {
  const Tensor q = numbers(grade, s.m, s.d), k = numbers(grade, s.n, s.d), v = numbers(grade, s.n, s.features);
  const int64_t behind = s.n - s.m;
  const Result got = student.attend_causal(q, k, v, s.tile), expected = dense(q, k, v, scale_of(q), behind);
  const Result first = dense(q, k, v, scale_of(q), 0), own = dense(q, k, v, scale_of(q), behind - 1);
  const std::string of_first = "the queries are taken for the first of the keys, not for the last";
  const std::string of_own = "a query does not see the key at its own place";
  grade.equal(name(s) + ": output", got.output, expected.output, {{first.output, of_first}, {own.output, of_own}});
  grade.equal(name(s) + ": log_sum", got.log_sum, expected.log_sum,
              {{first.log_sum, of_first}, {own.log_sum, of_own}});
}

// --- 19.4 ---

void judge_gradients(const ch19::Exercises& student, Grade& grade, const Size& s) {
  const Tensor q = numbers(grade, s.m, s.d), k = numbers(grade, s.n, s.d), v = numbers(grade, s.n, s.features);
  const Tensor g = numbers(grade, s.m, s.features);
  const Tensor q_leaf = q.requires_grad_(), k_leaf = k.requires_grad_(), v_leaf = v.requires_grad_();
  attend(q_leaf, k_leaf, v_leaf).output.backward(g);
  const Result result = dense(q, k, v, scale_of(q), s.n);
  const AttentionGradients got = student.gradients(q, k, v, result, g, s.tile);
  const Tensor weights = softmax(scale_of(q) * matmul(q, k.t()), 1), unbalanced = weights * matmul(g, v.t());
  const std::string balance = "D is left out, as if weights could grow without others shrinking";
  grade.equal(name(s) + ": dv", got.v, v_leaf.grad());
  grade.equal(name(s) + ": dq", got.q, q_leaf.grad(),
              {{scale_of(q) * matmul(unbalanced, k), balance},
               {q_leaf.grad() / scale_of(q), "dq lacks the factor 1 / sqrt(d)"}});
  grade.equal(name(s) + ": dk", got.k, k_leaf.grad(),
              {{scale_of(q) * matmul(unbalanced.t(), q), balance},
               {k_leaf.grad() / scale_of(q), "dk lacks the factor 1 / sqrt(d)"}});
}

// Whether f() takes far less memory than n x n numbers.
template <class F>
void judge_memory(Grade& grade, int64_t n, const F& f) {
  reset_peak_memory();
  const int64_t before = memory_stats().live;
  f();
  const int64_t kb = (memory_stats().peak - before) / 1024, matrix = n * n * int64_t(sizeof(double)) / 1024;
  grade.that(kb < matrix / 2, "the result is right, but for " + std::to_string(n) + " queries and keys " +
                                  std::to_string(kb) + " KB were taken, where a matrix of weights has " +
                                  std::to_string(matrix) + " KB: only a tile of it should ever be there");
}

const std::vector<Size> square_sizes = {{1, 1, 3, 2, 4}, {4, 4, 5, 3, 4}, {9, 9, 5, 4, 4}, {7, 7, 3, 5, 1}};

const std::vector<grading::Task<ch19::Exercises>> tasks = {
    {.number = "19.1",
     .title = "the online merge",
     .stars = 1,
     .grade =
         [](const ch19::Exercises& student, Grade& grade) {
           judge_merge(student, grade, 3, 5, 1);
           judge_merge(student, grade, 1, 1, 1);
           judge_merge(student, grade, 4, 7, 1000);
           judge_merge(student, grade, 0, 3, 1);
           judge_merge(student, grade, 3, 0, 1);
           judge_merge(student, grade, 0, 0, 1);
         },
     .hints =
         {"Both sums have to be as if they had been taken from the same largest score.",
          "exp(score - m) = exp(score - m_a) exp(m_a - m): a factor for all that a knows, and one for b. What is "
          "-infinity minus -infinity?",
          "m = max(m_a, m_b); return a if m is -infinity; sum = exp(m_a - m) sum_a + exp(m_b - m) sum_b, and the "
          "outputs in the same way"}},
    {.number = "19.2",
     .title = "one query, and keys in tiles",
     .stars = 2,
     .grade =
         [](const ch19::Exercises& student, Grade& grade) {
           for (const Size& s : std::vector<Size>{{1, 9, 5, 3, 4}, {1, 1, 3, 2, 4}, {1, 8, 4, 3, 4}, {1, 7, 3, 4, 1}})
             judge_query(student, grade, s, 1);
           judge_query(student, grade, {1, 13, 5, 3, 4}, 3000);
         },
     .hints =
         {"Keep the largest score, the sum and the output between tiles; the division comes last.",
          "A tile with a larger score makes all of before smaller: multiply the sum and the output by exp(old "
          "largest - new largest) before you add.",
          "weights = exp(scores - largest); sum = correction * sum + weights.sum().item(); output = correction * "
          "output + matmul(weights, values of the tile)"}},
    {.number = "19.3",
     .title = "tiles of queries, and a causal mask",
     .stars = 2,
     .grade =
         [](const ch19::Exercises& student, Grade& grade) {
           judge_causal(student, grade, {9, 9, 5, 4, 4});
           judge_causal(student, grade, {5, 12, 3, 2, 4});
           for (const Size& s : square_sizes) judge_causal(student, grade, s);
           judge_causal(student, grade, {3, 10, 4, 3, 16});
           const int64_t n = 160;
           const Tensor x = numbers(grade, n, 4);
           judge_memory(grade, n, [&] { student.attend_causal(x, x, x, 8); });
         },
     .hints =
         {"The key that query i sees last is at the place i + n - m. Which tiles of keys has none of the queries "
          "of a tile to look at?",
          "With largest and sum as (queries, 1), all of 19.2 holds as it is written, by broadcasting. Compare two "
          "aranges, (keys) and (queries, 1), for the mask.",
          "scores.masked_fill(key > last, -infinity), with key = j, j + 1 ... and last = i + n - m, i + n - m + 1 "
          "...; log_sum is largest + log(sum)"}},
    {.number = "19.4",
     .title = "the gradient without the matrix",
     .stars = 3,
     .grade =
         [](const ch19::Exercises& student, Grade& grade) {
           judge_gradients(student, grade, {5, 9, 6, 4, 4});
           for (const Size& s : square_sizes) judge_gradients(student, grade, s);
           const int64_t n = 160;
           const Tensor x = numbers(grade, n, 4);
           const Result result = dense(x, x, x, scale_of(x), n);
           judge_memory(grade, n, [&] { student.gradients(x, x, x, result, x, 8); });
         },
     .hints = {"The weights of a tile of keys need no maximum and no sum: log_sum has both in it.",
               "The gradient of softmax is P (dP - sum of P dP along the row), and the sum of P dP along the row is "
               "the sum of g times the output.",
               "change = weights * (matmul(g, v.t()) - D); dq += scale * matmul(change, k), dk = scale * "
               "matmul(change.t(), q), dv = matmul(weights.t(), g), each for a tile of k and v"}},
};

}  // namespace

int main(int argc, char** argv) { return grading::run("ch19", tasks, argc, argv); }
