// Going on from a trained model, which the programs have in common: with all its weights, with some of them frozen, or
// with low-rank matrices beside them (nn/lora.h).
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "examples/metadata.h"
#include "nn/lora.h"
#include "tensor/io/file.h"
#include "tensor/io/safetensors.h"
#include "train/checkpoint.h"

namespace examples {

// Options of `train`.
struct Adaptation {
  std::string from = "";
  std::string freeze = "";
  int64_t lora = 0;  // rank; 0: no such matrices
  double lora_alpha = 16;
  std::string lora_on = "*";
};

// Options of `merge`, which writes the model of a checkpoint, or of a checkpoint and an adapter, with what LoRA learnt
// in its weights: a model as any other.
struct MergeOptions {
  std::string checkpoint, adapter = "", out = "merged.safetensors";
};

template <class F>
void each_adaptation_option(F f) {
  f("from", &Adaptation::from,
    "begin with the weights of this checkpoint (a file or a folder), which is not changed");
  f("freeze", &Adaptation::freeze, "parts to leave as they are: paths, * for any characters, commas between them");
  f("lora", &Adaptation::lora, "train nothing but matrices of this rank beside the weights (LoRA; 0: none)");
  f("lora-alpha", &Adaptation::lora_alpha, "what they give is multiplied by this over the rank");
  f("lora-on", &Adaptation::lora_on, "paths of the linear layers and attentions that get them");
}

// Whether an option is one of these: they came later, so that a checkpoint without them is an older one, and as whole.
template <class Value>
constexpr bool is_adaptation(Value Adaptation::*) {
  return true;
}
template <class Value, class Options>
constexpr bool is_adaptation(Value Options::*) {
  return false;
}

// The checkpoint that a run with --from knows its model from: its own where it goes on, else that of --from.
template <class Options>
std::string origin_of(const Options& o) {
  return gradus::train::find_checkpoint(o.resume.empty() ? o.from : o.resume);
}

// Whether what `train` was given fits together; `more`, a further option that needs --from, by its name or "".
inline void check_adaptation(const Adaptation& o, const std::string& more = "") {
  const std::string what = o.lora > 0 ? "--lora" : !o.freeze.empty() ? "--freeze" : more;
  gradus::check(what.empty() || !o.from.empty(), what, " needs a trained model: --from");
  const Adaptation usual;
  gradus::check(o.lora > 0 || (o.lora_alpha == usual.lora_alpha && o.lora_on == usual.lora_on),
                "--lora-alpha and --lora-on say how, but not of what rank: --lora");
  gradus::check(o.lora == 0 || o.freeze.empty(),
                "--lora freezes all that was there: --freeze has no place beside it");
}

// The parameters' names as in a model of its own: what was learnt beside its weights is merged.
inline gradus::nn::StateDict plain_state(gradus::nn::Module& model) {
  if (!gradus::nn::lora_state(model).tensors.empty()) gradus::nn::merge_lora(model);
  return model.state_dict();
}

// Gives a model the weights of the one that --from names, but for those whose names begin with `but` where it is given.
inline void load_base(gradus::nn::Module& model, gradus::nn::Module& base, const Adaptation& o,
                      const std::string& but = "") {
  gradus::nn::StateDict state = plain_state(base);
  const auto skipped = [&](const gradus::nn::NamedTensor& t) { return !but.empty() && t.first.starts_with(but); };
  std::erase_if(state, skipped);
  for (const auto& own : model.state_dict()) {
    if (skipped(own)) state.push_back(own);
  }
  try {
    model.load_state_dict(state);
  } catch (const gradus::Error& e) {
    gradus::fail({"--from ", gradus::printable(o.from), ": ", e.what()});
  }
}

// Puts low-rank matrices beside the weights where the options ask for them.
inline void add_lora(gradus::nn::Module& model, const Adaptation& o) {
  if (o.lora > 0) gradus::nn::add_lora(model, {.rank = o.lora, .alpha = o.lora_alpha, .pattern = o.lora_on});
}

// Freezes what --freeze names.
inline void freeze(gradus::nn::Module& model, const Adaptation& o) {
  bool found = o.freeze.empty();
  for (const auto& [path, module] : model.named_modules()) {
    if (!gradus::nn::path_matches(o.freeze, path)) continue;
    module->requires_grad_(false);
    found = true;
  }
  gradus::check(found, "--freeze ", gradus::printable(o.freeze), ": the model has no such part");
}

// The parameters that are trained. Throws Error where there are none.
inline std::vector<gradus::Tensor> trained_parameters(const gradus::nn::Module& model) {
  std::vector<gradus::Tensor> trained = model.parameters();
  std::erase_if(trained, [](const gradus::Tensor& p) { return !p.requires_grad(); });
  gradus::check(!trained.empty(), "everything is frozen: there is nothing to train");
  return trained;
}

// ", 1024 of them trained" behind a number of parameters; "" where all are.
inline std::string trained_text(const gradus::nn::Module& model) {
  int64_t count = 0;
  for (const gradus::Tensor& p : trained_parameters(model)) count += p.numel();
  return count == model.parameter_count() ? "" : ", " + std::to_string(count) + " of them trained";
}

// The modules all of whose parameters are frozen. In training too they are to work as they do afterwards (eval()): a
// batch normalisation keeps its running statistics, nothing is dropped.
inline std::vector<gradus::nn::Module*> frozen_modules(gradus::nn::Module& model) {
  std::vector<gradus::nn::Module*> frozen;
  for (const auto& [path, module] : model.named_modules()) {
    const std::vector<gradus::Tensor> all = module->parameters();
    bool trained = all.empty();
    for (const gradus::Tensor& p : all) trained = trained || p.requires_grad();
    if (!trained) frozen.push_back(module);
  }
  return frozen;
}

// Makes a new model what --from, --freeze and --lora ask for, before it is trained: load() gives the model of --from.
// Returns the frozen modules.
template <class Options, class Load>
std::vector<gradus::nn::Module*> adapt(gradus::nn::Module& model, const Options& o, Load load) {
  if (!o.from.empty() && o.resume.empty()) load_base(model, *load(), o);
  freeze(model, o);
  add_lora(model, o);
  return frozen_modules(model);
}

// After a run with --lora: OUT/adapter.safetensors, all that it changed. With the checkpoint of --from it makes the
// model again (`merge --adapter`).
inline void save_adapter(const std::string& out, const gradus::nn::Module& model,
                         const gradus::train::Metadata& metadata) {
  gradus::TensorFile file = gradus::nn::lora_state(model);
  file.metadata.insert(metadata.begin(), metadata.end());
  for (const auto& [name, p] : model.named_parameters()) {
    if (p.requires_grad() && !file.find(name)) file.tensors.emplace_back(name, p.detach());
  }
  const std::string path = out + "/adapter.safetensors";
  gradus::save_safetensors(path, file);
  std::printf("what was learnt, apart: %s\n", gradus::printable(path).c_str());
}

// The checkpoint of a trained model and an adapter as one: what `base` has, and what an adapter puts in its place.
inline gradus::TensorFile with_adapter(const gradus::nn::StateDict& base, const std::string& adapter) {
  gradus::TensorFile file = gradus::load_safetensors(adapter);
  for (const auto& [name, tensor] : base) {
    if (!file.find(name)) file.tensors.emplace_back(name, tensor);
  }
  return file;
}

// What `merge` writes. Throws Error where there is nothing beside the weights.
inline void save_merged(const std::string& path, gradus::nn::Module& model, gradus::train::Metadata metadata) {
  gradus::check(!gradus::nn::lora_state(model).tensors.empty(), "there is nothing to merge: the model has no LoRA");
  gradus::nn::merge_lora(model);
  metadata["lora"] = "0";
  metadata.erase("rank");  // an adapter's
  metadata.erase("alpha");
  gradus::train::save_checkpoint(path, {gradus::train::part("", model)}, metadata);
  std::printf("merged: %s, %lld parameters\n", gradus::printable(path).c_str(),
              static_cast<long long>(model.parameter_count()));
}

}  // namespace examples
