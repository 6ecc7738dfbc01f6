#include "nn/container.h"

namespace gradus::nn {

Module& Sequential::operator[](int64_t i) const {
  check(i >= 0 && i < size(), "Sequential: no module ", i, " among ", size());
  return *steps_[size_t(i)].module;
}

Tensor Sequential::operator()(const Tensor& x) const {
  Call call(*this);
  Tensor y = x;
  for (const Step& step : steps_) y = step.run(*step.module, std::move(y));
  return call(y);
}

void Sequential::visit(Visitor& v) {
  for (size_t i = 0; i < steps_.size(); ++i) v(std::to_string(i), *steps_[i].module);
}

std::string Flatten::describe() const {
  return "start_dim=" + std::to_string(start_dim) + ", end_dim=" + std::to_string(end_dim);
}

}  // namespace gradus::nn
