// Beam search on a made-up model of two words, small enough to follow on paper: greedy is wrong, a beam of two is not.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "autograd/ops.h"
#include "nn/decode.h"

using namespace gradus;

namespace {

using Words = std::vector<int64_t>;
const std::vector<std::string> names = {"一只", "狗", "end"};
constexpr int64_t end = 2, begin = 3;

// What may follow what was written so far, in the order 一只, 狗, end. After two words there is only the end.
const std::map<Words, std::vector<double>> table = {
    {{}, {0.4, 0.5, 0.1}},
    {{0}, {0.1, 0.8, 0.1}},
    {{1}, {0.35, 0.25, 0.4}},
};
std::vector<double> next(const Words& written) {
  const auto found = table.find(written);
  return found == table.end() ? std::vector<double>{0, 0, 1} : found->second;
}

std::string text(const Words& words, const std::string& nothing = "begin") {
  std::string joined;
  for (const int64_t word : words) joined += (joined.empty() ? "" : " ") + names[size_t(word)];
  return joined.empty() ? nothing : joined;
}
// Filled up with spaces; a Chinese character, three bytes, is as wide as two letters.
std::string wide(const std::string& text, size_t width) {
  const auto more = std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xF0) == 0xE0; });
  return text + std::string(width - std::min(width, text.size() - size_t(more)), ' ');
}

//! [model]
// The table as a model that nn::beam_search can drive. It notes which sentences the search goes on with.
struct Model : nn::TokenStream {
  std::vector<Words> rows = {{}};
  std::vector<std::vector<Words>> steps;

  Tensor step(const Tensor& tokens) override {
    std::vector<double> logits;
    for (size_t i = 0; i < rows.size(); ++i) {
      const int64_t token = int64_t(tokens[int64_t(i)].item());
      if (token != begin) rows[i].push_back(token);
      for (const double p : next(rows[i])) logits.push_back(std::log(p));
    }
    steps.push_back(rows);
    return from_vector(logits, {int64_t(rows.size()), int64_t(names.size())});
  }
  void reorder(const Tensor& from) override {
    std::vector<Words> moved;
    for (const double row : from.to_vector()) moved.push_back(rows[size_t(row)]);
    rows = moved;
  }
};
//! [model]

// The best sentence that a beam of this width finds; what it goes on with is added to `kept`.
nn::Hypothesis search(int64_t width, std::set<Words>& kept) {
  Model model;
  const nn::Hypothesis best =
      nn::beam_search(model, 1, {.bos = begin, .eos = end, .max_length = 3, .beam = width})[0][0];
  std::printf("\nbeam of %d\n", int(width));
  for (size_t i = 0; i < model.steps.size(); ++i) {
    std::string line;
    for (const Words& words : model.steps[i]) {
      line += (line.empty() ? "" : ",  ") + text(words);
      kept.insert(words);
    }
    std::printf("  step %zu goes on from  %s\n", i + 1, line.c_str());
  }
  std::printf("  best: %s end, log probability %.4f, probability %.3f\n", text(best.tokens, "").c_str(), best.score,
              std::exp(best.score));
  Words ended = best.tokens;
  ended.push_back(end);
  kept.insert(ended);
  return best;
}

// Everything that can be written, with its probability.
void all(const Words& written, double probability, std::vector<std::pair<Words, double>>& tree) {
  if (!written.empty()) tree.emplace_back(written, probability);
  if (!written.empty() && written.back() == end) return;
  const std::vector<double> p = next(written);
  for (size_t word = 0; word < p.size(); ++word) {
    Words longer = written;
    longer.push_back(int64_t(word));
    if (p[word] > 0) all(longer, probability * p[word], tree);
  }
}

}  // namespace

int main() {
  std::printf("written so far     一只    狗   end\n");
  for (const auto& [written, p] : table)
    std::printf("%s %.2f  %.2f  %.2f\n", wide(text(written), 18).c_str(), p[0], p[1], p[2]);

  std::set<Words> greedy, beam;
  const nn::Hypothesis one = search(1, greedy), two = search(2, beam);

  std::vector<std::pair<Words, double>> tree;
  all({}, 1, tree);
  std::stable_sort(tree.begin(), tree.end(), [](const auto& a, const auto& b) {
    return a.first.size() != b.first.size() ? a.first.size() < b.first.size() : a.second > b.second;
  });
  std::printf("\nwritten          probability  greedy  beam of two\n");
  double sum = 0, best = 0;
  for (const auto& [words, probability] : tree) {
    std::printf("%s %11.3f  %6s  %11s\n", wide(text(words), 16).c_str(), probability,
                greedy.count(words) ? "yes" : "-", beam.count(words) ? "yes" : "-");
    if (words.back() != end) continue;
    sum += probability;
    best = std::max(best, probability);
  }
  std::printf("all sentences together %.3f, the best of them %.3f\n", sum, best);

  std::set<Words> ignored;
  const nn::Hypothesis every = search(7, ignored);
  check(std::abs(sum - 1) < 1e-9, "the probabilities of all sentences should sum to one");
  check(std::exp(one.score) < best - 0.1, "greedy should miss the best sentence");
  check(std::abs(std::exp(two.score) - best) < 1e-6, "a beam of two should find it");
  check(std::abs(std::exp(every.score) - best) < 1e-6, "so should an exhaustive search");
}
