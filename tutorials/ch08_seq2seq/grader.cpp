// Judges the exercises of chapter 08 against plain loops, and beam search of full width against all sentences.
#include <algorithm>
#include <cmath>

#include "autograd/ops.h"
#include "exercises.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using ch08::Exercises;
using ch08::Forced;
using ch08::Found;
using ch08::Ids;
using grading::Grade;

namespace {

Tensor table(const std::vector<int64_t>& numbers, int64_t rows) {
  return from_vector(numbers, {rows, int64_t(numbers.size()) / rows});
}

std::string text(const Ids& ids) {
  std::string joined;
  for (const int64_t id : ids) joined += (joined.empty() ? "" : " ") + std::to_string(id);
  return "{" + joined + "}";
}

// --- 8.1 -----------------------------------------------------------------------------------------------------------

void grade_teacher_force(const Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& what, const std::vector<Ids>& sentences, int64_t pad, int64_t bos,
                         int64_t eos) {
    size_t longest = 0;
    for (const Ids& sentence : sentences) longest = std::max(longest, sentence.size());
    std::vector<int64_t> input, target, endless, cut;
    for (const Ids& sentence : sentences)
      for (size_t t = 0; t <= longest; ++t) {
        const int64_t here = t < sentence.size() ? sentence[t] : pad;
        input.push_back(t == 0 ? bos : t <= sentence.size() ? sentence[t - 1] : pad);
        target.push_back(t == sentence.size() ? eos : here);
        endless.push_back(here);
        if (t < longest) cut.push_back(here);
      }
    const int64_t rows = int64_t(sentences.size());
    const std::string shown = "the decoder is fed the very token that it has to predict";
    const std::string no_end = "the end is no target, so that nothing ever learns to stop";
    const Forced got = student.teacher_force(sentences, pad, bos, eos);
    grade.equal("the input of " + what, got.input, table(input, rows),
                {{table(target, rows), shown}, {table(endless, rows), "the input does not begin with bos"}});
    std::vector<grading::Known> known = {{table(endless, rows), no_end},
                                         {table(input, rows), "the targets are the input, not shifted"}};
    if (longest > 0) known.push_back({table(cut, rows), no_end});
    grade.equal("the target of " + what, got.target, table(target, rows), known);
  };
  judge("one sentence", {{5, 6, 7}}, 0, 1, 2);
  judge("sentences of two, four and three words", {{5, 6}, {9, 8, 7, 6}, {3, 4, 5}}, 0, 1, 2);
  judge("a sentence of no words beside another", {{}, {4}}, 0, 1, 2);
  judge("pad 7, bos 3, eos 0", {{4, 5, 6}, {5}}, 7, 3, 0);
  std::vector<Ids> drawn(5);
  for (Ids& sentence : drawn)
    for (int64_t left = 1 + grade.random().below(6); left > 0; --left)
      sentence.push_back(3 + grade.random().below(9));
  judge("five random sentences", drawn, 0, 1, 2);
}

// --- 8.2 -----------------------------------------------------------------------------------------------------------

void grade_last_states(const Exercises& student, Grade& grade) {
  const std::string padding =
      "the last place of the batch is taken, not that of the sentence: what is there is padding";
  const std::string from_one = "places are counted from zero: the last of n is n - 1";
  grade.known_error("is out of range for", from_one);
  const auto judge = [&](const std::string& what, const Tensor& x, const std::vector<int64_t>& lengths) {
    const Tensor outputs = x.requires_grad_();
    std::vector<Tensor> states, one_too_far;
    for (int64_t b = 0; b < outputs.size(0); ++b) {
      states.push_back(outputs[b][lengths[size_t(b)] - 1]);
      one_too_far.push_back(outputs[b][std::min(lengths[size_t(b)], outputs.size(1) - 1)]);
    }
    const Tensor expected = stack(states);
    const Tensor got = student.last_states(outputs, from_vector(lengths, {int64_t(lengths.size())}));
    grade.equal("the states of " + what, got.detach(), expected.detach(),
                {{outputs.detach().select(1, -1), padding}, {stack(one_too_far).detach(), from_one}});
    grade.that(got.requires_grad(), "no gradient reaches the outputs: the numbers were taken out of the graph");
    const Tensor g = randn(expected.shape(), {.dtype = float64}, &grade.random());
    const GradOptions how{.grad_outputs = {g}};
    grade.equal("the gradient of the outputs of " + what, grad({got}, {outputs}, how)[0],
                grad({expected}, {outputs}, how)[0]);
  };
  const auto normal = [&](const Shape& shape) { return randn(shape, {.dtype = float64}, &grade.random()); };
  judge("sentences that are all shorter than the batch", normal({3, 6, 4}), {2, 5, 1});
  judge("sentences of five, three and seven tokens", normal({4, 7, 3}).transpose(0, 2), {5, 3, 7});
  judge("one sentence of one token", normal({1, 1, 5}), {1});
  judge("sentences of one length", normal({2, 5, 1}), {5, 5});
}

