#include "evaluation.h"

#include <algorithm>
#include <cstdio>

#include "data/image.h"
#include "data/transforms.h"
#include "tensor/io/file.h"
#include "terminal.h"

namespace image_classifier {

using namespace gradus;

data::DataLoader<data::ImageBatch> test_loader(const data::ImageSet& set, const Recipe& recipe, int64_t batch,
                                               int64_t workers) {
  return data::image_loader(set, {.batch_size = batch, .workers = workers},
                            {data::normalize(recipe.mean, recipe.std)});
}

data::ImageSet some_of(const data::ImageSet& set, int64_t count) {
  std::vector<int64_t> indices;
  count = std::min(count, set->size());
  const int64_t step = set->size() / std::max<int64_t>(count, 1);
  // + i, because drawn digits come in the order 0 to 9.
  for (int64_t i = 0; i < count; ++i) indices.push_back(i * set->size() / count + i % step);
  return data::subset(set, indices);
}

Tensor logits_of(const Classifier& model, const Tensor& images, bool flip) {
  const Tensor logits = model(images);
  return flip ? (logits + model(images.flip({-1}))) * 0.5 : logits;
}

void Examination::add(const Tensor& logits, const Tensor& labels) {
  constexpr size_t kept = 24;
  const int64_t before = matrix.total();
  matrix.add(logits, labels);
  const auto [probability, predicted] = softmax(logits.detach(), 1).to(Device::cpu).max(1);
  const std::vector<int64_t> label = labels.to_vector<int64_t>(), answer = predicted.to_vector<int64_t>();
  const std::vector<double> sure = probability.to_vector();
  for (size_t i = 0; i < label.size(); ++i) {
    if (answer[i] != label[i]) worst.push_back({before + int64_t(i), label[i], answer[i], sure[i]});
  }
  std::stable_sort(worst.begin(), worst.end(),
                   [](const Mistake& a, const Mistake& b) { return a.probability > b.probability; });
  if (worst.size() > kept) worst.resize(kept);
}

Examination examine(Classifier& model, data::DataLoader<data::ImageBatch>& loader, int64_t classes, bool flip) {
  NoGrad guard;
  model.eval();
  loader.restore({0, 0});
  Examination all = {data::ConfusionMatrix(classes)};
  for (auto& [images, labels] : loader) all.add(logits_of(model, images.to(model.device()), flip), labels);
  return all;
}

ReportPictures report_pictures(const Examination& examination, const data::ImageDataset& set,
                               const std::vector<std::string>& classes, const std::string& images) {
  const data::ConfusionMatrix& matrix = examination.matrix;
  char accuracy[32];
  std::snprintf(accuracy, sizeof(accuracy), "%.2f%%", 100 * matrix.accuracy());
  ReportPictures pictures;
  if (matrix.classes() <= most_classes_drawn) {
    pictures.confusion = confusion_picture(
        matrix, classes, accuracy + (" of " + std::to_string(matrix.total())) + " " + images + " right");
  }
  pictures.wrong = mistakes_sheet(set, examination.worst, classes,
                                  (examination.worst.empty() ? "none wrong of " : "wrong and surest of ") +
                                      std::to_string(matrix.total()) + " " + images);
  return pictures;
}

void report(const Examination& examination, const data::ImageDataset& set, const std::vector<std::string>& classes,
            const std::string& out) {
  std::vector<std::string> names;
  for (const std::string& name : classes) names.push_back(printable(name));
  const std::string matrix =
      confusion_text(examination.matrix, names, terminal_columns(), terminal_style() == Style::shades);
  std::printf("\n%s\nrows: what it is; columns: what the model says\n\n%s\n",
              to_string(data::classification_report(examination.matrix), names).c_str(), matrix.c_str());
  // Said first and written last: a full disk must not cost the figures.
  ReportPictures pictures;
  if (!out.empty()) {
    pictures = report_pictures(examination, set, classes, "test images");
    std::printf("in %s: %swrong.png\n", printable(out).c_str(),
                pictures.confusion.defined() ? "confusion.png, " : "");
  }
  std::printf("test accuracy: %.2f%%\n", 100 * examination.matrix.accuracy());
  if (out.empty()) return;
  std::fflush(stdout);
  make_folder(out);
  if (pictures.confusion.defined()) data::write_png(out + "/confusion.png", pictures.confusion);
  data::write_png(out + "/wrong.png", pictures.wrong);
}

}  // namespace image_classifier
