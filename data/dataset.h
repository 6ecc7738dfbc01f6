// Sets of labelled images.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace gradus::data {

struct Sample {
  Tensor image;  // (channels, height, width), uint8
  int64_t label;
};

// Images of one shape with their classes. `get` may be called from several threads at once.
class ImageDataset {
 public:
  virtual ~ImageDataset() = default;
  virtual int64_t size() const = 0;
  virtual Sample get(int64_t index) const = 0;  // 0 <= index < size()
  virtual Shape image_shape() const = 0;        // (channels, height, width)
  virtual const std::vector<std::string>& classes() const = 0;
};

using ImageSet = std::shared_ptr<const ImageDataset>;

// All in memory: images (n, channels, height, width) uint8, labels (n) int64 below the number of classes.
// Throws Error where these disagree.
ImageSet tensor_images(const Tensor& images, const Tensor& labels, std::vector<std::string> classes);

// Every sample of `set` whose index is listed, in that order.
ImageSet subset(ImageSet set, std::vector<int64_t> indices);

// Mean and standard deviation of each channel, pixels counted from 0 to 1. Of a set larger than `at_most`,
// every k-th image is looked at, the first of them image 0.
struct ChannelStatistics {
  std::vector<double> mean, std;
};
ChannelStatistics channel_statistics(const ImageDataset& set, int64_t at_most = 60000);

// The folder with real data sets: the environment's GRADUS_DATA, else ../shared/data; throws Error saying
// where it looked if there is none. With a name, the path of that file or folder inside it.
std::string find_data(const std::string& name = "");

}  // namespace gradus::data
