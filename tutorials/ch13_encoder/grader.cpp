// Grades the exercises of chapter 13, against loops over texts, places and words.
#include <cmath>
#include <vector>

#include "exercises.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using grading::Grade;

namespace {

const TensorOptions whole{.dtype = float64};

// --- 13.1 -----------------------------------------------------------------------------------------------------------

// Sums of words, or of everything, divided by the number of words, or of places.
Tensor means(const Tensor& x, const Tensor& there, bool sum_all = false, bool divide_by_places = false) {
  std::vector<double> values;
  for (int64_t b = 0; b < x.size(0); ++b)
    for (int64_t feature = 0; feature < x.size(2); ++feature) {
      double sum = 0, count = 0;
      for (int64_t place = 0; place < x.size(1); ++place) {
        const bool word = there[b][place].item() != 0;
        if (word || sum_all) sum += x[b][place][feature].item();
        count += word;
      }
      values.push_back(sum / (divide_by_places ? double(x.size(1)) : std::max(count, 1.0)));
    }
  return from_vector(values, {x.size(0), x.size(2)});
}

void grade_mean(const ch13::Exercises& student, Grade& grade, const Tensor& x, const Tensor& there) {
  grade.equal(
      "mean_of_words of " + to_string(x.shape()), student.mean_of_words(x, there), means(x, there),
      {{means(x, there, false, true), "the sum of the words is divided by the number of places, not of words"},
       {means(x, there, true), "what stands at padding is added up with the words"}});
}

// --- 13.2 -----------------------------------------------------------------------------------------------------------

// bool (batch, 1, 1, n): place < length + more, or the contrary.
Tensor first_places(const Tensor& lengths, int64_t n, int64_t more = 0, bool inverted = false) {
  std::vector<double> values;
  for (int64_t b = 0; b < lengths.size(0); ++b)
    for (int64_t place = 0; place < n; ++place)
      values.push_back((double(place) < lengths[b].item() + double(more)) != inverted);
  return from_vector(values, {lengths.size(0), 1, 1, n}) != 0.0;
}

void grade_keys(const ch13::Exercises& student, Grade& grade, const Tensor& lengths, int64_t n) {
  grade.equal("keys_of_lengths of " + std::to_string(lengths.size(0)) + " texts of up to " + std::to_string(n),
              student.keys_of_lengths(lengths, n), first_places(lengths, n),
              {{first_places(lengths, n, 1), "the first place of padding is kept, too"},
               {first_places(lengths, n, 0, true),
                "the mask is true at padding: what is kept and what is dropped are exchanged"}});
}

// --- 13.3 -----------------------------------------------------------------------------------------------------------

ch13::MaskedText masked(const Tensor& tokens, const ch13::MaskDraws& draws, const ch13::MaskRules& rules,
                        bool ask_hidden_only = false, bool specials_too = false) {
  std::vector<int64_t> read, asked;
  for (int64_t b = 0; b < tokens.size(0); ++b)
    for (int64_t place = 0; place < tokens.size(1); ++place) {
      const int64_t word = int64_t(tokens[b][place].item());
      const bool chosen = draws.choose[b][place].item() < rules.share && (specials_too || word >= rules.first_word);
      const double way = draws.way[b][place].item();
      read.push_back(!chosen || way >= 0.9 ? word : way < 0.8 ? rules.mask : int64_t(draws.other[b][place].item()));
      asked.push_back(chosen && (way < 0.8 || !ask_hidden_only) ? word : rules.ignore);
    }
  return {from_vector(read, tokens.shape()), from_vector(asked, tokens.shape())};
}

void grade_masking(const ch13::Exercises& student, Grade& grade, const Tensor& tokens, const ch13::MaskRules& rules) {
  const Shape shape = tokens.shape();
  const ch13::MaskDraws draws = {rand({shape[1], shape[0]}, whole, &grade.random()).t(),
                                 rand(shape, whole, &grade.random()),
                                 randint(rules.first_word, 40, shape, {.dtype = int64}, &grade.random())};
  const ch13::MaskedText got = student.mask_words(tokens, draws, rules);
  const ch13::MaskedText right = masked(tokens, draws, rules), hidden_only = masked(tokens, draws, rules, true),
                         all = masked(tokens, draws, rules, false, true);
  const std::string of = " of mask_words of " + to_string(shape);
  const char* specials = "specials are chosen like words";
  grade.equal("tokens" + of, got.tokens, right.tokens, {{all.tokens, specials}});
  grade.equal("targets" + of, got.targets, right.targets,
              {{hidden_only.targets, "only what is read as [MASK] is asked for"}, {all.targets, specials}});
}

// --- 13.4 -----------------------------------------------------------------------------------------------------------

struct Loss {
  double value = 0, over_places = 0, by_text = 0;
  Tensor gradient;
};

Loss loss_by_loops(const Tensor& logits, const Tensor& targets, int64_t ignore) {
  const int64_t batch = logits.size(0), n = logits.size(1), size = logits.size(2);
  double sum = 0, count = 0, of_means = 0;
  std::vector<double> gradient;
  for (int64_t b = 0; b < batch; ++b) {
    double in_text = 0, asked = 0;
    for (int64_t place = 0; place < n; ++place) {
      const int64_t target = int64_t(targets[b][place].item());
      double powers = 0;
      for (int64_t word = 0; word < size; ++word) powers += std::exp(logits[b][place][word].item());
      for (int64_t word = 0; word < size; ++word)
        gradient.push_back(target == ignore ? 0
                                            : std::exp(logits[b][place][word].item()) / powers - (word == target));
      if (target == ignore) continue;
      in_text += std::log(powers) - logits[b][place][target].item();
      asked += 1;
    }
    sum += in_text;
    count += asked;
    of_means += in_text / std::max(asked, 1.0);
  }
  const double divisor = std::max(count, 1.0);
  return {sum / divisor, sum / double(batch * n), of_means / double(batch),
          from_vector(gradient, logits.shape()) / divisor};
}

void grade_loss(const ch13::Exercises& student, Grade& grade, const Tensor& logits, const Tensor& targets,
                int64_t ignore) {
  const Tensor leaf = logits.detach().requires_grad_();
  const Loss right = loss_by_loops(leaf.detach(), targets, ignore);
  const Tensor got = student.masked_loss(leaf, targets, ignore);
  const std::string of = "masked_loss of " + to_string(logits.shape());
  grade.equal(of, got.detach(), full({}, right.value, whole),
              {{full({}, right.over_places, whole), "the mean is over all places, not over those that are asked for"},
               {full({}, right.by_text, whole),
                "each text has a mean of its own, so that a word in a text with few gaps weighs more"}});
  grade.that(got.requires_grad(), of + ": the result has no gradient: the loss left the graph on its way");
  got.backward();
  grade.equal("the gradient of " + of, leaf.grad(), right.gradient);
}

// --- 13.5 -----------------------------------------------------------------------------------------------------------

enum class Hide { one, all, none };

double word_by_word(const std::function<Tensor(const Tensor&)>& model, const Tensor& ids, int64_t mask,
                    int64_t first_word, Hide hide) {
  double sum = 0;
  const auto is_word = [&](int64_t i) { return ids[i].item() >= double(first_word); };
  for (int64_t place = 0; place < ids.size(0); ++place) {
    if (!is_word(place)) continue;
    const Tensor tokens = ids.unsqueeze(0).clone();  // (1, n)
    for (int64_t i = 0; i < ids.size(0); ++i)
      if (hide == Hide::one ? i == place : hide == Hide::all && is_word(i)) tokens[0][i].fill_(double(mask));
    const Tensor logits = model(tokens)[0][place];
    sum += logits[int64_t(ids[place].item())].item() - logits.logsumexp({0}).item();
  }
  return sum;
}

void grade_score(const ch13::Exercises& student, Grade& grade, const Tensor& ids, int64_t first_word) {
  const int64_t size = 13, mask = first_word - 1;
  const Tensor table = randn({size, 6}, whole, &grade.random()), near = randn({6, 6}, whole, &grade.random());
  const Tensor out = randn({size, 6}, whole, &grade.random());
  // Each place sees itself, its neighbour before it, and the mean of all.
  const std::function<Tensor(const Tensor&)> model = [&](const Tensor& tokens) {
    const Tensor x = embedding(tokens, table);
    return linear(tanh(x + linear(x.roll(1, 1), near) + x.mean({1}, true)), out);
  };
  int calls = 0;
  const auto counted = [&](const Tensor& tokens) {
    ++calls;
    return model(tokens);
  };
  const auto expected = [&](Hide hide) { return full({}, word_by_word(model, ids, mask, first_word, hide), whole); };
  const std::string what = "score_text of " + std::to_string(ids.size(0)) + " tokens";
  grade.equal(what, student.score_text(counted, ids, mask, first_word), expected(Hide::one),
              {{expected(Hide::all), "all words are hidden at once, so that none helps to guess another"},
               {expected(Hide::none), "nothing is hidden: the model reads the word that it is asked for"}});
  grade.that(calls == 1, what + ": the model is called " + std::to_string(calls) + " times, once is enough");
}

const std::vector<grading::Task<ch13::Exercises>> tasks = {
    {.number = "13.1",
     .title = "the mean over real words",
     .stars = 1,
     .grade =
         [](const ch13::Exercises& student, Grade& grade) {
           grade_mean(student, grade, randn({3, 5, 2}, whole, &grade.random()),
                      tensor({{1, 1, 1, 0, 0}, {1, 1, 1, 1, 1}, {1, 0, 0, 0, 0}}) != 0.0);
           grade_mean(student, grade, randn({2, 3, 7}, whole, &grade.random()).transpose(1, 2),
                      (tensor({{1, 1}, {1, 1}, {1, 1}, {0, 1}, {0, 1}, {0, 0}, {0, 0}}) != 0.0).t());
           grade_mean(student, grade, randn({2, 3, 1}, whole, &grade.random()),
                      tensor({{0, 0, 0}, {1, 0, 1}}) != 0.0);  // a text without a word, and one with a hole
         },
     .hints =
         {"What has to be zero before the sum, and what is the sum divided by?",
          "there.to(x.dtype()) makes zeros and ones, (batch, n). It needs one more dimension to be multiplied with "
          "x.",
          "counts = there.to(x.dtype()).unsqueeze(-1); (x * counts).sum({1}) / clamp(counts.sum({1}), 1, INFINITY)"}},
    {.number = "13.2",
     .title = "a mask of the keys from lengths",
     .stars = 1,
     .grade =
         [](const ch13::Exercises& student, Grade& grade) {
           grade_keys(student, grade, tensor({3, 7, 1, 0}, {.dtype = int64}), 7);
           grade_keys(student, grade, randint(1, 9, {5, 2}, {.dtype = int64}, &grade.random()).select(1, 1), 9);
           grade_keys(student, grade, tensor({1}, {.dtype = int64}), 1);
         },
     .hints = {"A text of three words has words at places 0, 1 and 2.",
               "arange(n) is (n), lengths.unsqueeze(1) is (batch, 1): their comparison is (batch, n).",
               "(arange(n) < lengths.unsqueeze(1)).unsqueeze(1).unsqueeze(1)"}},
    {.number = "13.3",
     .title = "BERT's masking, given the draws",
     .stars = 2,
     .grade =
         [](const ch13::Exercises& student, Grade& grade) {
           const TensorOptions ids{.dtype = int64};
           grade_masking(student, grade, randint(0, 40, {5, 31}, ids, &grade.random()), {.share = 0.5});
           grade_masking(student, grade, randint(0, 20, {41, 3}, ids, &grade.random()).t(),
                         {.share = 0.6, .first_word = 7, .mask = 2, .ignore = -1});
           grade_masking(student, grade, randint(5, 40, {1, 7}, ids, &grade.random()), {.share = 0});
         },
     .hints =
         {"How many of the words that are chosen are asked for?",
          "logical_and joins two masks. A mask of words is tokens >= double(rules.first_word).",
          "tokens.masked_fill(hidden, double(rules.mask)), then where(replaced, draws.other, ...); the targets are "
          "where(chosen, tokens, full_like(tokens, double(rules.ignore)))."}},
    {.number = "13.4",
     .title = "cross-entropy of chosen places",
     .stars = 2,
     .grade =
         [](const ch13::Exercises& student, Grade& grade) {
           const TensorOptions ids{.dtype = int64};
           grade_loss(student, grade, randn({2, 5, 7}, whole, &grade.random()),
                      tensor({{-100, 3, -100, -100, 6}, {-100, -100, 0, -100, -100}}, ids), -100);
           grade_loss(student, grade, randn({3, 9, 4}, whole, &grade.random()).transpose(1, 2),
                      tensor({{8, -1, 0, 5}, {-1, -1, -1, -1}, {2, -1, -1, -1}}, ids), -1);
           grade_loss(student, grade, randn({1, 3, 5}, whole, &grade.random()), tensor({{-1, -1, -1}}, ids), -1);
         },
     .hints = {"How many numbers is the sum divided by, and when is that none?",
               "log_softmax(logits, -1).gather(-1, words.unsqueeze(-1)) has the right word's logarithm at each "
               "place; words "
               "must be from 0 to vocabulary - 1 everywhere, also where nothing is asked.",
               "words = where(asked, targets, zeros_like(targets)); multiply with asked.to(logits.dtype()), sum, and "
               "divide "
               "by clamp(asked.to(logits.dtype()).sum(), 1, INFINITY)."}},
    {.number = "13.5",
     .title = "how likely a text is, one gap at a time",
     .stars = 3,
     .grade =
         [](const ch13::Exercises& student, Grade& grade) {
           const TensorOptions ids{.dtype = int64};
           grade_score(student, grade, tensor({1, 6, 9, 6, 12, 2}, ids), 5);
           grade_score(student, grade, randint(3, 13, {7, 2}, ids, &grade.random()).select(1, 0), 3);
           grade_score(student, grade, tensor({0, 11, 0}, ids), 4);
         },
     .hints = {"The first copy hides the first word, the second copy the second. Which numbers of the answer count?",
               "places = (ids >= double(first_word)).nonzero().squeeze(1) are the words' places. arange(n) == "
               "places.unsqueeze(1) is (k, n), true at the word that each copy hides.",
               "log_softmax(model(copies.masked_fill(own, double(mask))), -1).gather(-1, "
               "copies.unsqueeze(-1)).squeeze(-1) "
               "is (k, n): its sum where `own` is true."}},
};

}  // namespace

int main(int argc, char** argv) { return grading::run("ch13", tasks, argc, argv); }
