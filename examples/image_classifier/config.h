// What a run is: the options of the command line, and what a checkpoint keeps of them.
#pragma once

#include <string>
#include <vector>

#include "models/classifier.h"
#include "train/checkpoint.h"

namespace image_classifier {

inline const std::vector<std::string> optimizer_names = {"adamw", "adam", "sgd", "rmsprop"};
inline const std::vector<std::string> schedule_names = {"onecycle", "cosine", "step", "constant"};
inline const std::vector<std::string> augment_names = {"crop", "flip", "rotate", "cutout", "mixup"};

struct Options : ModelOptions {
  std::string data = "digits";  // what data_sets.h reads
  int64_t samples = 0;          // training images to use; 0: all (10,000 of the drawn digits)
  int64_t size = 0;             // of the images of a folder, in pixels; 0: DataOptions says
  bool grey = false;            // whether these lose their colours
  bool skip_bad = false;        // whether damaged ones are left out
  int64_t epochs = 5, batch = 64;
  std::string optimizer = "adamw", schedule = "onecycle";
  double lr = 0;             // 0: the optimiser's usual one
  std::string augment = "";  // names with commas between them
  uint64_t seed = 1;

  // The rest changes no result.
  int64_t workers = 1, save_every = 200;
  std::string out = "out", resume = "", log = "csv";
};

// Calls f(name, member, help) for each option that a result depends on.
template <class F>
void each_option(F f) {
  f("data", &Options::data, "what to learn from");
  f("samples", &Options::samples, "training images to use (0: all; of digits 10000)");
  f("size", &Options::size,
    "height and width of images of a folder (default: their own where all are squares of one size up to 64, else "
    "64)");
  f("grey", &Options::grey, "take the colours from images of a folder");
  f("skip-bad", &Options::skip_bad, "go without images of a folder that are damaged, and name them");
  each_model_option(f);
  f("epochs", &Options::epochs, "times through the training images");
  f("batch", &Options::batch, "images for one update");
  f("optimizer", &Options::optimizer, "how the weights are changed");
  f("lr", &Options::lr,
    "learning rate, the highest of the schedule (default: adamw and adam 0.002, sgd 0.05, rmsprop 0.001)");
  f("schedule", &Options::schedule, "how the learning rate changes");
  f("augment", &Options::augment, "changes to the training images, with commas between them");
  f("seed", &Options::seed, "of everything random");
}

// What turns an image into the answer of a trained model; all that is needed besides the weights.
struct Recipe {
  ModelOptions model;
  gradus::Shape image;  // (channels, height, width)
  std::vector<std::string> classes;
  std::vector<double> mean, std;  // of each channel in the training images
};

gradus::train::Metadata to_metadata(const Options& options, const Recipe& recipe);
// Both throw Error naming `path` where the metadata is not that of this program.
Options options_from(const gradus::train::Metadata& metadata, const std::string& path);
Recipe recipe_from(const gradus::train::Metadata& metadata, const std::string& path);

}  // namespace image_classifier
