// What the program does, on the device given. Each throws Error where it cannot.
#pragma once

#include "config.h"

namespace language_model {

struct GenerateOptions {
  std::string checkpoint = "out/language_model";
  std::string prompt = "\n";
  int64_t tokens = 500, top_k = 0;
  double temperature = 0.8, top_p = 1, repetition_penalty = 1;
  uint64_t seed = 1;
};

void train(const Options& options, gradus::Device device);
void evaluate(const std::string& checkpoint, gradus::Device device);
void generate(const GenerateOptions& options, gradus::Device device);
void merge(const examples::MergeOptions& options);

}  // namespace language_model
