// Two sentences in one batch, the shorter one padded: what the mask is for, and what happens without it.
#include "examples/text_models/seq2seq.h"
#include "tutorials/ch10_attention/print.h"

using namespace gradus;
using namespace ch10;

namespace {

double difference(const Tensor& a, const Tensor& b) { return abs(a - b).max().item(); }

}  // namespace

int main() {
  manual_seed(1);
  //! [padding]
  constexpr int64_t pad = 0;
  const Tensor tokens = tensor({{7, 8, 4, 9, 2}, {4, 9, 2, pad, pad}}, {.dtype = int64});  // (2, 5): two sentences
  const KeepMask keep((tokens != double(pad)).unsqueeze(1));                               // (2, 1, 5)

  const nn::ScoredAttention look(4, 6, {.score = nn::Score::additive});
  const Tensor memory = randn({2, 5, 6}), query = randn({2, 3, 4});  // three queries for each sentence
  const Tensor masked = look(query, memory, keep).output;            // (2, 3, 6)
  const Tensor unmasked = look(query, memory).output;                // (2, 3, 6)

  // The second sentence alone, without its padding.
  const Tensor alone = look(query.narrow(0, 1, 1), memory.narrow(0, 1, 1).narrow(1, 0, 3)).output;  // (1, 3, 6)
  //! [padding]
  row("mask", text(keep.kept.to(float32), 0));
  row("weights", text(look(query, memory, keep).weights[1], 2));
  row("masked", "differs from the sentence alone by " + text(difference(masked[1], alone[0])));
  row("unmasked", "differs from the sentence alone by " + text(difference(unmasked[1], alone[0])));

  //! [junk]
  const Tensor there = keep.kept.transpose(1, 2);                                   // (2, 5, 1)
  const Tensor junk = where(there, memory, full({}, 1e6));                          // (2, 5, 6)
  const Tensor with_junk = look(query, junk, keep).output;                          // (2, 3, 6)
  const Tensor leaf = memory.requires_grad_();                                      // the encoder's output
  const Tensor gradient = grad({look(query, leaf, keep).output.sum()}, {leaf})[0];  // (2, 5, 6)
  const Tensor at_padding = gradient.masked_fill(there, 0);                         // what is left is padding's
  //! [junk]
  row("junk", "a million in every padded place changes the output by " + text(difference(with_junk, masked)));
  row("gradient",
      "of padded places at most " + text(abs(at_padding).max()) + ", of words " + text(abs(gradient).max(), 2));

  const text_models::Seq2Seq model({.source_vocabulary = 10, .target_vocabulary = 10, .embedding = 4, .hidden = 6});
  const Tensor target = tensor({{1, 5, 6}, {1, 7, 8}}, {.dtype = int64});
  const Tensor together = model(tokens, target)[1];                                               // (3, 10)
  const Tensor apart = model(tokens.narrow(0, 1, 1).narrow(1, 0, 3), target.narrow(0, 1, 1))[0];  // (3, 10)
  row("model", "its logits differ from those of the sentence alone by " + text(difference(together, apart)));

  const Tensor scores = randn({2, 3}).requires_grad_();  // (2, 3): two queries, three places
  const KeepMask none_for_the_first(tensor({{0, 0, 0}, {1, 1, 0}}) != 0.0);
  const Tensor weights = masked_softmax(scores, none_for_the_first);
  const Tensor slopes = grad({(weights * tensor({1, 2, 3})).sum()}, {scores})[0];
  row("empty row", "weights " + text(weights[0], 2) + ", gradient " + text(slopes[0], 2));
  row("other row", "weights " + text(weights[1], 2) + ", gradient " + text(slopes[1], 2));

  check(difference(masked[1], alone[0]) < 1e-6, "a mask has to make padding invisible");
  check(difference(together, apart) < 1e-6, "the encoder reads padding");
  check(difference(unmasked[1], alone[0]) > 0.1, "without a mask padding is seen");
  check(difference(with_junk, masked) == 0 && abs(at_padding).max().item() == 0, "a masked place changes nothing");
  check(abs(weights[0]).max().item() == 0 && abs(slopes[0]).max().item() == 0, "an empty row is zero");
}
