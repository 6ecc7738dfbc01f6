#include <algorithm>
#include <charconv>
#include <cstdio>

#include "commands.h"
#include "data/text/corpus.h"
#include "tensor/io/file.h"

namespace image_classifier {

using namespace gradus;

namespace {

// Names out of a file, one a line, or as many numbers as `argument` says.
std::vector<std::string> class_names(const std::string& argument) {
  constexpr int64_t most = 10000;
  int64_t count = 0;
  const char* end = argument.data() + argument.size();
  std::vector<std::string> names;
  if (std::from_chars(argument.data(), end, count).ptr == end) {
    for (int64_t i = 0; i < std::min(count, most + 1); ++i) names.push_back(std::to_string(i));
  } else {
    names = data::read_lines(argument);
    const auto empty = std::find(names.begin(), names.end(), "");
    check(empty == names.end(), printable(argument), ": line ", empty - names.begin() + 1, " has no name");
  }
  check(!names.empty() && int64_t(names.size()) <= most, "--classes ", printable(argument), ": expected 1 to ", most,
        " classes");
  return names;
}

// Fills the model with the file's tensors. PyTorch counted no batches before version 0.4.1: such counts may be missing.
void load_state(const std::string& path, Classifier& model) {
  const TensorFile file = load_safetensors(path);
  nn::StateDict state = file.tensors;
  for (const auto& [name, buffer] : model.named_buffers())
    if (name.ends_with("num_batches_tracked") && !file.find(name)) state.emplace_back(name, zeros_like(buffer));
  try {
    model.load_state_dict(state);
  } catch (const Error& e) {
    fail({printable(path), ": ", e.what()});
  }
}

}  // namespace

void convert(const ConvertOptions& convert) {
  check(convert.mean.size() == convert.std.size(), "--mean has ", convert.mean.size(), " numbers and --std ",
        convert.std.size(), ", expected one of each for every channel");
  const int64_t channels = int64_t(convert.mean.size());
  check(channels == 1 || channels == 3, "--mean has ", channels, " numbers, expected 1 or 3");
  const std::string out = convert.out + "/last.safetensors";
  check(!file_exists(out), printable(out), ": there is a checkpoint already, name another folder with --out");

  Recipe recipe = {
      convert.model, {channels, convert.size, convert.size}, class_names(convert.classes), convert.mean, convert.std};
  const std::unique_ptr<Classifier> model = make_model(recipe.model, recipe.image, int64_t(recipe.classes.size()));
  load_state(convert.file, *model);

  Options options;
  static_cast<ModelOptions&>(options) = convert.model;
  options.data = "";  // unknown
  options.size = convert.size;
  options.grey = channels == 1;
  make_folder(convert.out);
  train::save_checkpoint(out, {train::part("", *model)}, to_metadata(options, recipe));
  std::printf("%s: %s with %lld parameters, %zu classes\n", printable(out).c_str(), convert.model.model.c_str(),
              static_cast<long long>(model->parameter_count()), recipe.classes.size());
}

}  // namespace image_classifier
