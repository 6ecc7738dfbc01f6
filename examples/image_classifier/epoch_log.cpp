#include "epoch_log.h"

namespace image_classifier {

using namespace gradus;

namespace {

data::ImageBatch batch_of(const data::ImageSet& set, const Recipe& recipe) {
  return *test_loader(set, recipe, set->size(), 0).next();
}

}  // namespace

EpochLog::EpochLog(Classifier& model, const Recipe& recipe, const data::ImageSet& train,
                   const data::ImageSet& validation)
    : model_(model), recipe_(recipe), name_(validation ? "validation images" : "training images") {
  const data::ImageSet& shown = validation ? validation : train;
  gradient_images_ = some_of(train, 64);
  watched_ = some_of(shown, 2000);
  looked_at_ = some_of(shown, 4);
}

void EpochLog::operator()(train::EventLog& events, int64_t step) {
  const bool was_training = model_.training();
  model_.eval();
  histograms(events, step);
  auto loader = test_loader(watched_, recipe_, 256, 0);
  const Examination examination = examine(model_, loader, int64_t(recipe_.classes.size()), false);
  const ReportPictures pictures = report_pictures(examination, *watched_, recipe_.classes, name_);
  if (pictures.confusion.defined()) events.image("seen/confusion", pictures.confusion, step);
  events.image("seen/wrong", pictures.wrong, step);
  attention(events, step);
  model_.train(was_training);
}

void EpochLog::histograms(train::EventLog& events, int64_t step) {
  std::vector<std::string> names;
  std::vector<Tensor> weights;
  for (const auto& [name, weight] : model_.named_parameters()) {
    events.histogram("weights/" + name, weight, step);
    if (!weight.requires_grad()) continue;
    names.push_back(name);
    weights.push_back(weight);
  }
  if (weights.empty()) return;
  const auto [images, labels] = batch_of(gradient_images_, recipe_);
  const Tensor loss = cross_entropy(model_(images.to(model_.device())), labels.to(model_.device()));
  const std::vector<Tensor> gradients = grad({loss}, weights, {.allow_unused = true});
  for (size_t i = 0; i < names.size(); ++i) {
    if (gradients[i].defined()) events.histogram("gradients/" + names[i], gradients[i], step);
  }
}

void EpochLog::attention(train::EventLog& events, int64_t step) {
  NoGrad guard;
  const Tensor images = batch_of(looked_at_, recipe_).images.to(model_.device());
  const Tensor maps = model_.maps(images);
  if (maps.dim() == 2) return;  // it knows no places
  const Tensor probabilities = softmax(model_.head()(model_.features(maps)), 1);
  const std::vector<int64_t> says = probabilities.argmax(1).to_vector<int64_t>();
  const std::vector<std::vector<View>> views = explain(model_, images, says, recipe_.classes);
  std::vector<Explained> rows;
  for (size_t i = 0; i < says.size(); ++i) {
    const data::Sample sample = looked_at_->get(int64_t(i));
    rows.push_back({"is " + recipe_.classes.at(size_t(sample.label)), sample.image,
                    probabilities[int64_t(i)].to_vector(), says[i], views[i]});
  }
  events.image("seen/attention", attention_sheet(rows, recipe_.classes), step);
}

}  // namespace image_classifier
