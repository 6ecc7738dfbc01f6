// Judges the exercises of chapter 10, against the library's own functions and its gradients.
#include "autograd/ops.h"
#include "exercises.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using ch10::Exercises;
using grading::Grade;

namespace {

Tensor random(Grade& grade, const Shape& shape, double scale = 1) {
  return scale * randn(shape, {.dtype = float64}, &grade.random());
}

// Of the sum of `output` times `toward`.
Tensor gradient_of(const Tensor& output, const Tensor& input, const Tensor& toward) {
  return grad({output}, {input}, {.grad_outputs = {toward}, .retain_graph = true})[0];
}

// (batch, places) bool: row i keeps its first lengths[i] places.
Tensor kept(const std::vector<int64_t>& lengths, int64_t places) {
  return (arange(places) < from_vector(lengths, {int64_t(lengths.size()), 1}));
}

// --- 10.1 ----------------------------------------------------------------------------------------------------------

void grade_padding(const Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& what, const Tensor& tokens, int64_t pad) {
    const Tensor words = tokens != double(pad);
    grade.equal(
        what, student.word_mask(tokens, pad), words.unsqueeze(1),
        {{(tokens == double(pad)).unsqueeze(1), "the padding is kept, and the words are hidden"},
         {words, "there is no dimension for the queries: a row of the mask would meet the query of that number"},
         {words.unsqueeze(2), "the dimension for the queries is the last, not the one between"},
         {(tokens != 0.0).unsqueeze(1), "pad is taken for zero, whatever it is"}});
  };
  judge("two sentences of three and five tokens", tensor({{7, 8, 2, 0, 0}, {7, 4, 9, 8, 2}}, {.dtype = int64}), 0);
  const Tensor tokens = randint(0, 5, {7, 4}, {.dtype = int64}, &grade.random());
  judge("4 sentences, not contiguous, padded with 3", tokens.t(), 3);
}

// --- 10.2 and 10.3 -------------------------------------------------------------------------------------------------

void grade_softmax(const Exercises& student, Grade& grade) {
  const Tensor toward = random(grade, {3, 4, 5});
  const auto judge = [&](const std::string& what, const Tensor& numbers, const Tensor& keep) {
    const Tensor scores = numbers.detach().requires_grad_();
    const Tensor got = student.kept_softmax(scores, keep), expected = masked_softmax(scores, KeepMask(keep));
    const Tensor drop = logical_not(keep);
    const Tensor visible = scores.detach().masked_fill(drop, -1e30);
    const Tensor underflown = exp(visible - numbers.detach().amax({-1}, true)).masked_fill(drop, 0);
    const Tensor sum = underflown.sum({-1}, true);
    const std::string lost = "the largest score is looked for among hidden ones, too: what is kept underflows";
    if (got.shape() == expected.shape()) {
      const Tensor broken = isnan(got).any({-1}, true), some = keep.any({-1}, true);
      grade.that(logical_and(broken, some).any().item() == 0, what + ": there is NaN. Perhaps " + lost);
      grade.that(broken.any().item() == 0, what + ": a row that keeps nothing is divided by zero, which gives NaN");
    }
    grade.equal(
        what, got, expected,
        {{underflown / where(sum == 0.0, ones_like(sum), sum), lost},
         {softmax(scores, -1).detach().masked_fill(drop, 0), "the mask comes after the softmax"},
         {softmax(visible, -1), "a row that keeps nothing looks everywhere"},
         {masked_softmax(scores.detach(), KeepMask(drop)), "what is kept is hidden, and the other way round"}});
    grade.that(got.requires_grad(), "the result does not depend on the scores, as its graph tells");
    const Tensor gradient = gradient_of(got, scores, toward);
    grade.that(
        !isnan(gradient).any().item(),
        what + ": the weights are right, but their gradient is NaN: 0 / 0 is computed somewhere, and only hidden");
    grade.equal(what + ", the gradient", gradient, gradient_of(expected, scores, toward));
  };
  const Tensor scores = random(grade, {3, 5, 4}, 3).transpose(1, 2);  // (3, 4, 5), not contiguous
  judge("3 sentences of 5, 2 and 4 places", scores, kept({5, 2, 4}, 5).unsqueeze(1));
  judge("a sentence without a word", scores, kept({0, 3, 5}, 5).unsqueeze(1));
  const Tensor far = scores + 3000 * logical_not(kept({4, 1, 3}, 5)).unsqueeze(1).to(float64);
  judge("hidden scores that are larger by thousands", far, kept({4, 1, 3}, 5).unsqueeze(1));
  judge("scores of thousands", 1000 * scores, kept({5, 3, 4}, 5).unsqueeze(1));
}