// --- 8.3 -----------------------------------------------------------------------------------------------------------

void grade_token_loss(const Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& what, const Tensor& x, const Tensor& targets, int64_t pad) {
    const Tensor logits = x.requires_grad_();
    const Tensor each = cross_entropy(logits.flatten(0, 1), targets.flatten(), {.reduction = Reduction::none});
    const Tensor counts = (targets != double(pad)).to(float64).flatten();
    const Tensor expected = (each * counts).sum() / counts.sum();
    const Tensor rows = (each * counts).reshape(targets.shape()).sum({1}) / counts.reshape(targets.shape()).sum({1});
    const Tensor got = student.token_loss(logits, targets, pad);
    grade.equal("the loss of " + what, got.detach(), expected.detach(),
                {{each.mean().detach(), "padding is predicted as if it were a word"},
                 {(each * counts).mean().detach(), "the sum is divided by all places, padding included"},
                 {(each * counts).sum().detach(), "the sum is not divided by the number of tokens"},
                 {rows.mean().detach(), "each sentence counts the same, so that a token of a short one counts more"},
                 {-expected.detach(), "the sign is wrong: the likelier the target, the smaller the loss"}});
    grade.that(got.requires_grad(), "no gradient reaches the logits: the numbers were taken out of the graph");
    grade.equal("the gradient of the logits of " + what, grad({got}, {logits})[0], grad({expected}, {logits})[0]);
  };
  const auto normal = [&](const Shape& shape) { return randn(shape, {.dtype = float64}, &grade.random()); };
  judge("two sentences with padding", normal({2, 4, 6}), table({5, 3, 2, 0, 4, 2, 0, 0}, 2), 0);
  judge("sentences without padding", normal({3, 2, 5}), table({1, 2, 3, 4, 1, 2}, 3), 0);
  judge("padding with number 3, logits not contiguous", normal({6, 5, 2}).transpose(0, 2),
        table({1, 4, 0, 2, 3, 3, 3, 3, 0, 3}, 2).flip({0}), 3);
  judge("logits of a thousand", normal({2, 3, 4}) * 1000, table({1, 2, 0, 3, 0, 0}, 2), 0);
}

// --- 8.4 and 8.5 ---------------------------------------------------------------------------------------------------

// A made-up model: log probabilities that depend on all that was written, the same each time it is asked.
struct Model {
  int64_t words, eos, max_length;
  uint64_t seed;
  double end_bias = 0;  // the larger, the likelier is the end

  std::vector<double> log_p(const Ids& written) const {
    uint64_t hash = seed * 0x9E3779B97F4A7C15u + 1;
    for (const int64_t word : written) hash = (hash ^ uint64_t(word + 1)) * 0x100000001B3u + (hash >> 29);
    Generator random(hash);
    const Tensor scores = randn({words}, {.dtype = float64}, &random) * 1.5;
    scores.data<double>()[eos] += end_bias;
    return log_softmax(scores, 0).to_vector();
  }
};

// Answers the student's questions, and objects to those that must not be asked.
ch08::NextWord answers(const Model& model, Grade& grade) {
  return [&model, &grade](const Ids& written) {
    grade.that(int64_t(written.size()) < model.max_length,
               "max_length is not obeyed: a model that never ends would write for ever");
    grade.that(std::find(written.begin(), written.end(), model.eos) == written.end(),
               "next was asked about " + text(written) + ", a sentence that has ended");
    return from_vector(model.log_p(written), {model.words});
  };
}

