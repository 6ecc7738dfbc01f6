// What TensorBoard is shown of a training besides its curves.
#pragma once

#include "evaluation.h"
#include "train/event_log.h"

namespace image_classifier {

// Histograms of the weights and of their gradients, and pictures of what the model gets wrong and of what it looks at.
class EpochLog {
 public:
  // The gradients are those of some images of `train`. The pictures are of `validation`, or, where that is null, of
  // `train`: the test images are for the end.
  EpochLog(Classifier& model, const Recipe& recipe, const gradus::data::ImageSet& train,
           const gradus::data::ImageSet& validation);
  // The model as it is now; it changes nothing of it, and draws no random number.
  void operator()(gradus::train::EventLog& events, int64_t step);

 private:
  void histograms(gradus::train::EventLog& events, int64_t step);
  void attention(gradus::train::EventLog& events, int64_t step);

  Classifier& model_;
  const Recipe& recipe_;
  std::string name_;  // "validation images"
  gradus::data::ImageSet gradient_images_, watched_, looked_at_;
};

}  // namespace image_classifier
