// Temperature, top-k and top-p on one row of scores, and a draw from what is left.
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "autograd/ops.h"
#include "nn/decode.h"
#include "tensor/random.h"

using namespace gradus;

namespace {

const std::vector<std::string> names = {"bark", "roar", "purr", "moo", "sing"};
const std::vector<double> scores = {2, 1, 0.5, 0, -1};

// exp(score / temperature) of each, over their sum.
std::vector<double> probabilities(const std::vector<double>& score, double temperature) {
  std::vector<double> p;
  double sum = 0;
  for (const double s : score) sum += p.emplace_back(std::exp(s / temperature));
  for (double& value : p) value /= sum;
  return p;
}

// What is left of p, which falls, when only the first `kept` count.
std::vector<double> first(std::vector<double> p, size_t kept) {
  double sum = 0;
  for (size_t i = 0; i < kept; ++i) sum += p[i];
  for (size_t i = 0; i < p.size(); ++i) p[i] = i < kept ? p[i] / sum : 0;
  return p;
}

// The fewest of p, which falls, that have `share` together.
size_t nucleus(const std::vector<double>& p, double share) {
  size_t kept = 0;
  for (double sum = 0; kept < p.size() && sum < share; ++kept) sum += p[kept];
  return kept;
}

void line(const char* what, const std::vector<double>& numbers) {
  std::printf("%-24s", what);
  for (const double number : numbers) std::printf("%7.3f", number);
  std::printf("\n");
}

// How often sample_token gives each.
std::vector<double> shares(const nn::SampleOptions& how) {
  Generator random(15);
  const Tensor logits = from_vector(scores, {5});
  const int draws = 100000;
  std::vector<double> count(5);
  for (int i = 0; i < draws; ++i) count[size_t(nn::sample_token(logits, how, random))] += 1.0 / draws;
  return count;
}

void expect(const nn::SampleOptions& how, const std::vector<double>& p) {
  const std::vector<double> got = shares(how);
  for (size_t i = 0; i < 5; ++i)
    check(std::abs(got[i] - p[i]) < 0.006, "sample_token draws ", names[i], " too often");
}

}  // namespace

int main() {
  std::printf("%-24s", "");
  for (const std::string& name : names) std::printf("%7s", name.c_str());
  std::printf("\n");
  line("score", scores);
  const std::vector<double> p = probabilities(scores, 1), sharp = probabilities(scores, 0.5);
  line("temperature 1", p);
  line("temperature 0.5", sharp);
  line("temperature 2", probabilities(scores, 2));
  line("top-k, k = 2", first(p, 2));
  const std::vector<double> some = first(p, nucleus(p, 0.8));
  line("top-p, p = 0.8", some);
  line("0.5, then top-p 0.8", first(sharp, nucleus(sharp, 0.8)));
  line("top-k 2, then top-p 0.7", first(p, nucleus(first(p, 2), 0.7)));

  std::vector<double> sums;
  double sum = 0;
  for (const double value : p) sums.push_back(sum += value);
  line("\nsums, temperature 1", sums);
  const double u = 0.7;
  size_t drawn = 0;
  while (sums[drawn] <= u) ++drawn;
  std::printf("u = %.1f draws %s\n", u, names[drawn].c_str());
  line("100000 draws", shares({}));

  expect({}, p);
  expect({.temperature = 0.5}, sharp);
  expect({.top_k = 2}, first(p, 2));
  expect({.top_p = 0.8}, some);
  expect({.temperature = 0.5, .top_p = 0.8}, {1, 0, 0, 0, 0});
  expect({.top_k = 2, .top_p = 0.7}, {1, 0, 0, 0, 0});
  check(nucleus(first(p, 2), 0.7) == 1 && nucleus(p, 0.7) == 2, "top-k first should change what top-p keeps");

  std::printf("\nhow many are kept                    top-k, k = 3   top-p, p = 0.9\n");
  const std::vector<std::pair<const char*, std::vector<double>>> rows = {
      {"one is right: 8, 0, 0, 0, 0, 0, 0, 0", {8, 0, 0, 0, 0, 0, 0, 0}},
      {"all are:      1, 1, 1, 1, 1, 1, 1, 1", {1, 1, 1, 1, 1, 1, 1, 1}}};
  for (const auto& [what, row] : rows)
    std::printf("%s  %9d  %15d\n", what, 3, int(nucleus(probabilities(row, 1), 0.9)));
}
