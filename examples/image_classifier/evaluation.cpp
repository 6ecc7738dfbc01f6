#include "evaluation.h"

#include <cstdio>

#include "data/transforms.h"
#include "tensor/io/file.h"

namespace image_classifier {

using namespace gradus;

data::DataLoader<data::ImageBatch> test_loader(const data::ImageSet& set, const Recipe& recipe, int64_t batch,
                                               int64_t workers) {
  return data::image_loader(set, {.batch_size = batch, .workers = workers},
                            {data::normalize(recipe.mean, recipe.std)});
}

Tensor logits_of(const Classifier& model, const Tensor& images, bool flip) {
  const Tensor logits = model(images);
  return flip ? (logits + model(images.flip({-1}))) * 0.5 : logits;
}

data::ConfusionMatrix confusion_of(Classifier& model, data::DataLoader<data::ImageBatch>& loader, int64_t classes,
                                   bool flip) {
  NoGrad guard;
  model.eval();
  data::ConfusionMatrix matrix(classes);
  loader.restore({0, 0});
  for (auto& [images, labels] : loader) matrix.add(logits_of(model, images.to(model.device()), flip), labels);
  return matrix;
}

void print_report(const data::ConfusionMatrix& matrix, const std::vector<std::string>& classes) {
  std::vector<std::string> names;
  for (const std::string& name : classes) names.push_back(printable(name));
  std::printf("\n%s\ntest accuracy: %.2f%%\n", to_string(data::classification_report(matrix), names).c_str(),
              100 * matrix.accuracy());
}

}  // namespace image_classifier
