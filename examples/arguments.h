// What the programs' command lines share: checks of values, and one way to fail.
#pragma once

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "examples/limits.h"
#include "tensor/device.h"
#include "tensor/error.h"
#include "tensor/io/file.h"
#include "train/interrupt.h"

namespace examples {

inline CLI::Validator whole(int64_t low, int64_t high) {
  return CLI::Validator(
      [low, high](std::string& text) {
        int64_t value = 0;
        const bool ok = CLI::detail::lexical_cast(text, value) && value >= low && value <= high;
        return ok ? ""
                  : "'" + text + "' is not a whole number from " + std::to_string(low) + " to " +
                        std::to_string(high);
      },
      high == many ? "from " + std::to_string(low) : std::to_string(low) + " to " + std::to_string(high));
}

inline CLI::Validator learning_rate() {
  return CLI::Validator(
      [](std::string& text) {
        double value = 0;
        const bool ok = CLI::detail::lexical_cast(text, value) && value > 0 && value <= 1000;
        return ok ? "" : "'" + text + "' is not a number above 0 and up to 1000";
      },
      "above 0");
}

inline CLI::Validator one_of(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : "|") + name;
  return CLI::Validator(
      [names, list](std::string& text) {
        const bool ok = std::find(names.begin(), names.end(), text) != names.end();
        return ok ? "" : "'" + text + "' is none of " + list;
      },
      list);
}

// A path; not the nothing that an unset variable of a shell leaves.
inline CLI::Validator path() {
  return CLI::Validator([](std::string& text) { return text.empty() ? "the path is empty" : ""; }, "PATH");
}

// Makes --NAME of one option in a program's list; its value is shown as the default unless it stands for another.
template <class Value>
void add_option(CLI::App& command, const std::string& name, Value& value, const std::string& help,
                const CLI::Validator& allowed) {
  if constexpr (std::is_same_v<Value, bool>) {
    command.add_flag("--" + name, value, help);
  } else {
    CLI::Option* option = command.add_option("--" + name, value, help)->check(allowed);
    bool usual = true;
    if constexpr (std::is_same_v<Value, std::string>)
      usual = !value.empty();
    else
      usual = value > Value();
    if (usual) option->capture_default_str();
  }
}

// A number between the two.
inline CLI::Validator number(double low, double high) {
  char text[64];
  std::snprintf(text, sizeof text, "%g to %g", low, high);
  return CLI::Range(low, high, text);
}

inline std::string folder_of(const std::string& file) {
  const size_t slash = file.rfind('/');
  return slash == std::string::npos ? "." : file.substr(0, slash);
}

inline void add_threads(CLI::App& command, int& threads) {
  command.add_option("--threads", threads, "threads that compute; the result does not depend on them")
      ->check(whole(1, 1024))
      ->capture_default_str();
}

inline void add_device(CLI::App& command, std::string& device) {
  command.add_option("--device", device, "where to compute: cpu, or cuda, a GPU")
      ->check(one_of({"cpu", "cuda"}))
      ->capture_default_str();
}

// What --device names; throws Error where there is none.
inline gradus::Device device_of(const std::string& name) {
  const gradus::Device device = gradus::device_from_string(name);
  gradus::check(gradus::is_available(device), "--device ", name, ": ", gradus::describe(device));
  return device;
}

inline void add_checkpoint(CLI::App& command, std::string& checkpoint) {
  command.add_option("--checkpoint", checkpoint, "a .safetensors file, or the folder that train wrote")
      ->check(path())
      ->capture_default_str();
}

// Reads the command line; what the program ends with where there is nothing to run: after --help, or a wrong usage,
// which is one line on stderr and status 2. `commands` are named where none was given.
inline std::optional<int> parse(CLI::App& app, int argc, char** argv, const std::string& commands) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& e) {
    return app.exit(e);
  } catch (const CLI::CallForAllHelp& e) {
    return app.exit(e);
  } catch (const CLI::RequiredError& e) {
    const std::string missing = app.get_subcommands().empty() && !commands.empty()
                                    ? "expected a command: " + commands + " (--help says what they do)"
                                    : e.what();
    std::fprintf(stderr, "error: %s\n", missing.c_str());
    return 2;
  } catch (const CLI::ParseError& e) {
    std::fprintf(stderr, "error: %s (--help lists what there is)\n", gradus::printable(e.what()).c_str());
    return 2;
  }
  return {};
}

// The next line of standard input, however the system that wrote it ends lines; false at the end.
inline bool read_line(std::string& line) {
  if (!std::getline(std::cin, line)) return false;
  if (line.ends_with('\r')) line.pop_back();
  if (line.starts_with("\uFEFF")) line.erase(0, 3);  // a byte order mark is no text
  return true;
}

// Runs a program: what it returns, or 1 after one line that says what went wrong, or 130 after a Ctrl-C.
template <class Run>
int guarded(const Run& run) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may grow no further (ulimit -f) is an error as a full disk is
  try {
    const int status = run();
    gradus::check(std::fflush(stdout) == 0 && !std::ferror(stdout), "standard output: cannot write to it");
    return status;
  } catch (const gradus::train::Interrupted& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return gradus::train::interrupted_exit_code;
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "error: out of memory\n");
  } catch (const std::exception& e) {
    std::fflush(stdout);  // what went well comes first
    std::fprintf(stderr, "error: %s\n", e.what());
  }
  return 1;
}

}  // namespace examples
