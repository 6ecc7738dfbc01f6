// Attention does not see order; three ways of telling it.
#include <cmath>
#include <cstdio>

#include "nn/attention.h"
#include "nn/init.h"
#include "nn/positions.h"

using namespace gradus;
using nn::PositionKind;

namespace {

// How far attention of the words in another order is from its output for the old order, put in that order.
double order_seen(const nn::MultiheadAttention& attention, const nn::Positions& positions) {
  const Tensor x = randn({1, 6, 16}, {.dtype = float64});  // (batch, words, features)
  const Tensor order = from_vector<int64_t>({3, 0, 5, 1, 4, 2}, {6});
  const Tensor after = attention(positions(x.index_select(1, order))).output;
  const Tensor before = attention(positions(x)).output.index_select(1, order);
  return abs(after - before).max().item();
}

}  // namespace

int main() {
  manual_seed(11);
  const NoGrad guard;
  const TensorOptions whole{.dtype = float64};

  std::printf("another order changes the output by\n");
  for (const char* name : {"none", "sinusoidal", "learned", "rotary"}) {
    const std::string kind = name;
    nn::MultiheadAttention attention(16, 2, {.rotary = kind == "rotary"});
    nn::Positions positions(kind == "sinusoidal" ? PositionKind::sinusoidal
                            : kind == "learned"  ? PositionKind::learned
                                                 : PositionKind::none,
                            6, 16);
    if (kind == "learned") nn::normal_(positions.weight, 0, 1);  // as if trained
    attention.to(float64);
    positions.to(float64);
    const double change = order_seen(attention, positions);
    std::printf("  %-12s %.3f\n", name, change);
    check(kind == "none" ? change < 1e-12 : change > 0.01, name, ": a change of ", change);
  }

  const Tensor table = nn::sinusoidal_positions(200, 64).to(float64);  // (places, features)
  std::printf("\nproduct of the sinusoidal vectors of two places\n  distance");
  for (const int64_t distance : {0, 1, 2, 5, 20}) std::printf("%9d", int(distance));
  for (const int64_t first : {0, 10, 100}) {
    std::printf("\n  from %3d", int(first));
    for (const int64_t distance : {0, 1, 2, 5, 20})
      std::printf("%9.3f", dot(table[first], table[first + distance]).item());
  }

  const Tensor query = randn({1, 64}, whole), key = randn({1, 64}, whole);  // (places, features)
  std::printf("\n\nproduct of one query and one key, rotated to their places\n  distance");
  for (const int64_t distance : {0, 1, 2, 5, 20}) std::printf("%9d", int(distance));
  for (const int64_t first : {0, 10, 100, 10000}) {
    std::printf("\n  %8d", int(first));
    for (const int64_t distance : {0, 1, 2, 5, 20})
      std::printf("%9.3f", (rotary(query, first + distance) * rotary(key, first)).sum().item());
  }
  const double near = (rotary(query, 5) * rotary(key, 0)).sum().item();
  const double far = (rotary(query, 10005) * rotary(key, 10000)).sum().item();
  check(std::abs(near - far) < 1e-8, "the place is seen");
  check(std::abs(rotary(query, 77).norm().item() - query.norm().item()) < 1e-9, "a rotation changed a length");

  std::printf("\n\nlearned positions, beyond the last:\n");
  const nn::Positions learned(PositionKind::learned, 6, 16);
  try {
    learned(randn({1, 7, 16}));
  } catch (const Error& e) {
    std::printf("  error: %s\n", e.what());
  }
}
