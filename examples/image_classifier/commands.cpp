#include "commands.h"

#include <algorithm>
#include <cstdio>

#include "data/image.h"
#include "data/metrics.h"
#include "data/transforms.h"
#include "data_sets.h"
#include "optim/optim.h"
#include "tensor/io/file.h"
#include "terminal.h"
#include "train/fit.h"

namespace image_classifier {

using namespace gradus;

namespace {

bool has(const std::vector<std::string>& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

data::DataLoader<data::ImageBatch> test_loader(const data::ImageSet& set, const Recipe& recipe, int64_t batch,
                                               int64_t workers) {
  return data::image_loader(set, {.batch_size = batch, .workers = workers},
                            {data::normalize(recipe.mean, recipe.std)});
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

data::ConfusionMatrix confusion_of(nn::Sequential& model, data::DataLoader<data::ImageBatch>& loader,
                                   int64_t classes) {
  NoGrad guard;
  model.eval();
  data::ConfusionMatrix matrix(classes);
  for (auto& [images, labels] : loader) matrix.add(model(images.to(model.device())), labels);
  return matrix;
}

void print_report(const data::ConfusionMatrix& matrix, const std::vector<std::string>& classes) {
  std::vector<std::string> names;
  for (const std::string& name : classes) names.push_back(printable(name));
  std::printf("\n%s\ntest accuracy: %.2f%%\n", to_string(data::classification_report(matrix), names).c_str(),
              100 * matrix.accuracy());
}

// A model read back from a checkpoint.
struct Trained {
  Recipe recipe;
  Options options;
  nn::Sequential model;

  Trained(const std::string& checkpoint, Device device) {
    const std::string path = train::find_checkpoint(checkpoint);
    const TensorFile file = load_safetensors(path);
    recipe = recipe_from(file.metadata, path);
    options = options_from(file.metadata, path);
    model = make_model(recipe.model, recipe.image, int64_t(recipe.classes.size()));
    try {
      train::load_weights(file, model);
    } catch (const Error& e) {
      fail({printable(path), ": ", e.what()});
    }
    model.to(device);
    model.eval();
  }

  // What the model takes one image (channels, height, width) for: probabilities of the classes.
  std::vector<double> probabilities(const Tensor& image) {
    NoGrad guard;
    const data::ImageSet one = data::tensor_images(image.unsqueeze(0), zeros({1}, {.dtype = int64}), recipe.classes);
    const auto batch = test_loader(one, recipe, 1, 0).next();
    return softmax(model(batch->images.to(model.device())), 1).to_vector();
  }
};

std::string percent(double share) {
  char buffer[32];
  std::snprintf(buffer, sizeof(buffer), "%6.2f%%", 100 * share);
  return buffer;
}

}  // namespace

void train(const Options& options, Device device) {
  const DataSets sets = open_data(options.data, {options.samples, options.size, options.grey});
  // The images of a folder have to be decoded for this; some of a large one will do.
  const int64_t looked_at = options.data.starts_with("folder:") ? 2000 : sets.train->size();
  const data::ChannelStatistics statistics = data::channel_statistics(*sets.train, looked_at);
  Recipe recipe = {options.model, sets.train->image_shape(), sets.train->classes(), statistics.mean, statistics.std};
  // A channel that is the same everywhere.
  for (double& s : recipe.std) s = std::max(s, 1e-3);

  manual_seed(options.seed);
  nn::Sequential model = make_model(recipe.model, recipe.image, int64_t(recipe.classes.size()));
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

void evaluate(const EvaluateOptions& options, Device device) {
  Trained trained(options.checkpoint, device);
  const std::string& data = options.data.empty() ? trained.options.data : options.data;
  const DataSets sets = open_data(data, {trained.options.samples, trained.options.size, trained.options.grey});
  check(sets.test->image_shape() == trained.recipe.image, printable(data), ": images ", sets.test->image_shape(),
        ", the model expects ", trained.recipe.image);
  check(sets.test->classes() == trained.recipe.classes || data != trained.options.data, printable(data),
        ": its classes are not those the model was trained on");
  auto loader = test_loader(sets.test, trained.recipe, options.batch, options.workers);
  print_report(confusion_of(trained.model, loader, int64_t(trained.recipe.classes.size())), trained.recipe.classes);
}

void predict(const PredictOptions& options, Device device) {
  Trained trained(options.checkpoint, device);
  const Shape& shape = trained.recipe.image;
  for (const std::string& path : options.files) {
    Tensor image = data::to_channels(data::read_image(path), shape[0]);
    image = data::resize(image, shape[1], shape[2]);
    if (options.invert) image = 255 - image;
    const std::vector<double> p = trained.probabilities(image);
    std::vector<size_t> order(p.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] > p[b]; });
    std::printf("%s\n", printable(path).c_str());
    for (size_t i = 0; i < order.size() && int64_t(i) < options.top; ++i) {
      std::printf("  %s  %s\n", percent(p[order[i]]).c_str(), printable(trained.recipe.classes[order[i]]).c_str());
    }
  }
}

void show(const ShowOptions& options, Device device) {
  Trained trained(options.checkpoint, device);
  const data::ImageSet set =
      open_data(trained.options.data, {trained.options.samples, trained.options.size, trained.options.grey}).test;
  const int64_t count = std::min(options.count, set->size());
  constexpr int64_t height = 20, caption_width = 24, gap = 2;
  const int64_t width = height * trained.recipe.image[2] / trained.recipe.image[1];
  const int64_t cell = std::max(width, caption_width) + gap;
  const int64_t in_a_row = std::max<int64_t>(1, (terminal_columns() + gap) / cell);
  const Style style = terminal_style();
  for (int64_t start = 0; start < count; start += in_a_row) {
    std::vector<std::string> lines(height / 2 + 1);
    for (int64_t i = start; i < std::min(start + in_a_row, count); ++i) {
      // From all over the set; + i, because drawn digits come in the order 0 to 9.
      const data::Sample sample = set->get((i * set->size() / count + i) % set->size());
      const std::vector<double> p = trained.probabilities(sample.image);
      const size_t best = size_t(std::max_element(p.begin(), p.end()) - p.begin());
      const auto picture = draw(data::resize(data::to_channels(sample.image, 1), height, width), style);
      for (size_t k = 0; k < picture.size(); ++k) lines[k] += picture[k] + std::string(size_t(cell - width), ' ');
      std::string caption = printable(trained.recipe.classes[best]) + " " + percent(p[best]);
      if (int64_t(best) != sample.label) caption += " wrong";
      caption.resize(size_t(cell), ' ');
      lines.back() += caption;
    }
    std::printf("\n");
    for (const std::string& line : lines) std::printf("%s\n", line.c_str());
  }
}

}  // namespace image_classifier
