#include "nn/decode.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_set>

#include "autograd/ops.h"

namespace gradus::nn {

namespace {

// A sentence that goes on.
struct Beam {
  std::vector<int64_t> tokens;
  double log_probability = 0;
  std::vector<Tensor> looks;  // each (source places); an ended sentence's last is that of the end
  int64_t stream_row = 0;
};

// One way of going on.
struct Candidate {
  size_t beam;
  int64_t token;
  double log_probability;
};

double length_factor(int64_t length, double penalty) { return std::pow((5 + double(length)) / 6, penalty); }

double coverage(const std::vector<Tensor>& looks) {
  // Padding, where a softmax has no weight at all, is nothing to cover.
  return log(clamp(stack(looks).sum({0}), 1e-10, 1)).masked_fill(looks.back() == 0.0, 0).sum().item();
}

// The beams of one sentence.
class Search {
 public:
  Search(int64_t row, const DecodeOptions& options) : options_(options) { active_.push_back({{}, 0, {}, row}); }

  std::vector<Beam>& active() { return active_; }

  // `log_probabilities` (stream rows, vocabulary), attention (stream rows, source places) or undefined.
  void advance(const Tensor& log_probabilities, const Tensor& attention) {
    const int64_t vocabulary = log_probabilities.size(1), wide = std::min(2 * options_.beam, vocabulary);
    std::vector<Candidate> all;
    std::vector<int64_t> order(static_cast<size_t>(vocabulary));
    for (size_t b = 0; b < active_.size(); ++b) {
      const float* p = log_probabilities.data<float>() + active_[b].stream_row * vocabulary;
      std::iota(order.begin(), order.end(), int64_t(0));
      std::partial_sort(order.begin(), order.begin() + wide, order.end(),
                        [&](int64_t x, int64_t y) { return p[x] != p[y] ? p[x] > p[y] : x < y; });
      for (int64_t i = 0; i < wide; ++i)
        all.push_back({b, order[size_t(i)], active_[b].log_probability + double(p[order[size_t(i)]])});
    }
    std::stable_sort(all.begin(), all.end(), [](auto& x, auto& y) { return x.log_probability > y.log_probability; });
    std::vector<Beam> next;
    for (size_t i = 0; i < all.size() && int64_t(next.size()) < options_.beam; ++i) {
      const Candidate& c = all[i];
      Beam beam = active_[c.beam];
      beam.log_probability = c.log_probability;
      if (attention.defined()) beam.looks.push_back(attention[beam.stream_row]);
      if (c.token == options_.eos) {
        if (int64_t(i) < options_.beam) end(std::move(beam));
        continue;
      }
      beam.tokens.push_back(c.token);
      next.push_back(std::move(beam));
    }
    active_ = std::move(next);
    if (!active_.empty() && int64_t(active_[0].tokens.size()) >= options_.max_length) {
      for (Beam& beam : active_) end(std::move(beam));
      active_.clear();
    }
    std::stable_sort(ended_.begin(), ended_.end(), [](auto& x, auto& y) { return x.score > y.score; });
    if (is_decided()) active_.clear();
  }

  std::vector<Hypothesis> best() && {
    if (int64_t(ended_.size()) > options_.n_best) ended_.resize(size_t(options_.n_best));
    return std::move(ended_);
  }

 private:
  void end(Beam beam) {
    Hypothesis h;
    h.score = beam.log_probability / length_factor(int64_t(beam.tokens.size()), options_.length_penalty);
    if (options_.coverage_penalty > 0) h.score += options_.coverage_penalty * coverage(beam.looks);
    h.tokens = std::move(beam.tokens);
    beam.looks.resize(std::min(beam.looks.size(), h.tokens.size()));
    if (options_.keep_attention && !beam.looks.empty()) h.attention = stack(beam.looks);
    ended_.push_back(std::move(h));
  }

  // Whether no sentence that goes on can still be among the best. Its log probability can only fall, and the most that
  // length can do for it is what the longest sentence gets.
  bool is_decided() const {
    if (int64_t(ended_.size()) < options_.n_best || active_.empty()) return false;
    const double reachable = active_[0].log_probability / length_factor(options_.max_length, options_.length_penalty);
    return ended_[size_t(options_.n_best) - 1].score >= reachable;
  }

