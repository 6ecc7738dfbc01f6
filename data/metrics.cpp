#include "data/metrics.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace gradus::data {

namespace {

struct Scores {
  Tensor logits, labels;
  int64_t rows, classes;
  const float* row(int64_t i) const { return logits.data<float>() + i * classes; }
  int64_t label(int64_t i) const { return labels.data<int64_t>()[i]; }

  Scores(const char* op, const Tensor& x, const Tensor& y) {
    check(x.dim() == 2 && is_floating(x.dtype()), op, ": logits are ", x.dtype(), " ", x.shape(),
          ", expected floating point [n, classes]");
    check(y.dim() == 1 && y.dtype() == int64 && y.size(0) == x.size(0), op, ": labels are ", y.dtype(), " ",
          y.shape(), ", expected int64 [", x.size(0), "]");
    logits = x.detach().to(float32).to(Device::cpu).contiguous();
    labels = y.to(Device::cpu).contiguous();
    rows = x.size(0);
    classes = x.size(1);
    for (int64_t i = 0; i < rows; ++i) {
      check(label(i) >= 0 && label(i) < classes, op, ": label ", i, " is ", label(i), ", expected 0 to ",
            classes - 1);
    }
  }
};

// Whether class a comes before class b.
bool before(const float* row, int64_t a, int64_t b) {
  if (std::isnan(row[a]) || std::isnan(row[b])) return std::isnan(row[b]) && (!std::isnan(row[a]) || a < b);
  return row[a] > row[b] || (row[a] == row[b] && a < b);
}

int64_t best(const float* row, int64_t classes) {
  int64_t top = 0;
  for (int64_t c = 1; c < classes; ++c) top = before(row, c, top) ? c : top;
  return top;
}

double ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

}  // namespace

double topk_accuracy(const Tensor& logits, const Tensor& labels, int64_t k) {
  const Scores scores("topk_accuracy", logits, labels);
  check(k >= 1, "topk_accuracy: k is ", k, ", expected at least 1");
  int64_t hits = 0;
  for (int64_t i = 0; i < scores.rows; ++i) {
    const float* row = scores.row(i);
    int64_t larger = 0;
    for (int64_t c = 0; c < scores.classes; ++c) larger += c != scores.label(i) && before(row, c, scores.label(i));
    // A row without any number predicts nothing.
    hits += larger < k && !std::isnan(row[scores.label(i)]);
  }
  return ratio(double(hits), double(scores.rows));
}

double accuracy(const Tensor& logits, const Tensor& labels) { return topk_accuracy(logits, labels, 1); }

ConfusionMatrix::ConfusionMatrix(int64_t classes) : classes_(classes) {
  check(classes >= 1 && classes <= 10000, "ConfusionMatrix: ", classes, " classes, expected 1 to 10000");
  counts_.resize(size_t(classes * classes));
}

void ConfusionMatrix::add(const Tensor& logits, const Tensor& labels) {
  const Scores scores("ConfusionMatrix", logits, labels);
  check(scores.classes == classes_, "ConfusionMatrix: logits ", logits.shape(), ", expected ", classes_, " classes");
  for (int64_t i = 0; i < scores.rows; ++i) add(scores.label(i), best(scores.row(i), classes_));
}

void ConfusionMatrix::add(int64_t label, int64_t predicted) {
  check(label >= 0 && label < classes_ && predicted >= 0 && predicted < classes_, "ConfusionMatrix: class ", label,
        " taken for ", predicted, ", expected 0 to ", classes_ - 1);
  ++counts_[size_t(label * classes_ + predicted)];
}

int64_t ConfusionMatrix::count(int64_t label, int64_t predicted) const {
  return counts_[size_t(label * classes_ + predicted)];
}

int64_t ConfusionMatrix::total() const {
  int64_t sum = 0;
  for (int64_t n : counts_) sum += n;
  return sum;
}

double ConfusionMatrix::accuracy() const {
  int64_t right = 0;
  for (int64_t c = 0; c < classes_; ++c) right += count(c, c);
  return ratio(double(right), double(total()));
}

Tensor ConfusionMatrix::counts() const { return from_vector(counts_, {classes_, classes_}); }

ClassificationReport classification_report(const ConfusionMatrix& matrix) {
  ClassificationReport report;
  report.accuracy = matrix.accuracy();
  ClassScore macro = {}, weighted = {};
  const double classes = double(matrix.classes()), total = double(matrix.total());
  for (int64_t c = 0; c < matrix.classes(); ++c) {
    int64_t support = 0, predicted = 0;
    for (int64_t k = 0; k < matrix.classes(); ++k) {
      support += matrix.count(c, k);
      predicted += matrix.count(k, c);
    }
    const double hits = double(matrix.count(c, c));
    const ClassScore s = {ratio(hits, double(predicted)), ratio(hits, double(support)),
                          ratio(2 * hits, double(support + predicted)), support};
    report.classes.push_back(s);
    for (auto member : {&ClassScore::precision, &ClassScore::recall, &ClassScore::f1}) {
      macro.*member += s.*member / classes;
      weighted.*member += ratio(s.*member * double(support), total);
    }
  }
  macro.support = weighted.support = matrix.total();
  report.macro = macro;
  report.weighted = weighted;
  return report;
}

std::string to_string(const ClassificationReport& report, const std::vector<std::string>& names) {
  check(names.empty() || names.size() == report.classes.size(), "classification report: ", names.size(),
        " names for ", report.classes.size(), " classes");
  auto name = [&](size_t i) { return names.empty() ? std::to_string(i) : names[i]; };
  // Characters, not bytes, are what takes room: continuation bytes of UTF-8 do not count.
  auto length = [](const std::string& s) {
    return std::count_if(s.begin(), s.end(), [](char c) { return (uint8_t(c) & 0xc0) != 0x80; });
  };
  int64_t width = 12;  // of "weighted avg"
  for (size_t i = 0; i < report.classes.size(); ++i) width = std::max<int64_t>(width, length(name(i)));
  auto padded = [&](const std::string& s) { return std::string(size_t(width - length(s)), ' ') + s; };

  char buffer[128];
  auto row = [&](const std::string& title, const ClassScore& s) {
    std::snprintf(buffer, sizeof(buffer), "  %9.2f %9.2f %9.2f %9lld\n", s.precision, s.recall, s.f1,
                  static_cast<long long>(s.support));
    return padded(title) + buffer;
  };
  std::string text = padded("") + "  precision    recall  f1-score   support\n\n";
  for (size_t i = 0; i < report.classes.size(); ++i) text += row(name(i), report.classes[i]);
  std::snprintf(buffer, sizeof(buffer), "  %9s %9s %9.2f %9lld\n", "", "", report.accuracy,
                static_cast<long long>(report.macro.support));
  text += "\n" + padded("accuracy") + buffer;
  return text + row("macro avg", report.macro) + row("weighted avg", report.weighted);
}

}  // namespace gradus::data
