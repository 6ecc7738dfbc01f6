// Learns to write a text on, and writes: train, evaluate, generate. See README.md.
#include "commands.h"
#include "examples/resume.h"
#include "tensor/kernels/cpu/threads.h"

using namespace language_model;
using examples::add_checkpoint, examples::many, examples::number, examples::one_of, examples::path, examples::whole;

namespace {

// What each option may be.
CLI::Validator allowed(const std::string& name) {
  if (const auto validator = examples::allowed_of_adaptation(name)) return *validator;
  if (name == "data") return path();
  if (name == "model") return one_of(model_names);
  if (name == "tokens") return one_of(token_names);
  if (name == "dropout" || name == "min-lr") return number(0, 1);
  if (name == "lr") return examples::learning_rate();
  if (name == "clip" || name == "weight-decay") return number(0, 1e6);
  if (name == "steps" || name == "warmup" || name == "seed") return whole(0, many);
  if (name == "vocabulary") return whole(261, 1000000);
  return whole(1, examples::most_of(name));
}

int run(int argc, char** argv) {
  Options train_options;
  GenerateOptions generate_options;
  examples::MergeOptions merge_options;
  std::string evaluated = train_options.out;
  int threads = gradus::num_threads();
  std::string device_name = "cpu";
  CLI::App app("Learns to write a text on. COMMAND --help lists a command's options.");
  app.require_subcommand(1);
  app.get_formatter()->column_width(36);

  CLI::App* train_app = app.add_subcommand("train", "train a model and save it");
  each_option([&](const char* name, auto member, const char* help) {
    examples::add_option(*train_app, name, train_options.*member, help, allowed(name));
  });
  examples::add_run_options(*train_app, train_options);
  CLI::App* evaluate_app = app.add_subcommand("evaluate", "measure a trained model on the held-out text");
  add_checkpoint(*evaluate_app, evaluated);
  CLI::App* generate_app = app.add_subcommand("generate", "write");
  add_checkpoint(*generate_app, generate_options.checkpoint);
  generate_app->add_option("--prompt", generate_options.prompt, "what to go on from (default: a new line)");
  generate_app->add_option("--tokens", generate_options.tokens, "how much to write")
      ->check(whole(0, many))
      ->capture_default_str();
  generate_app
      ->add_option("--temperature", generate_options.temperature, "0: the likeliest token always; 1: as learnt")
      ->check(number(0, 100))
      ->capture_default_str();
  generate_app->add_option("--top-k", generate_options.top_k, "among the k likeliest tokens only (0: all)")
      ->check(whole(0, many))
      ->capture_default_str();
  generate_app->add_option("--top-p", generate_options.top_p, "among the likeliest that have this share together")
      ->check(number(1e-6, 1))
      ->capture_default_str();
  generate_app
      ->add_option("--repetition-penalty", generate_options.repetition_penalty,
                   "how much less likely a token is again")
      ->check(number(0.01, 100))
      ->capture_default_str();
  generate_app->add_option("--seed", generate_options.seed, "another one writes another text")
      ->check(whole(0, many))
      ->capture_default_str();
  CLI::App* merge_app = app.add_subcommand("merge", "put what LoRA learnt into a model's weights");
  examples::add_merge(*merge_app, merge_options, train_options.out);
  for (CLI::App* command : {train_app, evaluate_app, generate_app}) {
    examples::add_threads(*command, threads);
    examples::add_device(*command, device_name);
  }

  if (const auto status = examples::parse(app, argc, argv, "train|evaluate|generate|merge")) return *status;
  gradus::set_num_threads(threads);
  const gradus::Device device = examples::device_of(device_name);
  if (*train_app) {
    examples::restore_options(
        *train_app, train_options, [](auto f) { each_option(f); }, options_from);
    examples::take_model(
        *train_app, train_options, [](auto f) { each_model_option(f); }, options_from);
    train(train_options, device);
  }
  if (*evaluate_app) evaluate(evaluated, device);
  if (*generate_app) generate(generate_options, device);
  if (*merge_app) merge(merge_options);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return examples::guarded([&] { return run(argc, argv); });
}
