// What the program does, on the device given. Each throws Error where it cannot.
#pragma once

#include <vector>

#include "config.h"

namespace masked_lm {

struct FillOptions {
  std::string checkpoint = "out/masked_lm";
  int64_t top = 5;
  std::vector<std::string> sentences;  // none: lines of standard input
};

struct ClassifyOptions {
  std::string checkpoint = "out/masked_lm/classifier/best.safetensors";
  std::vector<std::string> sentences;
};

void train(const Options& options, gradus::Device device);
// Loss and accuracy on hidden words of the held-out lines; of a classifier, the accuracy on the test sentences.
void evaluate(const std::string& checkpoint, gradus::Device device);
// The likeliest words at each [MASK].
void fill(const FillOptions& options, gradus::Device device);
void finetune(const TuneOptions& options, gradus::Device device);
void classify(const ClassifyOptions& options, gradus::Device device);

}  // namespace masked_lm
