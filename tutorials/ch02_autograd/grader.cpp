// Judges the exercises of chapter 02 against the library's own gradients, in float64.
#include "autograd/ops.h"
#include "exercises.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using ch02::Exercises;
using ch02::GradientPair;
using grading::Grade;

namespace {

Tensor normal(Grade& grade, const Shape& shape) { return randn(shape, {.dtype = float64}, &grade.random()); }

// What the library says the gradients of f at these inputs are when g is that of its result.
template <class F>
std::vector<Tensor> oracle(const F& f, const std::vector<Tensor>& inputs, const Tensor& g) {
  std::vector<Tensor> leaves;
  for (const Tensor& x : inputs) leaves.push_back(x.detach().requires_grad_());
  return grad({f(leaves)}, leaves, {.grad_outputs = {g}});
}

// --- 2.1 -----------------------------------------------------------------------------------------------------------

void grade_mul(const Exercises& student, Grade& grade) {
  for (const int64_t n : {1, 5}) {
    const Tensor a = normal(grade, {3, n}), b = normal(grade, {n, 3}).t(), g = normal(grade, {3, n});
    a.data<double>()[0] = 0;  // whoever divides the product by a factor meets a zero
    const GradientPair got = student.mul_gradients(g, a, b);
    const std::string own = "each factor is given its own value instead of the other's";
    const std::string left_out = "the gradient that comes in is left out";
    grade.equal("the gradient of a", got.a, g * b, {{g * a, own}, {b, left_out}});
    grade.equal("the gradient of b", got.b, g * a, {{g * b, own}, {a, left_out}});
  }
}

// --- 2.2 -----------------------------------------------------------------------------------------------------------

void grade_sum_back(const Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& what, const Tensor& g, const Shape& shape) {
    const auto broadcast = [&](const std::vector<Tensor>& in) { return in[0].expand(g.shape()); };
    const Tensor expected = oracle(broadcast, {zeros(shape, {.dtype = float64})}, g)[0];
    std::vector<grading::Known> known;
    if (g.dim() == shape.size()) known.push_back({g, "stretched dimensions are not summed"});
    if (expected.numel() > 0) {
      const double times = double(g.numel()) / double(expected.numel());
      known.push_back({expected / times, g.dim() > shape.size() ? "dimensions added in front are averaged, not summed"
                                                                : "stretched dimensions are averaged, not summed"});
    }
    known.push_back({expected.squeeze(), "the summed dimension is dropped: sum({d}, true) leaves it with size 1"});
    grade.equal(what, student.sum_back(g, shape), expected, known);
  };
  judge("a bias (3) added to (4, 3)", normal(grade, {4, 3}), {3});
  judge("a column (4, 1) stretched to (4, 3)", normal(grade, {3, 4}).t(), {4, 1});
  judge("a row (1, 3) stretched to (4, 3)", normal(grade, {4, 3}), {1, 3});
  judge("nothing stretched: (4, 3) is (4, 3)", normal(grade, {4, 3}), {4, 3});
  judge("a number () broadcast to (2, 3)", normal(grade, {2, 3}), {});
  judge("a column (3, 1) broadcast to (2, 3, 5)", normal(grade, {5, 3, 2}).transpose(0, 2), {3, 1});
  judge("(2, 1, 3, 1) stretched to (2, 4, 3, 5)", normal(grade, {2, 4, 3, 5}), {2, 1, 3, 1});
  judge("a dimension of size 1 that stays 1: (1, 3) is (1, 3)", normal(grade, {1, 3}), {1, 3});
  judge("a bias (3) added to no rows at all, (0, 3)", normal(grade, {0, 3}), {3});
}

// --- 2.3 -----------------------------------------------------------------------------------------------------------

