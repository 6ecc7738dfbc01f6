#include "data/text/batches.h"

#include <algorithm>
#include <memory>
#include <numeric>

#include "tensor/error.h"

namespace gradus::data {

Tensor pad_rows(const std::vector<Ids>& rows, int64_t pad) {
  size_t longest = 0;
  for (const Ids& row : rows) longest = std::max(longest, row.size());
  Tensor table = full({int64_t(rows.size()), int64_t(longest)}, double(pad), {.dtype = int64});
  int64_t* to = table.data<int64_t>();
  for (size_t i = 0; i < rows.size(); ++i) std::copy(rows[i].begin(), rows[i].end(), to + i * longest);
  return table;
}

std::vector<std::vector<int64_t>> batches_by_tokens(const std::vector<int64_t>& lengths, int64_t max_tokens,
                                                    uint64_t seed) {
  check(max_tokens > 0, "batches_by_tokens: at most ", max_tokens, " tokens");
  std::vector<int64_t> order(lengths.size());
  std::iota(order.begin(), order.end(), int64_t(0));
  Generator random(seed);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[size_t(random.below(int64_t(i)))]);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return lengths[size_t(a)] < lengths[size_t(b)]; });
  std::vector<std::vector<int64_t>> batches;
  for (const int64_t i : order) {
    // Lengths rise, so that the newest decides the width.
    const int64_t wide = lengths[size_t(i)];
    if (batches.empty() || int64_t(batches.back().size() + 1) * wide > max_tokens) batches.emplace_back();
    batches.back().push_back(i);
  }
  return batches;
}

std::vector<PairIds> encode_pairs(const std::vector<SentencePair>& pairs, const Tokenizer& source,
                                  const Tokenizer& target, int64_t max_length) {
  std::vector<PairIds> encoded;
  for (const SentencePair& pair : pairs) {
    PairIds ids{source.encode(pair.source), target.encode(pair.target)};
    const int64_t longer = int64_t(std::max(ids.source.size(), ids.target.size()));
    if (max_length == 0 || longer <= max_length) encoded.push_back(std::move(ids));
  }
  return encoded;
}

PairBatch make_pair_batch(const std::vector<PairIds>& pairs, std::span<const int64_t> samples,
                          const Specials& specials) {
  std::vector<Ids> source, in, out;
  std::vector<int64_t> lengths;
  int64_t tokens = 0;
  for (const int64_t i : samples) {
    const PairIds& pair = pairs[size_t(i)];
    source.push_back(pair.source);
    source.back().push_back(specials.eos);
    lengths.push_back(int64_t(source.back().size()));
    in.push_back({specials.bos});
    in.back().insert(in.back().end(), pair.target.begin(), pair.target.end());
    out.push_back(pair.target);
    out.back().push_back(specials.eos);
    tokens += int64_t(out.back().size());
  }
  return {pad_rows(source, specials.pad), from_memory(lengths.data(), {int64_t(lengths.size())}, int64),
          pad_rows(in, specials.pad), pad_rows(out, specials.pad), tokens};
}

DataLoader<PairBatch> pair_loader(std::vector<PairIds> pairs, const Specials& specials,
                                  const PairLoaderOptions& options) {
  std::vector<int64_t> lengths;
  for (const PairIds& pair : pairs) lengths.push_back(int64_t(std::max(pair.source.size(), pair.target.size())) + 1);
  const auto batches = std::make_shared<const std::vector<std::vector<int64_t>>>(
      batches_by_tokens(lengths, options.max_tokens, options.seed));
  const auto shared = std::make_shared<const std::vector<PairIds>>(std::move(pairs));
  const LoaderOptions loader = {
      .batch_size = 1, .shuffle = options.shuffle, .workers = options.workers, .seed = options.seed};
  return DataLoader<PairBatch>(int64_t(batches->size()), loader,
                               [batches, shared, specials](std::span<const int64_t> chosen, int64_t) {
                                 return make_pair_batch(*shared, (*batches)[size_t(chosen[0])], specials);
                               });
}

}  // namespace gradus::data
