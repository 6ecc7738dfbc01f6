// Grades the exercises of chapter 16, against lists of names, sums over elements, and autograd.
#include <vector>

#include "autograd/ops.h"
#include "exercises.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using ch16::Adapter;
using grading::Grade;

namespace {

const TensorOptions whole{.dtype = float64};

// --- 16.1: a model with a part in a part, and buffers --------------------------------------------------------------

struct Part : nn::Module {
  nn::Linear a{5, 7}, ab{7, 5};
  nn::BatchNorm1d norm{5};
  void visit(nn::Visitor& v) override {
    v("a", a);
    v("ab", ab);
    v("norm", norm);
  }
  const char* type() const override { return "Part"; }
};

struct Net : nn::Module {
  nn::Linear first{3, 5};
  Part body, body2;
  nn::Linear head{5, 2};
  void visit(nn::Visitor& v) override {
    v("first", first);
    v("body", body);
    v("body2", body2);
    v("head", head);
  }
  const char* type() const override { return "Net"; }
};

// Frozen is what begins with one of these names.
void grade_freeze(const ch16::Exercises& student, Grade& grade, const std::string& patterns,
                  const std::vector<std::string>& frozen) {
  Net net;
  const int64_t got = student.freeze(net, patterns);
  double trained = 0;
  for (const auto& [name, parameter] : net.named_parameters()) {
    bool cold = false;
    for (const std::string& beginning : frozen) cold = cold || name.starts_with(beginning);
    if (!cold) trained += double(parameter.numel());
    grade.that(parameter.requires_grad() != cold,
               name + (cold ? " is still trained" : " is frozen") + " after freeze(model, \"" + patterns + "\")");
  }
  grade.equal("weights still trained after freeze(model, \"" + patterns + "\")", double(got), trained,
              {{double(net.parameter_count()),
                "the frozen weights are counted too: named_parameters and parameters list them"}});
}

// --- 16.2 to 16.4: element by element ------------------------------------------------------------------------------

Adapter draw(int64_t out, int64_t in, int64_t rank, double alpha, Generator& random) {
  // Views, as of matrices that were made the other way round.
  return {randn({in, rank}, whole, &random).t(), randn({rank, out}, whole, &random).t(), alpha};
}

// factor B A, a sum over the rank.
Tensor product(const Adapter& adapter, double factor) {
  std::vector<double> values;
  for (int64_t i = 0; i < adapter.B.size(0); ++i)
    for (int64_t j = 0; j < adapter.A.size(1); ++j) {
      double sum = 0;
      for (int64_t r = 0; r < adapter.A.size(0); ++r) sum += adapter.B[i][r].item() * adapter.A[r][j].item();
      values.push_back(factor * sum);
    }
  return from_vector(values, {adapter.B.size(0), adapter.A.size(1)});
}
Tensor change(const Adapter& adapter) { return product(adapter, adapter.alpha / double(adapter.A.size(0))); }

void grade_adapted(const ch16::Exercises& student, Grade& grade, const Tensor& x, int64_t out, int64_t rank) {
  const int64_t in = x.size(-1);
  const Adapter adapter = draw(out, in, rank, 5, grade.random());
  const Tensor weight = randn({out, in}, whole, &grade.random()), bias = randn({out}, whole, &grade.random());
  const auto expected = [&](double factor) { return matmul(x, (weight + product(adapter, factor)).t()) + bias; };
  const int64_t before = flops_counted();
  const Tensor got = student.adapted(x, weight, bias, adapter);
  const int64_t spent = flops_counted() - before, rows = x.numel() / in;
  grade.equal("adapted, x " + to_string(x.shape()) + ", rank " + std::to_string(rank), got,
              expected(5 / double(rank)),
              {{expected(5), "the change is multiplied by alpha, not by alpha over the rank"},
               {expected(5 / double(in)), "the change is multiplied by alpha over the number of inputs"},
               {expected(5 / double(rank)) - bias, "the bias is missing"},
               {matmul(x, weight.t()) + bias, "the adapter is missing"}});
  grade.that(spent <= 2 * rows * (in * out + rank * (in + out)),
             "B A was multiplied out, a matrix as large as the weight: " + std::to_string(spent) +
                 " operations in products, where two narrow ones need " +
                 std::to_string(2 * rows * (in * out + rank * (in + out))));
}

void grade_exchange(const ch16::Exercises& student, Grade& grade, int64_t out_features, int64_t in_features) {
  const Adapter first = draw(out_features, in_features, 2, 3, grade.random());
  const Adapter second = draw(out_features, in_features, 3, 8, grade.random());
  const Tensor base = randn({out_features, in_features}, whole, &grade.random());
  Tensor weight = base.clone().requires_grad_();
  const auto storage = weight.storage();
  const auto step = [&](const std::string& what, const Adapter* out, const Adapter* in, const Tensor& expected,
                        const std::vector<grading::Known>& known) {
    student.exchange(weight, out, in);
    grade.equal(what, weight.detach(), expected, known);
    grade.that(weight.storage() == storage,
               what + ": the weight is a new tensor: who holds the old one does not see the change");
    grade.that(weight.requires_grad(), what + ": the weight does not require gradients any more");
  };
  step("weight, an adapter merged", nullptr, &first, base + change(first),
       {{base, "nothing was merged"}, {base + product(first, 3), "alpha is not divided by the rank"}});
  step("weight, the adapter exchanged for another", &first, &second, base + change(second),
       {{base + change(first) + change(second), "the one that was merged is still in there"},
        {base + change(first), "the other one was not merged"},
        {base + change(first) - product(first, 8 / 3.0) + change(second), "one scale was taken for both"}});
  step("weight, the second adapter taken out", &second, nullptr, base,
       {{base + change(second), "the one that was merged is still in there"}});
  step("weight, nothing for nothing", nullptr, nullptr, base, {});
}

void grade_gradients(const ch16::Exercises& student, Grade& grade, const Tensor& x, const Tensor& gradient,
                     int64_t rank) {
  const Adapter drawn = draw(gradient.size(-1), x.size(-1), rank, 7, grade.random());
  const Tensor A = drawn.A.clone().requires_grad_(), B = drawn.B.clone().requires_grad_();
  const double scale = 7 / double(rank), rows = double(x.size(0) * x.size(1));
  (matmul(x, matmul(B, A).t()) * scale).backward(gradient);
  const ch16::Factors got = student.gradients(x, gradient, drawn);
  const std::string of = ", x " + to_string(x.shape()) + ", rank " + std::to_string(rank);
  const auto compare = [&](const std::string& name, const Tensor& answer, const Tensor& expected) {
    grade.equal("gradient of " + name + of, answer, expected,
                {{expected / scale, "the gradient of " + name + " lacks alpha over the rank"},
                 {expected * scale, "alpha over the rank was counted twice"},
                 {expected / rows, "the rows' gradients were averaged, not added up"}});
  };
  compare("B", got.B, B.grad());
  compare("A", got.A, A.grad());
}

const std::vector<grading::Task<ch16::Exercises>> tasks = {
    {.number = "16.1",
     .title = "freezing by name",
     .stars = 1,
     .grade =
         [](const ch16::Exercises& student, Grade& grade) {
           grade_freeze(student, grade, "first", {"first."});
           grade_freeze(student, grade, "body", {"body."});
           grade_freeze(student, grade, "body.a,*.norm", {"body.a.", "body.norm.", "body2.norm."});
           grade_freeze(student, grade, "*", {""});
           Net net;
           bool thrown = false;
           try {
             student.freeze(net, "heda");
           } catch (const Error&) {
             thrown = true;
           }
           grade.that(thrown,
                      "a pattern that matches nothing goes unnoticed: freeze(model, \"heda\") throws no Error");
         },
     .hints = {"A part's path is what named_modules gives with it; the model's own is empty.",
               "Remember whether any path matched. Then add up numel() of those named_parameters that still require "
               "gradients.",
               "for (const auto& [path, part] : model.named_modules()): where nn::path_matches(patterns, path), "
               "part->requires_grad_(false). Behind the loop check(found, ...)."}},
    {.number = "16.2",
     .title = "a layer with an adapter",
     .stars = 1,
     .grade =
         [](const ch16::Exercises& student, Grade& grade) {
           grade_adapted(student, grade, randn({2, 5, 3}, whole, &grade.random()).transpose(1, 2), 7, 2);
           grade_adapted(student, grade, randn({1, 33}, whole, &grade.random()), 27, 3);
           grade_adapted(student, grade, randn({4, 9}, whole, &grade.random()), 6, 1);
         },
     .hints = {"linear(x, weight, bias) is what the layer gave before. What is added to it has the same shape.",
               "linear(x, A) is (..., rank), since linear transposes its matrix. What makes (..., out) of that? The "
               "factor "
               "is alpha over the rank.",
               "linear(linear(x, adapter.A), adapter.B) times adapter.alpha / double(adapter.A.size(0))."}},
    {.number = "16.3",
     .title = "one adapter for another",
     .stars = 2,
     .grade =
         [](const ch16::Exercises& student, Grade& grade) {
           grade_exchange(student, grade, 5, 7);
           grade_exchange(student, grade, 6, 3);
         },
     .hints =
         {"The weight is W + the change of `out`. What has to be added to get W + the change of `in`?",
          "add_ and sub_ change the numbers where they are, and NoGrad lets them. Each adapter has a scale of its "
          "own.",
          "const NoGrad guard; if (out) weight.sub_(matmul(out->B, out->A) * (out->alpha / out->A.size(0))); and the "
          "same with add_ for `in`."}},
    {.number = "16.4",
     .title = "gradients of the factors",
     .stars = 3,
     .grade =
         [](const ch16::Exercises& student, Grade& grade) {
           const auto gradient = [&](const Shape& shape) { return randn(shape, whole, &grade.random()); };
           grade_gradients(student, grade, randn({2, 7, 3}, whole, &grade.random()).transpose(1, 2),
                           gradient({2, 3, 5}), 2);
           grade_gradients(student, grade, randn({3, 1, 5}, whole, &grade.random()),
                           gradient({3, 9, 1}).transpose(1, 2), 3);
           grade_gradients(student, grade, randn({1, 4, 6}, whole, &grade.random()), gradient({1, 4, 6}), 1);
         },
     .hints = {"For one row, y = W x + s B (A x), with s alpha over the rank. B is a matrix that A x goes into; what "
               "is the "
               "gradient of a linear layer's weight (chapter 04)? And A is one that x goes into.",
               "What reaches A is the gradient behind B: B^T times that of y. With rows one below the other, sums "
               "over rows "
               "are products with a transposed matrix.",
               "With x (n, in) and g = s times the gradient, (n, out): that of B is g^T (x A^T), that of A is (g "
               "B)^T x."}},
};

}  // namespace

int main(int argc, char** argv) { return grading::run("ch16", tasks, argc, argv); }
