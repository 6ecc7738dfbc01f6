#include "tuning.h"

#include <algorithm>
#include <cstdio>

#include "nn/attention.h"
#include "nn/conv.h"
#include "tensor/io/file.h"

namespace image_classifier {

using namespace gradus;

namespace {

void add_lora(Classifier& model, const Options& options) {
  examples::add_lora(model, options);
  if (options.head != "new") return;
  model.head().lora = {};  // it is trained itself
  check(options.lora == 0 || !nn::lora_state(model).tensors.empty(), "--lora: but for the new head, '",
        printable(options.lora_on), "' matches no linear layer and no attention of ", model.type());
}

std::string path_of_head(Classifier& model) {
  for (const auto& [path, module] : model.named_modules()) {
    if (module == &model.head()) return path;
  }
  fail({model.type(), ": its head is no part of it"});
}

std::vector<nn::NamedTensor> prunable(Classifier& model) {
  std::vector<nn::NamedTensor> found;
  for (const auto& [path, module] : model.named_modules()) {
    if (auto* linear = dynamic_cast<nn::Linear*>(module)) found.emplace_back(path, linear->weight);
    if (auto* conv = dynamic_cast<nn::Convolution*>(module)) found.emplace_back(path, conv->weight);
    if (auto* attention = dynamic_cast<nn::MultiheadAttention*>(module)) {
      found.emplace_back(path, attention->in_proj_weight);
    }
  }
  std::erase_if(found, [](const nn::NamedTensor& w) { return !w.second.defined() || !w.second.requires_grad(); });
  return found;
}

std::vector<Tensor> tensors_of(const std::vector<nn::NamedTensor>& named) {
  std::vector<Tensor> tensors;
  for (const auto& entry : named) tensors.push_back(entry.second);
  return tensors;
}

}  // namespace

std::unique_ptr<Classifier> load_model(const TensorFile& file, const std::string& path) {
  const Recipe recipe = recipe_from(file.metadata, path);
  std::unique_ptr<Classifier> model;
  try {
    model = make_model(recipe.model, recipe.image, int64_t(recipe.classes.size()));
    add_lora(*model, options_from(file.metadata, path));
  } catch (const Error& e) {
    fail({printable(path), ": ", e.what()});
  }
  load_answering_weights(file, path, *model);
  return model;
}

void take_pixels(const Options& options, Recipe& recipe) {
  if (options.from.empty()) return;
  const std::string path = examples::origin_of(options);
  const Recipe base = recipe_from(load_safetensors(path).metadata, path);
  check(base.image[0] == recipe.image[0], printable(options.data), ": images of ", recipe.image[0],
        " channels, the model of --from expects ", base.image[0]);
  recipe.mean = base.mean;
  recipe.std = base.std;
}

void adapt(Classifier& model, const Options& options, const Recipe& recipe) {
  const bool new_head = options.head == "new";
  examples::check_adaptation(options, new_head ? "--head new" : options.prune > 0 ? "--prune" : "");
  check(options.prune > 0 || (!options.prune_each && options.prune_updates == 0),
        "--prune-each and --prune-updates say how to prune, but not how much: --prune");
  check(options.prune == 0 || options.lora == 0, "--prune changes weights, --lora leaves them as they are");
  check(options.prune_updates == 0 || options.ema == 0,
        "--ema would remember weights that --prune-updates has set to zero since");
  if (!options.from.empty() && options.resume.empty()) {
    const std::string path = train::find_checkpoint(options.from);
    const TensorFile file = load_safetensors(path);
    const size_t known = recipe_from(file.metadata, path).classes.size();
    check(new_head || known == recipe.classes.size(), printable(options.data), ": ", recipe.classes.size(),
          " classes, the model of --from tells ", known, " apart: --head new makes it one for these");
    examples::load_base(model, *load_model(file, path), options, new_head ? path_of_head(model) + "." : "");
  }
  examples::freeze(model, options);
  add_lora(model, options);
  if (new_head) model.head().requires_grad_(true);
}

Pruning::Pruning(Classifier& model, const Options& options, int64_t updates)
    : weights_(prunable(model)),
      pruner_(tensors_of(weights_), options.prune_each ? optim::PruneScope::each : optim::PruneScope::all),
      sparsity_(options.prune),
      updates_(options.prune_updates) {
  check(!weights_.empty(), "--prune: no kernel and no matrix is trained");
  check(updates_ <= updates, "--prune-updates ", updates_, ": the training has only ", updates, " updates");
}

void Pruning::start() {
  if (updates_ == 0) pruner_.prune(sparsity_);
}

// Little by little in a hundred steps at most: to sort all weights after each update would take longer than the update.
void Pruning::update(int64_t number) {
  const int64_t every = std::max<int64_t>(updates_ / 100, 1);
  if (number == updates_ || (number < updates_ && number % every == 0))
    pruner_.prune(optim::gradual_sparsity(sparsity_, number, updates_));
  else
    pruner_.apply();
}

void Pruning::print() const {
  size_t width = 20;
  for (const auto& entry : weights_) width = std::max(width, entry.first.size());
  const auto row = [&](const std::string& name, const std::vector<Tensor>& weights) {
    int64_t count = 0;
    for (const Tensor& w : weights) count += w.numel();
    std::printf("%-*s %12lld %7.2f%%\n", int(width), name.c_str(), static_cast<long long>(count),
                100 * optim::sparsity(weights));
  };
  std::printf("\n%-*s %12s %8s\n", int(width), "", "weights", "zeros");
  for (const auto& [path, weight] : weights_) row(path, {weight});
  row("all of these", tensors_of(weights_));
  std::fflush(stdout);
}

}  // namespace image_classifier
