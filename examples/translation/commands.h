// What the program does, on the device given. Each throws Error where it cannot.
#pragma once

#include "config.h"

namespace translation {

struct SearchOptions {
  int64_t beam = 1, n_best = 1, max_length = 200;
  double length_penalty = 0.6, coverage_penalty = 0;
};

struct EvaluateOptions {
  std::string checkpoint = "out/translation";
  std::string part = "test";   // or validation
  std::string output = "";     // a file for the translations, one a line
  std::string by_length = "";  // a file for the scores by length
  int64_t samples = 10;        // to show
  SearchOptions search = {};
};

struct TranslateOptions {
  std::string checkpoint = "out/translation";
  std::vector<std::string> sentences;  // none: lines of standard input
  std::string attention = "";          // an SVG file
  bool show_attention = false;         // in the terminal
  SearchOptions search = {};
};

void train(const Options& options, gradus::Device device);
void evaluate(const EvaluateOptions& options, gradus::Device device);
void translate(const TranslateOptions& options, gradus::Device device);
void merge(const examples::MergeOptions& options);

}  // namespace translation
