// What a run is: the options of the command line, and what a checkpoint keeps of them.
#pragma once

#include <string>
#include <vector>

#include "data/loader.h"
#include "nn/container.h"
#include "train/checkpoint.h"

namespace image_classifier {

inline const std::vector<std::string> model_names = {"linear", "mlp", "cnn"};
inline const std::vector<std::string> optimizer_names = {"adamw", "adam", "sgd", "rmsprop"};
inline const std::vector<std::string> schedule_names = {"onecycle", "cosine", "step", "constant"};
inline const std::vector<std::string> augment_names = {"crop", "flip", "rotate", "cutout", "mixup"};

struct Options {
  std::string data = "digits";  // what data_sets.h reads
  int64_t samples = 0;          // training images to use; 0: all (10,000 of the drawn digits)
  int64_t size = 64;            // of the images of a folder, in pixels
  bool grey = false;            // whether these lose their colours
  std::string model = "cnn";
  int64_t epochs = 5, batch = 64;
  std::string optimizer = "adamw", schedule = "onecycle";
  double lr = 0;  // 0: the optimiser's usual one
  std::vector<std::string> augment = {};
  uint64_t seed = 1;

  // The rest changes no result.
  int64_t workers = 1, save_every = 200;
  std::string out = "out", resume = "", log = "csv";
};

// What turns an image into the answer of a trained model; all that is needed besides the weights.
struct Recipe {
  std::string model;
  gradus::Shape image;  // (channels, height, width)
  std::vector<std::string> classes;
  std::vector<double> mean, std;  // of each channel in the training images
};

gradus::nn::Sequential make_model(const std::string& name, const gradus::Shape& image, int64_t classes);

gradus::train::Metadata to_metadata(const Options& options, const Recipe& recipe);
// Both throw Error naming `path` where the metadata is not that of this program.
Options options_from(const gradus::train::Metadata& metadata, const std::string& path);
Recipe recipe_from(const gradus::train::Metadata& metadata, const std::string& path);

}  // namespace image_classifier
