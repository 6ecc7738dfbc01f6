// Learns to translate, and translates: train, evaluate, translate, demo. See README.md.
#include <filesystem>

#include "commands.h"
#include "corpora.h"
#include "examples/resume.h"
#include "tensor/kernels/cpu/threads.h"

using namespace translation;
using examples::add_checkpoint, examples::many, examples::number, examples::one_of, examples::path, examples::whole;

namespace {

// What each option may be.
CLI::Validator allowed(const std::string& name) {
  if (const auto validator = examples::allowed_of_adaptation(name)) return *validator;
  if (name == "data")
    return CLI::Validator([](std::string& text) { return data_argument_fault(text); },
                          "grammar|pairs:FILE.tsv|parallel:DIR");
  if (name == "model") return one_of(model_names);
  if (name == "tokens") return one_of(token_names);
  if (name == "schedule") return one_of(schedule_names);
  if (name == "cell") return one_of(cell_names);
  if (name == "score") return one_of(score_names);
  if (name == "activation") return one_of(activation_names);
  if (name.ends_with("dropout") || name == "label-smoothing" || name == "teacher-forcing") return number(0, 1);
  if (name == "lr") return examples::learning_rate();
  if (name == "clip" || name == "weight-decay") return number(0, 1e6);
  if (name == "pairs") return whole(100, 1000000);
  if (name == "epochs" || name == "seed") return whole(0, many);
  if (name == "vocabulary") return whole(261, 1000000);
  if (name == "src" || name == "tgt") return path();
  return whole(1, examples::most_of(name));
}

void add_train(CLI::App& command, Options& o) {
  each_option([&](const char* name, auto member, const char* help) {
    examples::add_option(command, name, o.*member, help, allowed(name));
  });
  command.add_option("--workers", o.workers, "threads that prepare batches")
      ->check(whole(0, 256))
      ->capture_default_str();
  command.add_option("--save-every", o.save_every, "updates between checkpoints within an epoch (0: none)")
      ->check(whole(0, many))
      ->capture_default_str();
  examples::add_run_options(command, o);
}

void add_search(CLI::App& command, SearchOptions& o) {
  command.add_option("--beam", o.beam, "sentences kept at each step (1: greedy)")
      ->check(whole(1, 1000))
      ->capture_default_str();
  command.add_option("--max-length", o.max_length, "tokens at most")->check(whole(1, 100000))->capture_default_str();
  command.add_option("--length-penalty", o.length_penalty, "how much longer sentences are favoured")
      ->check(number(0, 10))
      ->capture_default_str();
  command.add_option("--coverage-penalty", o.coverage_penalty, "how much words left out count against a sentence")
      ->check(number(0, 10))
      ->capture_default_str();
}

int run(int argc, char** argv) {
  Options train_options;
  EvaluateOptions evaluate_options;
  TranslateOptions translate_options;
  examples::MergeOptions merge_options;
  evaluate_options.search.beam = 5;
  int threads = gradus::num_threads();
  std::string device_name = "cpu";
  std::string demo_out = "out/translation";
  CLI::App app("Learns to translate. COMMAND --help lists a command's options.");
  app.require_subcommand(1);
  app.get_formatter()->column_width(36);

  CLI::App* train_app = app.add_subcommand("train", "train a model and save it");
  add_train(*train_app, train_options);
  CLI::App* evaluate_app = app.add_subcommand("evaluate", "score a trained model on sentences it has not seen");
  add_checkpoint(*evaluate_app, evaluate_options.checkpoint);
  evaluate_app->add_option("--part", evaluate_options.part, "which of the held-out sentences")
      ->check(one_of({"test", "validation"}))
      ->capture_default_str();
  evaluate_app->add_option("--output", evaluate_options.output, "a file for the translations, one a line")
      ->check(path());
  evaluate_app
      ->add_option("--by-length", evaluate_options.by_length, "a CSV file for the scores by words of the source")
      ->check(path());
  evaluate_app->add_option("--samples", evaluate_options.samples, "translations to show")
      ->check(whole(0, many))
      ->capture_default_str();
  add_search(*evaluate_app, evaluate_options.search);
  CLI::App* translate_app = app.add_subcommand("translate", "translate sentences, or the lines of standard input");
  add_checkpoint(*translate_app, translate_options.checkpoint);
  translate_app->add_option("SENTENCES", translate_options.sentences, "what to translate");
  add_search(*translate_app, translate_options.search);
  translate_app->add_option("--n-best", translate_options.search.n_best, "translations to give")
      ->check(whole(1, 1000))
      ->capture_default_str();
  translate_app->add_flag("--show-attention", translate_options.show_attention,
                          "draw which word looked at which in the terminal");
  translate_app->add_option("--attention", translate_options.attention, "draw it as an SVG picture")->check(path());
  CLI::App* merge_app = app.add_subcommand("merge", "put what LoRA learnt into a model's weights");
  examples::add_merge(*merge_app, merge_options, train_options.out);
  CLI::App* demo_app =
      app.add_subcommand("demo", "learn English to Chinese from made-up sentences, then translate one");
  demo_app->add_option("--out", demo_out, "folder for the checkpoint and the picture")
      ->check(path())
      ->capture_default_str();
  for (CLI::App* command : {train_app, evaluate_app, translate_app, demo_app}) {
    examples::add_threads(*command, threads);
    examples::add_device(*command, device_name);
  }

  if (const auto status = examples::parse(app, argc, argv, "train|evaluate|translate|merge|demo")) return *status;
  gradus::check(
      translate_options.search.n_best <= translate_options.search.beam || translate_options.search.beam == 1,
      "--n-best ", translate_options.search.n_best, " of --beam ", translate_options.search.beam);
  translate_options.search.beam = std::max(translate_options.search.beam, translate_options.search.n_best);
  gradus::set_num_threads(threads);
  const gradus::Device device = examples::device_of(device_name);
  if (*train_app) {
    examples::restore_options(
        *train_app, train_options, [](auto f) { each_option(f); }, options_from);
    examples::take_model(
        *train_app, train_options, [](auto f) { each_model_option(f); }, options_from);
    train(train_options, device);
  }
  if (*evaluate_app) evaluate(evaluate_options, device);
  if (*translate_app) translate(translate_options, device);
  if (*merge_app) merge(merge_options);
  if (*demo_app) {
    std::error_code ignored;  // training says what is wrong with the folder
    std::filesystem::remove(demo_out + "/last.safetensors", ignored);
    Options options;
    options.pairs = 30000;
    options.epochs = 2;
    options.out = demo_out;
    train(options, device);
    const std::string sentence = "I am a dog";
    std::printf("\n%s\n", sentence.c_str());
    translate({.checkpoint = demo_out,
               .sentences = {sentence},
               .attention = demo_out + "/attention.svg",
               .show_attention = true},
              device);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return examples::guarded([&] { return run(argc, argv); });
}
