// How good a classifier is.
#pragma once

#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace gradus::data {

// The share of rows of logits (n, classes) whose label (n) is among the k largest; of equal logits the one
// with the lower index counts as larger, NaN as the smallest. 0 for no rows.
double topk_accuracy(const Tensor& logits, const Tensor& labels, int64_t k);
double accuracy(const Tensor& logits, const Tensor& labels);

// counts()[t][p]: samples of class t taken for class p.
class ConfusionMatrix {
 public:
  explicit ConfusionMatrix(int64_t classes);
  void add(const Tensor& logits, const Tensor& labels);  // (n, classes), (n)
  void add(int64_t label, int64_t predicted);
  int64_t classes() const { return classes_; }
  int64_t count(int64_t label, int64_t predicted) const;
  int64_t total() const;
  double accuracy() const;
  Tensor counts() const;  // (classes, classes), int64

 private:
  int64_t classes_;
  std::vector<int64_t> counts_;
};

struct ClassScore {
  double precision, recall, f1;  // 0 where the denominator is
  int64_t support;               // samples of the class
};
struct ClassificationReport {
  std::vector<ClassScore> classes;
  ClassScore macro, weighted;  // averages over classes; weighted by support
  double accuracy;
};
ClassificationReport classification_report(const ConfusionMatrix& matrix);

// The table that scikit-learn's classification_report prints, to the letter; without names, classes are numbered.
std::string to_string(const ClassificationReport& report, const std::vector<std::string>& names = {});

}  // namespace gradus::data
