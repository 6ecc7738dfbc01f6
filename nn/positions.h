// Where a token stands, told to a model that would not know. Rotary positions and ALiBi are functions (autograd/ops.h).
#pragma once

#include "nn/module.h"

namespace gradus::nn {

// (places, features): sin and cos of the place at wavelengths from 2 pi to 20000 pi, sin at the even features and cos
// at the odd: Vaswani et al. 2017, section 3.5. The first place is `first`.
Tensor sinusoidal_positions(int64_t places, int64_t features, int64_t first = 0, Device device = Device::cpu);

// (rows * columns, features), row after row: the first half of the features tells the row, the other the column, each
// as above. Beyer et al. 2022, "Better plain ViT baselines", do so with the column first, all sines before the cosines,
// and a slowest rate of 1 / 10000 itself. Throws Error unless features is a multiple of 4.
Tensor sinusoidal_positions_2d(int64_t rows, int64_t columns, int64_t features, Device device = Device::cpu);

enum class PositionKind { sinusoidal, learned, none };

// Adds to each place of (batch, places, features) a vector of its own.
struct Positions : Module {
  PositionKind kind;
  Tensor weight;  // learned: (max_length, features)
  Positions(PositionKind positions, int64_t max_length, int64_t features);
  // Throws Error for places that learned positions do not have.
  Tensor operator()(const Tensor& x, int64_t first = 0) const;
  void visit(Visitor& v) override {
    if (kind == PositionKind::learned) v("weight", weight);
  }
  const char* type() const override { return "Positions"; }
  std::string describe() const override;
};

// A number for each head and distance, added to scores: Raffel et al. 2020 ("T5"), section 2.1. Small distances have a
// number each, larger ones share by their logarithm up to `max_distance`, beyond which all are one.
struct RelativeBiasOptions {
  int64_t buckets = 32, max_distance = 128;
  bool bidirectional = true;  // half the buckets for keys behind the query; otherwise those all count as distance 0
};
struct RelativeBias : Module {
  Tensor weight;  // (buckets, heads)
  RelativeBiasOptions options;
  explicit RelativeBias(int64_t heads, const RelativeBiasOptions& o = {});
  Tensor operator()(int64_t queries, int64_t keys) const;  // (heads, queries, keys), the queries the last of the keys
  void visit(Visitor& v) override { v("weight", weight); }
  const char* type() const override { return "RelativeBias"; }
};

}  // namespace gradus::nn
