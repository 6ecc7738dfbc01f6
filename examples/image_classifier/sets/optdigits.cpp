#include "optdigits.h"

#include <charconv>

#include "examples/metadata.h"
#include "tensor/io/file.h"

namespace image_classifier {

using namespace gradus;

data::ImageSet optdigits(const std::string& dir, data::Split split) {
  const std::string path = dir + (split == data::Split::train ? "/optdigits.tra" : "/optdigits.tes");
  std::vector<uint8_t> pixels;
  std::vector<int64_t> labels;
  for (const std::string& line : examples::split(read_file(path, int64_t(1) << 26), '\n')) {
    std::vector<int> numbers;
    const char *at = line.data(), *end = at + line.size();
    while (at < end) {
      int number = -1;
      const auto result = std::from_chars(at, end, number);
      if (number < 0 || number > 16) break;
      numbers.push_back(number);
      at = result.ptr + (result.ptr < end && (*result.ptr == ',' || *result.ptr == '\r'));
    }
    check(at == end && numbers.size() == 65 && numbers[64] < 10, printable(path), ": line ", labels.size() + 1,
          " is not 64 shades from 0 to 16 and a digit, with commas between them");
    for (size_t i = 0; i < 64; ++i) pixels.push_back(uint8_t((numbers[i] * 255 + 8) / 16));
    labels.push_back(numbers[64]);
  }
  check(!labels.empty(), printable(path), ": the file is empty");
  const int64_t n = int64_t(labels.size());
  return data::tensor_images(from_vector(pixels, {n, 1, 8, 8}), from_vector(labels, {n}),
                             {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"});
}

}  // namespace image_classifier
