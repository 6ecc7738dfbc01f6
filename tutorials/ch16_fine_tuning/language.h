// The two tasks of chapter 16, both made up. The old one is to guess the next word of sentences such as
//
//   yesterday the hungry fox chased a postman at the market .
//   a biscuit was tasted by the clever nurse .
//
// The new one is to say of what kind the one is who does it: a person, an animal, a machine or the weather.
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tensor/random.h"
#include "tensor/tensor.h"

namespace ch16 {

using namespace gradus;
using Words = std::vector<std::string>;

// The first four can do something; food has it done to it.
enum Kind : int64_t { person, animal, machine, weather, food };
constexpr int64_t kinds = 5, doers = 4;
inline const std::array<const char*, doers> kind_names = {"person", "animal", "machine", "weather"};

inline const std::array<Words, kinds> nouns = {{
    {"nurse", "baker", "pilot", "teacher", "postman", "singer", "farmer", "child"},
    {"fox", "dog", "goat", "parrot", "snake", "horse", "beetle", "wolf"},
    {"lorry", "tractor", "crane", "robot", "train", "digger", "mower", "bus"},
    {"storm", "flood", "blizzard", "hail", "gale", "tide", "frost", "thunder"},
    {"biscuit", "apple", "pie", "carrot", "soup", "cheese", "plum", "loaf"},
}};
// What nouns of a kind are said to be, and behind these what all are.
inline const std::array<Words, kinds + 1> adjectives = {{
    {"clever", "famous", "polite"},
    {"hungry", "wild", "tame"},
    {"rusty", "noisy", "electric"},
    {"sudden", "icy", "fierce"},
    {"sweet", "fresh", "tasty"},
    {"old", "big", "strange"},
}};

// A verb, and who may do it to whom.
struct Verb {
  const char* word;
  std::vector<std::pair<Kind, Kind>> uses;
};
inline const std::array<Verb, 16> own_verbs = {{
    {"baked", {{person, food}}},
    {"praised", {{person, person}}},
    {"repaired", {{person, machine}}},
    {"tasted", {{person, food}, {animal, food}}},
    {"licked", {{animal, person}, {animal, animal}}},
    {"chased", {{animal, person}, {animal, animal}}},
    {"sniffed", {{animal, food}, {animal, person}, {animal, machine}}},
    {"lifted", {{machine, machine}, {machine, food}}},
    {"crushed", {{machine, food}, {machine, machine}}},
    {"carried", {{machine, person}, {machine, food}}},
    {"moved", {{machine, animal}, {machine, person}}},
    {"drenched", {{weather, person}, {weather, animal}}},
    {"damaged", {{weather, machine}}},
    {"spoiled", {{weather, food}}},
    {"chilled", {{weather, person}, {weather, animal}, {weather, food}}},
    {"fed", {{person, animal}}},
}};
// What everyone may do to everyone.
inline const Words shared_verbs = {"stopped", "followed", "surprised", "delayed", "scared", "passed"};
inline const Words times = {"yesterday", "today", "once", "later"};
inline const Words places = {"market", "station", "river", "bridge"};

struct Sentence {
  Words words;
  Kind doer;
};

// The words' numbers. 0 is no word, and fills rows up; 1 stands where a sentence begins.
inline const Words& vocabulary() {
  static const Words all = [] {
    Words list = {"", "|", "the", "a", "was", "by", "at", "."};
    const auto add = [&list](const Words& more) { list.insert(list.end(), more.begin(), more.end()); };
    for (const Words& of_a_kind : nouns) add(of_a_kind);
    for (const Words& of_a_kind : adjectives) add(of_a_kind);
    for (const Verb& verb : own_verbs) list.push_back(verb.word);
    for (const Words* more : {&shared_verbs, &times, &places}) add(*more);
    return list;
  }();
  return all;
}
constexpr int64_t most_words = 15;  // of a sentence, with its beginning and its full stop

// Which nouns, and whether the doer is to be told by the noun alone.
struct Draw {
  size_t first_noun = 0, nouns = 8;  // of each kind
  bool labelled = false;             // shared verbs and adjectives only, and two kinds that differ
};

inline Sentence sentence(Generator& random, const Draw& draw = {}) {
  const auto one_of = [&random](const auto& list) -> const auto& {
    return list[size_t(random.below(int64_t(list.size())))];
  };
  const auto coin = [&random] { return random.below(2) == 1; };

  std::string verb;
  Kind doer = Kind(random.below(doers)), object = Kind(random.below(kinds));
  while (draw.labelled && object == doer) object = Kind(random.below(kinds));
  if (draw.labelled || random.below(4) == 0) {
    verb = one_of(shared_verbs);
  } else {
    const Verb& own = one_of(own_verbs);
    verb = own.word;
    std::tie(doer, object) = one_of(own.uses);
  }

  Sentence s{{}, doer};
  const auto add = [&s](std::initializer_list<std::string> words) { s.words.insert(s.words.end(), words); };
  const auto add_noun = [&](Kind kind) {
    add({coin() ? "the" : "a"});
    if (coin()) add({one_of(adjectives[size_t(draw.labelled || coin() ? kinds : kind)])});
    add({nouns[size_t(kind)][draw.first_noun + size_t(random.below(int64_t(draw.nouns)))]});
  };
  const bool passive = coin();
  if (coin()) add({one_of(times)});
  add_noun(passive ? object : doer);
  if (passive) add({"was"});
  add({verb});
  if (passive) add({"by"});
  add_noun(passive ? doer : object);
  if (random.below(4) == 0) add({"at", "the", one_of(places)});
  add({"."});
  return s;
}

struct Batch {
  Tensor tokens;  // (sentences, most_words): a beginning, words, zeros
  Tensor doers;   // (sentences)
  Batch rows(const Tensor& which) const { return {tokens.index_select(0, which), doers.index_select(0, which)}; }
};

inline Batch encode(const std::vector<Sentence>& sentences) {
  static const std::map<std::string, int64_t> numbers = [] {
    std::map<std::string, int64_t> known;
    for (size_t i = 0; i < vocabulary().size(); ++i) known[vocabulary()[i]] = int64_t(i);
    return known;
  }();
  std::vector<int64_t> tokens, kinds_of_doers;
  for (const Sentence& s : sentences) {
    tokens.push_back(1);
    for (const std::string& word : s.words) tokens.push_back(numbers.at(word));
    tokens.resize((kinds_of_doers.size() + 1) * size_t(most_words));
    kinds_of_doers.push_back(s.doer);
  }
  const int64_t rows = int64_t(sentences.size());
  return {from_vector(tokens, {rows, most_words}), from_vector(kinds_of_doers, {rows})};
}

inline Batch sentences(int64_t count, Generator& random, const Draw& draw = {}) {
  std::vector<Sentence> drawn;
  for (int64_t i = 0; i < count; ++i) drawn.push_back(sentence(random, draw));
  return encode(drawn);
}

}  // namespace ch16
