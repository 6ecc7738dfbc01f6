// A text and the same text one place on: what a decoder is trained with; what its mask is for; and three words read one
// after the other, their keys and values kept.
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "nn/transformer.h"

using namespace gradus;

namespace {

const TensorOptions whole{.dtype = float64};

// As a model might score them: (5 places, 6 characters), the right one with these probabilities, the others alike.
Tensor made_up_logits(const Tensor& targets, const std::vector<double>& right) {
  std::vector<double> values;
  for (size_t place = 0; place < right.size(); ++place)
    for (int64_t character = 0; character < 6; ++character) {
      const bool is_right = character == int64_t(targets[int64_t(place)].item());
      values.push_back(std::log(is_right ? right[place] : (1 - right[place]) / 5));
    }
  return from_vector(values, {int64_t(right.size()), 6});
}

void shift() {
  const std::string text = "dogs.\n";  // six different characters: their numbers are 0 to 5
  //! [shift]
  const Tensor tokens = from_vector<int64_t>({0, 1, 2, 3, 4, 5}, {6});  // "dogs.\n"
  const Tensor inputs = tokens.narrow(0, 0, 5);                         // (5): what is read
  const Tensor targets = tokens.narrow(0, 1, 5);                        // (5): what follows each of them
  //! [shift]
  const std::vector<double> right = {0.25, 0.5, 0.5, 0.8, 0.99};
  const Tensor logits = made_up_logits(targets, right);  // (5, 6)
  std::printf("place  read  sees   to say  probability   -log\n");
  for (int64_t place = 0; place < 5; ++place) {
    const char read = text[size_t(inputs[place].item())], say = text[size_t(targets[place].item())];
    std::printf("%5d  %4c  %-5s  %6s  %11.2f  %.4f\n", int(place), read, text.substr(0, size_t(place) + 1).c_str(),
                say == '\n' ? "\\n" : std::string(1, say).c_str(), right[size_t(place)],
                -std::log(right[size_t(place)]));
  }
  const double loss = cross_entropy(logits, targets).item();
  std::printf("loss, the mean of the last column: %.4f; by chance, log 6: %.4f\n", loss, std::log(6.0));
  double sum = 0;
  for (const double p : right) sum -= std::log(p);
  check(std::abs(loss - sum / 5) < 1e-12, "the loss is not the mean");
}

// Changes the last of five words, and says at which places the output of two layers changes.
void mask() {
  manual_seed(15);
  nn::TransformerEncoder layers({.d_model = 16, .heads = 2, .ffn = 64, .encoder_layers = 2, .norm_first = true});
  layers.eval();
  const NoGrad guard;
  const Tensor x = randn({1, 5, 16});
  const Tensor other = cat({x.narrow(1, 0, 4), randn({1, 1, 16})}, 1);
  std::printf("\nanother last word: what it changes\n");
  for (const bool causal : {true, false}) {
    const Tensor change = abs(layers(x, {.is_causal = causal}) - layers(other, {.is_causal = causal})).amax(-1);
    std::printf("%-11s", causal ? "causal mask" : "no mask");
    for (int64_t place = 0; place < 5; ++place) {
      const bool changes = change[0][place].item() > 0;
      std::printf("  %-7s", changes ? "changed" : "same");
      check(changes == (!causal || place == 4), "a causal place looked ahead, or another did not");
    }
    std::printf("\n");
  }
}

std::string row(const Tensor& x, const char* format) {  // (n)
  std::string text;
  for (const double value : x.to_vector()) {
    char number[32];
    std::snprintf(number, sizeof(number), format, value);
    text += number;
  }
  return text;
}

void decode() {
  const Tensor x = tensor({{1, 0}, {0, 1}, {1, 1}}, whole);  // the three words of chapter 11
  const Tensor w_query = tensor({{1, 0}, {0, 1}}, whole), w_key = tensor({{0, 1}, {1, 0}}, whole);
  const Tensor w_value = tensor({{1, 0}, {0, 2}}, whole);
  //! [decode]
  Tensor keys = zeros({0, 2}, whole), values = zeros({0, 2}, whole);  // of the words so far
  std::vector<Tensor> weights, outputs;
  for (int64_t word = 0; word < 3; ++word) {
    const Tensor now = x.narrow(0, word, 1);                         // (1, 2): the newest word alone
    keys = cat({keys, matmul(now, w_key)}, 0);                       // (word + 1, 2)
    values = cat({values, matmul(now, w_value)}, 0);                 // (word + 1, 2)
    const Tensor products = matmul(matmul(now, w_query), keys.t());  // (1, word + 1)
    weights.push_back(softmax(products / std::sqrt(2.0), -1));       // (1, word + 1)
    outputs.push_back(matmul(weights.back(), values));               // (1, 2)
  }
  //! [decode]
  std::printf("\nword  keys kept         weights                   output\n");
  for (int64_t word = 0; word < 3; ++word) {
    std::string kept;
    for (int64_t i = 0; i <= word; ++i) kept += (i ? " |" : "") + row(keys[i], " %.0f");
    std::printf("%4d %-17s %-25s %s\n", int(word) + 1, kept.c_str(), row(weights[size_t(word)][0], " %.4f").c_str(),
                row(outputs[size_t(word)][0], "  %.4f").c_str());
  }
  const Tensor at_once = scaled_dot_product_attention(matmul(x, w_query), matmul(x, w_key), matmul(x, w_value),
                                                      {.is_causal = true});  // (3, 2)
  check(allclose(cat(outputs, 0), at_once), "word by word is not all at once");
  std::printf("all at once, with the causal mask: the same outputs\n");
}

}  // namespace

int main() {
  shift();
  mask();
  decode();
}
