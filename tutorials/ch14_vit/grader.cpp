// Grades the exercises of chapter 14, against loops over pixels, the engine's gradients, and paths through layers.
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "exercises.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using grading::Grade;

namespace {

const TensorOptions whole{.dtype = float64};

Tensor normal(Grade& grade, const Shape& shape) { return randn(shape, whole, &grade.random()); }

// --- 14.1: pixel by pixel -------------------------------------------------------------------------------------------

// Pixel (a, b) of channel c in the patch of row i and column j, from the picture.
using Pixel = std::function<double(int64_t n, int64_t i, int64_t j, int64_t c, int64_t a, int64_t b)>;

Tensor collected(const Shape& shape, const Pixel& pixel) {
  std::vector<double> values;
  for (int64_t n = 0; n < shape[0]; ++n)
    for (int64_t i = 0; i < shape[1]; ++i)
      for (int64_t j = 0; j < shape[2]; ++j)
        for (int64_t c = 0; c < shape[3]; ++c)
          for (int64_t a = 0; a < shape[4]; ++a)
            for (int64_t b = 0; b < shape[5]; ++b) values.push_back(pixel(n, i, j, c, a, b));
  return from_vector(values, shape);
}

void grade_patchify(const ch14::Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& what, const Tensor& x, int64_t p) {
    const int64_t channels = x.size(1), rows = x.size(2) / p, columns = x.size(3) / p;
    const Shape shape = {x.size(0), rows, columns, channels, p, p};
    const auto at = [&](int64_t n, int64_t c, int64_t y, int64_t z) { return x[n][c][y][z].item(); };
    const Tensor expected = collected(shape, [&](int64_t n, int64_t i, int64_t j, int64_t c, int64_t a, int64_t b) {
      return at(n, c, i * p + a, j * p + b);
    });
    const Tensor turned = collected(shape, [&](int64_t n, int64_t i, int64_t j, int64_t c, int64_t a, int64_t b) {
      return at(n, c, i * p + b, j * p + a);
    });
    const Tensor spread = collected(shape, [&](int64_t n, int64_t i, int64_t j, int64_t c, int64_t a, int64_t b) {
      return at(n, c, a * rows + i, b * columns + j);
    });
    const Tensor got = student.patchify(x, p);
    grade.equal(
        "patches of " + what + ", " + std::to_string(p) + " x " + std::to_string(p), got, expected,
        {{x.reshape(shape), "the numbers are in their old order: a reshape does not move a dimension"},
         {turned, "rows and columns of the pixels within a patch are exchanged"},
         {spread, "the pixels of a patch lie far apart: a side is cut into (rows, patch), not (patch, rows)"}});
    grade.that(got.storage() == x.storage(), "the patches are a copy, not a view: their storage is another");
  };
  judge("pictures (2, 3, 6, 9)", normal(grade, {2, 3, 6, 9}), 3);
  judge("pictures (3, 1, 4, 10), which are a view", normal(grade, {3, 10, 4, 1}).transpose(1, 3), 2);
  judge("one picture (1, 2, 5, 5)", normal(grade, {1, 2, 5, 5}), 5);
  const Tensor odd = normal(grade, {1, 1, 6, 8});
  grade.throws("patches of 3 x 3 on pictures (1, 1, 6, 8)", [&] { student.patchify(odd, 3); });
}

// --- 14.2 -----------------------------------------------------------------------------------------------------------

