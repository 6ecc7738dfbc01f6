#include "config.h"

#include "examples/metadata.h"
#include "tensor/io/file.h"

namespace image_classifier {

using namespace gradus;
using namespace examples;

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
  each_option([&](const char* name, auto member, const char*) { read.into(name, options.*member); });
  read.one_of("model", model_names);
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
