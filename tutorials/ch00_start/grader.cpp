// Grades the exercises of chapter 00.
#include "autograd/ops.h"
#include "exercises.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using grading::Grade;

namespace {

void grade_table(const ch00::Exercises& student, Grade& grade) {
  const Tensor expected = tensor({{0, 1, 2}, {3, 4, 5}}, {.dtype = float64});
  grade.equal("the table", student.table(), expected,
              {{expected.to(float32), "the type is float32, as it is unless one asks for another"},
               {expected.reshape({6}), "the six numbers are still in one row"}});
}

void grade_celsius(const ch00::Exercises& student, Grade& grade) {
  const int64_t rows = 2 + grade.random().below(4);
  const Tensor random = uniform({rows, 7}, -80, 220, {.dtype = float64}, &grade.random());
  for (const Tensor& x : {tensor({32, 212, -40, 451}, {.dtype = float64}), random, random.t(), random[0][0]}) {
    std::vector<double> right = x.to_vector(), late = right;
    for (double& degrees : right) degrees = (degrees - 32) / 1.8;
    for (double& degrees : late) degrees = degrees / 1.8 - 32;
    grade.equal("celsius of " + to_string(x), student.celsius(x), from_vector(right, x.shape()),
                {{zeros_like(x), "in C++, 5 / 9 divides whole numbers and is 0"},
                 {from_vector(late, x.shape()), "32 is subtracted after the multiplication, not before"}});
  }
}

void grade_fits(const ch00::Exercises& student, Grade& grade) {
  const int64_t n = 2 + grade.random().below(5);
  struct Case {
    Shape a, b;
    bool fit;
  };
  const std::vector<Case> cases = {{{n, 3}, {n, 3}, true}, {{n, 3}, {3}, true},         {{n, 1}, {1, n + 1}, true},
                                   {{}, {n, n}, true},     {{n, 3}, {n + 1, 3}, false}, {{n}, {n + 2}, false},
                                   {{3, 4}, {3}, false},   {{4, 1, n}, {7, n}, true},   {{4, 2, n}, {7, n}, false}};
  for (const auto& [a, b, fit] : cases) {
    const std::string shapes = to_string(a) + " and " + to_string(b);
    bool got = false;
    try {
      got = student.fits(zeros(a, {.dtype = float64}), zeros(b, {.dtype = float64}));
    } catch (const Error& error) {
      grade.fail("shapes " + shapes + ": the gradus::Error was not caught: " + error.what());
    }
    grade.that(got || !fit, "shapes " + shapes + " can be added" + (a == b ? "" : ": different shapes may fit, too"));
    grade.that(!got || fit, "shapes " + shapes + " cannot be added");
  }
}

const std::vector<grading::Task<ch00::Exercises>> tasks = {
    {.number = "0.1",
     .title = "a table of numbers",
     .stars = 1,
     .grade = grade_table,
     .hints = {"tensor/tensor.h lists what makes tensors under \"creation\".",
               "The options come last, in braces: {.dtype = float64}.",
               "tensor({{0, 1, 2}, {3, 4, 5}}, ...), or arange(0, 6, 1, ...) and then .reshape({2, 3})."}},
    {.number = "0.2",
     .title = "from Fahrenheit to Celsius",
     .stars = 1,
     .grade = grade_celsius,
     .hints = {"A tensor minus a number is a tensor, and so is a tensor times a number.",
               "What does C++ make of 5 / 9 when both are whole numbers?",
               "Subtract first, in parentheses; then * 5 and / 9 work on the tensor, from left to right."}},
    {.number = "0.3",
     .title = "do these shapes fit?",
     .stars = 2,
     .grade = grade_fits,
     .hints = {"You need not know the rule: the library does. Ask it to add.",
               "a + b throws gradus::Error where the shapes do not fit.",
               "try { a + b; return true; } catch (const Error&) { ... }"}},
};

}  // namespace

int main(int argc, char** argv) { return grading::run("ch00", tasks, argc, argv); }
