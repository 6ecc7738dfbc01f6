// The exercises of chapter 11: heads, masks and positions.
#include "exercises.h"

#include <cmath>
#include <vector>

#include "autograd/ops.h"
#include "tutorials/grading/grading.h"

using namespace gradus;

namespace {

// 11.1 ★ Cut the last dimension into the three kinds, the heads, and the features of a head; then bring the dimensions
// into the order that is asked for: (batch, places, 3 heads d) becomes (3, batch, heads, places, d). Two views do it.
Tensor split_heads(const Tensor& packed, int64_t heads) {
  // BEGIN SOLUTION 11.1
  const int64_t d = packed.size(-1) / (3 * heads);
  return packed.unflatten(-1, {3, heads, d}).permute({2, 0, 3, 1, 4});
  // END SOLUTION
  // MISTAKE the numbers are in their old order: a reshape does not move a dimension
  // - return packed.unflatten(-1, {3, heads, d}).permute({2, 0, 3, 1, 4});
  // + return packed.reshape({3, packed.size(0), heads, packed.size(1), d});
  // MISTAKE the features are dealt out to the heads in turn, not in blocks
  // - return packed.unflatten(-1, {3, heads, d}).permute({2, 0, 3, 1, 4});
  // + return packed.unflatten(-1, {3, d, heads}).permute({2, 0, 4, 1, 3});
}

// 11.2 ★ Compare the place of each query with that of each key: (queries, 1) against (keys). Of ten keys and three
// queries, the queries stand at places 7, 8 and 9.
Tensor causal_keep(int64_t queries, int64_t keys) {
  // BEGIN SOLUTION 11.2
  const Tensor key = arange(keys);
  const Tensor query = arange(queries).unsqueeze(1) + double(keys - queries);
  return key <= query;
  // END SOLUTION
  // MISTAKE a place does not see itself
  // - return key <= query;
  // + return key < query;
  // MISTAKE the queries stand at the first places, not at the last
  // - const Tensor query = arange(queries).unsqueeze(1) + double(keys - queries);
  // + const Tensor query = arange(queries).unsqueeze(1);
}

// 11.3 ★★ Make the angles first, (places, features / 2); then put each sine beside its cosine.
Tensor sinusoidal(int64_t places, int64_t features) {
  // BEGIN SOLUTION 11.3
  const TensorOptions whole{.dtype = float64};
  const Tensor place = arange(0, double(places), 1, whole).unsqueeze(1);
  const Tensor exponent = arange(0, double(features), 2, whole) / double(features);
  const Tensor angle = place * exp(exponent * -std::log(10000.0));
  return stack({sin(angle), cos(angle)}, -1).flatten(1, 2);
  // END SOLUTION
  // MISTAKE all sines come before the first cosine
  // - return stack({sin(angle), cos(angle)}, -1).flatten(1, 2);
  // + return cat({sin(angle), cos(angle)}, -1);
  // MISTAKE the exponent is i / features instead of 2i / features
  // - const Tensor exponent = arange(0, double(features), 2, whole) / double(features);
  // + const Tensor exponent = arange(0, double(features / 2), 1, whole) / double(features);
}

// 11.4 ★★ Project x to queries, keys and values in one product, split each into heads, attend, join the heads, project.
// masked_softmax(scores, keep) is there to be used.
Tensor multi_head(const Tensor& x, const Tensor& in_proj, const Tensor& out_proj, const KeepMask& keep,
                  int64_t heads) {
  // BEGIN SOLUTION 11.4
  const int64_t features = x.size(-1), d = features / heads;
  std::vector<Tensor> parts = linear(x, in_proj).chunk(3, -1);                       // (batch, places, features)
  for (Tensor& part : parts) part = part.unflatten(-1, {heads, d}).transpose(1, 2);  // (batch, heads, places, d)
  const Tensor scores = matmul(parts[0], parts[1].transpose(-2, -1)) / std::sqrt(double(d));
  const Tensor output = matmul(masked_softmax(scores, keep), parts[2]);
  return linear(output.transpose(1, 2).flatten(2, 3), out_proj);
  // END SOLUTION
  // MISTAKE the scores are divided by the root of all features, not of one head's
  // - const Tensor scores = matmul(parts[0], parts[1].transpose(-2, -1)) / std::sqrt(double(d));
  // + const Tensor scores = matmul(parts[0], parts[1].transpose(-2, -1)) / std::sqrt(double(features));
  // MISTAKE the heads are joined while they stand in front of the places
  // - return linear(output.transpose(1, 2).flatten(2, 3), out_proj);
  // + return linear(output.reshape(x.shape()), out_proj);
}

// 11.5 ★★★ Make the angles, (places, d / 2), and turn the halves a and b of x by them: a cos - b sin, a sin + b cos.
Tensor rotate(const Tensor& x, int64_t first) {
  // BEGIN SOLUTION 11.5
  const TensorOptions whole{.dtype = float64};
  const int64_t half = x.size(-1) / 2;
  const Tensor place = arange(0, double(x.size(-2)), 1, whole).unsqueeze(1) + double(first);
  const Tensor angle = place * exp(arange(0, double(half), 1, whole) * (-std::log(10000.0) / double(half)));
  const Tensor a = x.narrow(-1, 0, half), b = x.narrow(-1, half, half);
  return cat({a * cos(angle) - b * sin(angle), a * sin(angle) + b * cos(angle)}, -1);
  // END SOLUTION
  // MISTAKE a sine lacks its minus, so that lengths change
  // - return cat({a * cos(angle) - b * sin(angle), a * sin(angle) + b * cos(angle)}, -1);
  // + return cat({a * cos(angle) + b * sin(angle), a * sin(angle) + b * cos(angle)}, -1);
  // MISTAKE the first place is taken to be 0
  // - const Tensor place = arange(0, double(x.size(-2)), 1, whole).unsqueeze(1) + double(first);
  // + const Tensor place = arange(0, double(x.size(-2)), 1, whole).unsqueeze(1);
}

}  // namespace

EXERCISES(ch11::Exercises, split_heads, causal_keep, sinusoidal, multi_head, rotate);
