// The weights of the figure: what an article gives each key, and what is right.
#include <cmath>

#include "nn/init.h"
#include "tutorials/ch09_articles/print.h"

using namespace gradus;
using namespace ch09;

namespace {

void bars(const std::string& panel, const Tensor& theirs, const Tensor& right) {
  for (int64_t i = 0; i < right.size(0); ++i)
    std::printf("%s,%lld,%.4f,%.4f\n", panel.c_str(), static_cast<long long>(i + 1),
                i < theirs.numel() ? theirs.flatten()[i].item() : NAN, right[i].item());
}

}  // namespace

int main() {
  std::printf("panel,key,article,right\n");
  const Tensor scores = tensor({1, 2, 3});
  const Tensor weights = softmax(scores, 0);
  bars("a0", tensor(0.732), softmax(tensor({1, 0, 0, 0, 0}), 0));

  const Tensor all = matmul(tensor({{1, 2}, {3, 4}, {5, 6}}), tensor({{1, 0}, {0, 1}, {1, 1}}).t());
  bars("a1 diagonal", softmax(all.diagonal() / std::sqrt(2.0), 0), softmax(all[0] / std::sqrt(2.0), 0));
  bars("a1 mask", weights, masked_softmax(scores, KeepMask(scores < 3.0)));

  // Of 64 keys the heaviest first, on average over many queries.
  manual_seed(1);
  const Tensor many = matmul(randn({2048, 512}), randn({512, 64}));
  const auto sorted = [&](double divisor) {
    return softmax(many / divisor, -1).sort(-1, true).first.mean({0}).narrow(0, 0, 16);
  };
  bars("a1 scale", sorted(1), sorted(std::sqrt(512.0)));
  bars("a2", softmax(weights, 0), weights);
  bars("a4", scores / scores.sum(), weights);
}
