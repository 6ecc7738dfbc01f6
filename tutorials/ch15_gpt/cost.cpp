// What a GPT costs: parameters, operations of a training step, and operations, memory and time of the next token with
// and without a cache.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "examples/text_models/text_models.h"
#include "tensor/allocator.h"
#include "tutorials/ladders/timing.h"

using namespace gradus;
using text_models::Gpt, text_models::GptOptions;

namespace {

// --- parameters and training ----------------------------------------------------------------------------------------

//! [parameters]
struct Parameters {
  int64_t embedding, positions, attention, feed_forward, norms;
  explicit Parameters(const GptOptions& o) {
    const int64_t d = o.d_model, bias = o.bias ? 1 : 0;
    embedding = o.vocabulary * d;  // read at the beginning, multiplied with at the end
    positions = o.block * d;
    attention = o.layers * (4 * d * d + bias * 4 * d);  // queries, keys, values and the output
    feed_forward = o.layers * (8 * d * d + bias * 5 * d);
    norms = (2 * o.layers + 1) * 2 * d;
  }
  int64_t all() const { return embedding + positions + attention + feed_forward + norms; }
};
//! [parameters]

const GptOptions here = {.vocabulary = 23, .block = 64, .layers = 2, .heads = 4, .d_model = 32};
const GptOptions gpt2 = {.vocabulary = 50257, .block = 1024, .layers = 12, .heads = 12, .d_model = 768};

void parameters() {
  const Parameters a(here), b(gpt2);
  const std::vector<std::pair<const char*, int64_t Parameters::*>> parts = {
      {"embedding", &Parameters::embedding},
      {"positions", &Parameters::positions},
      {"attention", &Parameters::attention},
      {"feed-forward", &Parameters::feed_forward},
      {"norms", &Parameters::norms}};
  std::printf("parameters         here       GPT-2\n");
  for (const auto& [name, part] : parts)
    std::printf("%-12s %10lld %11lld\n", name, static_cast<long long>(a.*part), static_cast<long long>(b.*part));
  std::printf("%-12s %10lld %11lld\n", "all", static_cast<long long>(a.all()), static_cast<long long>(b.all()));
  check(Gpt(here).parameter_count() == a.all(), "the formula is wrong");
}

// Numbers in matrices that a token is multiplied with: not the positions, which are added, biases nor scales.
double multiplied(const GptOptions& o) {
  return double(o.vocabulary * o.d_model + 12 * o.layers * o.d_model * o.d_model);
}

void training() {
  manual_seed(15);
  const Gpt model(here);
  const int64_t batch = 32, window = here.block;
  const Tensor tokens = zeros({batch, window}, {.dtype = int64});
  int64_t counted[3] = {flops_counted(), 0, 0};
  const Tensor loss = cross_entropy(model(tokens).flatten(0, 1), tokens.flatten());
  counted[1] = flops_counted();
  loss.backward();
  counted[2] = flops_counted();
  const double forward = double(counted[1] - counted[0]), backward = double(counted[2] - counted[1]);

  const double places = double(batch * window), n = multiplied(here);
  const double pairs = places * double(window + 1) / 2;  // of a query and a key that it sees
  const double attention = 4.0 * double(here.layers * here.d_model) * pairs;
  std::printf("\na training step of %d windows of %d tokens, million operations\n", int(batch), int(window));
  std::printf("           counted   matrices           attention\n");
  std::printf("forward  %9.1f   2 N D = %7.1f  %7.1f\n", forward / 1e6, 2 * n * places / 1e6, attention / 1e6);
  std::printf("backward %9.1f   4 N D = %7.1f  %7.1f\n", backward / 1e6, 4 * n * places / 1e6, 2.5 * attention / 1e6);
  std::printf("both     %9.1f   6 N D = %7.1f  %7.1f\n", (forward + backward) / 1e6, 6 * n * places / 1e6,
              3.5 * attention / 1e6);
  check(forward == 2 * n * places + attention && backward == 4 * n * places + 2.5 * attention,
        "operations are not what the formulas say");
  std::printf("N = %.0f numbers in matrices, D = %.0f tokens\n", n, places);
  const double of_gpt2 = 3.5 * 4 * double(gpt2.layers * gpt2.d_model) * double(gpt2.block + 1) / 2;
  std::printf("attention, for each operation of 6 N D: %.2f; GPT-2's with windows of %d: %.2f\n",
              3.5 * attention / (6 * n * places), int(gpt2.block), of_gpt2 / (6 * multiplied(gpt2)));
}

// --- writing ---------------------------------------------------------------------------------------------------------

const GptOptions writer = {.vocabulary = 65, .block = 2048, .layers = 4, .heads = 4, .d_model = 128, .rotary = true};

int64_t kept_for_token(const GptOptions& o) {
  const int64_t kv_heads = o.kv_heads > 0 ? o.kv_heads : o.heads;
  return 2 * o.layers * kv_heads * (o.d_model / o.heads) * int64_t(sizeof(float));
}

void kept() {
  GptOptions shared = gpt2;
  shared.kv_heads = 1;
  std::printf("\nkeys and values, float32         bytes a token   MB for 1024 tokens\n");
  for (const auto& [name, o] :
       {std::pair("2 layers of 32 features, here", here), std::pair("4 layers of 128", writer),
        std::pair("GPT-2, 12 layers of 768", gpt2), std::pair("the same, 1 head of keys", shared)})
    std::printf("%-32s %13lld %16.2f\n", name, static_cast<long long>(kept_for_token(o)),
                double(kept_for_token(o)) * 1024 / (1 << 20));
}

template <class F>
double million_flops(const F& run) {
  const int64_t from = flops_counted();
  (void)run();
  return double(flops_counted() - from) / 1e6;
}

void next_token() {
  const NoGrad guard;
  manual_seed(15);
  Gpt model(writer);
  model.eval();
  std::printf("\nthe next token of %d layers of %d features\n", int(writer.layers), int(writer.d_model));
  std::printf("behind  KB kept  KB taken   million operations: with the cache  without\n");
  for (int64_t length = 64; length <= 1024; length *= 2) {
    const Tensor tokens = zeros({1, length}, {.dtype = int64});
    const int64_t before = memory_stats().live;
    const auto stream = model.start();
    (void)stream->step(tokens);  // the prompt, at once
    const double with = million_flops([&] { return stream->step(tokens.narrow(1, 0, 1)); });
    const double taken = double(memory_stats().live - before) / 1024;
    const double without = million_flops([&] { return model(zeros({1, length + 1}, {.dtype = int64})); });
    const double needed = double((length + 1) * kept_for_token(writer)) / 1024;
    std::printf("%6d %8.0f %9.0f %35.2f %8.1f\n", int(length), needed, taken, with, without);
    check(with == (2 * multiplied(writer) + 4.0 * double(writer.layers * writer.d_model * (length + 1))) / 1e6,
          "operations are not what the formula says");
  }
}

// What the next token takes behind so many others, on one thread.
void times(const std::string& path) {
  const NoGrad guard;
  set_num_threads(1);
  manual_seed(15);
  Gpt model(writer);
  model.eval();
  ladder::Csv csv(path, "tokens before,ms with the cache,ms without");
  for (int64_t length = 32; length <= 2048; length *= 2) {
    const Tensor tokens = zeros({1, length}, {.dtype = int64}), one = tokens.narrow(1, 0, 1);
    double with = 1e300;
    for (int round = 0; round < 5; ++round) {
      const auto stream = model.start();
      (void)stream->step(tokens.narrow(1, 0, length - 8));
      const double start = ladder::seconds_now();
      for (int i = 0; i < 8; ++i) (void)stream->step(one);
      with = std::min(with, (ladder::seconds_now() - start) / 8);
    }
    const double without = ladder::best_time(0.5, 1, [&] { (void)model(tokens); });
    csv.row(std::to_string(length), ladder::digits(with * 1e3, 3), ladder::digits(without * 1e3, 3));
  }
}

int run(int argc, char** argv) {
  CLI::App app("Counts parameters, operations and memory of a GPT.");
  std::string csv;
  app.add_option("--times", csv, "measure the time of the next token instead, on one thread, into this CSV file");
  CLI11_PARSE(app, argc, argv);
  if (!csv.empty()) {
    times(csv);
    return 0;
  }
  parameters();
  training();
  kept();
  next_token();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
