// Judges the exercises of chapter 12, against the library's own functions, its gradients and its BLEU.
#include <algorithm>
#include <string>

#include "autograd/ops.h"
#include "data/text/bleu.h"
#include "data/text/unicode.h"
#include "exercises.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using ch12::Exercises;
using ch12::Words;
using grading::Grade;

namespace {

Tensor random(Grade& grade, const Shape& shape, double scale = 1) {
  return scale * randn(shape, {.dtype = float64}, &grade.random());
}

// Of the sum of `output` times `toward`.
std::vector<Tensor> gradients_of(const Tensor& output, const std::vector<Tensor>& inputs, const Tensor& toward) {
  return grad({output}, inputs, {.grad_outputs = {toward}, .retain_graph = true});
}

// --- 12.1 ----------------------------------------------------------------------------------------------------------

void grade_before(const Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& what, int64_t batch, int64_t places, int64_t d) {
    const Tensor x = (3 * random(grade, {batch, d, places}) + 2).transpose(1, 2);
    const Tensor weight = random(grade, {d}), bias = random(grade, {d}), matrix = random(grade, {d, d});
    const auto f = [&](const Tensor& in) { return tanh(matmul(in, matrix)); };
    const auto norm = [&](const Tensor& in) { return layer_norm(in, {d}, weight, bias); };
    const Tensor leaf = x.requires_grad_(), got = student.before(leaf, weight, bias, f);
    const Tensor expected = leaf + f(norm(leaf));
    grade.equal(what, got, expected,
                {{norm(x + f(x)), "the sum is normalised, and not what the sub-layer sees: that is the norm after"},
                 {norm(x) + f(norm(x)), "the shortcut is normalised, too: nothing carries x through as it came"},
                 {f(norm(x)), "there is no shortcut"},
                 {x + norm(f(x)), "what the sub-layer gives is normalised, not what it sees"},
                 {x + f(layer_norm(x, {d})), "the weight and the bias of the norm are left out"}});
    const Tensor toward = random(grade, {batch, places, d});
    grade.that(got.requires_grad(), "the result does not depend on x, as its graph tells");
    grade.equal(what + ", the gradient of x", gradients_of(got, {leaf}, toward)[0],
                gradients_of(expected, {leaf}, toward)[0]);
  };
  judge("2 sentences of 3 places", 2, 3, 5);
  judge("one place", 1, 1, 7);
}

// --- 12.2 ----------------------------------------------------------------------------------------------------------

std::string shown(const Words& pieces) { return "\"" + data::join(pieces) + "\""; }

Words merged(const Words& pieces, const std::string& left, const std::string& right) {
  Words rest = pieces;
  for (size_t i = 0; i + 1 < rest.size(); ++i)
    if (rest[i] == left && rest[i + 1] == right) {
      rest[i] += right;
      rest.erase(rest.begin() + int64_t(i) + 1);
    }
  return rest;
}

void grade_merge(const Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& text, const std::string& left, const std::string& right) {
    const Words pieces = data::split(text), got = student.merge(pieces, left, right);
    const Words expected = merged(pieces, left, right);
    if (got == expected) return;
    const std::string what =
        shown(pieces) + " with " + left + " + " + right + ": expected " + shown(expected) + ", got " + shown(got);
    Words twice, first = pieces;
    for (size_t i = 0; i < pieces.size(); ++i) {
      const bool both = i + 1 < pieces.size() && pieces[i] == left && pieces[i + 1] == right;
      twice.push_back(both ? left + right : pieces[i]);
    }
    for (size_t i = 0; i + 1 < first.size(); ++i)
      if (first[i] == left && first[i + 1] == right) {
        first[i] += right;
        first.erase(first.begin() + int64_t(i) + 1);
        break;
      }
    grade.that(got != twice, what + ": the right piece is not taken away: its letters are there twice");
    grade.that(got != first, what + ": only the first occurrence is merged");
    grade.that(data::join(got, "") == data::join(pieces, ""), what + ": letters were lost or added");
    grade.fail(what);
  };
  judge("▁ d og s", "d", "og");
  judge("b a n a n a s", "a", "n");
  judge("a a a a a", "a", "a");
  judge("aa a aa", "aa", "a");
  judge("a aa a a", "a", "aa");
  judge("x", "x", "y");
  judge("", "x", "y");
  for (int round = 0; round < 20; ++round) {
    std::string text;
    for (int64_t i = 0; i < 9; ++i) text += grade.random().below(2) == 0 ? "o " : "g ";
    judge(text, "o", "g");
    judge(text, "g", "g");
  }
}

// --- 12.3 ----------------------------------------------------------------------------------------------------------

