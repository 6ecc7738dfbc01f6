// Five articles on attention, their examples computed anew: what they print, what is right, and why.
#include <cmath>
#include <cstdio>

#include "examples/arguments.h"
#include "examples/text_models/seq2seq.h"
#include "nn/attention.h"
#include "nn/embedding.h"
#include "nn/transformer.h"
#include "optim/adam.h"

using namespace gradus;

namespace {

// Numbers in brackets, four digits each; one alone without.
std::string text(const Tensor& x) {
  std::string all;
  for (const double number : x.to_vector()) {
    char digits[32];
    std::snprintf(digits, sizeof digits, "%.4f", number);
    all += (all.empty() ? "" : " ") + std::string(digits);
  }
  return x.numel() == 1 ? all : "[" + all + "]";
}

void show(const char* where, const char* theirs, const std::string& ours, const char* why) {
  std::printf("\n%s\n  article  %s\n  here     %s\n  because  %s\n", where, theirs, ours.c_str(), why);
}

// One query against keys that are values too: (d), (n, d).
Attended look(const Tensor& query, const Tensor& keys, double scale) {
  return attend(query.unsqueeze(0), keys, keys, {.scale = scale});
}

void encoder_and_decoder() {
  show("A0, section 4.3: weights from the scores [1 0 0 0 0]", "0.732 for the first",
       text(softmax(tensor({1, 0, 0, 0, 0}), 0)), "e / (e + 4); 0.7311 is e / (e + 1), as if there were two scores");

  const Tensor query = tensor({1, 0, 0, 0, 0});
  const Tensor keys = arange(1, 6).unsqueeze(1) * query;  // c_i = [i 0 0 0 0]
  const Attended plain = look(query, keys, 1), scaled = look(query, keys, 1 / std::sqrt(5.0));
  show("A0, section 4.3: h = [1 0 0 0 0] looks at c_i = [i 0 0 0 0]", "a vector of scores for each position",
       "scores " + text(matmul(keys, query)) + ", weights " + text(plain.weights),
       "a score is the product of two vectors: one number for each position");
  show("A0, section 4.2: the context", "score times value for each position, and no sum",
       text(plain.output) + ", divided by sqrt(5) before the softmax " + text(scaled.output),
       "the context is the sum of the values, each times its weight");

  // A model as the article draws it learns to say a sentence of five words backwards.
  manual_seed(1);
  const text_models::Seq2Seq model({.source_vocabulary = 10, .target_vocabulary = 10, .embedding = 16, .hidden = 16});
  const Tensor source = tensor({{3, 4, 5, 6, 7}}).to(int64), target_in = tensor({{1, 7, 6, 5, 4}}).to(int64);
  const auto loss = [&] { return cross_entropy(model(source, target_in).flatten(0, 1), source.flip({1}).flatten()); };
  const double before = loss().item();
  optim::Adam optimizer(model.parameters(), {.lr = 0.01});
  for (int i = 0; i < 50; ++i) {
    optimizer.zero_grad();
    loss().backward();
    optimizer.step();
  }
  show("A0, section 5.2: a listing that trains an attention model", "an optimiser, and a model without a variable",
       std::to_string(model.parameter_count()) + " weights; 50 updates bring the loss of one sentence from " +
           text(tensor(before)) + " to " + text(loss()),
       "what has no weights cannot learn; the listing's shapes and types do not fit either");
}

void language_models() {
  const Tensor q = tensor({{1, 2}, {3, 4}, {5, 6}}), k = tensor({{1, 0}, {0, 1}, {1, 1}});
  const Tensor scores = matmul(q, k.t());
  show("A1, section 4.2: Q K^T of three queries and keys", "a vector [q1 k1, q2 k2, q3 k3]",
       to_string(scores.shape()) + ": " + text(scores[0]) + " " + text(scores[1]) + " " + text(scores[2]),
       "each query meets each key; the article's vector is the diagonal");

  const Tensor three = tensor({{1, 2, 3}}).unsqueeze(0).transpose(1, 2), hide = tensor({0, 0, -1e9});
  const Attended seen = attend(tensor({{{1}}}), three, three, {.keep = KeepMask(hide == 0.0)});
  show("A1, section 4.1: a mask that hides the last of the values [1 2 3]",
       (text(attend(tensor({{{1}}}), three, three).output + hide) + " by softmax(Q K^T / sqrt(d)) V + mask").c_str(),
       text(seen.output) + ", from the weights " + text(seen.weights),
       "a mask goes to the scores, before the softmax; what the article calls additive attention is v . tanh(W q + U "
       "k)");

  manual_seed(1);
  const nn::MultiheadAttention layer(512, 1, {.bias = false});
  const Tensor x = randn({32, 64, 512});
  const NoGrad guard;
  show("A1, section 5.2: SelfAttention(512) of (32, 64, 512)", "an output of (32, 64, 512)",
       to_string(layer(x).output.shape()) + ", from " + std::to_string(layer.parameter_count()) + " weights",
       "that is right: four matrices of 512 x 512");
  const Tensor query = randn({32, 64, 512}), key = randn({32, 64, 512});
  const auto largest = [&](double scale) {
    return text(attend(query, key, key, {.scale = scale}).weights.amax({-1}).mean());
  };
  show("A1, section 5.2: the same without sqrt(d_k)", "scores are not divided",
       "they deviate by " + text(matmul(query, key.transpose(1, 2)).std()) + "; the largest of 64 weights is " +
           largest(1) + " on average, and " + largest(1 / std::sqrt(512.0)) + " with the division",
       "a sum of 512 products of deviation 1 has deviation sqrt(512): the softmax sees one key and has no gradient");
}

void vision() {
  manual_seed(1);
  const Tensor keys = randn({4, 8}), toward_key = randn({8, 1}), toward_query = randn({8, 1});
  const auto weights_for = [&](const Tensor& query, bool additive) {
    const Tensor sums = matmul(keys, toward_key) + matmul(query, toward_query);  // W [key; query], a column of scores
    if (!additive) return softmax(sums.squeeze(1), 0);
    return softmax(tanh(keys * toward_key.t() + query * toward_query.t()).sum({1}), 0);  // v . tanh(W q + U k)
  };
  const Tensor one = randn({1, 8}), other = randn({1, 8});
  show("A2, section 3.1: weights from W [x; y]", "softmax of W [x_t; y_t] over the places t",
       "for one query " + text(weights_for(one, false)) + " and for another " + text(weights_for(other, false)) +
           "; with a tanh between " + text(weights_for(one, true)) + " and " + text(weights_for(other, true)),
       "W [x; y] is a number of x plus a number of y, and the softmax cancels what all places share; also, y_t is "
       "what "
       "is being predicted");

  const Tensor once = softmax(tensor({1, 2, 3}), 0), twice = softmax(once, 0);
  Tensor sharp = zeros({64});
  sharp[0].fill_(1);
  show("A2, section 3.2: softmax of weights that are a softmax already", "H = softmax(a) C",
       text(once) + " becomes " + text(twice) + "; of 64 keys none can have more than " +
           text(softmax(sharp, 0).max()),
       "weights lie between 0 and 1, so a second softmax makes them nearly equal");

  const Tensor patches = randn({1, 3, 224, 224}).unflatten(3, {14, 16}).unflatten(2, {14, 16});
  show("A2, section 5.2: the tokens of a picture", "what a BERT tokeniser makes of it",
       to_string(patches.permute({0, 2, 4, 1, 3, 5}).flatten(3, 5).flatten(1, 2).shape()) +
           " from a picture of 224 x 224 in three colours",
       "a tokeniser cuts text; a picture is cut into patches, here 14 x 14 of 16 x 16 pixels: Dosovitskiy et al. "
       "2021");
}

void transformer() {
  {
    manual_seed(1);
    nn::TransformerEncoderLayer layer({.d_model = 16, .heads = 2, .ffn = 32});
    layer.eval();
    const NoGrad guard;
    const Tensor sentence = randn({1, 3, 16}), reversed = sentence.flip({1});
    const nn::Positions positions(nn::PositionKind::sinusoidal, 3, 16);
    const auto apart = [&](const Tensor& a, const Tensor& b) {
      return text(abs(layer(a).mean({1}) - layer(b).mean({1})).max());
    };
    show("A4, section 2.4: where positions belong", "behind the attention",
         "\"dog bites man\" and \"man bites dog\" differ by " + apart(sentence, reversed) + " without them, by " +
             apart(positions(sentence), positions(reversed)) + " with positions before the first layer",
         "attention sees a set of places, not a row of them; and each sub-layer has a residual around it");
  }
  const Tensor scores = tensor({1, 2, 3}), values = tensor({1, 2, 3});
  const Tensor plain = softmax(scores, 0), scaled = softmax(scores / std::sqrt(3.0), 0);
  show("A4, section 4.3: softmax([1 2 3])", "[1/6 1/3 1/2]",
       text(plain) + ", divided by sqrt(3) before " + text(scaled), "those are shares of the sum, without exp");
  show("A4, section 4.3: the output for the values [1 2 3]", "[1/6 2/3 3/2]",
       text(dot(plain, values)) + ", divided by sqrt(3) before " + text(dot(scaled, values)),
       "weights times values are added up: one number");

  nn::Embedding words(10000, 64);
  nn::Linear query(64, 2 * 64), key(64, 2 * 64), value(64, 2 * 64), out(2 * 64, 64), answer(64, 1);
  const int64_t attention =
      query.parameter_count() + key.parameter_count() + value.parameter_count() + out.parameter_count();
  show("A4, section 5.2: parameters of the text classifier",
       "none: Sequential gives the attention one input, it needs two",
       std::to_string(words.parameter_count() + attention + answer.parameter_count()) + " = " +
           std::to_string(words.parameter_count()) + " + " + std::to_string(attention) + " + " +
           std::to_string(answer.parameter_count()),
       "embedding, attention of two heads with 64 features each, and one output, when written right");
}

int run(int argc, char** argv) {
  CLI::App app("Computes the examples of five articles on attention, and prints theirs beside ours.");
  if (const auto status = examples::parse(app, argc, argv, "")) return *status;
  encoder_and_decoder();
  language_models();
  vision();
  transformer();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return examples::guarded([&] { return run(argc, argv); });
}
