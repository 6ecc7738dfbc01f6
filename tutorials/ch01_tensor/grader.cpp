// Grades the exercises of chapter 01: against the library, on odd sizes, slices, transposes and stretched tensors.
#include "autograd/ops.h"
#include "exercises.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using grading::Grade;

namespace {

Tensor numbers(const Dims& dims) {
  return from_vector(std::vector<int64_t>(dims.begin(), dims.end()), Shape{dims.size()});
}

std::string of(const Tensor& x) {
  return " of shape " + to_string(x.shape()) + ", strides " + to_string(x.strides());
}

Tensor random_tensor(Grade& grade, const Shape& shape) { return randn(shape, {.dtype = float64}, &grade.random()); }

// Some size from 2 to 6, and not `other`.
int64_t some_size(Grade& grade, int64_t other = 0) {
  const int64_t size = 2 + grade.random().below(5);
  return size == other ? size + 1 : size;
}

// Matrices that lie in memory in every way: whole, as a part, transposed, a part of that, and stretched.
std::vector<Tensor> matrices(Grade& grade) {
  const int64_t m = some_size(grade), n = some_size(grade, m);
  const Tensor large = random_tensor(grade, {2 * m + 1, 2 * n + 1});
  return {random_tensor(grade, {m, n}), large.slice(0, 1, slice_end, 2).slice(1, 2), random_tensor(grade, {m, n}).t(),
          large.t().narrow(0, 1, n), random_tensor(grade, {n}).expand({m, n})};
}

// That `got` sees storage of x through the layout expected; only then are its elements safe to read.
void expect_view(Grade& grade, const std::string& what, const Tensor& got, const Tensor& x, const Layout& expected,
                 const Strides& wrong, const std::string& cause) {
  grade.that(got.defined(), what + ": the result is an undefined tensor");
  grade.equal(what + ": its shape", numbers(got.shape()), numbers(expected.shape));
  grade.that(got.storage() == x.storage(), what + ": the numbers were copied: the result is no view of x");
  // A dimension of size 1 may have any stride.
  Strides strides = got.strides(), right = expected.strides, known = wrong;
  for (int d = 0; d < got.dim(); ++d)
    if (got.shape()[d] == 1) strides[d] = right[d] = known[d] = 0;
  grade.equal(what + ": its strides", numbers(strides), numbers(right), {{numbers(known), cause}});
  grade.that(got.layout().offset == expected.offset, what + ": the offset of x is lost: it is " +
                                                         std::to_string(got.layout().offset) + ", expected " +
                                                         std::to_string(expected.offset));
}

void grade_row_major(const ch01::Exercises& student, Grade& grade) {
  std::vector<Shape> shapes = {{2, 3}, {4}, {}, {5, 1, 3}, {1, 1}};
  shapes.push_back({some_size(grade), some_size(grade), some_size(grade)});
  shapes.push_back({some_size(grade), some_size(grade), 1, some_size(grade), some_size(grade)});
  for (const Shape& shape : shapes) {
    Strides column_major = shape, neighbours = shape;
    int64_t step = 1;
    for (int d = 0; d < shape.size(); ++d) {
      column_major[d] = step;
      step *= shape[d];
      neighbours[d] = d + 1 < shape.size() ? shape[d + 1] : 1;
    }
    grade.equal(
        "the strides for shape " + to_string(shape), numbers(student.row_major(shape)),
        numbers(contiguous_strides(shape)),
        {{numbers(column_major), "the first dimension's neighbours lie side by side, not the last one's"},
         {numbers(neighbours), "a stride is the next dimension's size alone, not the product of all that follow"}});
  }
}

void grade_transpose(const ch01::Exercises& student, Grade& grade) {
  for (const Tensor& x : matrices(grade)) {
    const Tensor got = student.transpose(x);
    const std::string what = "the transpose of x" + of(x);
    expect_view(grade, what, got, x, x.t().layout(), x.strides(), "the shape is swapped, but not the strides");
    grade.equal(what, got, x.t());
  }
}

void grade_broadcast(const ch01::Exercises& student, Grade& grade) {
  const int64_t n = some_size(grade);
  // The first pair fits in both alignments, and shows which was taken.
  std::vector<std::pair<Shape, Shape>> pairs = {{{n, 1}, {n}}, {{2, 3}, {3}},    {{4, 1}, {1, 5}},
                                                {{}, {2, 2}},  {{3}, {7, 2, 1}}, {{7, 1, 5}, {6, 1}}};
  for (int i = 0; i < 20; ++i) {
    Shape a, b;
    for (int d = 0; d < 4; ++d) {
      const int64_t size = some_size(grade);
      a.push_back(grade.random().below(3) == 0 ? 1 : size);
      b.push_back(grade.random().below(3) == 0 ? 1 : size);
    }
    for (int64_t drop = grade.random().below(5); drop > 0; --drop) (i % 2 ? a : b).erase(0);
    pairs.push_back({a, b});
  }
  for (const auto& [a, b] : pairs) {
    const Shape expected = broadcast_shapes("broadcast", a, b);
    for (const auto& [p, q] : {std::pair(a, b), std::pair(b, a)})
      grade.equal("the shape that " + to_string(p) + " and " + to_string(q) + " broadcast to",
                  numbers(student.broadcast(p, q)), numbers(expected),
                  {{numbers({n, 1}), "the shapes are aligned at their first dimension, not at their last"}});
  }
  for (const auto& [a, b] : {std::pair(Shape{2, 3}, Shape{2}), std::pair(Shape{n + 1}, Shape{3, n}),
                             std::pair(Shape{4, 1, 6}, Shape{3, 5, 6})}) {
    bool refused = false;
    try {
      student.broadcast(a, b);
    } catch (const Error&) {
      refused = true;
    }
    grade.that(refused, "sizes that do not fit are not refused: " + to_string(a) + " and " + to_string(b));
  }
}

void grade_expand(const ch01::Exercises& student, Grade& grade) {
  const int64_t m = some_size(grade), n = some_size(grade, m);
  const Tensor large = random_tensor(grade, {2 * m, 3 * n});
  const std::vector<std::pair<Tensor, Shape>> cases = {
      {random_tensor(grade, {m, 1}), {m, n}},
      {random_tensor(grade, {n}), {m, n}},
      {large.slice(1, n, n + 1), {3, 2 * m, n}},
      {large.t().select(1, 2), {m, 3 * n}},
      {large.slice(0, 1, slice_end, 2), large.slice(0, 1, slice_end, 2).shape()},
      {random_tensor(grade, {1, m, 1}), {n, m, 2}},
      {random_tensor(grade, {}), {m, n}},
      {random_tensor(grade, {1, 1}), {1, 1, 1}},
  };
  for (const auto& [x, shape] : cases) {
    const Tensor got = student.expand(x, shape);
    const Tensor expected = x.expand(shape);
    Strides kept = Dims::filled(shape.size(), 0);
    for (int d = 0; d < x.dim(); ++d) kept[d + shape.size() - x.dim()] = x.strides()[d];
    const std::string what = "x" + of(x) + ", seen in shape " + to_string(shape);
    expect_view(grade, what, got, x, expected.layout(), kept, "a stretched dimension keeps its stride");
    grade.equal(what, got, expected);
  }
}

void grade_sum(const ch01::Exercises& student, Grade& grade) {
  const int64_t m = some_size(grade), n = some_size(grade, m), k = some_size(grade);
  const Tensor cube = random_tensor(grade, {m, n, k});
  std::vector<Tensor> inputs = {cube,
                                cube.transpose(0, 2),
                                cube.slice(1, 1),
                                random_tensor(grade, {m}),
                                random_tensor(grade, {m, 1, n}),
                                1e8 * random_tensor(grade, {n, m}).t()};
  for (const Tensor& x : matrices(grade)) inputs.push_back(x);
  for (const Tensor& x : inputs)
    for (int d = 0; d < x.dim(); ++d) {
      const Tensor got = student.sum(x, d);
      const std::string what = "the sum over dimension " + std::to_string(d) + " of x" + of(x);
      grade.that(got.defined() && got.shape() != x.sum(d, true).shape(),
                 what + ": the dimension that was summed over is still there, with size 1");
      std::vector<grading::Known> known;
      if (!x.is_contiguous() && x.numel() <= x.storage()->count() - x.layout().offset) {
        const Tensor misread = Tensor(x.storage(), {x.shape(), contiguous_strides(x.shape()), x.layout().offset});
        known.push_back({misread.sum(d), "x is read as if its elements lay in row-major order"});
      }
      grade.equal(what, got, x.sum(d), known);
    }
}

const std::vector<grading::Task<ch01::Exercises>> tasks = {
    {.number = "1.1",
     .title = "row-major strides",
     .stars = 1,
     .grade = grade_row_major,
     .hints =
         {"Write down the strides of (2, 3) and of (2, 3, 4) by hand first.",
          "The last dimension steps by 1. One step along another passes over all elements of the dimensions behind "
          "it.",
          "From the last dimension to the first: strides[d] = step, then step *= shape[d]."}},
    {.number = "1.2",
     .title = "the transpose as a view",
     .stars = 1,
     .grade = grade_transpose,
     .hints = {"No number moves. Which of shape, strides and offset change?",
               "Element (i, j) of the result is element (j, i) of x: i walks with the stride that j had.",
               "Copy x.layout(), swap the two sizes and the two strides, and return Tensor(x.storage(), layout)."}},
    {.number = "1.3",
     .title = "the shape of a broadcast",
     .stars = 2,
     .grade = grade_broadcast,
     .hints =
         {"Write one shape under the other so that their ends meet.",
          "Start from the longer shape; its dimension d + (difference of lengths) meets dimension d of the shorter.",
          "For each such pair p, q: check(p == q || p == 1 || q == 1, \"...\"), and the result's size is q where p "
          "is 1, else p."}},
    {.number = "1.4",
     .title = "expand as a view",
     .stars = 2,
     .grade = grade_expand,
     .hints = {"A stretched dimension reads the same element at every index: how far may a step along it go?",
               "New and stretched dimensions have stride 0; the others keep theirs, and the offset stays as well.",
               "Layout{shape, Dims::filled(shape.size(), 0), x.layout().offset}, then copy the strides of those "
               "dimensions whose size is the same, shape.size() - x.dim() places further back."}},
    {.number = "1.5",
     .title = "the sum over a dimension",
     .stars = 3,
     .grade = grade_sum,
     .hints = {"Make zeros of x's shape, but with size 1 in dimension d. Where does each element of x go?",
               "Walk x and the result with one index, the result with a stride of 0 along d, so that all elements "
               "along d meet in one place. squeeze(d) at the end takes the dimension away.",
               "for each index: y.data<double>()[distance(index, to)] += x.data<double>()[distance(index, "
               "x.strides())], where to is y.strides() with to[d] = 0."}},
};

}  // namespace

int main(int argc, char** argv) { return grading::run("ch01", tasks, argc, argv); }