void grade_greedy(const Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& what, const Model& model) {
    Ids expected;
    bool ended = false;
    while (!ended && int64_t(expected.size()) < model.max_length) {
      const std::vector<double> p = model.log_p(expected);
      const int64_t word = std::max_element(p.begin(), p.end()) - p.begin();
      ended = word == model.eos;
      if (!ended) expected.push_back(word);
    }
    Ids with_end = expected;
    with_end.push_back(model.eos);
    const Ids got = student.greedy(answers(model, grade), model.eos, model.max_length);
    grade.that(!(ended && got == with_end), "the end is returned as if it were a word");
    grade.that(got == expected, what + ": expected " + text(expected) + ", got " + text(got));
  };
  for (int round = 0; round < 4; ++round) {
    const uint64_t seed = uint64_t(grade.random().below(1 << 30));
    judge("a model that ends soon", {.words = 5, .eos = 2, .max_length = 30, .seed = seed, .end_bias = 2});
    judge("a model of seven words", {.words = 7, .eos = 0, .max_length = 40, .seed = seed});
    judge("a model that never ends", {.words = 4, .eos = 3, .max_length = 6, .seed = seed, .end_bias = -100});
  }
  judge("a model that ends at once", {.words = 3, .eos = 1, .max_length = 5, .seed = 1, .end_bias = 100});
}

bool is_better(const Found& a, const Found& b) { return a.score > b.score; }
bool same(const std::vector<Found>& a, const std::vector<Found>& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](const Found& x, const Found& y) {
           return x.words == y.words && std::abs(x.score - y.score) <= 1e-9 * (1 + std::abs(y.score));
         });
}

// Every sentence there is, best first.
void everything(const Model& model, const Found& written, std::vector<Found>& all) {
  if (int64_t(written.words.size()) == model.max_length) {
    all.push_back(written);
    return;
  }
  const std::vector<double> p = model.log_p(written.words);
  for (int64_t word = 0; word < model.words; ++word) {
    Found longer{written.words, written.score + p[size_t(word)]};
    if (word == model.eos) {
      all.push_back(longer);
    } else {
      longer.words.push_back(word);
      everything(model, longer, all);
    }
  }
}

enum class Mistake { none, forgets, stops_early };

std::vector<Found> reference(const Model& model, int64_t width, Mistake mistake = Mistake::none) {
  std::vector<Found> going = {{}}, finished;
  while (!going.empty() && !(mistake == Mistake::stops_early && !finished.empty())) {
    struct Step {
      Found sentence;
      bool ends;
    };
    std::vector<Step> steps;
    for (const Found& sentence : going) {
      const std::vector<double> p = model.log_p(sentence.words);
      for (int64_t word = 0; word < model.words; ++word) {
        Found longer{sentence.words, (mistake == Mistake::forgets ? 0 : sentence.score) + p[size_t(word)]};
        if (word != model.eos) longer.words.push_back(word);
        steps.push_back({longer, word == model.eos});
      }
    }
    std::sort(steps.begin(), steps.end(),
              [](const Step& a, const Step& b) { return is_better(a.sentence, b.sentence); });
    going.clear();
    for (int64_t rank = 0; rank < int64_t(steps.size()); ++rank) {
      const auto& [sentence, ends] = steps[size_t(rank)];
      if (ends && rank < width) finished.push_back(sentence);
      if (!ends && int64_t(going.size()) < width) going.push_back(sentence);
    }
    if (!going.empty() && int64_t(going[0].words.size()) == model.max_length) {
      finished.insert(finished.end(), going.begin(), going.end());
      going.clear();
    }
  }
  std::sort(finished.begin(), finished.end(), is_better);
  if (int64_t(finished.size()) > width) finished.resize(size_t(width));
  return finished;
}

