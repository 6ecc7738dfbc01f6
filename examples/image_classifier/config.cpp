#include "config.h"

#include <charconv>

#include "nn/activation.h"
#include "nn/conv.h"
#include "nn/dropout.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "nn/pool.h"
#include "tensor/io/file.h"

namespace image_classifier {

using namespace gradus;

nn::Sequential make_model(const std::string& name, const Shape& image, int64_t classes) {
  const int64_t inputs = numel(image);
  nn::Sequential model;
  if (name == "linear") {
    model.append(nn::Flatten());
    model.append(nn::Linear(inputs, classes));
  } else if (name == "mlp") {
    model.append(nn::Flatten());
    model.append(nn::Linear(inputs, 256));
    model.append(nn::ReLU());
    model.append(nn::Linear(256, 128));
    model.append(nn::ReLU());
    model.append(nn::Linear(128, classes));
  } else {
    check(name == "cnn", "no model '", printable(name), "'");
    int64_t channels = image[0];
    for (const int64_t wider : {32, 64, 128}) {
      // Without a bias: the shift of the normalisation takes its place.
      model.append(nn::Conv2d(channels, wider, 3, {.padding = 1, .bias = false}));
      model.append(nn::BatchNorm2d(wider));
      model.append(nn::ReLU());
      model.append(nn::MaxPool2d(2));
      channels = wider;
    }
    if (image[1] / 8 != 3 || image[2] / 8 != 3) model.append(nn::AdaptiveAvgPool2d(3));
    model.append(nn::Flatten());
    model.append(nn::Linear(channels * 3 * 3, 256));
    model.append(nn::ReLU());
    model.append(nn::Dropout(0.3));
    model.append(nn::Linear(256, classes));
  }
  return model;
}

namespace {

std::string join(const std::vector<std::string>& parts, char separator) {
  std::string all;
  for (const std::string& part : parts) all += (all.empty() ? "" : std::string(1, separator)) + part;
  return all;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(separator, at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

// The shortest text that reads back as the same number.
std::string text(double number) {
  char buffer[32];
  return std::string(buffer, std::to_chars(buffer, buffer + sizeof(buffer), number).ptr);
}
std::string texts(const std::vector<double>& numbers) {
  std::vector<std::string> parts;
  for (double x : numbers) parts.push_back(text(x));
  return join(parts, ',');
}

// Reads the entries of a checkpoint's metadata.
struct Reader {
  const train::Metadata& metadata;
  const std::string& path;

  const std::string& get(const std::string& key) const {
    const auto entry = metadata.find(key);
    check(entry != metadata.end(), printable(path), ": no checkpoint of image_classifier: its metadata lacks '", key,
          "'");
    return entry->second;
  }
  template <class Number>
  Number parse(const std::string& key, const std::string& value, Number low, Number high) const {
    Number number = 0;
    const char* end = value.data() + value.size();
    const auto result = std::from_chars(value.data(), end, number);
    check(result.ec == std::errc() && result.ptr == end && number >= low && number <= high, printable(path),
          ": metadata '", key, "' is '", printable(value), "', expected a number from ", low, " to ", high);
    return number;
  }
  template <class Number>
  Number number(const std::string& key, Number low, Number high) const {
    return parse<Number>(key, get(key), low, high);
  }
  std::vector<double> numbers(const std::string& key, double low, double high) const {
    std::vector<double> all;
    for (const std::string& part : split(get(key), ',')) all.push_back(parse<double>(key, part, low, high));
    return all;
  }
  std::string one_of(const std::string& key, const std::vector<std::string>& known) const {
    const std::string& value = get(key);
    for (const std::string& k : known) {
      if (k == value) return value;
    }
    fail({printable(path), ": metadata '", key, "' is '", printable(value), "', expected one of ", join(known, ',')});
  }
};

}  // namespace

train::Metadata to_metadata(const Options& options, const Recipe& recipe) {
  std::vector<std::string> classes;
  for (const std::string& name : recipe.classes) classes.push_back(printable(name));
  std::vector<std::string> sizes;
  for (int64_t n : recipe.image) sizes.push_back(std::to_string(n));
  return {{"model", recipe.model},
          {"image", join(sizes, ',')},
          {"classes", join(classes, '\n')},
          {"mean", texts(recipe.mean)},
          {"std", texts(recipe.std)},
          {"data", options.data},
          {"samples", std::to_string(options.samples)},
          {"size", std::to_string(options.size)},
          {"grey", options.grey ? "1" : "0"},
          {"epochs", std::to_string(options.epochs)},
          {"batch", std::to_string(options.batch)},
          {"optimizer", options.optimizer},
          {"schedule", options.schedule},
          {"lr", text(options.lr)},
          {"augment", join(options.augment, ',')},
          {"seed", std::to_string(options.seed)}};
}

Options options_from(const train::Metadata& metadata, const std::string& path) {
  const Reader read = {metadata, path};
  constexpr int64_t many = int64_t(1) << 40;
  Options options;
  options.data = read.get("data");
  options.samples = read.number<int64_t>("samples", 0, many);
  options.size = read.number<int64_t>("size", 1, 4096);
  options.grey = read.number<int64_t>("grey", 0, 1);
  options.model = read.one_of("model", model_names);
  options.epochs = read.number<int64_t>("epochs", 0, many);
  options.batch = read.number<int64_t>("batch", 1, many);
  options.optimizer = read.one_of("optimizer", optimizer_names);
  options.schedule = read.one_of("schedule", schedule_names);
  options.lr = read.number<double>("lr", 0, 1e6);
  options.augment = split(read.get("augment"), ',');
  options.seed = read.number<uint64_t>("seed", 0, UINT64_MAX);
  return options;
}

Recipe recipe_from(const train::Metadata& metadata, const std::string& path) {
  const Reader read = {metadata, path};
  Recipe recipe;
  recipe.model = read.one_of("model", model_names);
  for (const std::string& n : split(read.get("image"), ',')) {
    recipe.image.push_back(read.parse<int64_t>("image", n, 1, 4096));
  }
  recipe.classes = split(read.get("classes"), '\n');
  recipe.mean = read.numbers("mean", 0, 1);
  recipe.std = read.numbers("std", 1e-9, 1);
  check(recipe.image.size() == 3 && recipe.classes.size() <= 10000 && !recipe.classes.empty() &&
            int64_t(recipe.mean.size()) == recipe.image[0] && recipe.mean.size() == recipe.std.size(),
        printable(path), ": metadata 'image', 'classes', 'mean' and 'std' do not fit together");
  return recipe;
}

}  // namespace image_classifier
