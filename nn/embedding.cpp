#include "nn/embedding.h"

#include "nn/init.h"

namespace gradus::nn {

Embedding::Embedding(int64_t num_embeddings, int64_t embedding_dim, const EmbeddingOptions& options)
    : padding_idx(options.padding_idx) {
  check(num_embeddings > 0 && embedding_dim > 0, "Embedding: num_embeddings ", num_embeddings, " and embedding_dim ",
        embedding_dim, " must be positive");
  if (padding_idx) {
    check(*padding_idx >= -num_embeddings && *padding_idx < num_embeddings, "Embedding: padding_idx ", *padding_idx,
          " is outside of ", num_embeddings, " rows");
    if (*padding_idx < 0) padding_idx = *padding_idx + num_embeddings;
  }
  weight = normal_(empty({num_embeddings, embedding_dim}, {.requires_grad = true}));
  if (padding_idx) zeros_(weight.detach().select(0, *padding_idx));
}

std::string Embedding::describe() const {
  std::string out = std::to_string(weight.size(0)) + ", " + std::to_string(weight.size(1));
  return padding_idx ? out + ", padding_idx=" + std::to_string(*padding_idx) : out;
}

}  // namespace gradus::nn
