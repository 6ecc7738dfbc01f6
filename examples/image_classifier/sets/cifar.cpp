#include "cifar.h"

#include "tensor/io/file.h"

namespace image_classifier {

using namespace gradus;

const std::vector<std::string> cifar10_classes = {"airplane", "automobile", "bird",  "cat",  "deer",
                                                  "dog",      "frog",       "horse", "ship", "truck"};

data::ImageSet cifar10(const std::string& dir, data::Split split) {
  constexpr int64_t in_a_file = 10000, pixels = 3 * 32 * 32, size = in_a_file * (1 + pixels);
  std::vector<std::string> names = {"test_batch.bin"};
  if (split == data::Split::train) {
    names.clear();
    for (int i = 1; i <= 5; ++i) names.push_back("data_batch_" + std::to_string(i) + ".bin");
  }
  const int64_t n = in_a_file * int64_t(names.size());
  const Tensor images = empty({n, 3, 32, 32}, {.dtype = uint8}), labels = empty({n}, {.dtype = int64});
  uint8_t* pixel = images.data<uint8_t>();
  int64_t* label = labels.data<int64_t>();
  for (const std::string& name : names) {
    const std::string path = dir + "/" + name, bytes = read_file(path, size);
    check(int64_t(bytes.size()) == size, printable(path), ": ", int64_t(bytes.size()), " bytes, expected ", size);
    // A byte for the class, then all red pixels row by row, the green ones, the blue ones.
    for (const char* image = bytes.data(); image < bytes.data() + size; image += 1 + pixels, ++label) {
      *label = uint8_t(*image);
      check(*label < 10, printable(path), ": label ", (image - bytes.data()) / (1 + pixels), " is ", *label,
            ", expected 0 to 9");
      pixel = std::copy(image + 1, image + 1 + pixels, pixel);
    }
  }
  return data::tensor_images(images, labels, cifar10_classes);
}

}  // namespace image_classifier
