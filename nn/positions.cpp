#include "nn/positions.h"

#include <algorithm>
#include <cmath>

#include "nn/init.h"

namespace gradus::nn {

Tensor sinusoidal_positions(int64_t places, int64_t features, int64_t first, Device device) {
  check(features > 0 && features % 2 == 0, "sinusoidal_positions: ", features, " features, expected an even number");
  const TensorOptions numbers = {.dtype = float64, .device = device};
  const Tensor place = arange(double(first), double(first + places), 1, numbers).unsqueeze(1);
  const Tensor rate = exp(arange(0, double(features), 2, numbers) * (-std::log(10000.0) / double(features)));
  const Tensor angle = place * rate;
  return stack({sin(angle), cos(angle)}, -1).reshape({places, features}).to(float32);
}

Tensor sinusoidal_positions_2d(int64_t rows, int64_t columns, int64_t features, Device device) {
  check(features > 0 && features % 4 == 0, "sinusoidal_positions_2d: ", features,
        " features, expected a multiple of 4");
  const Shape grid = {rows, columns, features / 2};
  const Tensor row = sinusoidal_positions(rows, features / 2, 0, device).unsqueeze(1);
  const Tensor column = sinusoidal_positions(columns, features / 2, 0, device);
  return cat({row.expand(grid), column.expand(grid)}, -1).flatten(0, 1);
}

Positions::Positions(PositionKind positions, int64_t max_length, int64_t features) : kind(positions) {
  if (kind != PositionKind::learned) return;
  check(max_length > 0 && features > 0, "Positions: ", max_length, " places of ", features, " features");
  weight = normal_(empty({max_length, features}, {.requires_grad = true}), 0, 0.02);
}

Tensor Positions::operator()(const Tensor& x, int64_t first) const {
  Call call(*this);
  const int64_t n = x.size(1);
  if (kind == PositionKind::none) return call(x);
  if (kind == PositionKind::sinusoidal)
    return call(x + sinusoidal_positions(n, x.size(2), first, x.device()).to(x.dtype()));
  check(first + n <= weight.size(0), "Positions: places up to ", first + n, ", made for ", weight.size(0));
  return call(x + weight.narrow(0, first, n));
}

std::string Positions::describe() const {
  const char* names[] = {"sinusoidal", "learned", "none"};
  return names[int(kind)];
}

RelativeBias::RelativeBias(int64_t heads, const RelativeBiasOptions& o) : options(o) {
  check(heads > 0 && o.buckets >= 4 && o.buckets % 2 == 0 && o.max_distance > o.buckets, "RelativeBias: ", heads,
        " heads, ", o.buckets, " buckets up to distance ", o.max_distance);
  weight = normal_(empty({o.buckets, heads}, {.requires_grad = true}), 0, 0.02);
}

Tensor RelativeBias::operator()(int64_t queries, int64_t keys) const {
  Call call(*this);
  const int64_t side = options.bidirectional ? options.buckets / 2 : options.buckets, exact = side / 2;
  std::vector<int64_t> bucket;
  for (int64_t i = 0; i < queries; ++i)
    for (int64_t j = 0; j < keys; ++j) {
      const int64_t ahead = j - (i + keys - queries);  // of the query, where positive
      const int64_t far = options.bidirectional ? std::abs(ahead) : std::max<int64_t>(0, -ahead);
      int64_t b = far;
      if (far >= exact) {
        const double share =
            std::log(double(far) / double(exact)) / std::log(double(options.max_distance) / double(exact));
        b = std::min(side - 1, exact + int64_t(share * double(side - exact)));
      }
      bucket.push_back(b + (options.bidirectional && ahead > 0 ? side : 0));
    }
  const Tensor buckets = from_vector(bucket, {queries, keys}).to(weight.device());
  return call(embedding(buckets, weight).permute({2, 0, 1}));
}

}  // namespace gradus::nn
