// How good a model is on test images.
#pragma once

#include "config.h"
#include "data/loader.h"
#include "data/metrics.h"

namespace image_classifier {

// In order, with the pixels as the model expects them.
gradus::data::DataLoader<gradus::data::ImageBatch> test_loader(const gradus::data::ImageSet& set,
                                                               const Recipe& recipe, int64_t batch, int64_t workers);

// (batch, classes); with `flip` the mean of what the model says of the images and of their mirror images.
gradus::Tensor logits_of(const Classifier& model, const gradus::Tensor& images, bool flip);

// Of what logits_of says.
gradus::data::ConfusionMatrix confusion_of(Classifier& model,
                                           gradus::data::DataLoader<gradus::data::ImageBatch>& loader,
                                           int64_t classes, bool flip);

// Precision, recall and F1 of each class, and the accuracy.
void print_report(const gradus::data::ConfusionMatrix& matrix, const std::vector<std::string>& classes);

}  // namespace image_classifier
