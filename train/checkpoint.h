// Checkpoints: all a run needs to go on, in one safetensors file.
//
// The model's tensors have the names of its state_dict, so any reader of safetensors finds its weights; those
// of every other part are called "PART/NAME" ("optimizer/state.0.exp_avg"), and no module's path has a slash.
// Nothing in a checkpoint depends on time or the number of threads: the same run gives the same bytes, and
// one that was killed and resumed does too.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "data/loader.h"
#include "nn/module.h"
#include "tensor/io/safetensors.h"

namespace gradus::train {

using Metadata = std::map<std::string, std::string>;

struct CheckpointPart {
  std::string name;  // "" for the model
  std::function<nn::StateDict()> state;
  std::function<void(const nn::StateDict&)> load;  // throws Error, changing nothing, where it does not fit
};

// Of anything with state_dict and load_state_dict: a model, an optimiser, a schedule, an average of weights.
// The part points at `object`.
template <class T>
CheckpointPart part(const std::string& name, T& object) {
  return {name, [&object] { return object.state_dict(); },
          [&object](const nn::StateDict& state) { object.load_state_dict(state); }};
}
// Where a loader stands, and what its order follows from (seed, size, batch size): with another it does not load.
CheckpointPart loader_part(const std::string& name, data::LoaderBase& loader);
// The default generator of the thread that saves and loads.
CheckpointPart random_part();

// Replaces `path` in one step; where that fails, Error, and the earlier file is as it was.
void save_checkpoint(const std::string& path, const std::vector<CheckpointPart>& parts,
                     const Metadata& metadata = {});
// Restores every part, in order, or throws Error naming the file and changes none: where the file is damaged,
// lacks a part, has one that is not listed, or has one that does not fit. Gives the metadata.
Metadata load_checkpoint(const std::string& path, const std::vector<CheckpointPart>& parts);

// The model's part alone, of a checkpoint or of any other safetensors file.
void load_weights(const TensorFile& file, nn::Module& model);

// The checkpoint that `path` means: itself, or the last one in it where it is a folder. Throws Error if there is
// none.
std::string find_checkpoint(const std::string& path);

}  // namespace gradus::train