void grade_smoothed(const Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& what, int64_t batch, int64_t places, int64_t pieces, double smoothing,
                         int64_t pad) {
    const Tensor logits = random(grade, {batch, pieces, places}, 2).transpose(1, 2).requires_grad_();
    Tensor targets = randint(0, double(pieces), {places, batch}, {.dtype = int64}, &grade.random()).t().clone();
    targets = targets.masked_fill(targets == double(pad), double((pad + 1) % pieces));
    targets.select(1, places - 1).select(0, 0).fill_(double(pad));  // the first sentence is shorter
    const Tensor got = student.smoothed_loss(logits, targets, smoothing, pad);
    const auto library = [&](const Tensor& from, double with) {
      return cross_entropy(from.transpose(1, 2), targets, {.ignore_index = pad, .label_smoothing = with});
    };
    const Tensor expected = library(logits, smoothing), x = logits.detach();
    const Tensor losses = -log_softmax(x, -1), all = losses.mean({-1}), counts = (targets != double(pad)).to(float64);
    const Tensor right = losses.gather(-1, targets.unsqueeze(-1)).squeeze(-1), number = counts.sum();
    const Tensor sum_of_all = losses.sum({-1}), others = (sum_of_all - right) / double(pieces - 1);
    const auto mixed = [&](const Tensor& rest) { return (1 - smoothing) * right + smoothing * rest; };
    grade.equal(what, got, expected,
                {{(mixed(sum_of_all) * counts).sum() / number,
                  "the losses of all pieces are added up, where their mean belongs"},
                 {((1 - smoothing) * right * counts + smoothing * all).sum() / number,
                  "padding is smoothed, too: it counts in the loss"},
                 {mixed(all).mean(), "padding counts in the loss"},
                 {(mixed(all) * counts).mean(), "the sum is divided by all places, padding included"},
                 {(mixed(others) * counts).sum() / number,
                  "the smoothing is spread over the wrong pieces alone; here it is over all, the right one included"},
                 {library(x, 0), "nothing is smoothed"}});
    grade.that(got.requires_grad(), "the result does not depend on the logits, as its graph tells");
    const Tensor one = ones({}, {.dtype = float64});
    grade.equal(what + ", the gradient", gradients_of(got, {logits}, one)[0],
                gradients_of(expected, {logits}, one)[0]);
  };
  judge("2 sentences, 7 pieces, smoothing 0.1", 2, 4, 7, 0.1, 0);
  judge("3 sentences, 5 pieces, smoothing 0.3, padded with 2", 3, 3, 5, 0.3, 2);
  judge("no smoothing", 2, 3, 5, 0, 0);
}

// --- 12.4 ----------------------------------------------------------------------------------------------------------

void grade_matches(const Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& what, const std::vector<std::string>& candidates,
                         const std::vector<std::string>& references) {
    std::vector<Words> made, right;
    for (const std::string& text : candidates) made.push_back(data::split(text));
    for (const std::string& text : references) right.push_back(data::split(text));
    const data::Bleu b = data::bleu(candidates, references, {.tokens = data::BleuTokens::none});
    for (int64_t n = 1; n <= 4; ++n) {
      const ch12::Matches got = student.ngram_matches(made, right, n);
      // The same, with mistakes.
      int64_t unclipped = 0, once = 0;
      for (size_t i = 0; i < made.size(); ++i) {
        std::vector<Words> seen;
        for (int64_t at = 0; at + n <= int64_t(made[i].size()); ++at) {
          const Words ngram(made[i].begin() + at, made[i].begin() + at + n);
          const bool found =
              std::search(right[i].begin(), right[i].end(), ngram.begin(), ngram.end()) != right[i].end();
          unclipped += found;
          if (found && std::find(seen.begin(), seen.end(), ngram) == seen.end()) ++once;
          seen.push_back(ngram);
        }
      }
      const std::string of = what + ", n = " + std::to_string(n);
      grade.equal(of + ", total", double(got.total), double(b.totals[size_t(n) - 1]));
      grade.equal(of + ", matches", double(got.matches), double(b.matches[size_t(n) - 1]),
                  {{double(unclipped), "nothing is clipped: a word that is repeated matches each time"},
                   {double(once), "an n-gram counts once, however often it occurs"}});
    }
  };
  judge("one sentence", {"the dog saw the cat the the"}, {"the dog saw the cat in the park"});
  judge("one shorter than n", {"a dog"}, {"a dog"});
  judge("two sentences", {"a a b a b", "c d"}, {"a b a b b", "c c d d"});
  judge("an empty candidate", {"", "x y"}, {"x", "y x"});
  std::vector<std::string> made, right;
  for (int i = 0; i < 12; ++i) {
    const auto sentence = [&](int64_t length) {
      std::string text;
      for (int64_t j = 0; j < length; ++j) text += std::string(1, char('a' + grade.random().below(3))) + " ";
      return text;
    };
    made.push_back(sentence(3 + grade.random().below(9)));
    right.push_back(sentence(3 + grade.random().below(9)));
  }
  judge("twelve random sentences", made, right);
}

// --- 12.5 ----------------------------------------------------------------------------------------------------------

