// Learns a language from sentences with words hidden, then what sentences praise or blame: train, evaluate, fill,
// finetune, classify. See README.md.
#include "commands.h"
#include "examples/resume.h"
#include "tensor/kernels/cpu/threads.h"

using namespace masked_lm;
using examples::add_checkpoint, examples::many, examples::number, examples::path, examples::whole;

namespace {

// What each option may be.
CLI::Validator allowed(const std::string& name) {
  if (name == "data" || name == "more") return path();
  if (name == "fold") return whole(0, examples::most_of(name));
  if (name == "share") return number(0.01, 0.99);
  if (name == "labels" || name == "frequent") return number(1e-6, 1);
  if (name == "dropout" || name == "word-dropout") return number(0, 1);
  if (name == "lr") return examples::learning_rate();
  if (name == "weight-decay") return number(0, 1e6);
  if (name == "epochs" || name == "seed") return whole(0, many);
  return whole(1, examples::most_of(name));
}

int run(int argc, char** argv) {
  Options train_options;
  TuneOptions tune_options;
  FillOptions fill_options;
  ClassifyOptions classify_options;
  std::string evaluated = train_options.out;
  int threads = gradus::num_threads();
  std::string device_name = "cpu";
  CLI::App app("Learns a language from sentences with words hidden. COMMAND --help lists a command's options.");
  app.require_subcommand(1);
  app.get_formatter()->column_width(36);

  CLI::App* train_app = app.add_subcommand("train", "train an encoder on text without labels, and save it");
  each_option([&](const char* name, auto member, const char* help) {
    examples::add_option(*train_app, name, train_options.*member, help, allowed(name));
  });
  examples::add_run_options(*train_app, train_options);
  CLI::App* evaluate_app =
      app.add_subcommand("evaluate", "measure an encoder on hidden words of held-out sentences, or a classifier");
  add_checkpoint(*evaluate_app, evaluated);
  CLI::App* fill_app = app.add_subcommand("fill", "say which words are likely where a sentence has a [MASK]");
  add_checkpoint(*fill_app, fill_options.checkpoint);
  fill_app->add_option("--top", fill_options.top, "how many words")->check(whole(1, many))->capture_default_str();
  fill_app->add_option("SENTENCES", fill_options.sentences, "what to fill (default: the lines of standard input)");
  CLI::App* tune_app = app.add_subcommand("finetune", "make a classifier of sentences of a trained encoder");
  tune_app->add_option("--from", tune_options.from, "a .safetensors file, or the folder that train wrote")
      ->check(path())
      ->capture_default_str();
  tune_app->add_flag("--from-nothing", tune_options.from_nothing,
                     "begin with an encoder like that one that has learnt nothing, to compare");
  each_tune_option([&](const char* name, auto member, const char* help) {
    examples::add_option(*tune_app, name, tune_options.*member, help, allowed(name));
  });
  examples::add_run_options(*tune_app, tune_options);
  CLI::App* classify_app = app.add_subcommand("classify", "judge sentences with what finetune made");
  add_checkpoint(*classify_app, classify_options.checkpoint);
  classify_app->add_option("SENTENCES", classify_options.sentences,
                           "what to judge (default: the lines of standard input)");
  for (CLI::App* command : {train_app, evaluate_app, fill_app, tune_app, classify_app}) {
    examples::add_threads(*command, threads);
    examples::add_device(*command, device_name);
  }

  if (const auto status = examples::parse(app, argc, argv, "train|evaluate|fill|finetune|classify")) return *status;
  gradus::set_num_threads(threads);
  const gradus::Device device = examples::device_of(device_name);
  if (*train_app) {
    examples::restore_options(
        *train_app, train_options, [](auto f) { each_option(f); }, options_from);
    train(train_options, device);
  }
  if (*evaluate_app) evaluate(evaluated, device);
  if (*fill_app) fill(fill_options, device);
  if (*tune_app) {
    examples::restore_options(
        *tune_app, tune_options, [](auto f) { each_tune_option(f); }, tune_options_from);
    finetune(tune_options, device);
  }
  if (*classify_app) classify(classify_options, device);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return examples::guarded([&] { return run(argc, argv); });
}
