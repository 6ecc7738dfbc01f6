// The text of chapter 07, and the model that learns to write it. Sentences such as
//
//   the dogs at night in town bark.
//
// in which the verb goes with the first noun: dogs bark, whatever stands between them.
#pragma once

#include <array>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "nn/nn.h"

namespace ch07 {

using namespace gradus;

inline const std::array<std::string, 6> animals = {"dog", "cat", "duck", "lion", "bird", "cow"};
inline const std::array<std::string, 6> verbs = {"bark", "purr", "quack", "roar", "sing", "moo"};
inline const std::array<std::string, 8> phrases_known = {"at home", "at sea",  "at night", "in town",
                                                         "in rain", "in snow", "on hills", "on ice"};
inline const std::string alphabet = "\n .abcdeghiklmnopqrstuw";  // every character that occurs
constexpr int64_t most_phrases = 4;

//! [text]
struct Sentence {
  std::string text;
  size_t verb;             // where it begins
  int64_t animal;          // and which it is
  bool plural;             // of the first noun; its verb then has no s
  double log_probability;  // of this sentence among all
};

// "the dogs", so many phrases such as "at home", and the verb. Every choice is a fair one.
inline Sentence sentence(int64_t phrases, Generator& random) {
  Sentence s{
      .text = "the ", .verb = 0, .animal = random.below(6), .plural = random.below(2) == 1, .log_probability = 0};
  s.text += animals[size_t(s.animal)] + (s.plural ? "s" : "");
  for (int64_t i = 0; i < phrases; ++i) s.text += " " + phrases_known[size_t(random.below(8))];
  s.verb = s.text.size() + 1;
  s.text += " " + verbs[size_t(s.animal)] + (s.plural ? ".\n" : "s.\n");
  s.log_probability = -std::log(double(most_phrases + 1) * 12) - double(phrases) * std::log(8.0);
  return s;
}
//! [text]

inline std::vector<int64_t> encode(const std::string& text) {
  std::vector<int64_t> tokens;
  for (const char c : text) {
    const size_t token = alphabet.find(c);
    check(token != std::string::npos, "the alphabet has no '", std::string(1, c), "'");
    tokens.push_back(int64_t(token));
  }
  return tokens;
}

constexpr int64_t embedding_size = 16, hidden_size = 64;

//! [model]
// Scores for the next character, from what a recurrent layer remembers of those before it.
struct CharacterModel : nn::Module {
  nn::Embedding embedding;
  std::unique_ptr<nn::Recurrent> layer;
  nn::Linear output;

  explicit CharacterModel(Cell cell)
      : embedding(int64_t(alphabet.size()), embedding_size),
        layer(nn::make_recurrent(cell, embedding_size, hidden_size, {})),
        output(hidden_size, int64_t(alphabet.size())) {}

  // tokens (batch, time) int64: scores (batch, time, characters), and the state to go on from.
  std::pair<Tensor, nn::RecurrentState> operator()(const Tensor& tokens, const nn::RecurrentState& state) const {
    const nn::Call call(*this);
    const nn::RecurrentOutput out = (*layer)(embedding(tokens), {}, state);  // output (batch, time, hidden)
    return {call(output(out.output)), out.state};
  }
  void visit(nn::Visitor& v) override {
    v("embedding", embedding);
    v("layer", *layer);
    v("output", output);
  }
  const char* type() const override { return "CharacterModel"; }
};
//! [model]

// How many of the sentences' verbs the model gets right: that of the first noun, with or without its s. It reads each
// sentence as far as it must, and its scores are compared among the verbs' first letters, then between "s" and ".".
inline double verbs_right(const CharacterModel& model, const std::vector<Sentence>& sentences) {
  const NoGrad guard;
  size_t longest = 0;
  for (const Sentence& s : sentences) longest = std::max(longest, s.text.size());
  std::vector<int64_t> tokens;
  for (const Sentence& s : sentences) {  // padded at the end, where it changes nothing before
    const std::vector<int64_t> row = encode("\n" + s.text + std::string(longest - s.text.size(), '\n'));
    tokens.insert(tokens.end(), row.begin(), row.end());
  }
  const int64_t rows = int64_t(sentences.size());
  const Tensor scores = model(from_vector(tokens, {rows, int64_t(longest) + 1}), {}).first;
  int64_t right = 0;
  for (int64_t row = 0; row < rows; ++row) {
    const Sentence& s = sentences[size_t(row)];
    // Of c behind what stands at `place` of the row, which begins with the end of another line.
    const auto score = [&](size_t place, char c) {
      return scores[row][int64_t(place)][int64_t(alphabet.find(c))].item();
    };
    bool best = true;
    for (const std::string& verb : verbs)
      best = best && score(s.verb, verb[0]) <= score(s.verb, verbs[size_t(s.animal)][0]);
    const size_t end = s.verb + verbs[size_t(s.animal)].size();  // the last letter of the verb without its s
    const double singular = score(end, 's') - score(end, '.');
    right += best && (singular > 0) != s.plural;
  }
  return double(right) / double(rows);
}

}  // namespace ch07
