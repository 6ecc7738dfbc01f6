#include "commands.h"

#include <algorithm>
#include <cstdio>

#include "data/image.h"
#include "data_sets.h"
#include "evaluation.h"
#include "examples/metadata.h"
#include "tensor/io/file.h"
#include "terminal.h"
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
  const std::string& data = options.data.empty() ? trained.options.data : options.data;
  const DataSets sets = open_data(data, {trained.options.samples, trained.options.size, trained.options.grey});
  check(sets.test->image_shape() == trained.recipe.image, printable(data), ": images ", sets.test->image_shape(),
        ", the model expects ", trained.recipe.image);
  check(sets.test->classes() == trained.recipe.classes || data != trained.options.data, printable(data),
        ": its classes are not those the model was trained on");
  auto loader = test_loader(sets.test, trained.recipe, options.batch, options.workers);
  report(examine(*trained.model, loader, int64_t(trained.recipe.classes.size()), trained.options.test_flip),
         *sets.test, trained.recipe.classes, options.out);
}

void predict(const PredictOptions& options, Device device) {
  Trained trained(options.checkpoint, device);
  const Shape& shape = trained.recipe.image;
  ExplainOptions explain_options = options.explain;
  if (!options.of_class.empty()) explain_options.of_class = trained.class_named(options.of_class);
  std::vector<Explained> explained;
  for (const std::string& path : options.files) {
    Tensor image = data::to_channels(data::read_image(path), shape[0]);
    image = data::resize(image, shape[1], shape[2]);
    if (options.invert) image = 255 - image;
    const std::vector<double> p = trained.probabilities(image);
    if (!options.attention.empty()) {
      const std::string name = path.substr(path.rfind('/') + 1);
      explained.push_back(
          {name, image,
           explain(*trained.model, trained.batch_of(image), trained.recipe.classes, explain_options)[0]});
    }
    std::vector<size_t> order(p.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] > p[b]; });
    std::printf("%s\n", printable(path).c_str());
    for (size_t i = 0; i < order.size() && int64_t(i) < options.top; ++i) {
      std::printf("  %s  %s\n", percent(p[order[i]]).c_str(), printable(trained.recipe.classes[order[i]]).c_str());
    }
  }
  if (!options.attention.empty()) {
    data::write_png(options.attention, attention_sheet(explained, trained.recipe.classes, explain_options.of_class));
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
