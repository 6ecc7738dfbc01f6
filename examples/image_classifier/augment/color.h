// Colours of one image changed in place: (channels, height, width), float32, pixels from 0 to 1, of 1 or 3 channels.
// Definitions are those of torchvision.transforms.v2.functional for float images.
#pragma once

#include "tensor/tensor.h"

namespace image_classifier {

// A factor of 1 changes nothing. Results are cut off at 0 and 1.
void adjust_brightness(gradus::Tensor& image, double factor);  // 0: black
void adjust_contrast(gradus::Tensor& image, double factor);    // 0: one grey, the mean of all
void adjust_saturation(gradus::Tensor& image, double factor);  // 0: no colours; 1 channel stays as it is
void adjust_sharpness(gradus::Tensor& image, double factor);   // 0: smooth, but for pixels at the border

// Turns the hues around the colour circle, 1 being a whole turn: by 1/3 red becomes green. 1 channel stays as it is.
void adjust_hue(gradus::Tensor& image, double turn);

// 2^bits shades in each channel.
void posterize(gradus::Tensor& image, int bits);
// The negative of what is not below the threshold.
void solarize(gradus::Tensor& image, double threshold);
// Each channel stretched so that it reaches from 0 to 1.
void autocontrast(gradus::Tensor& image);
// Each channel's shades spread so that all of 256 are about equally frequent.
void equalize(gradus::Tensor& image);

}  // namespace image_classifier
