#include "nn/linear.h"

#include "nn/init.h"
#include "nn/repr.h"

namespace gradus::nn {

Linear::Linear(int64_t in_features, int64_t out_features, const LinearOptions& options) {
  check(in_features > 0 && out_features > 0, "Linear: in_features ", in_features, " and out_features ", out_features,
        " must be positive");
  weight = empty({out_features, in_features}, {.requires_grad = true});
  if (options.bias) bias = empty({out_features}, {.requires_grad = true});
  default_weight_and_bias_(weight, bias);
}

std::string Linear::describe() const {
  return "in_features=" + std::to_string(weight.size(1)) + ", out_features=" + std::to_string(weight.size(0)) +
         ", bias=" + repr(bias.defined());
}

}  // namespace gradus::nn
