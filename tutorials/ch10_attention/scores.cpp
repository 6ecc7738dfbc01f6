// The three scores side by side: what they need, what they hand on, what they cost.
#include "nn/attention.h"
#include "tutorials/ch10_attention/print.h"

using namespace gradus;

namespace {

constexpr int64_t d = 64;       // of the decoder's state
constexpr int64_t places = 20;  // of the source
constexpr int64_t batch = 1;

// Multiplications of matrix products while f runs; each is counted with its addition.
template <class F>
int64_t multiplications(const F& f) {
  const int64_t before = flops_counted();
  f();
  return (flops_counted() - before) / 2;
}

void describe(nn::Score score, int64_t memory_features) {
  const nn::ScoredAttention layer(d, memory_features, {.score = score});
  const Tensor memory = randn({batch, places, memory_features}), state = randn({batch, 1, d});
  Tensor prepared, scores;
  const int64_t once = multiplications([&] { prepared = layer.prepare(memory); });
  int64_t each = multiplications([&] { scores = layer.scores(state, memory, prepared); });
  // Of the additive score that is W h; the kernel behind the rest, v . tanh, does not count.
  const int64_t bends = score == nn::Score::additive ? places * prepared.size(-1) : 0;
  each += bends;
  std::printf("%-9s %8lld  %-12s %-12s %-10s %8lld  %8lld  %6lld\n", nn::to_string(score),
              static_cast<long long>(layer.parameter_count()), to_string(memory.shape()).c_str(),
              to_string(prepared.shape()).c_str(), to_string(scores.shape()).c_str(), static_cast<long long>(once),
              static_cast<long long>(each), static_cast<long long>(bends));
  check(scores.shape() == Shape{batch, 1, places}, "one score for each place");
}

}  // namespace

int main() {
  std::printf("%-9s %8s  %-12s %-12s %-10s %8s  %8s  %6s\n", "score", "weights", "memory", "prepared", "scores",
              "once", "each step", "tanh");
  describe(nn::Score::dot, d);
  describe(nn::Score::general, 2 * d);
  describe(nn::Score::additive, 2 * d);
}
