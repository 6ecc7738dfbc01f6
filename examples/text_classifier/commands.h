// What the program does. Each throws Error where it cannot.
#pragma once

#include "config.h"

namespace text_classifier {

struct ClassifyOptions {
  std::string checkpoint = "out/text_classifier";
  std::vector<std::string> sentences;  // none: lines of standard input
};

void train(const Options& options);
void evaluate(const std::string& checkpoint);
void classify(const ClassifyOptions& options);

}  // namespace text_classifier
