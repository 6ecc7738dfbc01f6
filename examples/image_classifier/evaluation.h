// How good a model is on test images.
#pragma once

#include "config.h"
#include "data/loader.h"
#include "seeing/charts.h"

namespace image_classifier {

// In order, with the pixels as the model expects them.
gradus::data::DataLoader<gradus::data::ImageBatch> test_loader(const gradus::data::ImageSet& set,
                                                               const Recipe& recipe, int64_t batch, int64_t workers);

// At most `count` images, from all over the set.
gradus::data::ImageSet some_of(const gradus::data::ImageSet& set, int64_t count);

// (batch, classes); with `flip` the mean of what the model says of the images and of their mirror images.
gradus::Tensor logits_of(const Classifier& model, const gradus::Tensor& images, bool flip);

// What came of showing a model the images of a set in turn.
struct Examination {
  gradus::data::ConfusionMatrix matrix;
  std::vector<Mistake> worst = {};  // those it was surest of, the surest first; 24 at most

  // The next batch's logits (n, classes) and labels (n).
  void add(const gradus::Tensor& logits, const gradus::Tensor& labels);
};

// Of what logits_of says, from the loader's first batch to its last. The model is left in evaluation mode.
Examination examine(Classifier& model, gradus::data::DataLoader<gradus::data::ImageBatch>& loader, int64_t classes,
                    bool flip);

// The two pictures of an examination on `set`; their titles call what is in it `images`, such as "test images".
struct ReportPictures {
  gradus::Tensor confusion;  // undefined where there are more classes than can be drawn
  gradus::Tensor wrong;
};
ReportPictures report_pictures(const Examination& examination, const gradus::data::ImageDataset& set,
                               const std::vector<std::string>& classes, const std::string& images);

// Precision, recall and F1 of each class, the confusion matrix, and the accuracy; the pictures into the folder `out`,
// which is made where it is missing ("": none).
void report(const Examination& examination, const gradus::data::ImageDataset& set,
            const std::vector<std::string>& classes, const std::string& out);

}  // namespace image_classifier
