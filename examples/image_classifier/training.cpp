#include <algorithm>
#include <cstdio>

#include "commands.h"
#include "data/transforms.h"
#include "data_sets.h"
#include "evaluation.h"
#include "examples/metadata.h"
#include "optim/optim.h"
#include "tensor/io/file.h"
#include "train/fit.h"

namespace image_classifier {

using namespace gradus;

namespace {

bool has(const std::string& list, const std::string& name) {
  const std::vector<std::string> names = examples::split(list, ',');
  return std::find(names.begin(), names.end(), name) != names.end();
}

data::DataLoader<data::ImageBatch> train_loader(const data::ImageSet& set, const Recipe& recipe,
                                                const Options& options) {
  std::vector<data::Transform> transforms;
  if (has(options.augment, "rotate")) transforms.push_back(data::random_rotation(10));
  if (has(options.augment, "crop")) transforms.push_back(data::random_crop(recipe.image[1] / 14));
  if (has(options.augment, "flip")) transforms.push_back(data::random_horizontal_flip());
  if (has(options.augment, "cutout")) transforms.push_back(data::cutout(recipe.image[1] / 4));
  transforms.push_back(data::normalize(recipe.mean, recipe.std));
  return data::image_loader(
      set, {.batch_size = options.batch, .shuffle = true, .workers = options.workers, .seed = options.seed},
      transforms);
}

std::unique_ptr<optim::Optimizer> make_optimizer(const Options& options, const nn::Module& model) {
  const auto parameters = model.parameters();
  auto lr = [&](double usual) { return options.lr > 0 ? options.lr : usual; };
  if (options.optimizer == "sgd") {
    return std::make_unique<optim::SGD>(
        parameters, optim::SGDOptions{.lr = lr(0.05), .momentum = 0.9, .weight_decay = 5e-4, .nesterov = true});
  }
  if (options.optimizer == "rmsprop") {
    return std::make_unique<optim::RMSprop>(parameters, optim::RMSpropOptions{.lr = lr(0.001)});
  }
  if (options.optimizer == "adam") {
    return std::make_unique<optim::Adam>(parameters, optim::AdamOptions{.lr = lr(0.002)});
  }
  return std::make_unique<optim::AdamW>(parameters, optim::AdamWOptions{.lr = lr(0.002), .weight_decay = 0.01});
}

std::unique_ptr<optim::Schedule> make_schedule(const std::string& name, optim::Optimizer& optimizer,
                                               int64_t updates) {
  const int64_t steps = std::max<int64_t>(updates, 2);  // so many that a schedule has a beginning and an end
  if (name == "onecycle") {
    return std::make_unique<optim::OneCycleLR>(optimizer,
                                               optim::OneCycleLROptions{.max_lr = optimizer.lr(), .steps = steps});
  }
  if (name == "cosine") {
    return std::make_unique<optim::CosineLR>(optimizer, optim::CosineLROptions{.steps = steps, .warmup = steps / 20});
  }
  if (name == "step") {
    return std::make_unique<optim::MultiStepLR>(
        optimizer, optim::MultiStepLROptions{.milestones = {steps / 2, std::max(steps * 4 / 5, steps / 2 + 1)}});
  }
  return nullptr;
}

}  // namespace

void train(const Options& options, Device device) {
  const DataSets sets = open_data(options.data, {options.samples, options.size, options.grey, options.skip_bad});
  // The images of a folder have to be decoded for this; some of a large one will do.
  const int64_t looked_at = options.data.starts_with("folder:") ? 2000 : sets.train->size();
  const data::ChannelStatistics statistics = data::channel_statistics(*sets.train, looked_at);
  Recipe recipe = {options, sets.train->image_shape(), sets.train->classes(), statistics.mean, statistics.std};
  // A channel that is the same everywhere.
  for (double& s : recipe.std) s = std::max(s, 1e-3);

  manual_seed(options.seed);
  const std::unique_ptr<Classifier> made = make_model(recipe.model, recipe.image, int64_t(recipe.classes.size()));
  Classifier& model = *made;
  model.to(device);
  data::DataLoader<data::ImageBatch> loader = train_loader(sets.train, recipe, options);
  data::DataLoader<data::ImageBatch> tests = test_loader(sets.test, recipe, 256, options.workers);
  const std::unique_ptr<optim::Optimizer> optimizer = make_optimizer(options, model);
  std::printf("%s: %lld training and %lld test images of %lldx%lldx%lld, %zu classes\n",
              printable(options.data).c_str(), static_cast<long long>(sets.train->size()),
              static_cast<long long>(sets.test->size()), static_cast<long long>(recipe.image[0]),
              static_cast<long long>(recipe.image[1]), static_cast<long long>(recipe.image[2]),
              recipe.classes.size());
  std::printf("%s: %lld parameters, %s, learning rate %g\n", options.model.c_str(),
              static_cast<long long>(model.parameter_count()), optimizer->type(), optimizer->lr());
  std::fflush(stdout);
  const auto schedule = make_schedule(options.schedule, *optimizer, options.epochs * loader.batches());

  const bool mix = has(options.augment, "mixup");
  auto step = [&](data::ImageBatch& batch) -> train::BatchResult {
    const Tensor logits = model(batch.images.to(device));
    return {cross_entropy(logits, batch.labels.to(device)),
            batch.labels.numel(),
            {{"accuracy", data::accuracy(logits, batch.labels)}}};
  };
  auto mixed_step = [&](data::ImageBatch& batch) -> train::BatchResult {
    const data::Mixup mixed = data::mixup(batch, 0.2, default_generator());
    const Tensor logits = model(mixed.images.to(device));
    return {cross_entropy(logits, batch.labels.to(device)) * mixed.weight +
                cross_entropy(logits, mixed.other_labels.to(device)) * (1 - mixed.weight),
            batch.labels.numel(),
            {{"accuracy", data::accuracy(logits, batch.labels)}}};
  };
  const auto train_step = [&](data::ImageBatch& batch) { return mix ? mixed_step(batch) : step(batch); };
  train::fit(model, *optimizer, loader, train_step,
             {.epochs = options.epochs,
              .schedule = schedule.get(),
              .evaluate = [&] { return train::evaluate(model, tests, step, "test_"); },
              .out = options.out,
              .save_every = options.save_every,
              .resume = options.resume,
              .metadata = to_metadata(options, recipe),
              .tensorboard = options.log == "tensorboard"});
  tests.restore({0, 0});
  print_report(confusion_of(model, tests, int64_t(recipe.classes.size())), recipe.classes);
}

}  // namespace image_classifier
