// What a decoder keeps while it writes, and that its scores are then the same as without.
#include <cstdio>
#include <string>
#include <vector>

#include "examples/text_models/text_models.h"

using namespace gradus;
using text_models::Gpt;

namespace {

constexpr int64_t vocabulary = 23, features = 32, heads = 4, block = 64;

Gpt make(bool rotary, DType dtype) {
  manual_seed(15);
  Gpt model(
      {.vocabulary = vocabulary, .block = block, .layers = 2, .heads = heads, .d_model = features, .rotary = rotary});
  model.to(dtype);
  model.eval();
  return model;
}

void show(const Tensor& now, const Tensor& output, const nn::KeyValueCache& cache) {
  std::printf("read %-11s  output %-11s  keys %-13s  values %s\n", to_string(now.shape()).c_str(),
              to_string(output.shape()).c_str(), to_string(cache.all().first.shape()).c_str(),
              to_string(cache.all().second.shape()).c_str());
}

void shapes() {
  manual_seed(15);
  const NoGrad guard;
  //! [layer]
  const nn::MultiheadAttention attention(features, heads);
  const Tensor x = randn({1, 9, features});  // (batch, places, features)
  const Tensor at_once = attention(x, {.is_causal = true}).output;

  nn::KeyValueCache cache;
  int64_t read = 0;
  for (const int64_t n : {6, 1, 1, 1}) {  // a prompt, and then one word after another
    const Tensor now = x.narrow(1, read, n);
    const Tensor output = attention(now, {.is_causal = true, .cache = &cache}).output;  // (1, n, features)
    show(now, output, cache);
    check(allclose(output, at_once.narrow(1, read, n), 1e-5, 1e-5), "the cache changed what comes out");
    read += n;
  }
  //! [layer]
}

//! [compare]
// The largest difference in any score between a model that keeps keys and values and one that reads all anew.
double difference(const Gpt& model, const Tensor& tokens, int64_t prompt) {  // tokens (batch, places)
  const NoGrad guard;
  const std::unique_ptr<nn::TokenStream> stream = model.start();
  double most = 0;
  for (int64_t read = 0, n = prompt; read < tokens.size(1); n = 1) {
    const Tensor kept = stream->step(tokens.narrow(1, read, n));  // (batch, vocabulary), behind the last of them
    read += n;
    const Tensor anew = model(tokens.narrow(1, 0, read)).select(1, -1);
    most = std::max(most, abs(kept - anew).amax().item());
  }
  return most;
}
//! [compare]

// What the model finds likeliest behind token 0, on and on.
std::vector<int64_t> likeliest(const Gpt& model, bool keep) {
  const NoGrad guard;
  std::vector<int64_t> tokens = {0};
  const std::unique_ptr<nn::TokenStream> stream = model.start();
  while (int64_t(tokens.size()) < block) {
    const Tensor all = from_vector(tokens, {1, int64_t(tokens.size())});
    const Tensor scores = keep ? stream->step(all.narrow(1, all.size(1) - 1, 1)) : model(all).select(1, -1);
    tokens.push_back(int64_t(scores[0].argmax().item()));
  }
  return tokens;
}

}  // namespace

int main() {
  shapes();
  std::printf("\npositions  numbers  scores with and without, three texts of %d tokens\n", int(block));
  for (const bool rotary : {false, true})
    for (const DType dtype : {float32, float64}) {
      const Gpt model = make(rotary, dtype);
      Generator random(3);
      std::vector<int64_t> ids;
      for (int64_t i = 0; i < 3 * block; ++i) ids.push_back(random.below(vocabulary));
      const Tensor tokens = from_vector(ids, {3, block});
      const double most = std::max(difference(model, tokens, 1), difference(model, tokens, 17));
      const double bound = dtype == float32 ? 1e-5 : 1e-13;
      check(most < bound, "with the cache scores differ by ", most);
      check(likeliest(model, true) == likeliest(model, false), "the cache changed what is written");
      std::printf("%-9s  %-7s  within %.0e, and the same text is likeliest\n", rotary ? "rotary" : "learned",
                  dtype == float32 ? "float32" : "float64", bound);
    }
}
