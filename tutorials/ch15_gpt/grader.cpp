// Grades the exercises of chapter 15: against loops over elements, and, for the step of decoding, against all places at
// once.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "exercises.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using grading::Grade;

namespace {

const TensorOptions whole{.dtype = float64};

Tensor scalar(double value) { return from_vector(std::vector<double>{value}, {}); }

Tensor random_tokens(int64_t batch, int64_t n, int64_t vocabulary, Generator& random) {
  std::vector<int64_t> tokens;
  for (int64_t i = 0; i < batch * n; ++i) tokens.push_back(random.below(vocabulary));
  return from_vector(tokens, {batch, n});
}

// --- 15.1: place by place -------------------------------------------------------------------------------------------

// The mean of -log p of token i + offset at place i, wherever there is one.
double mean_loss(const Tensor& logits, const Tensor& tokens, int64_t offset) {
  double sum = 0;
  int64_t count = 0;
  for (int64_t b = 0; b < tokens.size(0); ++b)
    for (int64_t i = std::max<int64_t>(0, -offset); i < std::min(tokens.size(1), tokens.size(1) - offset); ++i) {
      const std::vector<double> row = logits[b][i].to_vector();
      double exponentials = 0;
      for (const double score : row) exponentials += std::exp(score);
      sum += std::log(exponentials) - row[size_t(tokens[b][i + offset].item())];
      ++count;
    }
  return sum / double(count);
}

void grade_loss(const ch15::Exercises& student, Grade& grade, const Tensor& logits, const Tensor& tokens) {
  grade.equal(
      "loss of logits " + to_string(logits.shape()) + " and tokens " + to_string(tokens.shape()),
      student.loss(logits, tokens), scalar(mean_loss(logits, tokens, 1)),
      {{scalar(mean_loss(logits, tokens, 0)),
        "nothing is shifted: a place is asked for the token that it has just read"},
       {scalar(mean_loss(logits, tokens, -1)), "shifted the wrong way: a place is asked for the token before it"}});
}

// --- 15.2 -----------------------------------------------------------------------------------------------------------

void grade_draw(const ch15::Exercises& student, Grade& grade, const Tensor& probabilities, double u, int64_t expected,
                const std::vector<std::pair<double, std::string>>& known = {}) {
  std::string what = "draw from [";
  for (const double p : probabilities.to_vector()) what += (what.back() == '[' ? "" : " ") + std::to_string(p);
  grade.equal(what + "] with u = " + std::to_string(u), double(student.draw(probabilities, u)), double(expected),
              known);
}

// How many sums of the first ones do not exceed u.
int64_t drawn(const Tensor& probabilities, double u) {
  double sum = 0;
  int64_t token = 0;
  for (const double p : probabilities.to_vector()) token += (sum += p) <= u;
  return token;
}

// --- 15.3: by rank --------------------------------------------------------------------------------------------------

enum class Slip { none, left_out, of_all };

Tensor filtered(const Tensor& logits, double temperature, int64_t top_k, double top_p, Slip slip = Slip::none) {
  const std::vector<double> score = logits.to_vector();
  std::vector<size_t> order(score.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return score[a] > score[b]; });
  std::vector<double> p(score.size());
  double total = 0;
  for (size_t i = 0; i < p.size(); ++i) total += p[i] = std::exp((score[i] - score[order[0]]) / temperature);
  if (top_k > 0 && size_t(top_k) < order.size()) order.resize(size_t(top_k));
  double all = 0;
  for (const size_t token : order) all += p[token];
  const double enough = top_p * (slip == Slip::of_all ? total : all);
  double sum = 0;
  std::vector<double> left(p.size());
  for (const size_t token : order) {
    if (slip == Slip::left_out ? sum + p[token] >= enough : sum > 0 && sum >= enough) break;
    sum += left[token] = p[token];
  }
  if (sum > 0)
    for (double& value : left) value /= sum;
  return from_vector(left, {int64_t(left.size())});
}

void grade_filter(const ch15::Exercises& student, Grade& grade, const Tensor& logits, double temperature,
                  int64_t top_k, double top_p) {
  const auto expected = [&](Slip slip) { return filtered(logits, temperature, top_k, top_p, slip); };
  grade.equal("filter of " + std::to_string(logits.numel()) + " logits, temperature " + std::to_string(temperature) +
                  ", top_k " + std::to_string(top_k) + ", top_p " + std::to_string(top_p),
              student.filter(logits, temperature, top_k, top_p), expected(Slip::none),
              {{expected(Slip::left_out), "the token with which the sum reaches top_p is left out"},
               {expected(Slip::of_all), "top_p is a share of all tokens, not of those that top_k has left"}});
}

