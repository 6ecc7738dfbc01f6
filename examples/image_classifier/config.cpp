#include "config.h"

#include "examples/adapt.h"
#include "examples/metadata.h"
#include "optim/ema.h"
#include "tensor/io/file.h"

namespace image_classifier {

using namespace gradus;
using namespace examples;

std::vector<Tensor> averaged_tensors(const Classifier& model) {
  std::vector<Tensor> tensors = model.parameters();
  for (const auto& [name, buffer] : model.named_buffers()) {
    if (is_floating(buffer.dtype())) tensors.push_back(buffer);
  }
  return tensors;
}

void load_answering_weights(const TensorFile& file, const std::string& path, Classifier& model) {
  try {
    train::load_weights(file, model);
    const std::string prefix = std::string(average_part) + "/";
    nn::StateDict state;
    for (const auto& [name, tensor] : file.tensors) {
      if (name.starts_with(prefix)) state.emplace_back(name.substr(prefix.size()), tensor);
    }
    if (state.empty()) return;
    optim::EMA average(averaged_tensors(model), 0);
    average.load_state_dict(state);
    average.swap();
  } catch (const Error& e) {
    fail({printable(path), ": ", e.what()});
  }
}

train::Metadata to_metadata(const Options& options, const Recipe& recipe) {
  std::vector<std::string> classes, sizes;
  for (const std::string& name : recipe.classes) classes.push_back(printable(name));
  for (int64_t n : recipe.image) sizes.push_back(std::to_string(n));
  train::Metadata metadata = {{"program", "image_classifier"},
                              {"image", join(sizes, ',')},
                              {"classes", join(classes, '\n')},
                              {"mean", texts(recipe.mean)},
                              {"std", texts(recipe.std)}};
  each_option([&](const char* name, auto member, const char*) { metadata[name] = text(options.*member); });
  return metadata;
}

Options options_from(const train::Metadata& metadata, const std::string& path) {
  const MetadataReader read = {"image_classifier", metadata, path};
  read.check_program();
  Options options;
  each_option([&](const char* name, auto member, const char*) {
    if (!examples::is_adaptation(member) || metadata.count(name)) read.into(name, options.*member);
  });
  read.one_of("model", model_names);
  read.one_of("stem", stem_names);
  read.one_of("pool", pool_names);
  read.one_of("positions", position_names);
  read.one_of("optimizer", optimizer_names);
  read.one_of("schedule", schedule_names);
  return options;
}

Recipe recipe_from(const train::Metadata& metadata, const std::string& path) {
  const MetadataReader read = {"image_classifier", metadata, path};
  Recipe recipe;
  recipe.model = options_from(metadata, path);
  for (const std::string& n : split(read.get("image"), ',')) {
    recipe.image.push_back(read.parse<int64_t>("image", n, 1, 4096));
  }
  recipe.classes = split(read.get("classes"), '\n');
  recipe.mean = read.numbers("mean", 0, 1);
  recipe.std = read.numbers("std", 1e-9, 1);
  check(recipe.image.size() == 3 && recipe.classes.size() <= 10000 && !recipe.classes.empty() &&
            int64_t(recipe.mean.size()) == recipe.image[0] && recipe.mean.size() == recipe.std.size(),
        printable(path), ": metadata 'image', 'classes', 'mean' and 'std' do not fit together");
  return recipe;
}

}  // namespace image_classifier