  const DecodeOptions& options_;
  std::vector<Beam> active_;
  std::vector<Hypothesis> ended_;
};

}  // namespace

std::vector<std::vector<Hypothesis>> beam_search(TokenStream& stream, int64_t rows, const DecodeOptions& options) {
  check(options.beam >= 1 && options.n_best >= 1 && options.n_best <= options.beam, "beam_search: the ",
        options.n_best, " best of ", options.beam, " beams");
  check(options.length_penalty >= 0 && options.coverage_penalty >= 0, "beam_search: penalties ",
        options.length_penalty, " and ", options.coverage_penalty, " must not be negative");
  check(options.max_length >= 1, "beam_search: at most ", options.max_length, " tokens");
  NoGrad guard;
  std::vector<Search> searches;
  for (int64_t row = 0; row < rows; ++row) searches.emplace_back(row, options);
  const Device device = stream.device();
  Tensor tokens = full({rows, 1}, double(options.bos), {.dtype = int64, .device = device});
  const bool look = options.keep_attention || options.coverage_penalty > 0;
  for (;;) {
    const Tensor log_probabilities = log_softmax(stream.step(tokens), -1).to(float32).to(Device::cpu).contiguous();
    Tensor attention = look ? stream.attention() : Tensor();
    if (attention.defined()) attention = attention.to(Device::cpu);
    check(attention.defined() || options.coverage_penalty == 0, "beam_search: a coverage penalty needs attention");
    std::vector<int64_t> from, next;
    for (Search& search : searches) {
      if (search.active().empty()) continue;
      search.advance(log_probabilities, attention);
      for (Beam& beam : search.active()) {
        from.push_back(beam.stream_row);
        next.push_back(beam.tokens.back());
        beam.stream_row = int64_t(from.size()) - 1;
      }
    }
    if (from.empty()) break;
    const int64_t n = int64_t(from.size());
    stream.reorder(from_vector(from, {n}).to(device));
    tokens = from_vector(next, {n, 1}).to(device);
  }
  std::vector<std::vector<Hypothesis>> best;
  for (Search& search : searches) best.push_back(std::move(search).best());
  return best;
}

int64_t sample_token(const Tensor& logits, const SampleOptions& options, Generator& random,
                     const std::vector<int64_t>& seen) {
  check(logits.dim() == 1 && logits.numel() > 0, "sample_token: logits must be (vocabulary), got ", logits.shape());
  check(options.temperature >= 0 && options.top_k >= 0 && options.top_p > 0 && options.top_p <= 1 &&
            options.repetition_penalty > 0,
        "sample_token: temperature ", options.temperature, ", top_k ", options.top_k, ", top_p ", options.top_p,
        ", repetition_penalty ", options.repetition_penalty);
  std::vector<double> score = logits.detach().to_vector();
  for (const int64_t token : std::unordered_set<int64_t>(seen.begin(), seen.end())) {
    double& s = score[size_t(token)];
    s = s > 0 ? s / options.repetition_penalty : s * options.repetition_penalty;
  }
  std::vector<int64_t> order(score.size());
  std::iota(order.begin(), order.end(), int64_t(0));
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return score[size_t(a)] > score[size_t(b)]; });
  if (options.temperature == 0) return order[0];
  if (options.top_k > 0) order.resize(std::min(order.size(), size_t(options.top_k)));
  std::vector<double> weight;
  for (const int64_t token : order)
    weight.push_back(std::exp((score[size_t(token)] - score[size_t(order[0])]) / options.temperature));
  const double all = std::accumulate(weight.begin(), weight.end(), 0.0);
  size_t kept = 0;
  double sum = 0;
  while (kept < weight.size() && (kept == 0 || sum < options.top_p * all)) sum += weight[kept++];
  double left = random.uniform() * sum;
  for (size_t i = 0; i < kept; ++i)
    if ((left -= weight[i]) < 0) return order[i];
  return order[kept - 1];
}

}  // namespace gradus::nn
