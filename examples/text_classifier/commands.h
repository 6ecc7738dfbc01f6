// What the program does, on the device given. Each throws Error where it cannot.
#pragma once

#include "config.h"

namespace text_classifier {

struct ClassifyOptions {
  std::string checkpoint = "out/text_classifier";
  std::vector<std::string> sentences;  // none: lines of standard input
};

void train(const Options& options, gradus::Device device);
void evaluate(const std::string& checkpoint, gradus::Device device);
// Writes the sentences as the model sees them, a line each: training, validation or test, tab, label, tab, token ids.
void export_ids(const std::string& checkpoint, const std::string& file);
void classify(const ClassifyOptions& options, gradus::Device device);

}  // namespace text_classifier
