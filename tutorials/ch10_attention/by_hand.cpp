// One state of a decoder looks at three places of a source: three scores, and then a mask.
#include "nn/attention.h"
#include "tutorials/ch10_attention/print.h"

using namespace gradus;
using namespace ch10;

namespace {

// Weights (3) and context (2) for scores (3).
Attended look(const Tensor& scores, const Tensor& memory) {
  const Tensor weights = softmax(scores, 0);
  return {matmul(weights, memory), weights};
}

void print(const char* name, const Tensor& scores, const Attended& a) {
  std::printf("%s\n", name);
  row("scores", text(scores));
  row("weights", text(a.weights));
  row("context", text(a.output));
}

// The library's layer with the weights of the example.
void expect_library_agrees(nn::Score score, const nn::StateDict& weights, const Tensor& state, const Tensor& memory,
                           const Tensor& context) {
  nn::ScoredAttention layer(2, 2, {.score = score});
  layer.load_state_dict(weights);
  const Attended a = layer(state.reshape({1, 1, 2}), memory.unsqueeze(0));
  check(allclose(a.output.flatten(), context), "the library and the hand disagree");
}

}  // namespace

int main() {
  //! [scores]
  const Tensor state = tensor({2, 0});                      // (2): the decoder, about to write 狗
  const Tensor memory = tensor({{1, 0}, {0, 2}, {-1, 1}});  // (3, 2): "a", "dog", and a place without a word

  const Tensor dot_scores = matmul(memory, state);  // (3): h . m

  const Tensor w = tensor({{0, 1}, {1, 0}});                       // (2, 2)
  const Tensor general_scores = matmul(memory, matmul(state, w));  // (3): h W m

  const Tensor w_query = tensor({{0.5, 0}, {0, 1}}), w_key = eye(2);       // (2, 2) both
  const Tensor v = tensor({2, 2});                                         // (2)
  const Tensor sums = matmul(w_query, state) + matmul(memory, w_key.t());  // (3, 2)
  const Tensor bent = tanh(sums);                                          // (3, 2)
  const Tensor additive_scores = matmul(bent, v);                          // (3): v . tanh(W h + U m)
  //! [scores]
  const Attended dot = look(dot_scores, memory), general = look(general_scores, memory),
                 additive = look(additive_scores, memory);
  print("dot", dot_scores, dot);
  std::printf("general\n");
  row("h W", text(matmul(state, w)));
  row("scores", text(general_scores));
  row("weights", text(general.weights));
  row("context", text(general.output));
  std::printf("additive\n");
  row("W h", text(matmul(w_query, state)));
  row("sums", text(sums));
  row("tanh", text(bent));
  row("scores", text(additive_scores));
  row("powers", text(exp(additive_scores)) + ", together " + text(exp(additive_scores).sum()));
  row("weights", text(additive.weights));
  row("context", text(additive.output));

  //! [mask]
  const KeepMask keep(tensor({1, 1, 0}) != 0.0);                             // (3): the last place has no word
  const Tensor weights = masked_softmax(additive_scores, keep);              // (3)
  const KeepMask none(tensor({0, 0, 0}) != 0.0);                             // (3): nothing to look at
  const Tensor nothing = masked_softmax(additive_scores, none);              // (3)
  const Tensor minus_infinity = log(tensor({0, 0, 0}));                      // (3)
  const Tensor not_a_number = softmax(additive_scores + minus_infinity, 0);  // (3): exp(-inf + inf)
  //! [mask]
  std::printf("additive, the last place masked\n");
  row("powers",
      text(exp(additive_scores).narrow(0, 0, 2)) + ", together " + text(exp(additive_scores).narrow(0, 0, 2).sum()));
  row("weights", text(weights));
  row("context", text(matmul(weights, memory)));
  std::printf("additive, every place masked\n");
  row("weights", text(nothing));
  row("context", text(matmul(nothing, memory)));
  row("with -inf", isnan(not_a_number).all().item() == 1 ? "[nan nan nan]" : text(not_a_number));

  expect_library_agrees(nn::Score::dot, {}, state, memory, dot.output);
  expect_library_agrees(nn::Score::general, {{"weight", w}}, state, memory, general.output);
  expect_library_agrees(
      nn::Score::additive,
      {{"query.weight", w_query}, {"key.weight", w_key}, {"key.bias", zeros({2})}, {"v.weight", v.unsqueeze(0)}},
      state, memory, additive.output);
  check(nothing.sum().item() == 0 && isnan(not_a_number).all().item() == 1, "a place without choice");
}