void grade_prepend(const ch14::Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& what, const Tensor& words, const Tensor& g) {
    const int64_t batch = words.size(0), count = words.size(1);
    const Tensor token = normal(grade, {words.size(2)});
    const Tensor leaf = token.requires_grad_(), word_leaf = words.requires_grad_();
    std::vector<Tensor> rows;
    for (int64_t n = 0; n < batch; ++n) rows.push_back(cat({leaf.unsqueeze(0), word_leaf[n]}, 0));
    const Tensor tokens = stack(rows, 0);
    const std::vector<Tensor> expected = grad({tokens}, {leaf, word_leaf}, {.grad_outputs = {g}});
    const auto [got, token_gradient, words_gradient] = student.prepend(token, words, g);
    grade.equal("the tokens, " + what, got, tokens.detach(),
                {{cat({words, token.expand({batch, 1, words.size(2)})}, 1), "the token comes last, not first"}});
    grade.equal("the gradient of the token, " + what, token_gradient, expected[0],
                {{g.select(1, 0).mean({0}), "the token's gradient is averaged over the batch, not summed"},
                 {g.sum({0, 1}), "the token's gradient is summed over all places, not only over its own"},
                 {g.select(1, 0), "the token's gradient is not summed over the batch"},
                 {g.select(1, 0).unsqueeze(1).sum({0}), "the token is (features), and so is its gradient"}});
    grade.equal("the gradient of the words, " + what, words_gradient, expected[1],
                {{g.narrow(1, 0, count), "the words stand behind the token: their gradient begins at place 1"}});
  };
  judge("batch 3, 5 words of 4 features", normal(grade, {3, 5, 4}), normal(grade, {3, 6, 4}));
  judge("batch 2, 7 words, all views", normal(grade, {2, 3, 7}).transpose(1, 2),
        normal(grade, {2, 3, 8}).transpose(1, 2));
  judge("one picture of one word", normal(grade, {1, 1, 3}), normal(grade, {1, 2, 3}));
}

// --- 14.3: place by place -------------------------------------------------------------------------------------------

// Feature `feature` of the half that tells place `place`, the exponents going up to `all`.
double wave(int64_t place, int64_t feature, int64_t all) {
  const double angle = double(place) * std::pow(10000.0, -double(feature / 2 * 2) / double(all));
  return feature % 2 ? std::cos(angle) : std::sin(angle);
}

enum class Table { right, exchanged, all_features, sines_first, column_after_column };

Tensor table(int64_t rows, int64_t columns, int64_t features, Table how = Table::right) {
  const int64_t half = features / 2;
  std::vector<double> values;
  for (int64_t place = 0; place < rows * columns; ++place) {
    const bool turned = how == Table::column_after_column;
    const int64_t row = turned ? place % rows : place / columns, column = turned ? place / rows : place % columns;
    const int64_t first = how == Table::exchanged ? column : row, second = how == Table::exchanged ? row : column;
    for (int64_t f = 0; f < features; ++f) {
      int64_t own = f % half;
      if (how == Table::sines_first) own = own < half / 2 ? 2 * own : 2 * (own - half / 2) + 1;
      values.push_back(wave(f < half ? first : second, own, how == Table::all_features ? features : half));
    }
  }
  return from_vector(values, {rows * columns, features});
}

void grade_positions(const ch14::Exercises& student, Grade& grade) {
  struct Size {
    int64_t rows, columns, features;
  };
  for (const auto& [rows, columns, features] : {Size{3, 5, 8}, {7, 2, 12}, {1, 6, 20}, {4, 1, 4}}) {
    const auto made = [&, r = rows, c = columns, f = features](Table how) { return table(r, c, f, how); };
    grade.equal(
        "positions(" + std::to_string(rows) + ", " + std::to_string(columns) + ", " + std::to_string(features) + ")",
        student.positions(rows, columns, features), made(Table::right),
        {{made(Table::exchanged), "the column comes in the first half, the row in the second"},
         {made(Table::all_features),
          "the exponents go up to all features, not up to the half that tells one direction"},
         {made(Table::sines_first), "within a half all sines come before the first cosine"},
         {made(Table::column_after_column), "the places are in order column after column, not row after row"}});
  }
}

// --- 14.4: path by path ---------------------------------------------------------------------------------------------

struct Rolled {
  bool residual = true, backwards = false, column = false;
};

// The weight of all paths from token `from` at the end down to token `to` at the beginning, through `layers`.
double paths(const std::vector<Tensor>& layers, int64_t sample, int64_t from, int64_t to, const Rolled& how) {
  if (layers.empty()) return from == to ? 1 : 0;
  const Tensor& layer = how.backwards ? layers.front() : layers.back();
  const std::vector<Tensor> rest = how.backwards ? std::vector<Tensor>(layers.begin() + 1, layers.end())
                                                 : std::vector<Tensor>(layers.begin(), layers.end() - 1);
  double sum = 0;
  for (int64_t next = 0; next < layer.size(2); ++next) {
    double weight = 0;
    for (int64_t head = 0; head < layer.size(1); ++head) weight += layer[sample][head][from][next].item();
    weight /= double(layer.size(1));
    if (how.residual) weight = (weight + (from == next ? 1 : 0)) / 2;
    sum += weight * paths(rest, sample, next, to, how);
  }
  return sum;
}