void grade_softmax_gradient(const Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& what, const std::vector<int64_t>& lengths, int64_t queries,
                         int64_t places) {
    const int64_t batch = int64_t(lengths.size());
    const Tensor scores = random(grade, {batch, places, queries}).transpose(1, 2).requires_grad_();
    const Tensor weights = masked_softmax(scores, KeepMask(kept(lengths, places).unsqueeze(1)));
    const Tensor g = random(grade, {batch, queries, places}), w = weights.detach();
    grade.equal(what, student.kept_softmax_gradient(w, g), gradient_of(weights, scores, g),
                {{w * (1 - w) * g, "only the diagonal is there: each weight depends on every score of its row"},
                 {w * g, "the sum over the row is missing: each weight depends on every score of its row"},
                 {w * (g - (w * g).sum({-2}, true)), "the sum runs over the queries, not over the places"},
                 {w * (g - (w * g).mean({-1}, true)), "the products are averaged, not added up"},
                 {g - (w * g).sum({-1}, true), "the factor w in front is missing"}});
  };
  judge("2 sentences of 5 and 3 places", {5, 3}, 4, 5);
  judge("a sentence without a word", {0, 7, 2}, 3, 7);
}

// --- 10.4 ----------------------------------------------------------------------------------------------------------

void grade_attend(const Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& what, const std::vector<int64_t>& lengths, int64_t places, int64_t d,
                         int64_t m) {
    const int64_t batch = int64_t(lengths.size());
    const Tensor state = random(grade, {batch, d}), memory = random(grade, {batch, m, places}).transpose(1, 2);
    const Tensor w = random(grade, {m, d}).t().requires_grad_(), c = random(grade, {d, m + d}, 0.5);
    const Tensor keep = kept(lengths, places);
    const auto seen = [&](const Tensor& weights, bool state_first) {
      const Tensor context = (weights.unsqueeze(2) * memory).sum({1});
      return tanh(linear(state_first ? cat({state, context}, 1) : cat({context, state}, 1), c));
    };
    const Tensor scores = (matmul(state, w).unsqueeze(1) * memory).sum({2});
    const Tensor weights = masked_softmax(scores, KeepMask(keep)),
                 got = student.attention_step(state, memory, keep, w, c);
    const Tensor expected = seen(weights, false);
    grade.equal(what, got, expected,
                {{seen(softmax(scores, -1), false), "the padding is looked at"},
                 {seen(weights, true), "the state stands before the context, where c expects the context"},
                 {linear(cat({(weights.unsqueeze(2) * memory).sum({1}), state}, 1), c), "the tanh is missing"},
                 {seen(scores, false), "a score stands where the weight belongs"}});
    const Tensor toward = random(grade, {batch, d});
    grade.that(got.requires_grad(), "the result does not depend on w, as its graph tells");
    grade.equal(what + ", the gradient of w", gradient_of(got, w, toward), gradient_of(expected, w, toward));
  };
  judge("3 sentences of 4, 2 and 5 places", {4, 2, 5}, 5, 3, 4);
  judge("one sentence of one place", {1}, 3, 2, 5);
}

// --- 10.5 ----------------------------------------------------------------------------------------------------------

