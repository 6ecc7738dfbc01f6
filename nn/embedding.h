// A table of vectors, looked up by number.
#pragma once

#include "nn/module.h"

namespace gradus::nn {

struct EmbeddingOptions {
  std::optional<int64_t> padding_idx =
      {};  // a row that starts at zero and is not trained; negative counts from the end
};

// int64 indices (...) to (..., embedding_dim).
struct Embedding : Module {
  Tensor weight;  // (num_embeddings, embedding_dim), from the standard normal distribution
  std::optional<int64_t> padding_idx;
  Embedding(int64_t num_embeddings, int64_t embedding_dim, const EmbeddingOptions& options = {});

  Tensor operator()(const Tensor& index) const {
    Call call(*this);
    return call(embedding(index, weight, padding_idx));
  }
  void visit(Visitor& v) override { v("weight", weight); }
  const char* type() const override { return "Embedding"; }
  std::string describe() const override;
};

}  // namespace gradus::nn
