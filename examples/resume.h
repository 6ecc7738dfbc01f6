// Command lines that go on from a checkpoint: with the options it was trained with, or with its model.
#pragma once

#include "examples/adapt.h"
#include "examples/arguments.h"
#include "examples/metadata.h"
#include "tensor/io/safetensors.h"

namespace examples {

// --log, --out and --resume of any Options.
template <class Options>
void add_run_options(CLI::App& command, Options& o) {
  command.add_option("--log", o.log, "log.csv alone, or TensorBoard's files too")
      ->check(one_of({"csv", "tensorboard"}))
      ->capture_default_str();
  command.add_option("--out", o.out, "folder for checkpoints and logs")->check(path())->capture_default_str();
  CLI::Option* resume =
      command
          .add_option("--resume", o.resume,
                      "go on from this checkpoint (a file or a folder) with the options it was trained with")
          ->check(path());
  if (CLI::Option* from = command.get_option_no_throw("--from")) resume->excludes(from);
}

// What the options of examples/adapt.h may be; none for others.
inline std::optional<CLI::Validator> allowed_of_adaptation(const std::string& name) {
  if (name == "from") return path();
  if (name == "freeze" || name == "lora-on") return CLI::Validator("PATTERNS");
  if (name == "lora") return whole(0, most_of(name));
  if (name == "lora-alpha") return number(1e-6, 1e6);
  return {};
}

// Fills in each option of a list that was not given, from a checkpoint, and gives what that was trained with.
template <class Options, class EachOption, class OptionsFrom>
Options take_options(const CLI::App& command, Options& options, const std::string& file,
                     const EachOption& each_option, const OptionsFrom& options_from) {
  const Options saved = options_from(gradus::load_safetensors(file).metadata, file);
  each_option([&](const char* name, auto member, const char*) {
    if (command.count(std::string("--") + name) == 0) options.*member = saved.*member;
  });
  return saved;
}

// Fills in, from the checkpoint that options.resume means (a file or a folder), each option that was not given, and the
// folder of the checkpoint as options.out. `each_option` is the program's list, `options_from` reads a checkpoint's.
template <class Options, class EachOption, class OptionsFrom>
void restore_options(const CLI::App& command, Options& options, const EachOption& each_option,
                     const OptionsFrom& options_from) {
  if (options.resume.empty()) return;
  const std::string file = gradus::train::find_checkpoint(options.resume);
  take_options(command, options, file, each_option, options_from);
  options.resume = file;
  if (command.count("--out") == 0) options.out = folder_of(file);
}

// Fills in what makes the model, where it begins as that of the checkpoint options.from means. Throws Error where
// another kind of model was asked for.
template <class Options, class EachOption, class OptionsFrom>
void take_model(const CLI::App& command, Options& options, const EachOption& each_model_option,
                const OptionsFrom& options_from) {
  if (options.from.empty() || !options.resume.empty()) return;
  const Options base =
      take_options(command, options, gradus::train::find_checkpoint(options.from), each_model_option, options_from);
  gradus::check(options.model == base.model, "--model ", options.model, ": the model of --from is of the kind ",
                base.model);
}

inline void add_merge(CLI::App& command, MergeOptions& o, const std::string& checkpoint) {
  o.checkpoint = checkpoint;
  add_checkpoint(command, o.checkpoint);
  command.add_option("--adapter", o.adapter, "what was learnt, apart, if it is not in the checkpoint")->check(path());
  command.add_option("--out", o.out, "the file to write")->check(path())->capture_default_str();
}

}  // namespace examples
