// Learns what people think of films from what they write: train, evaluate, classify. See README.md.
#include "commands.h"
#include "examples/resume.h"
#include "tensor/kernels/cpu/threads.h"

using namespace text_classifier;
using examples::add_checkpoint, examples::add_threads, examples::many, examples::number, examples::one_of,
    examples::path, examples::whole;

namespace {

// What each option may be.
CLI::Validator allowed(const std::string& name) {
  if (name == "data") return path();
  if (name == "fold") return whole(0, examples::most_of(name));
  if (name == "dropout" || name == "word-dropout") return number(0, 1);
  if (name == "lr") return examples::learning_rate();
  if (name == "weight-decay" || name == "embedding-std") return number(0, 1e6);
  if (name == "epochs" || name == "seed") return whole(0, many);
  return whole(1, examples::most_of(name));
}

int run(int argc, char** argv) {
  Options train_options;
  ClassifyOptions classify_options;
  std::string evaluated = train_options.out + "/best.safetensors", exported;
  int threads = gradus::num_threads();
  std::string device_name = "cpu";
  CLI::App app("Learns what people think of films. COMMAND --help lists a command's options.");
  app.require_subcommand(1);
  app.get_formatter()->column_width(36);

  CLI::App* train_app = app.add_subcommand("train", "train a model and save it");
  each_option([&](const char* name, auto member, const char* help) {
    examples::add_option(*train_app, name, train_options.*member, help, allowed(name));
  });
  examples::add_run_options(*train_app, train_options);
  CLI::App* evaluate_app = app.add_subcommand("evaluate", "measure a trained model on the test sentences");
  add_checkpoint(*evaluate_app, evaluated);
  CLI::App* export_app = app.add_subcommand("export", "write every sentence as its part, label and token numbers");
  add_checkpoint(*export_app, evaluated);
  export_app->add_option("FILE", exported, "where to write them")->check(path())->required();
  CLI::App* classify_app = app.add_subcommand("classify", "judge sentences, or the lines of standard input");
  add_checkpoint(*classify_app, classify_options.checkpoint);
  classify_app->add_option("SENTENCES", classify_options.sentences, "what to judge");
  for (CLI::App* command : {train_app, evaluate_app, export_app, classify_app}) add_threads(*command, threads);
  for (CLI::App* command : {train_app, evaluate_app, classify_app}) examples::add_device(*command, device_name);

  if (const auto status = examples::parse(app, argc, argv, "train|evaluate|export|classify")) return *status;
  gradus::set_num_threads(threads);
  const gradus::Device device = examples::device_of(device_name);
  if (*train_app) {
    examples::restore_options(
        *train_app, train_options, [](auto f) { each_option(f); }, options_from);
    train(train_options, device);
  }
  if (*evaluate_app) evaluate(evaluated, device);
  if (*export_app) export_ids(evaluated, exported);
  if (*classify_app) classify(classify_options, device);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return examples::guarded([&] { return run(argc, argv); });
}