// --- 15.4: all places at once ---------------------------------------------------------------------------------------

// x (batch, n, d), place i turned as if it stood at places[i].
Tensor turned(const Tensor& x, const std::vector<int64_t>& places) {
  const int64_t d = x.size(2), half = d / 2;
  std::vector<double> values;
  for (int64_t b = 0; b < x.size(0); ++b)
    for (size_t i = 0; i < places.size(); ++i) {
      const std::vector<double> row = x[b][int64_t(i)].to_vector();
      for (int64_t j = 0; j < d; ++j) {
        const double angle = double(places[i]) * std::pow(10000.0, -2.0 * double(j % half) / double(d));
        const double a = row[size_t(j % half)], c = row[size_t(j % half + half)];
        values.push_back(j < half ? a * std::cos(angle) - c * std::sin(angle)
                                  : a * std::sin(angle) + c * std::cos(angle));
      }
    }
  return from_vector(values, x.shape());
}

// Head by head; place i stands at places[i], and sees the keys up to last[i].
Tensor attended(const Tensor& x, const ch15::Weights& w, const std::vector<int64_t>& places,
                const std::vector<int64_t>& last) {
  const int64_t features = x.size(2), d = features / w.heads, n = x.size(1);
  std::vector<double> keep;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) keep.push_back(j <= last[size_t(i)] ? 1 : 0);
  const KeepMask mask(from_vector(keep, {n, n}) != 0.0);
  std::vector<Tensor> outputs;
  for (int64_t head = 0; head < w.heads; ++head) {
    const auto part = [&](int64_t which) {
      return matmul(x, w.in_proj.narrow(0, which * features + head * d, d).t());
    };
    const Tensor scores = matmul(turned(part(0), places), turned(part(1), places).transpose(-2, -1));
    outputs.push_back(matmul(masked_softmax(scores / std::sqrt(double(d)), mask), part(2)));
  }
  return matmul(cat(outputs, -1), w.out_proj.t());
}

void grade_decode(const ch15::Exercises& student, Grade& grade, const Tensor& x, int64_t heads,
                  const std::vector<int64_t>& pieces) {
  const int64_t features = x.size(2);
  const ch15::Weights w = {.in_proj = randn({3 * features, features}, whole, &grade.random()) / 2.0,
                           .out_proj = randn({features, features}, whole, &grade.random()),
                           .heads = heads};
  std::vector<int64_t> places, within;  // of each place in the text, and in its piece
  ch15::Cache cache;
  std::vector<Tensor> outputs;
  std::string what = "decode of " + to_string(x.shape()) + " in pieces of";
  for (const int64_t n : pieces) {
    outputs.push_back(student.decode(x.narrow(1, int64_t(places.size()), n), w, cache));
    for (int64_t i = 0; i < n; ++i) {
      places.push_back(int64_t(places.size()));
      within.push_back(i);
    }
    what += " " + std::to_string(n);
    const Shape held = {x.size(0), heads, int64_t(places.size()), features / heads};
    grade.that(cache.keys.defined() && cache.values.defined(), what + ": the cache is still empty");
    grade.that(cache.keys.shape() == held && cache.values.shape() == held,
               what + ": the cache holds keys " + to_string(cache.keys.shape()) + " and values " +
                   to_string(cache.values.shape()) + ", and should hold " + to_string(held));
  }
  grade.equal(
      what, cat(outputs, 1), attended(x, w, places, places),
      {{attended(x, w, within, places), "the new places are rotated as if the text began with them"},
       {attended(x, w, places, within), "the mask begins at the wrong end: the newest place sees the oldest only"}});
}

