// Judges chapter 03's exercises.
#include <cmath>

#include "autograd/ops.h"
#include "exercises.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using ch03::Exercises;
using grading::Grade;

namespace {

Tensor draw(Grade& grade, const Shape& shape, double scale = 1) {
  return randn(shape, {.dtype = float64}, &grade.random()) * scale;
}

Tensor classes_for(Grade& grade, int64_t rows, int64_t classes) {
  return randint(0, classes, {rows}, {.dtype = int64}, &grade.random());
}

// The same numbers, lying in memory column by column.
Tensor by_columns(const Tensor& x) { return x.t().contiguous().t(); }

void log_sum_exp(const Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& what, const Tensor& z) {
    const Tensor largest = z.amax({1});
    grade.equal(what, student.log_sum_exp(z), z.logsumexp({1}),
                {{z.logsumexp({1}) - largest, "the largest score is not added again"},
                 {log(exp(z).sum({1})), "exp overflows"}});
  };
  const Tensor z = draw(grade, {5, 7});
  judge("log_sum_exp of 5 rows of 7", z);
  judge("log_sum_exp of rows that are not contiguous", by_columns(z));
  judge("log_sum_exp of one score in each row", draw(grade, {3, 1}));
  judge("log_sum_exp with scores of minus infinity", z.masked_fill(z < z.amax({1}, true) - 1.0, -INFINITY));
  const Tensor large = student.log_sum_exp(z + 1000.0), small = student.log_sum_exp(z - 1000.0);
  grade.that(isfinite(large).all().item() == 1, "scores near 1000: exp overflows");
  grade.that(isfinite(small).all().item() == 1,
             "scores near -1000: the sum of exp is 0, whose logarithm is infinite");
  const Tensor apart = cat({z + 1000.0, z - 1000.0});
  grade.that(isfinite(student.log_sum_exp(apart)).all().item() == 1,
             "rows near 1000 and rows near -1000: each row has to be shifted by its own largest score");
  judge("log_sum_exp of scores near 1000", z + 1000.0);
  judge("log_sum_exp of scores near -1000", z - 1000.0);
}

void softmax_of_rows(const Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& what, const Tensor& z) {
    const Tensor e = exp(z - z.amax({1}, true)), all = exp(z - z.amax());
    grade.equal(what, student.softmax(z), softmax(z, 1),
                {{e / e.sum(), "the sum runs over all rows"},
                 {all / all.sum(), "the sum runs over all rows"},
                 {z / z.sum({1}, true), "scores are divided by their sum, without exp"},
                 {z / z.sum(), "scores are divided by their sum, without exp"},
                 {softmax(z, 0), "columns are normalised in place of rows"}});
  };
  const Tensor z = draw(grade, {4, 5});
  judge("softmax of 1, 2 and 3", tensor({{1, 2, 3}}, {.dtype = float64}));
  judge("softmax of 4 rows of 5", z);
  judge("softmax of rows that are not contiguous", by_columns(z));
  judge("softmax of scores near 1000", z + 1000.0);
  const Tensor apart = cat({z + 1000.0, z - 1000.0});
  grade.that(isfinite(student.softmax(apart)).all().item() == 1,
             "rows near 1000 and rows near -1000: each row has to be shifted by its own largest score");
  judge("softmax of scores far apart", draw(grade, {3, 6}, 1000));
}

void gradient_of_cross_entropy(const Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& what, const Tensor& z, const Tensor& target) {
    const Tensor leaf = z.requires_grad_();
    const Tensor right = grad({cross_entropy(leaf, target)}, {leaf})[0];
    grade.equal(what, student.cross_entropy_gradient(z, target), right,
                {{right * double(z.size(0)), "the mean over the rows is forgotten"},
                 {-right, "the sign is wrong"},
                 {softmax(z, 1) / double(z.size(0)), "the target is not taken off"}});
  };
  const Tensor z = draw(grade, {6, 5});
  judge("the gradient for 6 rows of 5", z, classes_for(grade, 6, 5));
  judge("the gradient for rows that are not contiguous", by_columns(z), classes_for(grade, 6, 5));
  judge("the gradient for 3 rows of 2, scores far apart", draw(grade, {3, 2}, 1000), classes_for(grade, 3, 2));
}