void grade_norm(const Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& what, int64_t batch, int64_t places, int64_t d, double scale,
                         double eps) {
    const Tensor x = (scale * random(grade, {batch, d, places}) + 1).transpose(1, 2).requires_grad_();
    const Tensor weight = random(grade, {d}).requires_grad_(), bias = random(grade, {d}).requires_grad_();
    const Tensor g = random(grade, {places, batch, d}).transpose(0, 1);
    const Tensor y = layer_norm(x, {d}, weight, bias, eps);
    const std::vector<Tensor> expected = gradients_of(y, {x, weight, bias}, g);
    const ch12::NormGradients got = student.layer_norm_gradients(g, x.detach(), weight.detach(), eps);
    const Tensor away = (x - x.mean({-1}, true)).detach(), variance = square(away).mean({-1}, true);
    const Tensor root = sqrt(variance + eps), n = away / root, h = g * weight.detach();
    const auto mean = [](const Tensor& t) { return t.mean({-1}, true); };
    const Tensor right = h - mean(h) - n * mean(h * n);
    grade.equal(what + ", the gradient of x", got.x, expected[0],
                {{h / root, "mean and variance are taken for constants"},
                 {(h - mean(h)) / root, "the variance is taken for a constant"},
                 {(h - n * mean(h * n)) / root, "the mean is taken for a constant"},
                 {(g - mean(g) - n * mean(g * n)) / root, "the weight is left out: h is g times the weight"},
                 {right, "the division by the root is missing"},
                 {(h - h.sum({-1}, true) - n * (h * n).sum({-1}, true)) / root, "sums stand where means belong"}});
    grade.equal(what + ", the gradient of the weight", got.weight, expected[1],
                {{(g * n).sum({0}), "the weight serves every sentence: sum over the batch, too"},
                 {(g * n).mean({0, 1}), "the mean over the rows stands where the sum belongs"},
                 {(g * away).sum({0, 1}), "the weight meets x normalised, not x less its mean"},
                 {(g * x.detach()).sum({0, 1}), "the weight meets x normalised, not x"}});
    grade.equal(what + ", the gradient of the bias", got.bias, expected[2],
                {{g.sum({0}), "the bias serves every sentence: sum over the batch, too"},
                 {g.mean({0, 1}), "the mean over the rows stands where the sum belongs"}});
  };
  judge("2 sentences of 3 places", 2, 3, 5, 2, 1e-5);
  judge("one place", 1, 1, 7, 1, 1e-5);
  judge("a large eps", 3, 2, 4, 0.5, 0.5);
}

const std::vector<grading::Task<Exercises>> tasks = {
    {.number = "12.1",
     .title = "a sub-layer, normalised before",
     .stars = 1,
     .grade = grade_before,
     .hints = {"Two ways lead from x to the sum. Which of them goes through the norm?",
               "layer_norm(x, {x.size(-1)}, weight, bias) is what f sees.", "x + f(layer_norm(...))"}},
    {.number = "12.2",
     .title = "one merge of byte pairs",
     .stars = 2,
     .grade = grade_merge,
     .hints =
         {"Build a new list, and look at two neighbours at a time.",
          "Where pieces[i] and pieces[i + 1] are the pair, push left + right, and go on two places further.",
          "for (size_t i = 0; i < pieces.size(); ++i): if both are the pair, push their sum and do one more ++i; "
          "otherwise push pieces[i]. Test i + 1 < pieces.size() first."}},
    {.number = "12.3",
     .title = "the smoothed loss",
     .stars = 2,
     .grade = grade_smoothed,
     .hints = {"Minus log_softmax is the loss for each piece, if it were the right one: (batch, places, pieces).",
               "gather(-1, targets.unsqueeze(-1)).squeeze(-1) picks that of the target, mean(-1) is that of a piece "
               "drawn at random. Mix them with 1 - smoothing and smoothing.",
               "counts = (targets != double(pad)).to(logits.dtype()), and then (of_token * counts).sum() / "
               "counts.sum()"}},
    {.number = "12.4",
     .title = "the matches that BLEU counts",
     .stars = 2,
     .grade = grade_matches,
     .hints =
         {"Count first, compare then: a map from an n-gram to how often it occurs, for either sentence.",
          "A Words can be the key of a std::map. The n-gram at i is Words(words.begin() + i, words.begin() + i + "
          "n), for i + n <= words.size().",
          "matches += std::min(times, wanted[ngram]), where a map gives 0 for an n-gram it does not have; total "
          "+= times."}},
    {.number = "12.5",
     .title = "the gradients of layer normalisation",
     .stars = 3,
     .grade = grade_norm,
     .hints =
         {"Write n and the root as tensors first, (batch, places, d) and (batch, places, 1). The gradient of n is "
          "h = g * weight.",
          "Adding a constant to a row of x changes nothing in y, nor does scaling the row (but for eps). So the "
          "gradient of x has no part along ones, and hardly one along n: subtract both.",
          "(h - h.mean({-1}, true) - n * (h * n).mean({-1}, true)) / root; weight: (g * n).sum({0, 1}); bias: "
          "g.sum({0, 1})."}},
};

}  // namespace

int main(int argc, char** argv) { return grading::run("ch12", tasks, argc, argv); }
