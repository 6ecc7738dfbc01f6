#include "data/idx.h"

#include "data/unpacked.h"
#include "tensor/io/file.h"

namespace gradus::data {

namespace {

constexpr int64_t max_file = int64_t(1) << 32;

ImageSet read_pair(const std::string& dir, Split split, std::vector<std::string> classes) {
  const std::string stem = dir + (split == Split::train ? "/train" : "/t10k");
  auto read = [](const std::string& path) { return read_idx(file_exists(path) ? path : path + ".gz"); };
  const std::string images_path = stem + "-images-idx3-ubyte", labels_path = stem + "-labels-idx1-ubyte";
  check(file_exists(images_path) || file_exists(images_path + ".gz"), printable(images_path), "[.gz]: no such file");
  check(file_exists(labels_path) || file_exists(labels_path + ".gz"), printable(labels_path), "[.gz]: no such file");
  const Tensor images = read(images_path), labels = read(labels_path);
  check(images.dim() == 3, printable(images_path), ": has dimensions ", images.shape(),
        ", expected [n, height, width]");
  check(labels.dim() == 1, printable(labels_path), ": has dimensions ", labels.shape(), ", expected [n]");
  check(images.size(0) == labels.size(0), printable(dir), ": ", images.size(0), " images but ", labels.size(0),
        " labels");
  check(images.numel() > 0, printable(images_path), ": no images");
  const uint8_t* label = labels.data<uint8_t>();
  for (int64_t i = 0; i < labels.size(0); ++i) {
    check(label[i] < classes.size(), printable(labels_path), ": label ", i, " is ", int(label[i]), ", expected 0 to ",
          int64_t(classes.size()) - 1);
  }
  return tensor_images(images.unsqueeze(1), labels.to(int64), std::move(classes));
}

}  // namespace

Tensor read_idx(const std::string& path) {
  const std::string name = printable(path);
  const std::string bytes = read_file(path, max_file - 1);
  check(!bytes.empty(), name, ": the file is empty");
  Unpacked file(name, bytes);

  uint8_t magic[4];
  check(file.read(magic, 4) == 4, name, ": too short for an IDX header");
  check(magic[0] == 0 && magic[1] == 0, name, ": not an IDX file (it begins with bytes ", int(magic[0]), " ",
        int(magic[1]), ", expected 0 0)");
  check(magic[2] == 0x08, name, ": IDX element type ", int(magic[2]), ", expected 8 (unsigned byte)");
  const int ndim = magic[3];
  check(ndim >= 1 && ndim <= max_dims, name, ": IDX file of ", ndim, " dimensions, expected 1 to ", max_dims);

  Shape shape;
  int64_t count = 1;
  for (int i = 0; i < ndim; ++i) {
    uint8_t b[4];
    check(file.read(b, 4) == 4, name, ": the file ends within the IDX header");
    shape.push_back(int64_t(b[0]) << 24 | int64_t(b[1]) << 16 | int64_t(b[2]) << 8 | int64_t(b[3]));
    check(shape[i] == 0 || count <= max_file / shape[i], name, ": header claims ", shape, " bytes, more than ",
          max_file, " are not read");
    count *= shape[i];
  }

  // Room grows with what is really there, so that a header alone cannot make us ask for gigabytes.
  std::vector<uint8_t> data;
  while (int64_t(data.size()) < count) {
    const int64_t before = int64_t(data.size());
    const int64_t wanted = std::min(count - before, std::max<int64_t>(before, 1 << 20));
    data.resize(size_t(before + wanted));
    const int64_t got = file.read(data.data() + before, wanted);
    check(got == wanted, name, ": header claims ", shape, ", ", count, " bytes, but the file has ", before + got);
  }
  uint8_t extra;
  check(file.read(&extra, 1) == 0, name, ": header claims ", shape, ", ", count, " bytes, but the file has more");
  return from_memory(data.data(), shape, uint8);
}

ImageSet mnist(const std::string& dir, Split split) {
  return read_pair(dir, split, {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"});
}

ImageSet fashion_mnist(const std::string& dir, Split split) {
  return read_pair(
      dir, split,
      {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"});
}

}  // namespace gradus::data
