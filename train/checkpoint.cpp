#include "train/checkpoint.h"

#include <algorithm>
#include <filesystem>

#include "tensor/io/file.h"

namespace gradus::train {

using nn::StateDict;

static int64_t number(const StateDict& state, const std::string& name, int64_t index, const Shape& shape) {
  for (const auto& [key, value] : state)
    if (key == name) {
      check(value.dtype() == int64 && value.shape() == shape, name, " is ", value.dtype(), " ", value.shape(),
            ", expected int64 ", shape);
      return value.data<int64_t>()[index];
    }
  fail({"lacks ", name});
}

CheckpointPart loader_part(const std::string& name, data::LoaderBase& loader) {
  auto order = [&loader]() -> std::vector<int64_t> {
    const data::LoaderOptions& o = loader.options();
    return {int64_t(o.seed), loader.size(), o.batch_size, o.shuffle, o.drop_last};
  };
  auto save = [&loader, order]() -> StateDict {
    data::LoaderState at = loader.state();
    return {{"position", from_vector<int64_t>({at.epoch, at.batch}, {2})}, {"order", from_vector(order(), {5})}};
  };
  auto load = [&loader, order](const StateDict& state) {
    static constexpr const char* what[] = {"seed", "number of samples", "batch size", "shuffling", "drop_last"};
    std::vector<int64_t> now = order();
    for (int64_t i = 0; i < 5; ++i) {
      int64_t then = number(state, "order", i, {5});
      check(then == now[size_t(i)], "the order of samples has changed: ", what[i], " was ", then, ", now ",
            now[size_t(i)]);
    }
    loader.restore({number(state, "position", 0, {2}), number(state, "position", 1, {2})});
  };
  return {name, save, load};
}

CheckpointPart random_part() {
  auto save = []() -> StateDict {
    PhiloxState s = default_generator().state();
    return {{"philox", from_vector<int64_t>({int64_t(s.seed), int64_t(s.offset)}, {2})}};
  };
  auto load = [](const StateDict& state) {
    int64_t seed = number(state, "philox", 0, {2}), offset = number(state, "philox", 1, {2});
    default_generator().set_state({uint64_t(seed), uint64_t(offset)});
  };
  return {"random", save, load};
}

void save_checkpoint(const std::string& path, const std::vector<CheckpointPart>& parts, const Metadata& metadata) {
  TensorFile file{{}, metadata};
  for (const CheckpointPart& part : parts)
    for (auto& [name, tensor] : part.state()) {
      check(!part.name.empty() || name.find('/') == std::string::npos, printable(path), ": the model's '",
            printable(name), "' has a slash, which sets parts of a checkpoint apart");
      file.tensors.emplace_back(part.name.empty() ? name : part.name + "/" + name, tensor);
    }
  save_safetensors(path, file);
}

// The tensors of each part, under their names within it.
static std::map<std::string, StateDict> by_part(const TensorFile& file) {
  std::map<std::string, StateDict> states;
  for (const auto& [name, tensor] : file.tensors) {
    size_t slash = name.find('/');
    if (slash == std::string::npos)
      states[""].emplace_back(name, tensor);
    else
      states[name.substr(0, slash)].emplace_back(name.substr(slash + 1), tensor);
  }
  return states;
}

static std::string title(const CheckpointPart& part) { return part.name.empty() ? "model" : part.name; }

Metadata load_checkpoint(const std::string& path, const std::vector<CheckpointPart>& parts) {
  TensorFile file = load_safetensors(path);
  std::map<std::string, StateDict> states = by_part(file);
  for (const CheckpointPart& part : parts)
    check(states.count(part.name), printable(path), ": is no checkpoint of this run: it lacks the ", title(part),
          "'s state");
  for (const auto& entry : states) {
    auto wanted = [&](const CheckpointPart& part) { return part.name == entry.first; };
    check(std::any_of(parts.begin(), parts.end(), wanted), printable(path), ": has the state of '",
          printable(entry.first), "', which this run has not");
  }

  // Each part loads all or nothing; those loaded before one that fails are put back.
  std::vector<StateDict> before;
  size_t done = 0;
  for (const CheckpointPart& part : parts) {
    before.push_back(part.state());
    for (auto& entry : before.back()) entry.second = entry.second.clone();
  }
  try {
    for (; done < parts.size(); ++done) parts[done].load(states[parts[done].name]);
  } catch (const Error& error) {
    for (size_t i = 0; i < done; ++i) parts[i].load(before[i]);
    fail({printable(path), ": ", title(parts[done]), ": ", error.what()});
  }
  return file.metadata;
}

void load_weights(const TensorFile& file, nn::Module& model) {
  StateDict state;
  for (const auto& entry : file.tensors)
    if (entry.first.find('/') == std::string::npos) state.push_back(entry);
  model.load_state_dict(state);
}

std::string find_checkpoint(const std::string& path) {
  std::error_code error;
  bool folder = std::filesystem::is_directory(path, error);
  std::string file = folder ? path + "/last.safetensors" : path;
  check(file_exists(file), printable(path),
        folder ? ": has no last.safetensors to go on from" : ": no such file or folder");
  return file;
}

}  // namespace gradus::train