void grade_additive(const Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& what, int64_t batch, int64_t queries, int64_t places, int64_t hidden) {
    const Tensor query = random(grade, {batch, hidden, queries}).transpose(1, 2).requires_grad_();
    const Tensor key = random(grade, {batch, places, hidden}).requires_grad_();
    const Tensor v = random(grade, {hidden}).requires_grad_();
    const Tensor g = random(grade, {batch, places, queries}).transpose(1, 2);
    const Tensor scores = additive_scores(query, key, v);
    const ch10::AdditiveGradients got = student.additive_gradients(query.detach(), key.detach(), v.detach(), g);
    const Tensor t = tanh(query.unsqueeze(2) + key.unsqueeze(1)).detach(), weighed = g.unsqueeze(3) * v.detach();
    const Tensor flat = weighed.expand(t.shape()), sloped = weighed * (1 - square(t));
    const std::string no_slope = "the slope of tanh is left out", slope = "the slope of tanh is 1 - t^2, not 1 - t";
    grade.equal(what + ", the gradient of the query", got.query, gradient_of(scores, query, g),
                {{flat.sum({2}), no_slope},
                 {(weighed * (1 - t)).sum({2}), slope},
                 {sloped, "one query meets every place: sum over the places"}});
    grade.equal(what + ", the gradient of the key", got.key, gradient_of(scores, key, g),
                {{flat.sum({1}), no_slope}, {sloped, "one place meets every query: sum over the queries"}});
    const Tensor for_v = g.unsqueeze(3) * t;
    grade.equal(what + ", the gradient of v", got.v, gradient_of(scores, v, g),
                {{for_v.sum({1, 2}), "v serves every sentence, but its gradient is not summed over the batch"},
                 {(g.unsqueeze(3) * (1 - square(t))).sum({0, 1, 2}),
                  "v stands behind the tanh, so its gradient has tanh itself in it, not its slope"}});
  };
  judge("2 sentences, 3 queries, 5 places", 2, 3, 5, 4);
  judge("3 sentences, 1 query, 7 places", 3, 1, 7, 2);
}

const std::vector<grading::Task<Exercises>> tasks = {
    {.number = "10.1",
     .title = "a mask for padding",
     .stars = 1,
     .grade = grade_padding,
     .hints = {"Two steps: a comparison, and a dimension of size 1.",
               "A KeepMask is true where something may be looked at. tokens != double(pad) is (batch, places).",
               "(tokens != double(pad)).unsqueeze(1)"}},
    {.number = "10.2",
     .title = "a masked softmax of one's own",
     .stars = 2,
     .grade = grade_softmax,
     .hints =
         {"Hide scores behind a very large negative number before you look for the largest one.",
          "x.masked_fill(drop, value) hides, where drop = logical_not(keep). After exp, fill with zero once more: "
          "in a row that keeps nothing, every power is exp(0). Then its sum is zero.",
          "const Tensor sum = powers.sum({-1}, true); and divide by where(sum == 0.0, ones_like(sum), sum): a "
          "denominator that is never zero has a gradient that is never NaN."}},
    {.number = "10.3",
     .title = "the gradient of the masked softmax",
     .stars = 2,
     .grade = grade_softmax_gradient,
     .hints = {"A score that grows takes weight from all other places of its row.",
               "The gradient of score i is w_i g_i minus w_i times the sum over j of w_j g_j.",
               "weights * (g - (weights * g).sum({-1}, true))"}},
    {.number = "10.4",
     .title = "one step of a decoder that looks",
     .stars = 2,
     .grade = grade_attend,
     .hints =
         {"Write the shapes beside each line: (batch, d), (batch, 1, m), (batch, 1, places), (batch, m), (batch, d).",
          "matmul(state, w) is (batch, m). As (batch, 1, m) it can be multiplied by memory.transpose(1, 2).",
          "weights = masked_softmax(scores, KeepMask(keep.unsqueeze(1))), context = matmul(weights, "
          "memory).squeeze(1), and linear(cat({context, state}, -1), c) within tanh."}},
    {.number = "10.5",
     .title = "the gradients of the additive score",
     .stars = 3,
     .grade = grade_additive,
     .hints = {"The sum query + key broadcasts along two dimensions, and v along three. Each of these becomes a sum.",
               "With t = tanh(query.unsqueeze(2) + key.unsqueeze(1)), the gradient of what is inside the tanh is "
               "g.unsqueeze(3) * v * (1 - square(t)): (batch, queries, places, hidden).",
               "Sum that over dimension 2 for the query and over dimension 1 for the key; v gets g.unsqueeze(3) * t "
               "summed over {0, 1, 2}."}},
};

}  // namespace

int main(int argc, char** argv) { return grading::run("ch10", tasks, argc, argv); }
