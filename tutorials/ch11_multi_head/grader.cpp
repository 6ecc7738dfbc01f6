// Grades the exercises of chapter 11, against loops over elements and against attention head by head.
#include <cmath>
#include <functional>
#include <vector>

#include "exercises.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using grading::Grade;

namespace {

const TensorOptions whole{.dtype = float64};

// --- 11.1: element by element ---------------------------------------------------------------------------------------

// The number that kind `kind` (0 query, 1 key, 2 value) of head `head` has at its i-th feature is feature
// kind * features + within(head, i) of the place.
Tensor dealt(const Tensor& packed, int64_t heads, const std::function<int64_t(int64_t head, int64_t i)>& within) {
  const int64_t batch = packed.size(0), places = packed.size(1), features = packed.size(2) / 3, d = features / heads;
  std::vector<double> values;
  for (int64_t kind = 0; kind < 3; ++kind)
    for (int64_t b = 0; b < batch; ++b)
      for (int64_t head = 0; head < heads; ++head)
        for (int64_t place = 0; place < places; ++place)
          for (int64_t i = 0; i < d; ++i)
            values.push_back(packed[b][place][kind * features + within(head, i)].item());
  return from_vector(values, {3, batch, heads, places, d});
}

void grade_split(const ch11::Exercises& student, Grade& grade, const Tensor& packed, int64_t heads) {
  const int64_t d = packed.size(2) / (3 * heads);
  const Tensor got = student.split_heads(packed, heads);
  grade.equal("split_heads of " + to_string(packed.shape()) + " into " + std::to_string(heads), got,
              dealt(packed, heads, [&](int64_t head, int64_t i) { return head * d + i; }),
              {{packed.reshape({3, packed.size(0), heads, packed.size(1), d}),
                "the numbers are in their old order: a reshape does not move a dimension"},
               {dealt(packed, heads, [&](int64_t head, int64_t i) { return i * heads + head; }),
                "the features are dealt out to the heads in turn, not in blocks"}});
  grade.that(got.storage() == packed.storage(), "the heads are a copy, not a view: their storage is another");
}

// --- 11.2 -----------------------------------------------------------------------------------------------------------

Tensor keep_where(int64_t queries, int64_t keys, const std::function<bool(int64_t query, int64_t key)>& may) {
  std::vector<double> values;
  for (int64_t query = 0; query < queries; ++query)
    for (int64_t key = 0; key < keys; ++key) values.push_back(may(query, key) ? 1 : 0);
  return from_vector(values, {queries, keys}) != 0.0;
}

// --- 11.3 and 11.5: places and their angles -------------------------------------------------------------------------

// The angle of pair i of `features` features at place p, where pair i is `step` i on the way to `features`.
double angle(int64_t place, int64_t i, int64_t features, double step = 2) {
  return double(place) * std::pow(10000.0, -step * double(i) / double(features));
}

Tensor sinusoidal_table(int64_t places, int64_t features, double step = 2) {
  std::vector<double> values;
  for (int64_t place = 0; place < places; ++place)
    for (int64_t i = 0; i < features / 2; ++i) {
      values.push_back(std::sin(angle(place, i, features, step)));
      values.push_back(std::cos(angle(place, i, features, step)));
    }
  return from_vector(values, {places, features});
}

Tensor sines_first(const Tensor& table) {
  return cat({table.slice(1, 0, slice_end, 2), table.slice(1, 1, slice_end, 2)}, 1);
}

// x (batch, places, d); `sign` of the first sine.
Tensor turned(const Tensor& x, int64_t first, double sign = -1) {
  const int64_t places = x.size(1), d = x.size(2), half = d / 2;
  std::vector<double> values;
  for (int64_t b = 0; b < x.size(0); ++b)
    for (int64_t place = 0; place < places; ++place)
      for (int64_t j = 0; j < d; ++j) {
        const double turn = angle(first + place, j % half, d);
        const double a = x[b][place][j % half].item(), c = x[b][place][j % half + half].item();
        values.push_back(j < half ? a * std::cos(turn) + sign * c * std::sin(turn)
                                  : a * std::sin(turn) + c * std::cos(turn));
      }
  return from_vector(values, x.shape());
}

// --- 11.4: one head after the other ---------------------------------------------------------------------------------

struct Wrong {
  bool all_features = false, joined_in_front = false;
};

Tensor head_by_head(const Tensor& x, const Tensor& in_proj, const Tensor& out_proj, const KeepMask& keep,
                    int64_t heads, const Wrong& wrong = {}) {
  const int64_t features = x.size(-1), d = features / heads;
  std::vector<Tensor> outputs;
  for (int64_t head = 0; head < heads; ++head) {
    const auto part = [&](int64_t which) { return matmul(x, in_proj.narrow(0, which * features + head * d, d).t()); };
    const double size = double(wrong.all_features ? features : d);
    outputs.push_back(
        scaled_dot_product_attention(part(0), part(1), part(2), {.keep = keep, .scale = 1 / std::sqrt(size)}));
  }
  const Tensor joined = wrong.joined_in_front ? stack(outputs, 1).reshape(x.shape()) : cat(outputs, -1);
  return matmul(joined, out_proj.t());
}

void grade_multi_head(const ch11::Exercises& student, Grade& grade, const Tensor& x, const KeepMask& keep,
                      int64_t heads) {
  const int64_t features = x.size(-1);
  const Tensor in_proj = randn({3 * features, features}, whole, &grade.random()) / 2.0;
  const Tensor out_proj = randn({features, features}, whole, &grade.random());
  const auto expected = [&](const Wrong& wrong) { return head_by_head(x, in_proj, out_proj, keep, heads, wrong); };
  grade.equal(
      "multi_head of " + to_string(x.shape()) + " with " + std::to_string(heads) + " heads",
      student.multi_head(x, in_proj, out_proj, keep, heads), expected({}),
      {{expected({.all_features = true}), "the scores are divided by the root of all features, not of one head's"},
       {expected({.joined_in_front = true}), "the heads are joined while they stand in front of the places"}});
}

const std::vector<grading::Task<ch11::Exercises>> tasks = {
    {.number = "11.1",
     .title = "queries, keys and values in heads, without a copy",
     .stars = 1,
     .grade =
         [](const ch11::Exercises& student, Grade& grade) {
           grade_split(student, grade, randn({2, 5, 18}, whole, &grade.random()), 3);
           grade_split(student, grade, randn({2, 24, 7}, whole, &grade.random()).transpose(1, 2), 4);
           grade_split(student, grade, randn({1, 3, 15}, whole, &grade.random()), 1);
         },
     .hints =
         {"Into which three sizes is the last dimension cut, from the slowest to the fastest?",
          "unflatten cuts a dimension into several; neighbouring features belong to the innermost. permute puts "
          "dimensions into another order without touching a number.",
          "packed.unflatten(-1, {3, heads, d}) is (batch, places, 3, heads, d): dimensions 0 to 4. Asked for is the "
          "order (3, batch, heads, places, d)."}},
    {.number = "11.2",
     .title = "the causal mask",
     .stars = 1,
     .grade =
         [](const ch11::Exercises& student, Grade& grade) {
           for (const auto& [queries, keys] : {std::pair<int64_t, int64_t>{5, 5}, {3, 7}, {1, 4}, {1, 1}})
             grade.equal(
                 "causal_keep(" + std::to_string(queries) + ", " + std::to_string(keys) + ")",
                 student.causal_keep(queries, keys),
                 keep_where(queries, keys, [&](int64_t query, int64_t key) { return key <= query + keys - queries; }),
                 {{keep_where(queries, keys,
                              [&](int64_t query, int64_t key) { return key < query + keys - queries; }),
                   "a place does not see itself"},
                  {keep_where(queries, keys, [&](int64_t query, int64_t key) { return key <= query; }),
                   "the queries stand at the first places, not at the last"}});
         },
     .hints =
         {"What is the place of query 0, when there are three queries and ten keys?",
          "Query i stands at place keys - queries + i. It may look at key j where j is not above that.",
          "arange(queries).unsqueeze(1) + double(keys - queries) is (queries, 1); compare it with arange(keys)."}},
    {.number = "11.3",
     .title = "sinusoidal positions",
     .stars = 2,
     .grade =
         [](const ch11::Exercises& student, Grade& grade) {
           for (const auto& [places, features] : {std::pair<int64_t, int64_t>{7, 6}, {300, 18}, {1, 4}}) {
             const Tensor expected = sinusoidal_table(places, features);
             grade.equal(
                 "sinusoidal(" + std::to_string(places) + ", " + std::to_string(features) + ")",
                 student.sinusoidal(places, features), expected,
                 {{sines_first(expected), "all sines come before the first cosine"},
                  {sinusoidal_table(places, features, 1), "the exponent is i / features instead of 2i / features"}});
           }
         },
     .hints =
         {"All angles are one product of a column of places and a row of rates.",
          "The rates are 10000^(-e) with e = 0, 2 / features, 4 / features, ... A sine and the cosine of the same "
          "angle are neighbours.",
          "stack({sin(angle), cos(angle)}, -1) is (places, features / 2, 2); flatten its last two dimensions."}},
    {.number = "11.4",
     .title = "multi-head self-attention",
     .stars = 2,
     .grade =
         [](const ch11::Exercises& student, Grade& grade) {
           const KeepMask all(ones({5, 5}, {.dtype = boolean}));
           grade_multi_head(student, grade, randn({2, 5, 12}, whole, &grade.random()), all, 3);
           grade_multi_head(student, grade, randn({3, 6, 7}, whole, &grade.random()).transpose(1, 2),
                            causal_mask(7, 7), 2);
           // The middle place may look at nothing.
           grade_multi_head(student, grade, randn({1, 3, 4}, whole, &grade.random()),
                            KeepMask(tensor({{1, 1, 0}, {0, 0, 0}, {1, 0, 1}}) != 0.0), 4);
         },
     .hints =
         {"Exercise 11.1 splits the heads; what undoes it?",
          "linear(x, in_proj) has queries, keys and values side by side: chunk(3, -1). A score is a sum over one "
          "head's features.",
          "After matmul the output is (batch, heads, places, d): transpose(1, 2), then flatten(2, 3), then "
          "out_proj."}},
    {.number = "11.5",
     .title = "rotary positions",
     .stars = 3,
     .grade =
         [](const ch11::Exercises& student, Grade& grade) {
           for (const int64_t first : {0, 13}) {
             const Tensor x = randn({2, 6, 5}, whole, &grade.random()).transpose(1, 2);  // (batch, places, d)
             grade.equal("rotate of [2, 5, 6] from place " + std::to_string(first), student.rotate(x, first),
                         turned(x, first),
                         {{turned(x, first, 1), "a sine lacks its minus, so that lengths change"},
                          {turned(x, 0), "the first place is taken to be 0"}});
           }
           const Tensor query = randn({1, 10}, whole, &grade.random()), key = randn({1, 10}, whole, &grade.random());
           const auto product = [&](int64_t place) {
             return (student.rotate(query, place + 3) * student.rotate(key, place)).sum().item();
           };
           grade.equal("the product of a query three places after its key, at places 503 and 500", product(500),
                       product(0));
         },
     .hints = {"A pair (a, b) turned by an angle t is (a cos t - b sin t, a sin t + b cos t).",
               "The pairs are feature i of the first half and feature i of the second half: two calls of narrow. The "
               "angles are (places, d / 2), a column times a row.",
               "The rates are exp(-log(10000) i / (d / 2)), i = 0, 1, ... d / 2 - 1; cat puts the halves together "
               "again."}},
};

}  // namespace

int main(int argc, char** argv) { return grading::run("ch11", tasks, argc, argv); }
