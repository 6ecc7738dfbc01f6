#include "config.h"

#include "examples/metadata.h"
#include "nn/activation.h"
#include "nn/conv.h"
#include "nn/dropout.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "nn/pool.h"
#include "tensor/io/file.h"

namespace image_classifier {

using namespace gradus;
using namespace examples;

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
  const MetadataReader read = {"image_classifier", metadata, path};
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
  const MetadataReader read = {"image_classifier", metadata, path};
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