void ignoring(const Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& what, const Tensor& z, const Tensor& target, int64_t ignore_index) {
    const double count = (target != double(ignore_index)).to(float64).sum().item();
    const Tensor right = cross_entropy(z, target, {.ignore_index = ignore_index});
    const Tensor got = student.cross_entropy(z, target, ignore_index);
    grade.that(!isinf(got).any().item(), what + ": the probability is 0 before its logarithm is taken");
    grade.equal(what, got, right,
                {{right * (count / double(z.size(0))), "the mean counts rows that are ignored"},
                 {right * count, "the losses are summed; their mean is asked for"}});
  };
  const Tensor z = draw(grade, {8, 5}), target = classes_for(grade, 8, 5);
  judge("the loss of 8 rows", z, target, -100);
  const Tensor second = arange(8) == 1.0;
  judge("the loss of 8 rows, one of them ignored", by_columns(z), target.masked_fill(second, -100), -100);
  judge("the loss with class 0 ignored", z, target.masked_fill(second, 0).masked_fill(arange(8) == 2.0, 1), 0);
  const Tensor lowest = (z * 5000.0).argmin(1);
  judge("the loss of scores far apart", z * 5000.0, lowest, -100);
}

void gradient_of_softmax(const Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& what, const Tensor& z, const Tensor& dp) {
    const Tensor leaf = z.requires_grad_(), p = softmax(leaf, 1), fixed = p.detach();
    const Tensor right = grad({p}, {leaf}, {.grad_outputs = {dp}})[0];
    grade.equal(what, student.softmax_gradient(fixed, dp), right,
                {{fixed * (1.0 - fixed) * dp, "only the diagonal of the Jacobian counts"},
                 {fixed * (dp - (fixed * dp).sum()), "rows are mixed"},
                 {fixed * dp, "what all scores share is not taken off"}});
  };
  const Tensor z = draw(grade, {4, 7});
  judge("the gradient for 4 rows of 7", z, draw(grade, {4, 7}));
  judge("the gradient where dp is not contiguous", z, by_columns(draw(grade, {4, 7})));
  judge("the gradient where dp is the same everywhere", z, ones_like(z));
}

const std::vector<grading::Task<Exercises>> tasks = {
    {.number = "3.1",
     .title = "log-sum-exp without overflow",
     .stars = 1,
     .grade = log_sum_exp,
     .hints =
         {"What is exp(1000)? What is log(exp(1000) + exp(1000)) on paper?",
          "exp(a + b) = exp(a) exp(b): the largest score of each row can be taken out of the sum, and then out of "
          "the logarithm.",
          "largest = scores.amax({1}, true) is (rows, 1); log(exp(scores - largest).sum({1}, true)) lacks only "
          "the largest; squeeze(1) drops the dimension that was kept."}},
    {.number = "3.2",
     .title = "softmax of rows",
     .stars = 1,
     .grade = softmax_of_rows,
     .hints = {"Each row is a distribution of its own. What has to be summed, and what must not be?",
               "Take each row's largest score off first; the result is the same and exp is never above 1.",
               "e = exp(scores - scores.amax({1}, true)), divided by e.sum({1}, true), which is (rows, 1)."}},
    {.number = "3.3",
     .title = "the gradient of cross-entropy",
     .stars = 2,
     .grade = gradient_of_cross_entropy,
     .hints = {"The gradient for one row is in the chapter. What does the mean over the rows do to it?",
               "Each row is (p - q) / rows; q is 1 at the target and 0 elsewhere.",
               "(softmax(scores) - one_hot(target, scores.size(1)).to(scores.dtype())) / double(scores.size(0))"}},
    {.number = "3.4",
     .title = "cross-entropy that ignores some targets",
     .stars = 2,
     .grade = ignoring,
     .hints = {"Two things: the loss of every row from scores (not from probabilities), and which rows count.",
               "Give ignored rows some class, so that gather is content; set their losses to 0; divide by the number "
               "of rows that count.",
               "ignored = target == double(ignore_index); losses = log_sum_exp(scores) - scores.gather(1, "
               "target.masked_fill(ignored, 0).unsqueeze(1)).squeeze(1); then masked_fill, sum, and divide."}},
    {.number = "3.5",
     .title = "the gradient of softmax",
     .stars = 3,
     .grade = gradient_of_softmax,
     .hints = {"dz_j is the sum over i of dp_i dp_i/dz_j. Write the sum out for three classes.",
               "The [i = j] part gives p_j dp_j. The other gives -p_j times a sum that is the same for every j.",
               "p * (dp - (p * dp).sum({1}, true))"}},
};

}  // namespace

int main(int argc, char** argv) { return grading::run("ch03", tasks, argc, argv); }
