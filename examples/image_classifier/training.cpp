#include <algorithm>
#include <cstdio>

#include "augment/augment.h"
#include "commands.h"
#include "data/transforms.h"
#include "data_sets.h"
#include "epoch_log.h"
#include "evaluation.h"
#include "examples/metadata.h"
#include "optim/optim.h"
#include "tensor/io/file.h"
#include "train/fit.h"
#include "tuning.h"

namespace image_classifier {

using namespace gradus;

namespace {

bool has(const std::string& list, const std::string& name) {
  const std::vector<std::string> names = examples::split(list, ',');
  return std::find(names.begin(), names.end(), name) != names.end();
}

data::DataLoader<data::ImageBatch> train_loader(const data::ImageSet& set, const Recipe& recipe,
                                                const Options& options) {
  const int64_t height = recipe.image[1];
  std::vector<data::Transform> transforms;
  const auto add = [&](const char* name, auto make) {
    if (has(options.augment, name)) transforms.push_back(make());
  };
  add("resized-crop", [] { return random_resized_crop(); });
  add("rotate", [] { return data::random_rotation(10); });
  add("crop", [&] { return data::random_crop(std::max<int64_t>(height / 8, 1)); });
  add("flip", [] { return data::random_horizontal_flip(); });
  add("jitter", [] { return color_jitter({.brightness = 0.4, .contrast = 0.4, .saturation = 0.4, .hue = 0.1}); });
  add("randaugment", [] { return rand_augment(); });
  transforms.push_back(data::normalize(recipe.mean, recipe.std));
  // What is cut out has the mean colour.
  add("cutout", [&] { return data::cutout(height / 4); });
  add("erase", [] { return random_erasing(); });
  return data::image_loader(
      set, {.batch_size = options.batch, .shuffle = true, .workers = options.workers, .seed = options.seed},
      transforms);
}

// One group whose weights decay, and one of biases and normalisations, whose do not.
template <class Optimizer, class OptimizerOptions>
std::unique_ptr<optim::Optimizer> in_groups(const nn::Module& model, OptimizerOptions o) {
  std::vector<Tensor> decaying, others;
  for (const Tensor& p : examples::trained_parameters(model)) (p.dim() > 1 ? decaying : others).push_back(p);
  if (decaying.empty()) {
    decaying.swap(others);
    o.weight_decay = 0;
  }
  auto optimizer = std::make_unique<Optimizer>(decaying, o);
  o.weight_decay = 0;
  if (!others.empty()) optimizer->add_group(others, o);
  return optimizer;
}

std::unique_ptr<optim::Optimizer> make_optimizer(const Options& options, const nn::Module& model) {
  auto lr = [&](double usual) { return options.lr > 0 ? options.lr : usual; };
  auto decay = [&](double usual) { return options.weight_decay >= 0 ? options.weight_decay : usual; };
  if (options.optimizer == "sgd") {
    return in_groups<optim::SGD>(
        model, optim::SGDOptions{.lr = lr(0.05), .momentum = 0.9, .weight_decay = decay(5e-4), .nesterov = true});
  }
  if (options.optimizer == "rmsprop") {
    return in_groups<optim::RMSprop>(model, optim::RMSpropOptions{.lr = lr(0.001), .weight_decay = decay(0)});
  }
  if (options.optimizer == "adam") {
    return in_groups<optim::Adam>(model, optim::AdamOptions{.lr = lr(0.002), .weight_decay = decay(0)});
  }
  return in_groups<optim::AdamW>(model, optim::AdamWOptions{.lr = lr(0.002), .weight_decay = decay(0.01)});
}

std::unique_ptr<optim::Schedule> make_schedule(const Options& options, optim::Optimizer& optimizer, int64_t updates) {
  const std::string& name = options.schedule;
  const int64_t steps = std::max<int64_t>(updates, 2);  // so many that a schedule has a beginning and an end
  if (name == "onecycle") {
    return std::make_unique<optim::OneCycleLR>(optimizer,
                                               optim::OneCycleLROptions{.max_lr = optimizer.lr(), .steps = steps});
  }
  if (name == "cosine") {
    return std::make_unique<optim::CosineLR>(
        optimizer, optim::CosineLROptions{.steps = steps, .warmup = int64_t(options.warmup * double(steps))});
  }
  if (name == "step") {
    return std::make_unique<optim::MultiStepLR>(
        optimizer, optim::MultiStepLROptions{.milestones = {steps / 2, std::max(steps * 4 / 5, steps / 2 + 1)}});
  }
  return nullptr;
}

struct Parts {
  data::ImageSet train, validation;
};
// Which images are held out is a matter of the seed.
Parts split(const data::ImageSet& set, const Options& options) {
  const int64_t held_out = int64_t(options.validation * double(set->size()));
  check(held_out < set->size(), "--validation ", options.validation, " leaves no image of ", set->size(),
        " to train on");
  if (held_out == 0) return {set, nullptr};
  Generator random(options.seed);
  const std::vector<int64_t> order = randperm(set->size(), &random).to_vector<int64_t>();
  std::vector<int64_t> rest(order.begin() + held_out, order.end()), held(order.begin(), order.begin() + held_out);
  std::sort(rest.begin(), rest.end());
  std::sort(held.begin(), held.end());
  return {data::subset(set, rest), data::subset(set, held)};
}

// Of blended images: each counts for two labels.
struct Target {
  Tensor labels, others;
  double weight = 1;
};

Tensor loss_of(const Tensor& logits, const Target& target, double label_smoothing) {
  const CrossEntropyOptions o = {.label_smoothing = label_smoothing};
  const Tensor loss = cross_entropy(logits, target.labels.to(logits.device()), o);
  if (!target.others.defined()) return loss;
  return loss * target.weight + cross_entropy(logits, target.others.to(logits.device()), o) * (1 - target.weight);
}

}  // namespace

void train(const Options& options, Device device) {
  const DataSets sets = open_data(options.data, {options.samples, options.size, options.grey, options.skip_bad});
  const Parts parts = split(sets.train, options);
  // The images of a folder have to be decoded for this; some of a large one will do.
  const int64_t looked_at = options.data.starts_with("folder:") ? 2000 : parts.train->size();
  const data::ChannelStatistics statistics = data::channel_statistics(*parts.train, looked_at);
  Recipe recipe = {options, parts.train->image_shape(), parts.train->classes(), statistics.mean, statistics.std};
  // A channel that is the same everywhere.
  for (double& s : recipe.std) s = std::max(s, 1e-3);
  take_pixels(options, recipe);

  manual_seed(options.seed);
  const int64_t classes = int64_t(recipe.classes.size());
  const std::unique_ptr<Classifier> made = make_model(recipe.model, recipe.image, classes);
  Classifier& model = *made;
  adapt(model, options, recipe);
  const std::vector<nn::Module*> frozen = examples::frozen_modules(model);
  model.to(device);
  data::DataLoader<data::ImageBatch> loader = train_loader(parts.train, recipe, options);
  const std::unique_ptr<optim::Optimizer> optimizer = make_optimizer(options, model);
  std::printf("%s: %lld training, %lld validation and %lld test images of %lldx%lldx%lld, %zu classes\n",
              printable(options.data).c_str(), static_cast<long long>(parts.train->size()),
              static_cast<long long>(sets.train->size() - parts.train->size()),
              static_cast<long long>(sets.test->size()), static_cast<long long>(recipe.image[0]),
              static_cast<long long>(recipe.image[1]), static_cast<long long>(recipe.image[2]),
              recipe.classes.size());
  std::printf("%s: %lld parameters%s, %s, learning rate %g\n", options.model.c_str(),
              static_cast<long long>(model.parameter_count()), examples::trained_text(model).c_str(),
              optimizer->type(), optimizer->lr());
  std::fflush(stdout);
  const int64_t updates = (loader.batches() + options.accumulate - 1) / options.accumulate;
  const auto schedule = make_schedule(options, *optimizer, options.epochs * updates);

  const bool mixup = has(options.augment, "mixup"), cutmix = has(options.augment, "cutmix");
  auto train_step = [&](data::ImageBatch& batch) -> train::BatchResult {
    for (nn::Module* module : frozen) module->eval();
    Target target = {batch.labels, {}};
    if (mixup || cutmix) {
      // Where both are asked for, each batch is done to by one of them.
      Generator& random = default_generator();
      const bool cut = cutmix && (!mixup || random.uniform() < 0.5);
      const data::Mixup mixed = cut ? data::cutmix(batch, 1, random) : data::mixup(batch, 0.2, random);
      batch.images = mixed.images;
      target.others = mixed.other_labels;
      target.weight = mixed.weight;
    }
    std::optional<KeepInBfloat16> keep;
    if (options.keep_bfloat16) keep.emplace();
    const Tensor logits = model(batch.images.to(device));
    return {loss_of(logits, target, options.label_smoothing),
            batch.labels.numel(),
            {{"accuracy", data::accuracy(logits, batch.labels)}}};
  };
  auto validation_step = [&](data::ImageBatch& batch) -> train::BatchResult {
    const Tensor logits = model(batch.images.to(device));
    return {cross_entropy(logits, batch.labels.to(device)),
            batch.labels.numel(),
            {{"accuracy", data::accuracy(logits, batch.labels)}}};
  };
  train::FitOptions fit = {.epochs = options.epochs,
                           .accumulate = options.accumulate,
                           .clip_grad_norm = options.clip,
                           .schedule = schedule.get(),
                           .out = options.out,
                           .save_every = options.save_every,
                           .resume = options.resume,
                           .metadata = to_metadata(options, recipe),
                           .tensorboard = options.log == "tensorboard"};
  std::optional<data::DataLoader<data::ImageBatch>> held_out;
  if (parts.validation) held_out.emplace(test_loader(parts.validation, recipe, 256, options.workers));
  std::optional<Pruning> pruning;
  if (options.prune > 0) {
    pruning.emplace(model, options, options.epochs * updates);
    fit.also_save.push_back(pruning->part());
    if (options.resume.empty()) pruning->start();
    if (options.resume.empty() && held_out) {
      std::printf("validation accuracy before the first update: %.2f%%\n",
                  100 * examine(model, *held_out, classes, false).matrix.accuracy());
    }
  }
  std::optional<optim::EMA> average;
  if (options.ema > 0) {
    average.emplace(averaged_tensors(model), options.ema);
    fit.also_save.push_back(train::part(average_part, *average));
  }
  fit.on_update = [&](int64_t update) {
    if (pruning) pruning->update(update);
    if (average) average->update();
  };
  auto averaged = [&] { return average ? std::make_unique<optim::EMA::Scope>(*average) : nullptr; };
  if (held_out) {
    fit.evaluate = [&] {
      const auto scope = averaged();
      return train::evaluate(model, *held_out, validation_step, "validation_");
    };
  }
  EpochLog epoch_log(model, recipe, parts.train, parts.validation);
  fit.log_epoch = [&](train::EventLog& events, int64_t update) {
    const auto scope = averaged();
    epoch_log(events, update);
  };
  train::fit(model, *optimizer, loader, train_step, fit);
  const auto scope = averaged();
  if (options.lora > 0) examples::save_adapter(options.out, model, fit.metadata);
  if (pruning) pruning->print();
  data::DataLoader<data::ImageBatch> tests = test_loader(sets.test, recipe, 256, options.workers);
  report(examine(model, tests, classes, options.test_flip), *sets.test, recipe.classes, options.out);
}

}  // namespace image_classifier
