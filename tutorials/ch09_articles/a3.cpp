// Article A3: its attention module, with the weights that it forgot.
#include <cmath>

#include "nn/init.h"
#include "nn/module.h"
#include "tutorials/ch09_articles/print.h"

using namespace gradus;
using namespace ch09;

namespace {

//! [module]
struct Attention : nn::Module {
  Tensor query_weight, key_weight, value_weight, output_weight;  // (hidden, hidden) each
  explicit Attention(int64_t hidden) {
    for (Tensor* weight : {&query_weight, &key_weight, &value_weight, &output_weight})
      *weight = nn::xavier_uniform_(empty({hidden, hidden}, {.requires_grad = true}));
  }
  // (batch, queries, hidden) looks at (batch, keys, hidden).
  Tensor operator()(const Tensor& hidden, const Tensor& previous) const {
    const Tensor query = matmul(hidden, query_weight), key = matmul(previous, key_weight);
    const Tensor scores = matmul(query, key.transpose(-2, -1)) / std::sqrt(double(key.size(-1)));
    const Tensor context = matmul(softmax(scores, -1), matmul(previous, value_weight));
    return matmul(context, output_weight);  // (batch, queries, hidden)
  }
  void visit(nn::Visitor& v) override {
    v("query_weight", query_weight);
    v("key_weight", key_weight);
    v("value_weight", value_weight);
    v("output_weight", output_weight);
  }
  const char* type() const override { return "Attention"; }
};
//! [module]

}  // namespace

int main() {
  manual_seed(1);
  section("A3 4: Attention(64), with its weights");
  Attention attention(64);
  const Tensor output = attention(randn({8, 3, 64}), randn({8, 5, 64}));
  output.sum().backward();
  row("weights", std::to_string(attention.parameter_count()));
  row("output", to_string(output.shape()) + " of 3 queries, 5 keys, a batch of 8");
  for (const Tensor& weight : attention.parameters())
    check(weight.grad().defined() && weight.grad().norm().item() > 0, "every weight has a gradient");
}
