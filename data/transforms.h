// What happens to an image on its way into a batch. Each works in place on (channels, height, width), float32. The
// loader gives pixels from 0 to 1; normalize comes last, or else zeros are the mean colour for what comes after it.
#pragma once

#include <array>
#include <vector>

#include "data/loader.h"

namespace gradus::data {

// (x - mean) / std, one of each per channel (or one for all).
Transform normalize(std::vector<double> mean, std::vector<double> std);

// Pads all around with zeros and cuts the old size out of it at a random place: shifts by up to `padding` pixels.
Transform random_crop(int64_t padding);

Transform random_horizontal_flip(double probability = 0.5);

// Turns about the centre by an angle from [-degrees, degrees], bilinear, zero outside.
Transform random_rotation(double degrees);

// Pixel (y, x) becomes what was at (m[0] y + m[1] x + m[2], m[3] y + m[4] x + m[5]), in pixels from the middle of the
// image; bilinear, zero outside.
void affine(Tensor& image, const std::array<float, 6>& m);

// A square of zeros centred at a random pixel, cut off at the border: DeVries and Taylor 2017, section 3.
Transform cutout(int64_t size);

// Zhang, Cisse, Dauphin and Lopez-Paz 2018, section 2: each image blended with another of the batch, all by
// one weight drawn from Beta(alpha, alpha). The loss is weight * loss(labels) + (1 - weight) * loss(other_labels).
struct Mixup {
  Tensor images;        // (batch, channels, height, width)
  Tensor other_labels;  // (batch)
  double weight;
};
Mixup mixup(const ImageBatch& batch, double alpha, Generator& random);

// Yun et al. 2019 ("CutMix"), section 3.1: a box of each image, the same for all, is that of another of the batch. Its
// share of the area is drawn from Beta(alpha, alpha), before the border cuts some off; `weight` is what is left.
Mixup cutmix(const ImageBatch& batch, double alpha, Generator& random);

}  // namespace gradus::data
