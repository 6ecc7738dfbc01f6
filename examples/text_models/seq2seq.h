// Recurrent translation: Sutskever, Vinyals and Le 2014, with attention by Bahdanau et al. 2015 and Luong et al. 2015.
#pragma once

#include "nn/attention.h"
#include "nn/decode.h"
#include "nn/embedding.h"
#include "nn/recurrent.h"

namespace text_models {

using namespace gradus;
using namespace gradus::nn;

struct Seq2SeqOptions {
  int64_t source_vocabulary = 0, target_vocabulary = 0;
  int64_t embedding = 256, hidden = 256, num_layers = 1;
  double dropout = 0;
  Cell cell = Cell::gru;
  // How the decoder looks at the source; none: it has the encoder's last state and nothing else.
  std::optional<Score> attention = Score::additive;
  bool input_feeding = true;  // what was seen at one step is part of the next step's input: Luong et al., section 3.3
  bool coverage = false;      // additive attention sees what it looked at before
  double teacher_forcing = 1;  // the probability, for each step when training, of the right token as the next input
  int64_t pad = 0;
};

// A bidirectional encoder, and a decoder whose state looks for what it needs in the encoder's outputs:
// a = tanh(W [context; h]) (Luong et al., equation 5), from which the next token is predicted.
class Seq2Seq : public Module, public Seq2SeqModel {
 public:
  explicit Seq2Seq(const Seq2SeqOptions& options);

  // source (batch, source places), target (batch, target places): logits (batch, target places, target_vocabulary).
  // The attention (batch, target places, source places) is written to `weights` if given.
  Tensor operator()(const Tensor& source, const Tensor& target, Tensor* weights = nullptr) const override;
  std::unique_ptr<TokenStream> start(const Tensor& source) const override;
  void visit(Visitor& v) override;
  const char* type() const override { return "Seq2Seq"; }

 private:
  class Stream;
  // What the decoder works on: the source as the encoder left it, and its own state.
  struct Work {
    Tensor memory, prepared;  // (batch, source places, ...)
    std::optional<KeepMask> keep;
    RecurrentState state;
    Tensor seen;      // (batch, 1, hidden), what the last step saw
    Tensor coverage;  // (batch, 1, source places)
    void reorder(const Tensor& rows);
  };
  Work encode(const Tensor& source) const;
  // One step, or several where nothing of one goes into the next: what is seen (batch, n, hidden), and the weights.
  Attended decode(const Tensor& tokens, Work& work) const;

  Seq2SeqOptions options_;
  Embedding source_embedding_, target_embedding_;
  std::unique_ptr<Recurrent> encoder_, decoder_;
  std::optional<ScoredAttention> attention_;
  Linear bridge_, combine_, output_;
};

}  // namespace text_models
