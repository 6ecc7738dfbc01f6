// More of what can happen to an image on its way into a batch. As in data/transforms.h, each works in place on
// (channels, height, width), float32, of 1 or 3 channels. All but random_erasing expect pixels from 0 to 1, and so
// come before normalize. Parameters and defaults are torchvision's.
#pragma once

#include "data/transforms.h"

namespace image_classifier {

struct Range {
  double low, high;
};

// The part of the image with its upper left corner there, enlarged to all of it, bilinear.
struct Box {
  int64_t top, left, height, width;
};
void resized_crop(gradus::Tensor& image, const Box& box);

// Szegedy et al. 2015, "Going deeper with convolutions", section 6: resized_crop of a random box. Its share of the area
// is from `scale`, its width over its height from `ratio`, both drawn until they fit, ten times at most; then it is the
// largest box in the middle.
gradus::data::Transform random_resized_crop(Range scale = {0.08, 1}, Range ratio = {3.0 / 4, 4.0 / 3});

// Brightness, contrast and saturation times a factor from [1 - x, 1 + x], hues turned by up to `hue` of the circle to
// either side, in random order.
struct ColorJitterOptions {
  double brightness = 0, contrast = 0, saturation = 0;  // at most 1
  double hue = 0;                                       // at most 0.5
};
gradus::data::Transform color_jitter(const ColorJitterOptions& options);

// Zhong et al. 2020, "Random erasing data augmentation", algorithm 1: with this probability a box is filled with zeros,
// which behind normalize are the mean colour. The box's share of the area is from `scale`, its height over its width
// from `ratio`.
gradus::data::Transform random_erasing(double probability = 0.5, Range scale = {0.02, 0.33},
                                       Range ratio = {0.3, 3.3});

// Cubuk et al. 2020, "RandAugment", section 3: `operations` drawn from fourteen, one after the other, all of one
// strength, 0 to 30. Shears, shifts and turns are bilinear with zeros outside.
gradus::data::Transform rand_augment(int operations = 2, int magnitude = 9);

// The fourteen, each by name, with torchvision's meaning of `level` = magnitude / 30, from -1 to 1 where an operation
// has two directions, else from 0 to 1.
struct Operation {
  const char* name;
  bool two_directions;
  void (*apply)(gradus::Tensor& image, double level);
};
extern const std::vector<Operation> rand_augment_operations;

}  // namespace image_classifier
