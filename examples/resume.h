// Going on from a checkpoint with the options it was trained with.
#pragma once

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
  command
      .add_option("--resume", o.resume,
                  "go on from this checkpoint (a file or a folder) with the options it was trained with")
      ->check(path());
}

// Fills in, from the checkpoint that options.resume means (a file or a folder), each option that was not given, and the
// folder of the checkpoint as options.out. `each_option` is the program's list, `options_from` reads a checkpoint's.
template <class Options, class EachOption, class OptionsFrom>
void restore_options(const CLI::App& command, Options& options, const EachOption& each_option,
                     const OptionsFrom& options_from) {
  if (options.resume.empty()) return;
  const std::string file = gradus::train::find_checkpoint(options.resume);
  const Options saved = options_from(gradus::load_safetensors(file).metadata, file);
  each_option([&](const char* name, auto member, const char*) {
    if (command.count(std::string("--") + name) == 0) options.*member = saved.*member;
  });
  options.resume = file;
  if (command.count("--out") == 0) options.out = folder_of(file);
}

}  // namespace examples
