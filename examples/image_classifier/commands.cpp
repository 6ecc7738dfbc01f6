#include "commands.h"

#include <algorithm>
#include <cstdio>

#include "data/image.h"
#include "data_sets.h"
#include "evaluation.h"
#include "examples/metadata.h"
#include "tensor/io/file.h"
#include "tensor/io/npy.h"
#include "terminal.h"
#include "train/progress.h"
#include "tuning.h"

namespace image_classifier {

using namespace gradus;

namespace {

// A model read back from a checkpoint.
struct Trained {
  Recipe recipe;
  Options options;
  std::unique_ptr<Classifier> model;

  Trained(const std::string& checkpoint, Device device) {
    const std::string path = train::find_checkpoint(checkpoint);
    const TensorFile file = load_safetensors(path);
    recipe = recipe_from(file.metadata, path);
    options = options_from(file.metadata, path);
    model = load_model(file, path);
    model->to(device);
    model->eval();
  }

  // Whether these are the classes that the model tells apart; a checkpoint has their names as they are printed.
  bool knows(std::vector<std::string> names) const {
    for (std::string& name : names) name = printable(name);
    return names == recipe.classes;
  }

  // The images to look at, brought to what the model expects where they can be; "": of the data it was trained on.
  DataSets open(const std::string& other) const {
    const std::string& data = other.empty() ? options.data : other;
    const DataSets sets = open_data(data, {options.samples, recipe.image[1], recipe.image[0] == 1, options.skip_bad});
    check(sets.test->image_shape() == recipe.image, printable(data), ": images ", sets.test->image_shape(),
          ", the model expects ", recipe.image);
    check(knows(sets.test->classes()) || data != options.data, printable(data),
          ": its classes are not those the model was trained on");
    return sets;
  }

  // One image (channels, height, width) as the model expects it, a batch of one.
  Tensor batch_of(const Tensor& image) {
    const data::ImageSet one = data::tensor_images(image.unsqueeze(0), zeros({1}, {.dtype = int64}), recipe.classes);
    return test_loader(one, recipe, 1, 0).next()->images.to(model->device());
  }

  // What the model takes one image for: probabilities of the classes.
  std::vector<double> probabilities(const Tensor& image) {
    NoGrad guard;
    return softmax(logits_of(*model, batch_of(image), options.test_flip), 1).to_vector();
  }

  // The class of that name.
  int64_t class_named(const std::string& name) const {
    const auto place = std::find(recipe.classes.begin(), recipe.classes.end(), name);
    if (place != recipe.classes.end()) return place - recipe.classes.begin();
    std::vector<std::string> known(recipe.classes.begin(),
                                   std::min(recipe.classes.begin() + 20, recipe.classes.end()));
    if (known.size() < recipe.classes.size()) known.push_back("...");
    fail({"--class: the model knows no '", printable(name), "'; it knows ", printable(examples::join(known, ','))});
  }
};

std::string percent(double share) {
  char buffer[32];
  std::snprintf(buffer, sizeof(buffer), "%6.2f%%", 100 * share);
  return buffer;
}

}  // namespace

void evaluate(const EvaluateOptions& options, Device device) {
  Trained trained(options.checkpoint, device);
  const DataSets sets = trained.open(options.data);
  const std::vector<std::string>&known = trained.recipe.classes, &classes = sets.test->classes();
  check(classes.size() == known.size(), printable(options.data), ": ", classes.size(), " classes, the model tells ",
        known.size(), " apart");
  if (!trained.knows(classes)) {
    std::printf("the classes of %s have other names than the model's: the first is taken for its first, and so on\n",
                printable(options.data).c_str());
  }
  auto loader = test_loader(sets.test, trained.recipe, options.batch, options.workers);
  report(examine(*trained.model, loader, int64_t(known.size()), trained.options.test_flip), *sets.test, known,
         options.out);
}

void predict(const PredictOptions& options, Device device) {
  Trained trained(options.checkpoint, device);
  const Shape& shape = trained.recipe.image;
  const int64_t asked = options.of_class.empty() ? -1 : trained.class_named(options.of_class);
  std::vector<Explained> explained;
  for (const std::string& path : options.files) {
    Tensor image = data::fit(data::to_channels(data::read_image(path), shape[0]), shape[1], shape[2]);
    if (options.invert) image = 255 - image;
    const std::vector<double> p = trained.probabilities(image);
    std::vector<size_t> order(p.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] > p[b]; });
    if (!options.attention.empty()) {
      const int64_t of_class = asked >= 0 ? asked : int64_t(order[0]);
      explained.push_back(
          {path.substr(path.rfind('/') + 1), image, p, of_class,
           explain(*trained.model, trained.batch_of(image), {of_class}, trained.recipe.classes, options.explain)[0]});
    }
    std::printf("%s\n", printable(path).c_str());
    for (size_t i = 0; i < order.size() && int64_t(i) < options.top; ++i) {
      std::printf("  %s  %s\n", percent(p[order[i]]).c_str(), printable(trained.recipe.classes[order[i]]).c_str());
    }
  }
  if (!options.attention.empty()) {
    data::write_png(options.attention, attention_sheet(explained, trained.recipe.classes));
  }
}