Tensor by_paths(const std::vector<Tensor>& layers, const Rolled& how = {}) {
  const int64_t batch = layers[0].size(0), tokens = layers[0].size(2);
  std::vector<double> values;
  for (int64_t n = 0; n < batch; ++n)
    for (int64_t patch = 1; patch < tokens; ++patch)
      values.push_back(how.column ? paths(layers, n, patch, 0, how) : paths(layers, n, 0, patch, how));
  return from_vector(values, {batch, tokens - 1});
}

void grade_rollout(const ch14::Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& what, const std::vector<Tensor>& layers) {
    const Tensor last = layers.back().mean({1}).select(1, 0).narrow(1, 1, layers[0].size(2) - 1);
    std::vector<grading::Known> known = {
        {by_paths(layers, {.residual = false}), "the residual connection is left out"},
        {by_paths(layers, {.backwards = true}), "the product has the first layer on the left"},
        {by_paths(layers, {.column = true}), "this is what the patches took from the class token, not what it took"},
        {last, "this is the last layer's attention alone"}};
    grade.equal(what, student.rollout(layers), by_paths(layers), known);
  };
  const auto weights = [&](const Shape& shape) { return softmax(2 * normal(grade, shape), -1); };
  const auto views = [&](const Shape& shape) {  // (tokens, batch, heads, tokens), its first dimension moved behind
    return softmax(2 * normal(grade, shape), -1).permute({1, 2, 0, 3});
  };
  judge("the rollout of three layers, two pictures, four tokens",
        {weights({2, 3, 4, 4}), weights({2, 3, 4, 4}), weights({2, 3, 4, 4})});
  judge("the rollout of two layers, one head, six tokens, views", {views({6, 1, 1, 6}), views({6, 1, 1, 6})});
  judge("the rollout of one layer, three pictures, three tokens", {weights({3, 2, 3, 3})});
}

const std::vector<grading::Task<ch14::Exercises>> tasks = {
    {.number = "14.1",
     .title = "patches, as a view",
     .stars = 1,
     .grade = grade_patchify,
     .hints = {"In which row of patches is pixel row y, and which row within the patch is it? Which of the two moves "
               "slower?",
               "unflatten(2, {height / patch, patch}) cuts the height; the width is then dimension 4. Nothing has "
               "moved yet.",
               "After both cuts the dimensions are (batch, channels, rows, patch, columns, patch), numbered 0 to 5; "
               "permute "
               "takes the numbers in the new order. In front of it, check(height % patch == 0 && width % patch == 0, "
               "...)."}},
    {.number = "14.2",
     .title = "a class token, and its gradient",
     .stars = 2,
     .grade = grade_prepend,
     .hints =
         {"How many pictures use the one token? What does chapter 02 say of a tensor that was broadcast?",
          "expand shows the token to every picture without a copy; cat along dimension 1 puts it in front. "
          "Backwards, "
          "cat cuts the gradient where it joined, and expand becomes a sum.",
          "cat({token.expand({batch, 1, features}), words}, 1); g.select(1, 0).sum({0}); g.narrow(1, 1, count)."}},
    {.number = "14.3",
     .title = "sinusoidal positions in two dimensions",
     .stars = 2,
     .grade = grade_positions,
     .hints = {"Each half is the table of exercise 11.3 with features / 2 features: one for rows, one for columns.",
               "Which of the two parts is the same along a row of patches? expand repeats it there without a copy.",
               "(rows, 1, half) and (columns, half) both expand to (rows, columns, half); cat them along the last "
               "dimension, then flatten(0, 1)."}},
    {.number = "14.4",
     .title = "attention rollout",
     .stars = 3,
     .grade = grade_rollout,
     .hints =
         {"What the last layer takes from token k, token k had taken from others in the layers before.",
          "One layer's matrix is (mean over heads + identity) / 2. The last layer's stands on the left: its rows are "
          "the ones that are asked about.",
          "Begin with the identity; for each layer, first to last, all = matmul(mixed, all). The class token's row "
          "is "
          "all.select(1, 0); without its own column, narrow(1, 1, tokens - 1)."}},
};

}  // namespace

int main(int argc, char** argv) { return grading::run("ch14", tasks, argc, argv); }