void grade_matmul(const Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& sizes, const Tensor& a, const Tensor& b) {
    const Tensor g = normal(grade, {a.size(0), a.size(1), b.size(1)});
    const auto product = [](const std::vector<Tensor>& in) { return matmul(in[0], in[1]); };
    const std::vector<Tensor> expected = oracle(product, {a, b}, g);
    std::vector<grading::Known> of_a;
    if (b.size(0) == b.size(1)) of_a.push_back({matmul(g, b), "b is not transposed"});
    if (b.size(0) == b.size(1) && a.size(1) == a.size(2))
      of_a.push_back({matmul(b.t(), g), "the factors stand in the wrong order"});
    const Tensor each = matmul(a.transpose(-2, -1), g);
    const GradientPair got = student.matmul_gradients(g, a, b);
    grade.equal("the gradient of a, " + sizes, got.a, expected[0], of_a);
    grade.equal("the gradient of b, " + sizes, got.b, expected[1],
                {{each, "the sum over the batch is missing"},
                 {each.mean({0}), "the samples are averaged, not summed"},
                 {expected[1].t(), "the gradient of b is transposed"}});
  };
  judge("all sizes 3", normal(grade, {3, 3, 3}), normal(grade, {3, 3}));
  judge("batch 3, m 5, k 4, n 2", normal(grade, {3, 4, 5}).transpose(1, 2), normal(grade, {2, 4}).t());
  judge("batch 1, m 1, k 7, n 3", normal(grade, {1, 1, 7}), normal(grade, {7, 3}));
}

// --- 2.4 -----------------------------------------------------------------------------------------------------------

// Sum of w x^3 and of the products of neighbours. Its central differences are known exactly, for any step.
void grade_differences(const Exercises& student, Grade& grade) {
  const double step = 0.125;
  for (const Tensor& x : {normal(grade, {5}), normal(grade, {3, 2}).t(), normal(grade, {})}) {
    const std::vector<double> before = x.to_vector();
    const int64_t n = x.numel();
    const auto f = [&](const Tensor& at) {
      grade.that(at.shape() == x.shape(),
                 "f is called with shape " + to_string(at.shape()) + ", x has " + to_string(x.shape()));
      const std::vector<double> v = at.to_vector();
      double sum = 0;
      for (int64_t i = 0; i < n; ++i) sum += double(i + 1) * v[i] * v[i] * v[i] + (i > 0 ? v[i - 1] * v[i] : 0);
      return sum;
    };
    std::vector<double> central(n), raised(n), lowered(n), displaced(n);
    for (int64_t i = 0; i < n; ++i) {
      const double v = before[i], w = double(i + 1);
      const double neighbours = (i > 0 ? before[i - 1] : 0) + (i + 1 < n ? before[i + 1] : 0);
      central[i] = w * (3 * v * v + step * step) + neighbours;
      raised[i] = central[i] + w * 3 * v * step;
      lowered[i] = central[i] - w * 3 * v * step;
      displaced[i] = central[i] - (i > 0 ? step : 0);
    }
    const Tensor expected = from_vector(central, x.shape());
    const Tensor got = student.central_differences(f, x, step);
    grade.that(x.to_vector() == before, "x was changed: move the elements of a copy");
    grade.equal("differences at x " + to_string(x.shape()), got, expected,
                {{from_vector(raised, x.shape()), "the difference is one-sided"},
                 {from_vector(lowered, x.shape()), "the difference is one-sided"},
                 {expected * 2, "the difference is divided by step, not by 2 step"},
                 {from_vector(displaced, x.shape()), "an element is not put back before the next one moves"}});
  }
}

// --- 2.5 -----------------------------------------------------------------------------------------------------------

Tensor length(const Tensor& x) { return sqrt(square(x).sum({-1}, true)); }
Tensor reference(const Tensor& x) { return x / length(x); }

// d(sum of dx v)/dx, the second derivative along v.
Tensor second(const Tensor& dx, const Tensor& x, const Tensor& v) {
  return grad({dx}, {x}, {.grad_outputs = {v}, .retain_graph = true})[0];
}