void embed(const EmbedOptions& options, Device device) {
  Trained trained(options.checkpoint, device);
  const DataSets sets = trained.open(options.data);
  const data::ImageSet& set = options.split == "train" ? sets.train : sets.test;
  auto loader = test_loader(set, trained.recipe, options.batch, options.workers);
  NoGrad guard;
  Tensor features = empty({set->size(), trained.model->head().weight.size(1)});
  Tensor labels = empty({set->size()}, {.dtype = int64});
  int64_t done = 0;
  train::Progress progress("embed", set->size());
  for (auto& batch : loader) {
    const Tensor images = batch.images.to(device);
    features.narrow(0, done, images.size(0)).copy_(trained.model->features(trained.model->maps(images)));
    labels.narrow(0, done, images.size(0)).copy_(batch.labels);
    done += images.size(0);
    progress.update(done, "");
  }
  const std::string stem =
      options.out.ends_with(".npy") ? options.out.substr(0, options.out.size() - 4) : options.out;
  save_npy(stem + ".npy", features);
  save_npy(stem + "_labels.npy", labels);
  progress.finish(std::to_string(features.size(1)) + " features of " + std::to_string(done) + " images in " +
                  printable(stem) + ".npy, labels in " + printable(stem) + "_labels.npy");
}

void show(const ShowOptions& options, Device device) {
  Trained trained(options.checkpoint, device);
  const data::ImageSet set = some_of(trained.open("").test, options.count);
  constexpr int64_t height = 20, caption_width = 24, gap = 2;
  const int64_t width = height * trained.recipe.image[2] / trained.recipe.image[1];
  const int64_t cell = std::max(width, caption_width) + gap;
  const int64_t in_a_row = std::max<int64_t>(1, (terminal_columns() + gap) / cell);
  const Style style = terminal_style();
  for (int64_t start = 0; start < set->size(); start += in_a_row) {
    std::vector<std::string> lines(height / 2 + 1);
    for (int64_t i = start; i < std::min(start + in_a_row, set->size()); ++i) {
      const data::Sample sample = set->get(i);
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

void merge(const examples::MergeOptions& options) {
  std::string path = train::find_checkpoint(options.checkpoint);
  TensorFile file = load_safetensors(path);
  std::unique_ptr<Classifier> model = load_model(file, path);
  if (!options.adapter.empty()) {
    path = options.adapter;
    file = examples::with_adapter(examples::plain_state(*model), path);
    model = load_model(file, path);
  }
  examples::save_merged(options.out, *model, file.metadata);
}

}  // namespace image_classifier
