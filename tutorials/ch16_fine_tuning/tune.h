// Ways to go on from a trained reader; how one of them is begun, trained and judged.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "model.h"
#include "nn/lora.h"
#include "optim/optim.h"
#include "tensor/io/safetensors.h"

namespace ch16 {

struct Way {
  const char* name;
  double rate;                // of learning
  bool pretrained = true;     // begins with the checkpoint's weights
  std::string freeze = "";    // paths of the parts that stay as they are
  int64_t rank = 0;           // of LoRA beside the body's matrices; 0: none
  std::string lora_on = "*";  // paths of those that get it
  bool rehearse = false;      // the old task is trained along
};

//! [start]
inline Classifier start(const Way& way, const nn::StateDict& trained) {
  Classifier model;
  if (way.pretrained) model.body.load_state_dict(trained);  // the head stays as it was drawn
  for (const auto& [path, part] : model.named_modules())
    if (nn::path_matches(way.freeze, path)) part->requires_grad_(false);
  if (way.rank > 0) nn::add_lora(model.body, {.rank = way.rank, .alpha = 8, .pattern = way.lora_on});
  return model;
}

// What is trained, by name.
inline nn::StateDict trained_part(const nn::Module& model) {
  nn::StateDict part = model.named_parameters();
  std::erase_if(part, [](const nn::NamedTensor& p) { return !p.second.requires_grad(); });
  return part;
}
//! [start]

inline int64_t count(const nn::StateDict& part) {
  int64_t sum = 0;
  for (const auto& [name, tensor] : part) sum += tensor.numel();
  return sum;
}

constexpr int64_t updates = 200;

//! [train]
inline void train(Classifier& model, const Way& way, const Batch& examples, uint64_t seed) {
  std::vector<Tensor> parameters;
  for (const auto& [name, parameter] : trained_part(model)) parameters.push_back(parameter);
  optim::AdamW optimizer(parameters, {.lr = way.rate});
  optim::CosineLR schedule(optimizer, {.steps = updates, .warmup = 10});
  Generator random(seed);
  for (int64_t update = 0; update < updates; ++update) {
    const Tensor rows = randint(0, examples.doers.size(0), {32}, {.dtype = int64}, &random);
    const Batch batch = examples.rows(rows);
    Tensor loss = cross_entropy(model(batch.tokens), batch.doers);
    if (way.rehearse) loss = loss + next_word_loss(model.body, sentences(32, random));
    optimizer.zero_grad();
    loss.backward();
    optim::clip_grad_norm_(parameters, 1);
    optimizer.step();
    schedule.step();
  }
}
//! [train]

// Of the new task: nouns that the examples have, and nouns that they have not.
inline const Draw known_nouns{.first_noun = 0, .nouns = 4, .labelled = true},
    other_nouns{.first_noun = 4, .nouns = 4, .labelled = true};

// Sentences to judge with, the same for all.
struct Tests {
  Batch old_task, known, other;
};
inline Tests draw_tests(uint64_t seed) {
  Generator random(seed);
  return {sentences(500, random), sentences(500, random, known_nouns), sentences(500, random, other_nouns)};
}

// A model of the new task, trained with so many examples.
inline Classifier tuned(const Way& way, const nn::StateDict& trained, int64_t examples, uint64_t seed) {
  manual_seed(seed);
  Classifier model = start(way, trained);
  Generator random(seed);
  train(model, way, sentences(examples, random, known_nouns), seed);
  return model;
}

inline std::string checkpoint() { return GRADUS_CHECKPOINTS "/ch16_reader.safetensors"; }

// A file of this process that goes when this does.
struct PassingFile {
  std::string path;
  explicit PassingFile(const std::string& name)
      : path(std::filesystem::temp_directory_path() / ("gradus_" + std::to_string(getpid()) + "_" + name)) {}
  ~PassingFile() { std::remove(path.c_str()); }
  PassingFile(const PassingFile&) = delete;
  PassingFile& operator=(const PassingFile&) = delete;
};
inline int64_t bytes_of(const TensorFile& tensors) {
  const PassingFile file("size.safetensors");
  save_safetensors(file.path, tensors);
  return int64_t(std::filesystem::file_size(file.path));
}

}  // namespace ch16
