// Image files and pixels. An image is a uint8 tensor (channels, height, width): 1 channel is grey, 3 are RGB.
#pragma once

#include <string>

#include "tensor/tensor.h"

namespace gradus::data {

// Of an image file; larger ones are refused unread. Reading one takes less than 1 GiB of memory, whatever it says.
inline constexpr int64_t max_pixels = int64_t(1) << 25;

// Reads a PNG, JPEG, BMP, PGM or PPM file, told apart by content. Grey stays grey, transparent pixels are
// laid on white. Throws Error naming the file and what is wrong with it.
Tensor read_image(const std::string& path);
Tensor decode_image(const std::string& bytes, const std::string& name = "image");
// (channels, height, width) as the header of such a file promises; throws Error as decode_image does.
Shape image_shape_of(const std::string& bytes, const std::string& name = "image");

// The bytes of a PNG file; of a uint8 image of 1 or 3 channels, (height, width) being grey too.
std::string encode_png(const Tensor& image);
void write_png(const std::string& path, const Tensor& image);

// 1: luma as ITU-R BT.601 weighs it; 3: grey repeated.
Tensor to_channels(const Tensor& image, int64_t channels);

// Bilinear; when shrinking, the triangle widens to cover all pixels that fall into one (as with antialiasing
// in PIL and torchvision).
Tensor resize(const Tensor& image, int64_t height, int64_t width);

// The largest part in the middle that has the proportions of height x width, resized to that: what of a mixed lot of
// photographs a network sees, without squeezing any.
Tensor fit(const Tensor& image, int64_t height, int64_t width);

// Rows of `columns` images of (n, channels, height, width) in one, `gap` grey pixels apart.
Tensor contact_sheet(const Tensor& images, int64_t columns, int64_t gap = 1);

}  // namespace gradus::data