void grade_unit_rows(const Exercises& student, Grade& grade) {
  for (const Shape& shape : {Shape{5, 3}, Shape{2, 7}, Shape{4, 1}}) {
    const Tensor size = uniform({shape[1], shape[0]}, 0.5, 2, {.dtype = float64}, &grade.random());
    const Tensor x = where(size > 1.2, size, -size).t().requires_grad_();
    const Tensor g = normal(grade, shape), v = normal(grade, shape);
    const std::string what = " of x " + to_string(shape);
    const Tensor y = student.unit_rows(x), expected = reference(x);
    grade.equal("the rows" + what, y.detach(), expected.detach());
    grade.that(y.requires_grad(), "the result is not part of a graph: hand the numbers to record");
    const Node& node = *y.node();
    grade.that(node.inputs.size() == 1 && node.inputs[0] == x.node(),
               "the result is to be one op, recorded with x as its only input");

    const GradOptions how{.grad_outputs = {g}, .create_graph = true};
    const Tensor dx = grad({y}, {x}, how)[0], expected_dx = grad({expected}, {x}, how)[0];
    grade.equal("the gradient" + what, dx.detach(), expected_dx.detach(),
                {{g / length(x.detach()), "the length is taken for a constant"}});
    grade.that(dx.requires_grad(), "the gradient cannot be differentiated: nothing in it is part of the graph");
    const Tensor frozen = (g - expected * (g * expected).sum({-1}, true)) / length(x.detach());
    grade.equal("the gradient of the gradient" + what, second(dx, x, v), second(expected_dx, x, v),
                {{second(frozen, x, v), "the rule takes the length out of the graph"}});
  }
}

const std::vector<grading::Task<Exercises>> tasks = {
    {.number = "2.1",
     .title = "the gradients of a product",
     .stars = 1,
     .grade = grade_mul,
     .hints = {"If a grows a little, by how much does a * b grow?",
               "d(a b)/da = b, and by the chain rule that is multiplied by the gradient that comes in.",
               "The gradient of a is g times b; that of b is the mirror image."}},
    {.number = "2.2",
     .title = "the gradient of broadcasting",
     .stars = 2,
     .grade = grade_sum_back,
     .hints =
         {"An element that was used several times gets the sum of what its uses get.",
          "Two things to undo: dimensions in front that `shape` does not have, and dimensions where `shape` has 1 "
          "and g has more.",
          "While the sum has more dimensions than `shape`, sum over dimension 0. Then, for every d with shape[d] == "
          "1 "
          "and a larger size in the sum, sum over d and keep the dimension."}},
    {.number = "2.3",
     .title = "the gradients of a matrix product",
     .stars = 2,
     .grade = grade_matmul,
     .hints =
         {"Write the shapes down: only one way of multiplying g with b gives the shape of a.",
          "For one sample the gradients are g b^T and a^T g. b serves every sample, so its gradient is a sum.",
          "da = matmul(g, b.transpose(-2, -1)). For b: matmul(a.transpose(-2, -1), g) is (batch, k, n); sum over "
          "dimension 0."}},
    {.number = "2.4",
     .title = "central differences",
     .stars = 2,
     .grade = grade_differences,
     .hints =
         {"One loop over the elements; f is called twice for each.",
          "Work on a clone of x. Remember the element, set it to it + step, call f, set it to it - step, call f, and "
          "put it back.",
          "const double middle = element[i]; element[i] = middle + step; const double above = f(moved); ... and then "
          "(above - below) / (2 * step)."}},
    {.number = "2.5",
     .title = "an op of your own",
     .stars = 3,
     .grade = grade_unit_rows,
     .hints =
         {"With y = x / |x|: if x moves along y, y does not change at all; if it moves across, y moves by that over "
          "|x|.",
          "The gradient is what is left of g without its part along y, divided by |x|: (g - y (g . y)) / |x|, row "
          "by row.",
          "record(\"unit_rows\", {x}, numbers, Keep::both, rule), where the rule takes y from kept.output() and |x| "
          "from kept.input(): sqrt(square(kept.input()).sum({-1}, true))."}},
};

}  // namespace

int main(int argc, char** argv) { return grading::run("ch02", tasks, argc, argv); }
