// Which words look at which: the three attentions of a Transformer, with their shapes; and what its parts weigh.
#include <cstdio>
#include <string>

#include "nn/transformer.h"

using namespace gradus;

namespace {

void line(const char* name, const char* queries, const char* keys, const Tensor& weights) {
  std::printf("%-19s %-7s %-7s %-14s", name, queries, keys, to_string(weights.shape()).c_str());
  const Tensor seen = (weights > 0.0).to(int64).select(1, 0).sum({-1});  // (batch, queries): by the first head
  for (int64_t row = 0; row < seen.size(0); ++row) {
    std::printf(row == 0 ? " " : " |");
    for (const double keys_seen : seen[row].to_vector()) std::printf(" %d", int(keys_seen));
  }
  std::printf("\n");
}

int64_t print(const char* name, int64_t count, int64_t times) {
  std::printf("%-37s %8lld x %lld = %8lld\n", name, (long long)count, (long long)times, (long long)(count * times));
  return count * times;
}

}  // namespace

int main() {
  manual_seed(12);
  const NoGrad guard;
  //! [three]
  const nn::TransformerOptions options{.d_model = 64, .heads = 4, .ffn = 128, .dropout = 0};
  const nn::TransformerEncoderLayer encoder(options);
  const nn::TransformerDecoderLayer decoder(options);
  const Tensor source = randn({2, 5, 64}), target = randn({2, 4, 64});              // two sentences, as vectors
  const KeepMask words(tensor({{{{1, 1, 1, 1, 1}}}, {{{1, 1, 1, 0, 0}}}}) != 0.0);  // (2, 1, 1, 5)

  const Attended self = encoder.self_attn(source, {.keep = words, .need_weights = true});
  const Attended causal = decoder.self_attn(target, {.is_causal = true, .need_weights = true});
  const Tensor memory = encoder(source, {.keep = words});  // (2, 5, 64)
  const Attended cross = decoder.multihead_attn(target, memory, memory, {.keep = words, .need_weights = true});
  //! [three]
  std::printf("attention           queries keys    weights         keys that each query sees\n");
  line("encoder, self", "source", "source", self.weights);
  line("decoder, self", "target", "target", causal.weights);
  line("decoder, to memory", "target", "source", cross.weights);

  const int64_t vocabulary = 961, layers = 2;
  const int64_t attention = encoder.self_attn.parameter_count();
  const int64_t feed_forward = encoder.linear1.parameter_count() + encoder.linear2.parameter_count();
  const int64_t norm = encoder.norm1.parameter_count();
  const nn::Embedding embedding(vocabulary, options.d_model);
  std::printf("\n%-37s   weights  times\n", "part");
  int64_t sum = print("embeddings and output, one table", embedding.parameter_count(), 1);
  sum += print("encoder: self-attention", attention, layers);
  sum += print("encoder: feed-forward", feed_forward, layers);
  sum += print("encoder: norms", norm, 2 * layers);
  sum += print("decoder: self-attention", attention, layers);
  sum += print("decoder: attention to memory", attention, layers);
  sum += print("decoder: feed-forward", feed_forward, layers);
  sum += print("decoder: norms", norm, 3 * layers);
  sum += print("last norm of either", norm, 2);
  std::printf("%-37s %22lld\n", "together", (long long)sum);

  nn::TranslatorOptions whole;
  static_cast<nn::TransformerOptions&>(whole) = options;
  whole.encoder_layers = whole.decoder_layers = layers;
  whole.norm_first = whole.shared_embeddings = true;
  whole.source_vocabulary = whole.target_vocabulary = vocabulary;
  check(nn::Transformer(whole).parameter_count() == sum, "the parts are not the whole");
}
