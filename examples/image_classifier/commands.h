// What the program does, on the device given.
#pragma once

#include "config.h"
#include "seeing/explain.h"

namespace image_classifier {

// Trains (or goes on, where options.resume is set), writes checkpoints and the log into options.out, and
// prints how well the model does on the test images.
void train(const Options& options, gradus::Device device);

struct EvaluateOptions {
  std::string checkpoint = "out";
  std::string data;      // "": what the model was trained on
  std::string out = "";  // folder for confusion.png and wrong.png; "": none
  int64_t batch = 256, workers = 1;
};
void evaluate(const EvaluateOptions& options, gradus::Device device);

struct PredictOptions {
  std::string checkpoint = "out";
  std::vector<std::string> files;
  int64_t top = 3;
  bool invert = false;         // dark on light, where the model has learnt light on dark
  std::string attention = "";  // a PNG file for what the model looks at; "": none
  std::string of_class = "";   // by name, for which Grad-CAM asks; "": the one that the model says
  ExplainOptions explain;
};
void predict(const PredictOptions& options, gradus::Device device);

struct EmbedOptions {
  std::string checkpoint = "out", out;
  std::string data;            // "": what the model was trained on
  std::string split = "test";  // or "train"
  int64_t batch = 256, workers = 1;
};
// What the model's last layer is given of each image, (images, features) float32, into OUT.npy, and the labels,
// (images) int64, into OUT_labels.npy.
void embed(const EmbedOptions& options, gradus::Device device);

struct ShowOptions {
  std::string checkpoint = "out";
  int64_t count = 8;
};
// Test images in the terminal, with what the model takes them for.
void show(const ShowOptions& options, gradus::Device device);

void merge(const examples::MergeOptions& options);

struct ConvertOptions {
  std::string file;  // safetensors, a state_dict with torchvision's names; see README.md
  std::string out = "out";
  ModelOptions model;
  std::string classes;  // a file with their names, one a line, or how many there are
  int64_t size = 224;   // of the images
  std::vector<double> mean = {0.485, 0.456, 0.406}, std = {0.229, 0.224, 0.225};  // of ImageNet's channels
};
// Makes a checkpoint of weights that PyTorch trained. Throws Error naming each weight that is missing, unexpected or of
// another shape.
void convert(const ConvertOptions& options);

}  // namespace image_classifier