const std::vector<grading::Task<ch15::Exercises>> tasks = {
    {.number = "15.1",
     .title = "the loss of a language model",
     .stars = 1,
     .grade =
         [](const ch15::Exercises& student, Grade& grade) {
           Generator& random = grade.random();
           grade_loss(student, grade, randn({2, 5, 7}, whole, &random), random_tokens(2, 5, 7, random));
           grade_loss(student, grade, randn({7, 3, 5}, whole, &random).permute({1, 0, 2}),
                      random_tokens(7, 3, 5, random).t());
           grade_loss(student, grade, randn({1, 2, 9}, whole, &random), random_tokens(1, 2, 9, random));
         },
     .hints =
         {"How many questions does a text of five tokens ask, if the first is given and nothing is known behind the "
          "last?",
          "The scores of the first n - 1 places belong to the last n - 1 tokens.",
          "logits.narrow(1, 0, n - 1) and tokens.narrow(1, 1, n - 1); flatten(0, 1) and flatten() make what "
          "cross_entropy wants of them."}},
    {.number = "15.2",
     .title = "a draw by the inverse of the distribution function",
     .stars = 1,
     .grade =
         [](const ch15::Exercises& student, Grade& grade) {
           Generator& random = grade.random();
           for (int i = 0; i < 20; ++i) {
             const Tensor p = softmax(randn({7, 3}, whole, &random), 0).select(1, i % 3);  // a column
             const double u = random.uniform();
             grade_draw(student, grade, p, u, std::min<int64_t>(drawn(p, u), 6));
           }
           const Tensor some = tensor({0, 0, 0.25, 0.5, 0, 0.25, 0}, whole);
           const std::string reached =
               "u = 0 draws a token of probability zero: the sum has to exceed u, not to reach it";
           grade_draw(student, grade, some, 0, 2, {{0, reached}});
           grade_draw(student, grade, some, 0.25, 3,
                      {{2, "a token's own share ends before its sum: the sum has to exceed u, not to reach it"}});
           grade_draw(student, grade, some, 0.9, 5);
           grade_draw(student, grade, tensor({0, 0.3, 0.3, 0.3999, 0, 0}, whole), 0.99999, 3,
                      {{5, "where the sum stays below u, the last token is drawn although its probability is zero"}});
         },
     .hints = {"Think of a line from 0 to 1, cut into one piece for each token, as long as the token is likely.",
               "A running sum; the first token at which it exceeds u. A piece of length zero is never hit.",
               "Remember the last token whose probability is above zero, and return it when the loop ends without an "
               "answer."}},
    {.number = "15.3",
     .title = "temperature, top-k, top-p",
     .stars = 2,
     .grade =
         [](const ch15::Exercises& student, Grade& grade) {
           Generator& random = grade.random();
           const Tensor known = tensor({0.5, -1, 2, 0, 1}, whole);  // the scores of the chapter, in another order
           grade_filter(student, grade, known, 1, 0, 1);
           grade_filter(student, grade, known, 0.5, 0, 1);
           grade_filter(student, grade, known, 1, 2, 1);
           grade_filter(student, grade, known, 1, 0, 0.8);
           grade_filter(student, grade, known, 1, 2, 0.7);
           grade_filter(student, grade, known, 0.5, 0, 0.8);
           grade_filter(student, grade, known, 1, 0, 1e-6);  // the likeliest stays
           grade_filter(student, grade, known, 1, 9, 1);     // more than there are
           grade_filter(student, grade, tensor({1, 3, 3, 0, 3}, whole), 1, 2, 1);
           grade_filter(student, grade, tensor({1, -INFINITY, 3, -INFINITY}, whole), 2, 3, 0.999);
           for (int i = 0; i < 10; ++i)
             grade_filter(student, grade, randn({11, 3}, whole, &random).select(1, i % 3) * 2.0,
                          0.3 + 2 * random.uniform(), random.below(12), 0.05 + 0.9 * random.uniform());
         },
     .hints =
         {"Of a falling row of probabilities both filters keep a beginning. How long is it for each?",
          "Top-p adds up until the sum reaches its share, and keeps the token that reached it, so that one at least "
          "stays. Its share is of what top-k has left.",
          "while (kept < most && (kept == 0 || sum < top_p * all)) sum += p[kept++]; then p[i] / sum goes to place "
          "order[i]."}},
    {.number = "15.4",
     .title = "a step of decoding, as if all were read anew",
     .stars = 3,
     .grade =
         [](const ch15::Exercises& student, Grade& grade) {
           Generator& random = grade.random();
           grade_decode(student, grade, randn({2, 7, 12}, whole, &random), 3, {7});
           grade_decode(student, grade, randn({2, 9, 12}, whole, &random), 3, {5, 1, 1, 2});
           grade_decode(student, grade, randn({3, 12, 5}, whole, &random).transpose(1, 2), 2, {1, 1, 1, 1, 1});
         },
     .hints =
         {"What of the attention of all places at once belongs to the new ones? Only rows of it: their queries, but "
          "all keys and values.",
          "The first new place is the number of those in the cache. Keys are rotated once, before they are kept.",
          "rotary(part, before), cat({cache.keys, k}, 2), causal_mask(n, before + n); then join the heads with "
          "transpose(1, 2).flatten(2, 3)."}},
};

}  // namespace

int main(int argc, char** argv) { return grading::run("ch15", tasks, argc, argv); }
