#include "data/dataset.h"

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "tensor/io/file.h"

namespace gradus::data {

namespace {

class TensorImages : public ImageDataset {
 public:
  TensorImages(const Tensor& images, const Tensor& labels, std::vector<std::string> classes)
      : images_(images), labels_(labels), classes_(std::move(classes)) {}
  int64_t size() const override { return images_.size(0); }
  Sample get(int64_t index) const override { return {images_[index], labels_.data<int64_t>()[index]}; }
  Shape image_shape() const override { return {images_.size(1), images_.size(2), images_.size(3)}; }
  const std::vector<std::string>& classes() const override { return classes_; }

 private:
  Tensor images_, labels_;
  std::vector<std::string> classes_;
};

class Subset : public ImageDataset {
 public:
  Subset(ImageSet set, std::vector<int64_t> indices) : set_(std::move(set)), indices_(std::move(indices)) {}
  int64_t size() const override { return int64_t(indices_.size()); }
  Sample get(int64_t index) const override { return set_->get(indices_[index]); }
  Shape image_shape() const override { return set_->image_shape(); }
  const std::vector<std::string>& classes() const override { return set_->classes(); }

 private:
  ImageSet set_;
  std::vector<int64_t> indices_;
};

}  // namespace

ImageSet tensor_images(const Tensor& images, const Tensor& labels, std::vector<std::string> classes) {
  check(images.dtype() == uint8 && images.dim() == 4, "tensor_images: images are ", images.dtype(), " ",
        images.shape(), ", expected uint8 [n, channels, height, width]");
  check(labels.dtype() == int64 && labels.dim() == 1, "tensor_images: labels are ", labels.dtype(), " ",
        labels.shape(), ", expected int64 [n]");
  check(images.size(0) == labels.size(0), "tensor_images: ", images.size(0), " images but ", labels.size(0),
        " labels");
  const Tensor own_labels = labels.contiguous();
  const int64_t* label = own_labels.data<int64_t>();
  for (int64_t i = 0; i < labels.size(0); ++i) {
    check(label[i] >= 0 && label[i] < int64_t(classes.size()), "tensor_images: label ", i, " is ", label[i],
          ", expected 0 to ", int64_t(classes.size()) - 1);
  }
  return std::make_shared<TensorImages>(images.contiguous(), own_labels, std::move(classes));
}

ImageSet subset(ImageSet set, std::vector<int64_t> indices) {
  for (int64_t i : indices) {
    check(i >= 0 && i < set->size(), "subset: index ", i, " of a set of ", set->size(), " images");
  }
  return std::make_shared<Subset>(std::move(set), std::move(indices));
}

ChannelStatistics channel_statistics(const ImageDataset& set, int64_t at_most) {
  const Shape shape = set.image_shape();
  const int64_t area = shape[1] * shape[2];
  const int64_t step = at_most > 0 ? (set.size() + at_most - 1) / at_most : 1;
  // Whole numbers add up exactly, in any order.
  std::vector<int64_t> sum(shape[0]), squares(shape[0]);
  int64_t count = 0;
  for (int64_t i = 0; i < set.size(); i += step, count += area) {
    const Sample sample = set.get(i);
    const uint8_t* pixel = sample.image.data<uint8_t>();
    for (int64_t c = 0; c < shape[0]; ++c) {
      for (int64_t k = 0; k < area; ++k) {
        const int64_t v = *pixel++;
        sum[c] += v;
        squares[c] += v * v;
      }
    }
  }
  check(count > 0, "channel_statistics: the set has no pixels");
  ChannelStatistics result;
  for (int64_t c = 0; c < shape[0]; ++c) {
    const double mean = double(sum[c]) / double(count);
    const double variance = double(squares[c]) / double(count) - mean * mean;
    result.mean.push_back(mean / 255);
    result.std.push_back(std::sqrt(std::max(variance, 0.0)) / 255);
  }
  return result;
}

std::string find_data(const std::string& name) {
  const char* set = std::getenv("GRADUS_DATA");
  const std::string root = set ? set : "../shared/data";
  const std::string path = name.empty() ? root : root + "/" + name;
  std::error_code ignored;
  check(std::filesystem::exists(path, ignored), printable(path), ": no such data set",
        set ? " (looked in GRADUS_DATA)" : " (set GRADUS_DATA to the folder that holds the data sets)");
  return path;
}

}  // namespace gradus::data
