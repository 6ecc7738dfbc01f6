// Where a model errs: the confusion matrix as text and as a picture, the pictures it gets wrong; and sheets of what it
// looks at.
#pragma once

#include "data/dataset.h"
#include "data/metrics.h"
#include "explain.h"
#include "picture.h"

namespace image_classifier {

// One row for each class that pictures are of, one column for each that the model takes them for; no more than
// `columns` characters wide. Names are cut to fit, or numbered where that makes two of them equal; nothing is a dot. In
// colour, what is right is green and what is wrong yellow, or red where it is a tenth of its row. A matrix that does
// not fit gives way to a list of what is most often confused.
std::string confusion_text(const gradus::data::ConfusionMatrix& matrix, const std::vector<std::string>& classes,
                           int64_t columns, bool colour);

inline constexpr int64_t most_classes_drawn = 1000;
// The same as a picture, each cell as dark as its share of the row; at most so many classes.
gradus::Tensor confusion_picture(const gradus::data::ConfusionMatrix& matrix, const std::vector<std::string>& classes,
                                 const std::string& title);

// A picture that was taken for something else.
struct Mistake {
  int64_t index, label, predicted;  // in its set
  double probability;               // that the model gave its wrong answer
};
gradus::Tensor mistakes_sheet(const gradus::data::ImageDataset& set, const std::vector<Mistake>& mistakes,
                              const std::vector<std::string>& classes, const std::string& title);

struct Explained {
  std::string name;
  gradus::Tensor image;  // (channels, height, width), uint8
  std::vector<double> probabilities;
  int64_t of_class;  // for which class activation was asked
  std::vector<View> views;
};
// One row for each picture: itself with its name and what the model says, and what there is to see laid over it.
gradus::Tensor attention_sheet(const std::vector<Explained>& pictures, const std::vector<std::string>& classes);

}  // namespace image_classifier