void grade_beam_search(const Exercises& student, Grade& grade) {
  const auto judge = [&](const std::string& what, const Model& model, int64_t width,
                         const std::vector<Found>& expected) {
    const std::vector<Found> got = student.beam_search(answers(model, grade), width, model.eos, model.max_length);
    if (same(got, expected)) return;
    grade.that(!same(got, reference(model, width, Mistake::forgets)),
               "only the last word counts: what the sentence cost before is forgotten");
    grade.that(!same(got, reference(model, width, Mistake::stops_early)),
               "the search stops when the first sentence ends, though one that goes on may become better");
    grade.that(got.size() == expected.size(), what + ": expected " + std::to_string(expected.size()) +
                                                  " sentences, got " + std::to_string(got.size()));
    for (size_t i = 0; i < got.size(); ++i) {
      const std::string which = what + ", sentence " + std::to_string(i + 1);
      grade.that(got[i].words == expected[i].words,
                 which + ": expected " + text(expected[i].words) + ", got " + text(got[i].words));
      grade.equal("the score of " + which, got[i].score, expected[i].score);
    }
  };
  for (int round = 0; round < 4; ++round) {
    const uint64_t seed = uint64_t(grade.random().below(1 << 30));
    const Model small{.words = 3, .eos = 2, .max_length = 4, .seed = seed};
    std::vector<Found> all;
    everything(small, {}, all);
    std::sort(all.begin(), all.end(), is_better);
    judge("as wide as there are sentences", small, int64_t(all.size()), all);
    const Model model{.words = 6, .eos = 0, .max_length = 8, .seed = seed, .end_bias = 1};
    for (const int64_t width : {1, 2, 3, 5})
      judge("a beam of " + std::to_string(width), model, width, reference(model, width));
    const Model endless{.words = 4, .eos = 1, .max_length = 5, .seed = seed, .end_bias = -100};
    judge("a model that never ends", endless, 3, reference(endless, 3));
  }
}

const std::vector<grading::Task<Exercises>> tasks = {
    {.number = "8.1",
     .title = "what the decoder is fed, and what it predicts",
     .stars = 1,
     .grade = grade_teacher_force,
     .hints =
         {"Write the two rows for 我 是 一只 狗 one below the other.",
          "The input is bos and the sentence; the target is the sentence and eos. They are equally long.",
          "Ids input = {bos}; input.insert(input.end(), sentence.begin(), sentence.end()); the target is a copy of "
          "the sentence with push_back(eos); data::pad_rows makes tensors of both lists."}},
    {.number = "8.2",
     .title = "the state after the last token",
     .stars = 2,
     .grade = grade_last_states,
     .hints = {"Each sentence has a place of its own in the second dimension.",
               "gather along dimension 1 with an index of shape (batch, 1, hidden), the same for all features.",
               "(lengths - 1).reshape({batch, 1, 1}).expand({batch, 1, hidden}) is the index; squeeze(1) drops the "
               "dimension that is left."}},
    {.number = "8.3",
     .title = "a loss over tokens",
     .stars = 2,
     .grade = grade_token_loss,
     .hints =
         {"First a loss for every place, padding too; then leave out what does not count.",
          "log_softmax over the words, gather the target's; a mask of ones and zeros; the sum of the products over "
          "the sum of the mask.",
          "log_softmax(logits, -1).gather(-1, targets.unsqueeze(-1)).squeeze(-1), and "
          "(targets != double(pad)).to(logits.dtype())."}},
    {.number = "8.4",
     .title = "greedy decoding",
     .stars = 2,
     .grade = grade_greedy,
     .hints =
         {"What is written is what next is asked about the next time.",
          "A loop that runs while there are fewer than max_length words, and is left at eos before that is added.",
          "const int64_t word = int64_t(next(words).argmax().item()); if (word == eos) break; "
          "words.push_back(word);"}},
    {.number = "8.5",
     .title = "beam search",
     .stars = 3,
     .grade = grade_beam_search,
     .hints =
         {"Follow the worked example of the chapter with two lists: those that go on, and those that finished.",
          "Each step makes a list of all sentences with one word more, sorts it, and deals it out to the two lists.",
          "For each rank: if the last word is not eos and fewer than width go on, it goes on; if it is eos and rank "
          "< width, drop the eos and it is finished. At max_length all that go on are finished."}},
};

}  // namespace

int main(int argc, char** argv) { return grading::run("ch08", tasks, argc, argv); }
