// Learns to tell images apart: train, evaluate, predict, show, demo. See README.md.
#include <cstdio>
#include <filesystem>

#include "commands.h"
#include "data_sets.h"
#include "examples/arguments.h"
#include "tensor/kernels/cpu/threads.h"

using namespace image_classifier;
using examples::add_checkpoint, examples::learning_rate, examples::many, examples::one_of, examples::path,
    examples::whole;

namespace {

CLI::Validator data_argument() {
  return CLI::Validator([](std::string& text) { return data_argument_fault(text); },
                        "digits|mnist[:DIR]|fashion_mnist[:DIR]|folder:DIR");
}

struct Arguments {
  Options train;
  EvaluateOptions evaluate;
  PredictOptions predict;
  ShowOptions show;
  int threads = gradus::num_threads();
  std::string device = "cpu";
};

void add_train(CLI::App& command, Arguments& a) {
  Options& o = a.train;
  command.add_option("--data", o.data, "what to learn from")->check(data_argument())->capture_default_str();
  command.add_option("--samples", o.samples, "training images to use (0: all; of digits 10000)")
      ->check(whole(0, many))
      ->capture_default_str();
  command.add_option("--size", o.size, "height and width that images of a folder are brought to")
      ->check(whole(8, 4096))
      ->capture_default_str();
  command.add_flag("--grey", o.grey, "take the colours from images of a folder");
  command.add_option("--model", o.model, "what to train")->check(one_of(model_names))->capture_default_str();
  command.add_option("--epochs", o.epochs, "times through the training images")
      ->check(whole(0, many))
      ->capture_default_str();
  command.add_option("--batch", o.batch, "images for one update")->check(whole(1, many))->capture_default_str();
  command.add_option("--optimizer", o.optimizer, "how the weights are changed")
      ->check(one_of(optimizer_names))
      ->capture_default_str();
  command
      .add_option("--lr", o.lr,
                  "learning rate, the highest of the schedule (default: adamw and adam 0.002, sgd 0.05, "
                  "rmsprop 0.001)")
      ->check(learning_rate());
  command.add_option("--schedule", o.schedule, "how the learning rate changes")
      ->check(one_of(schedule_names))
      ->capture_default_str();
  command.add_option("--augment", o.augment, "changes to the training images, with commas between them")
      ->delimiter(',')
      ->check(one_of(augment_names));
  command.add_option("--seed", o.seed, "of everything random")->check(whole(0, many))->capture_default_str();
  command.add_option("--workers", o.workers, "threads that prepare batches")
      ->check(whole(0, 256))
      ->capture_default_str();
  command.add_option("--save-every", o.save_every, "updates between checkpoints within an epoch (0: none)")
      ->check(whole(0, many))
      ->capture_default_str();
  command.add_option("--log", o.log, "log.csv alone, or TensorBoard's files too")
      ->check(one_of({"csv", "tensorboard"}))
      ->capture_default_str();
  command.add_option("--out", o.out, "folder for checkpoints and logs")->check(path())->capture_default_str();
}

// With --resume, an option that is not given is what it was when the checkpoint was written.
void train_command(CLI::App& command, Arguments& a, gradus::Device device) {
  Options options = a.train;
  if (!options.resume.empty()) {
    const std::string path = gradus::train::find_checkpoint(options.resume);
    const Options saved = options_from(gradus::load_safetensors(path).metadata, path);
    auto restore = [&](const char* name, auto member) {
      if (command.count(name) == 0) options.*member = saved.*member;
    };
    restore("--data", &Options::data);
    restore("--samples", &Options::samples);
    restore("--size", &Options::size);
    restore("--grey", &Options::grey);
    restore("--model", &Options::model);
    restore("--epochs", &Options::epochs);
    restore("--batch", &Options::batch);
    restore("--optimizer", &Options::optimizer);
    restore("--lr", &Options::lr);
    restore("--schedule", &Options::schedule);
    restore("--augment", &Options::augment);
    restore("--seed", &Options::seed);
    options.resume = path;
    if (command.count("--out") == 0) options.out = examples::folder_of(path);
  }
  train(options, device);
}

int run(int argc, char** argv) {
  Arguments a;
  CLI::App app("Learns to tell images apart. COMMAND --help lists a command's options.");
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);

  CLI::App* train_app = app.add_subcommand("train", "train a model and save it");
  add_train(*train_app, a);
  train_app
      ->add_option("--resume", a.train.resume,
                   "go on from this checkpoint (a file or a folder) with the options it was trained with")
      ->check(path());

  CLI::App* evaluate_app = app.add_subcommand("evaluate", "measure a trained model on test images");
  add_checkpoint(*evaluate_app, a.evaluate.checkpoint);
  evaluate_app->add_option("--data", a.evaluate.data, "other test images than those of the training's data")
      ->check(data_argument());
  evaluate_app->add_option("--batch", a.evaluate.batch, "images at a time")
      ->check(whole(1, many))
      ->capture_default_str();
  evaluate_app->add_option("--workers", a.evaluate.workers, "threads that prepare batches")
      ->check(whole(0, 256))
      ->capture_default_str();

  CLI::App* predict_app = app.add_subcommand("predict", "say what is on images (PNG, JPEG, BMP, PGM, PPM)");
  add_checkpoint(*predict_app, a.predict.checkpoint);
  predict_app->add_option("--top", a.predict.top, "classes to list")->check(whole(1, many))->capture_default_str();
  predict_app->add_flag("--invert", a.predict.invert, "turn light and dark round, for ink on paper");
  predict_app->add_option("FILES", a.predict.files, "image files of any size")->required();

  CLI::App* show_app = app.add_subcommand("show", "draw test images in the terminal, with the model's answers");
  add_checkpoint(*show_app, a.show.checkpoint);
  show_app->add_option("--count", a.show.count, "images")->check(whole(1, 1000))->capture_default_str();

  CLI::App* demo_app = app.add_subcommand("demo", "train on drawn digits for a moment, then show some");
  std::string demo_out = "out/demo";
  demo_app->add_option("--out", demo_out, "folder for the checkpoint and logs, those of an earlier demo replaced")
      ->check(path())
      ->capture_default_str();
  int64_t demo_samples = 0;
  demo_app->add_option("--samples", demo_samples, "digits to draw for training (0: 10000)")
      ->check(whole(0, many))
      ->capture_default_str();
  for (CLI::App* command : {train_app, evaluate_app, predict_app, show_app, demo_app}) {
    examples::add_threads(*command, a.threads);
    examples::add_device(*command, a.device);
  }

  if (const auto status = examples::parse(app, argc, argv, "train|evaluate|predict|show|demo")) return *status;
  gradus::set_num_threads(a.threads);
  const gradus::Device device = examples::device_of(a.device);
  if (*train_app) train_command(*train_app, a, device);
  if (*evaluate_app) evaluate(a.evaluate, device);
  if (*predict_app) predict(a.predict, device);
  if (*show_app) show(a.show, device);
  if (*demo_app) {
    std::error_code ignored;  // training says what is wrong with the folder
    std::filesystem::remove(demo_out + "/last.safetensors", ignored);
    train({.samples = demo_samples, .epochs = 2, .out = demo_out}, device);
    show({.checkpoint = demo_out}, device);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return examples::guarded([&] { return run(argc, argv); });
}
