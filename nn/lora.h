// Low-rank adaptation of trained matrices: Hu et al. 2022, "LoRA", section 4.1. A matrix W (out, in) stays as it is,
// and a product of two small ones is trained beside it: W x becomes W x + (alpha / rank) B A x.
//
//   nn::add_lora(model, {.rank = 8, .alpha = 16, .pattern = "*.self_attn"});
//   ... train what requires gradients: A and B ...
//   save_safetensors("adapter.safetensors", nn::lora_state(model));   // small; nn::load_lora puts it onto the model
//   nn::merge_lora(model);                                            // as quick as before, and as large
#pragma once

#include "nn/module.h"
#include "tensor/io/safetensors.h"

namespace gradus::nn {

// What a Linear or a MultiheadAttention keeps beside its matrix: nothing until add_lora or load_lora.
struct LowRank {
  Tensor A, B;  // (rank, in) and (out, rank), under the names PEFT gives them: lora_A.weight and lora_B.weight
  double alpha = 0;

  double scale() const { return alpha / double(A.size(0)); }
  // What is to be added to the matrix.
  Tensor change() const { return matmul(B, A) * scale(); }
  Tensor added_to(const Tensor& weight) const { return A.defined() ? weight + change() : weight; }
  // y, with its part of the change where y is x times the rows of the matrix from `first_row` on.
  Tensor operator()(Tensor y, const Tensor& x, int64_t first_row = 0) const;
  void visit(Visitor& v) {
    v("lora_A.weight", A);
    v("lora_B.weight", B);
  }
};

struct LoraOptions {
  int64_t rank = 8;
  double alpha = 16;
  std::string pattern = "*";  // of the paths of what is adapted, as for path_matches
};

// Adapts each Linear, and the packed in_proj_weight of each MultiheadAttention (as one matrix, as PEFT does; its
// out_proj is a Linear of its own), whose path the pattern matches. All that was there before is frozen. A begins as a
// Linear's weight does, uniform after Kaiming, as PEFT's (the paper's is normal), B with zeros: at first nothing
// changes. Separate projections of keys and values of other sizes, recurrent layers and embeddings are not adapted.
// Throws Error, changing nothing, where the pattern matches nothing, where something is adapted already, and for a
// matrix that another module shares.
void add_lora(Module& module, const LoraOptions& options = {});

// All A and B by their paths; the metadata has rank and alpha. They share their numbers with the module.
TensorFile lora_state(const Module& module);
// The inverse, onto the model without it: as add_lora, with these A and B. Throws Error, changing nothing, naming what
// has no place in this model or does not fit.
void load_lora(Module& module, const TensorFile& state);

// Adds what was learnt to the matrices; the model is then as it was made, still frozen. Gives what was merged.
TensorFile merge_lora(Module& module);
// The inverse: takes it out of the matrices again, to the rounding of the sums, and keeps it beside them.
void unmerge_lora(Module& module, const TensorFile& merged);

// Whether a path matches one of the patterns, which have commas between them: * stands for any characters, dots too, ?
// for one.
bool path_matches(const std::string& patterns, const std::string& path);

}  // namespace gradus::nn
