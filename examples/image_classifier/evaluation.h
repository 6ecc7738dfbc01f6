// How good a model is on test images.
#pragma once

#include "config.h"
#include "data/loader.h"
#include "data/metrics.h"

namespace image_classifier {

// In order, with the pixels as the model expects them.
gradus::data::DataLoader<gradus::data::ImageBatch> test_loader(const gradus::data::ImageSet& set,
                                                               const Recipe& recipe, int64_t batch, int64_t workers);

gradus::data::ConfusionMatrix confusion_of(Classifier& model,
                                           gradus::data::DataLoader<gradus::data::ImageBatch>& loader,
                                           int64_t classes);

// Precision, recall and F1 of each class, and the accuracy.
void print_report(const gradus::data::ConfusionMatrix& matrix, const std::vector<std::string>& classes);

}  // namespace image_classifier
