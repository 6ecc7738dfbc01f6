// Made-up reviews of films, as many as wanted: clauses that all praise or all blame, with other words between.
//
//   "we saw it on monday . the plot was not dull and the cast was really superb ."    praises
//   "the songs were loud , the ending was not brave ."                                blames
//
// Which way a clause goes is told by an adjective and by whether a "not" stands in front of it.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "data/text/batches.h"
#include "tensor/random.h"

namespace ch13 {

using Words = std::vector<std::string>;

inline const Words good = {"superb", "charming", "brave",    "witty",   "moving", "clever", "lovely",
                           "fresh",  "bright",   "gripping", "elegant", "warm",   "honest", "lively",
                           "subtle", "graceful", "amusing",  "tender",  "daring", "sharp"};
inline const Words bad = {"dull",    "clumsy", "stale", "loud",   "silly", "shallow", "tedious",
                          "bland",   "messy",  "cold",  "feeble", "lazy",  "harsh",   "hollow",
                          "awkward", "dreary", "noisy", "trite",  "weak",  "pompous"};
inline const Words subjects = {"plot",   "cast",     "script", "ending", "music", "film",
                               "camera", "dialogue", "story",  "hero",   "pace",  "humour"};
inline const std::vector<Words> asides = {
    {"we", "saw", "it", "on", "monday"},   {"my", "friends", "came", "too"},
    {"it", "is", "two", "hours", "long"},  {"a", "remake", "of", "an", "old", "play"},
    {"i", "read", "the", "book", "first"}, {"shown", "late", "at", "night"}};

// The library's specials come first: special.bos, <s>, is BERT's [CLS], the place that speaks for the whole text.
inline constexpr gradus::data::Specials special;
constexpr int64_t first_word = 5;

class Vocabulary {
 public:
  Vocabulary() : words_(gradus::data::special_names) {
    for (const Words& some : {good, bad, subjects, {"the", "was", "not", "really", "quite", "and", ",", "."}})
      add(some);
    for (const Words& aside : asides) add(aside);
  }
  int64_t size() const { return int64_t(words_.size()); }
  const std::string& word(int64_t id) const { return words_[size_t(id)]; }
  // Throws Error for a word that is in no review.
  int64_t id(const std::string& word) const {
    const auto found = std::find(words_.begin(), words_.end(), word);
    gradus::check(found != words_.end(), "there is no \"", word, "\" in these reviews");
    return found - words_.begin();
  }
  // Behind <s>, if the model is one that has it.
  gradus::data::Ids encode(const Words& words, bool with_cls) const {
    gradus::data::Ids ids;
    if (with_cls) ids.push_back(special.bos);
    for (const std::string& w : words) ids.push_back(id(w));
    return ids;
  }

 private:
  void add(const Words& some) {
    for (const std::string& w : some)
      if (std::find(words_.begin(), words_.end(), w) == words_.end()) words_.push_back(w);
  }
  Words words_;
};

struct Review {
  Words words;
  bool praises;
};

struct ReviewOptions {
  double negated = 0.3;          // clauses with a "not"
  double asides = 0.35;          // chance of an aside before, and behind
  int64_t fewest = 1, most = 3;  // clauses
};

// Words at the front of `list` are drawn most often: word i with a weight of 1 / (i + 1), as words of a language are.
inline const std::string& draw_word(const Words& list, gradus::Generator& random) {
  double total = 0;
  for (size_t i = 0; i < list.size(); ++i) total += 1 / double(i + 1);
  double left = random.uniform() * total;
  for (size_t i = 0; i < list.size(); ++i) {
    left -= 1 / double(i + 1);
    if (left < 0) return list[i];
  }
  return list.back();
}

inline Review draw_review(gradus::Generator& random, const ReviewOptions& o) {
  Review review{{}, random.uniform() < 0.5};
  const auto add = [&](const Words& some) { review.words.insert(review.words.end(), some.begin(), some.end()); };
  const auto aside = [&] {
    if (random.uniform() >= o.asides) return;
    add(asides[size_t(random.below(int64_t(asides.size())))]);
    add({"."});
  };
  aside();
  const int64_t clauses = o.fewest + random.below(o.most - o.fewest + 1);
  for (int64_t i = 0; i < clauses; ++i) {
    if (i > 0) add({random.uniform() < 0.5 ? "and" : ","});
    add({"the", subjects[size_t(random.below(int64_t(subjects.size())))], "was"});
    const bool negated = random.uniform() < o.negated;
    if (negated)
      add({"not"});
    else if (random.uniform() < 0.4)
      add({random.uniform() < 0.5 ? "really" : "quite"});
    add({draw_word(review.praises == negated ? bad : good, random)});
  }
  add({"."});
  aside();
  return review;
}

inline std::vector<Review> draw_reviews(int64_t count, uint64_t seed, const ReviewOptions& options = {}) {
  gradus::Generator random(seed);
  std::vector<Review> reviews;
  for (int64_t i = 0; i < count; ++i) reviews.push_back(draw_review(random, options));
  return reviews;
}

struct Batch {
  gradus::Tensor tokens, labels;  // (batch, longest) int64, (batch) float32: 1 where a review praises
};

// Reviews padded to the longest of them.
inline Batch make_batch(const std::vector<Review>& reviews, const std::vector<int64_t>& which,
                        const Vocabulary& vocabulary, bool with_cls) {
  std::vector<gradus::data::Ids> rows;
  std::vector<float> labels;
  for (const int64_t i : which) {
    rows.push_back(vocabulary.encode(reviews[size_t(i)].words, with_cls));
    labels.push_back(reviews[size_t(i)].praises ? 1.0f : 0.0f);
  }
  return {gradus::data::pad_rows(rows, special.pad), gradus::from_vector(labels, {int64_t(labels.size())})};
}

inline std::vector<int64_t> all_indices(int64_t count) {
  std::vector<int64_t> which;
  for (int64_t i = 0; i < count; ++i) which.push_back(i);
  return which;
}

}  // namespace ch13
