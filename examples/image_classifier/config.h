// What a run is: the options of the command line, and what a checkpoint keeps of them.
#pragma once

#include <string>
#include <vector>

#include "examples/adapt.h"
#include "models/classifier.h"
#include "train/checkpoint.h"

namespace image_classifier {

inline const std::vector<std::string> optimizer_names = {"adamw", "adam", "sgd", "rmsprop"};
inline const std::vector<std::string> schedule_names = {"onecycle", "cosine", "step", "constant"};
inline const std::vector<std::string> augment_names = {"resized-crop", "rotate", "crop",  "flip",  "jitter",
                                                       "randaugment",  "cutout", "erase", "mixup", "cutmix"};

struct Options : ModelOptions, examples::Adaptation {
  std::string data = "digits";  // what data_sets.h reads
  int64_t samples = 0;          // training images to use; 0: all (10,000 of the drawn digits)
  int64_t size = 0;             // of the images of a folder, in pixels; 0: DataOptions says
  bool grey = false;            // whether these lose their colours
  bool skip_bad = false;        // whether damaged ones are left out
  double validation = 0.1;      // share of the training images that are only looked at after each epoch
  int64_t epochs = 5, batch = 64, accumulate = 1;
  std::string optimizer = "adamw", schedule = "onecycle";
  double lr = 0, weight_decay = -1;  // 0, -1: the optimiser's usual ones
  double warmup = 0.05;              // of the cosine schedule: a share of the updates
  double clip = 0;                   // the largest norm of a gradient; 0: any
  double label_smoothing = 0;
  double ema = 0;              // decay of the average of weights; 0: none
  std::string augment = "";    // names with commas between them
  bool keep_bfloat16 = false;  // what gradients need of the forward pass is kept in bfloat16
  bool test_flip = false;      // test images are looked at in a mirror too
  uint64_t seed = 1;
  std::string head = "";      // "new", of a model that goes on from another
  double prune = 0;           // share of its weights
  bool prune_each = false;    // the smallest of each layer
  int64_t prune_updates = 0;  // in which they go; 0: at once

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
  f("validation", &Options::validation, "share of the training images held out, to look at after each epoch");
  f("epochs", &Options::epochs, "times through the training images");
  f("batch", &Options::batch, "images at a time");
  f("accumulate", &Options::accumulate, "batches for one update");
  f("optimizer", &Options::optimizer, "how the weights are changed");
  f("lr", &Options::lr,
    "learning rate, the highest of the schedule (default: adamw and adam 0.002, sgd 0.05, rmsprop 0.001)");
  f("weight-decay", &Options::weight_decay,
    "of weights, not of biases and normalisations (default: adamw 0.01, sgd 0.0005, others 0)");
  f("schedule", &Options::schedule, "how the learning rate changes");
  f("warmup", &Options::warmup, "share of the updates in which the rate of cosine rises");
  f("clip", &Options::clip, "the largest norm of a gradient (0: any)");
  f("label-smoothing", &Options::label_smoothing, "share of a label that is spread over all classes");
  f("ema", &Options::ema, "the model is an average of its weights, of this decay for each update (0: the last ones)");
  f("augment", &Options::augment, "changes to the training images, with commas between them");
  f("keep-bfloat16", &Options::keep_bfloat16, "keep what gradients need of layers' results in bfloat16: less memory");
  f("test-flip", &Options::test_flip, "test images are looked at in a mirror too, and the answers averaged");
  f("seed", &Options::seed, "of everything random");
  examples::each_adaptation_option(f);
  f("head", &Options::head, "new: one for the classes of --data, where those of --from are others");
  f("prune", &Options::prune, "share of the weights of --from to set to zero, the smallest, and keep there");
  f("prune-each", &Options::prune_each, "this share of each layer, rather than of all weights together");
  f("prune-updates", &Options::prune_updates, "first updates in which that is done little by little (0: at once)");
}

// What turns an image into the answer of a trained model; all that is needed besides the weights.
struct Recipe {
  ModelOptions model;
  gradus::Shape image;  // (channels, height, width)
  std::vector<std::string> classes;
  std::vector<double> mean, std;  // of each channel in the training images
};

// The part of a checkpoint with the average of weights of --ema: of parameters and of running statistics.
inline constexpr const char* average_part = "average";
std::vector<gradus::Tensor> averaged_tensors(const Classifier& model);
// The weights that answer: the averages where the file has them, else those of the last update. Throws Error naming
// `path` where they are not those of such a model.
void load_answering_weights(const gradus::TensorFile& file, const std::string& path, Classifier& model);

gradus::train::Metadata to_metadata(const Options& options, const Recipe& recipe);
// Both throw Error naming `path` where the metadata is not that of this program.
Options options_from(const gradus::train::Metadata& metadata, const std::string& path);
Recipe recipe_from(const gradus::train::Metadata& metadata, const std::string& path);

}  // namespace image_classifier
