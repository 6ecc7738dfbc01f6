// Pictures of 4 x 4 pixels cut into patches, which become words and get places and a class token; and two layers of
// attention rolled out.
#include <cstdio>
#include <string>
#include <vector>

#include "autograd/ops.h"
#include "examples/image_classifier/seeing/explain.h"
#include "nn/conv.h"
#include "nn/positions.h"

using namespace gradus;

namespace {

const TensorOptions whole{.dtype = float64};

void show(const char* what, const Tensor& x, const char* format = "%6.0f") {  // (rows, columns)
  std::printf("%s\n", what);
  for (int64_t row = 0; row < x.size(0); ++row) {
    for (int64_t column = 0; column < x.size(1); ++column) std::printf(format, x[row][column].item());
    std::printf("\n");
  }
}

void show_strides(const char* what, const Tensor& x, const Tensor& picture) {
  std::printf("%-22s %-13s strides %-13s %s\n", what, to_string(x.shape()).c_str(), to_string(x.strides()).c_str(),
              x.storage() == picture.storage() ? "view" : "copy");
}

//! [words]
// A picture (height, width) in patches of 2 x 2: (patches, 4), a patch in each row.
Tensor words_of(const Tensor& picture) {
  const int64_t rows = picture.size(0) / 2, columns = picture.size(1) / 2;
  const Tensor cut = picture.reshape({rows, 2, columns, 2});  // (row of patches, row in it, column of patches, in it)
  const Tensor grid = cut.transpose(1, 2);                    // (rows, columns, 2, 2)
  return grid.reshape({rows * columns, 4});
}
//! [words]

void cut() {
  const Tensor picture = arange(1, 17, 1, whole).reshape({4, 4}), words = words_of(picture);
  show("picture", picture, "%4.0f");
  show("words, one a row", words, "%4.0f");
  const Tensor cut = picture.reshape({2, 2, 2, 2}), grid = cut.transpose(1, 2);
  std::printf("\n");
  show_strides("picture", picture, picture);
  show_strides("cut", cut, picture);
  show_strides("in a grid", grid, picture);
  show_strides("words", words, picture);
  check(grid.storage() == picture.storage() && words.storage() != picture.storage(), "what is a view?");
}

void convolution() {
  //! [convolution]
  const Tensor picture = tensor({{0, 0, 1, 1}, {0, 0, 1, 1}, {0, 1, 1, 1}, {1, 1, 1, 1}}, whole);
  const Tensor filters = tensor({{{1, 1}, {1, 1}}, {{-1, 1}, {-1, 1}}, {{-1, -1}, {1, 1}}}, whole).unsqueeze(1);

  const Tensor features = linear(words_of(picture), filters.flatten(1));                  // (4 patches, 3 features)
  const Tensor maps = conv2d(picture.reshape({1, 1, 4, 4}), filters, {}, {.stride = 2});  // (1, 3, 2, 2)
  const Tensor same = maps.flatten(2).transpose(1, 2)[0];                                 // (4 patches, 3 features)
  //! [convolution]
  show("\npicture", picture, "%4.0f");
  show("features of its four words: sum, right minus left, below minus above", features);
  show("first map of the convolution", maps[0][0]);
  std::printf("the convolution of stride 2 gives the same features: %s\n", equal(features, same) ? "yes" : "no");
  check(equal(features, same), "a convolution is something else");
  nn::PatchEmbedding embed(1, 3, 2);
  embed.to(float64);
  embed.load_state_dict({{"weight", filters}, {"bias", zeros({3}, whole)}});
  check(allclose(embed(picture.reshape({1, 1, 4, 4}))[0], features), "the library's patches are others");
}

void moved() {
  const Tensor picture = tensor({{0, 1, 0, 0}, {0, 1, 0, 0}, {0, 1, 0, 0}, {0, 1, 0, 0}}, whole);
  const Tensor here = words_of(picture), there = words_of(picture.roll(1, 1));
  show("\na stroke in the second column, in words", here, "%4.0f");
  show("the same stroke in the third column", there, "%4.0f");
  std::printf("product of the word with the stroke before and the one after: %.0f\n",
              (here[0] * there[1]).sum().item());
  check((here[0] * there[1]).sum().item() == 0, "the words are alike");
}

void costs() {
  std::printf("\n28 x 28 pixels, in patches of\n");
  std::printf("   pixels  words  numbers in each  scores of a head\n");
  for (const int64_t p : {1, 2, 4, 7, 14}) {
    const int64_t n = (28 / p) * (28 / p);
    std::printf("  %2d x %-2d %6d %16d %17d\n", int(p), int(p), int(n), int(p * p), int(n * n));
  }
}

void class_token() {
  //! [token]
  const Tensor token = zeros({2}, whole).requires_grad_();  // (features)
  const Tensor words = ones({3, 4, 2}, whole);              // (batch, words, features)
  const Tensor all = cat({token.expand({3, 1, 2}), words}, 1);
  const Tensor loss = (all.select(1, 0) * tensor({{1, 10}, {2, 20}, {3, 30}}, whole)).sum();
  loss.backward();
  //! [token]
  std::printf("\nwords %s, with a class token %s\n", to_string(words.shape()).c_str(),
              to_string(all.shape()).c_str());
  show("gradient of the token", token.grad().unsqueeze(0));
}

// The product of the vectors of places (row, column) and (other_row, other_column) on a grid of 7 x 7.
double product(const Tensor& places, int64_t row, int64_t column, int64_t other_row, int64_t other_column) {
  return (places[row * 7 + column] * places[other_row * 7 + other_column]).sum().item();
}

void places() {
  //! [places]
  const Tensor along = nn::sinusoidal_positions(49, 32);      // (places, features), as for words of a text
  const Tensor grid = nn::sinusoidal_positions_2d(7, 7, 32);  // half of the features for the row, half for the column
  //! [places]
  std::printf("\nproduct of two places' vectors   itself   beside    below   next row's first\n");
  for (const auto& [name, table] :
       {std::pair<const char*, Tensor>{"sinusoids along all patches", along}, {"sinusoids of row and column", grid}})
    std::printf("%-29s %9.3f %8.3f %8.3f %10.3f\n", name, product(table, 3, 3, 3, 3), product(table, 3, 3, 3, 4),
                product(table, 3, 3, 4, 3), product(table, 3, 6, 4, 0));
  check(product(grid, 3, 3, 3, 4) > product(grid, 3, 6, 4, 0) + 1, "the grid is not seen");
}

// How much of the squared length of the vectors differs from place to place.
double moving_share(const Tensor& places) {
  return (places.var({0}, 0).sum() / square(places).mean({0}).sum()).item();
}

void small_grid() {
  std::printf("share of the vectors' squared length that differs between places, 4 x 4 patches, 24 features\n");
  std::printf("  along all patches %.0f%%, row and column %.0f%%\n",
              100 * moving_share(nn::sinusoidal_positions(16, 24)),
              100 * moving_share(nn::sinusoidal_positions_2d(4, 4, 24)));
}

void rolled() {
  const Tensor first = tensor({{1, 0, 0}, {0, 0, 1}, {0, 0, 1}}, whole);  // (tokens, tokens): a query in each row
  const Tensor second = tensor({{0, 1, 0}, {0, 1, 0}, {0, 0, 1}}, whole);
  const Tensor identity = eye(3, whole);
  const Tensor rollout = matmul((second + identity) / 2, (first + identity) / 2);
  show("\nfirst layer: who takes from whom (class token, patch 1, patch 2)", first, "%6.2f");
  show("second layer", second, "%6.2f");
  show("rolled out", rollout, "%6.2f");
  check(allclose(rollout,
                 image_classifier::attention_rollout({first.reshape({1, 1, 3, 3}), second.reshape({1, 1, 3, 3})})[0]),
        "the library rolls out otherwise");
}

}  // namespace

int main() {
  cut();
  convolution();
  moved();
  costs();
  class_token();
  places();
  small_grid();
  rolled();
}
