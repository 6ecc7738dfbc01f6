// Softmax, cross-entropy and a linear classifier out of loops over std::vector: all that chapter 03 is about, without
// the library.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace ch03 {

using Row = std::vector<double>;

//! [naive]
// exp(z_k) / sum over j of exp(z_j). Right on paper.
inline Row naive_softmax(const Row& z) {
  double total = 0;
  for (const double score : z) total += std::exp(score);
  Row p;
  for (const double score : z) p.push_back(std::exp(score) / total);
  return p;
}
//! [naive]

//! [stable]
// log(sum over j of exp(z_j)). With the largest taken out no exponent is above zero, so nothing overflows, and one of
// the terms is 1, so the sum cannot vanish.
inline double log_sum_exp(const Row& z) {
  const double largest = *std::max_element(z.begin(), z.end());
  double total = 0;
  for (const double score : z) total += std::exp(score - largest);
  return largest + std::log(total);
}

inline Row softmax(const Row& z) {
  const double largest = *std::max_element(z.begin(), z.end());
  double total = 0;
  Row p;
  for (const double score : z) {
    p.push_back(std::exp(score - largest));
    total += p.back();
  }
  for (double& share : p) share /= total;
  return p;
}
//! [stable]

//! [loss]
// -log p[target], without writing p down.
inline double cross_entropy(const Row& z, size_t target) { return log_sum_exp(z) - z[target]; }

// Its gradient with respect to z: p, less one at the target.
inline Row cross_entropy_gradient(const Row& z, size_t target) {
  Row gradient = softmax(z);
  gradient[target] -= 1;
  return gradient;
}
//! [loss]

//! [classifier]
struct LinearClassifier {
  std::vector<Row> weight;  // (classes, features)
  Row bias;                 // (classes)

  Row scores(const Row& x) const {
    Row z = bias;
    for (size_t k = 0; k < z.size(); ++k)
      for (size_t d = 0; d < x.size(); ++d) z[k] += weight[k][d] * x[d];
    return z;
  }
};

// One step down the gradient of the mean loss of all points; gives the loss before it.
inline double descend(LinearClassifier& c, const std::vector<Row>& points, const std::vector<size_t>& targets,
                      double rate) {
  LinearClassifier next = c;
  const double share = rate / double(points.size());
  double loss = 0;
  for (size_t n = 0; n < points.size(); ++n) {
    const Row z = c.scores(points[n]), dz = cross_entropy_gradient(z, targets[n]);
    loss += cross_entropy(z, targets[n]);
    for (size_t k = 0; k < dz.size(); ++k) {
      next.bias[k] -= share * dz[k];
      for (size_t d = 0; d < points[n].size(); ++d) next.weight[k][d] -= share * dz[k] * points[n][d];
    }
  }
  c = next;
  return loss / double(points.size());
}
//! [classifier]

}  // namespace ch03
