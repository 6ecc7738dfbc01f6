// Learns to tell images apart: train, evaluate, predict, embed, show, merge, convert, demo. See README.md.
#include <cstdio>
#include <filesystem>

#include "commands.h"
#include "data_sets.h"
#include "examples/resume.h"
#include "tensor/kernels/cpu/threads.h"

using namespace image_classifier;
using examples::add_checkpoint, examples::learning_rate, examples::many, examples::number, examples::one_of,
    examples::path, examples::whole;

namespace {

CLI::Validator data_argument() {
  return CLI::Validator([](std::string& text) { return data_argument_fault(text); },
                        "digits|mnist[:DIR]|fashion_mnist[:DIR]|cifar10[:DIR]|optdigits[:DIR]|folder:PATH");
}

struct Arguments {
  Options train;
  EvaluateOptions evaluate;
  PredictOptions predict;
  EmbedOptions embed;
  ShowOptions show;
  examples::MergeOptions merge;
  ConvertOptions convert;
  int threads = gradus::num_threads();
  std::string device = "cpu";
};

// Names with commas between them.
CLI::Validator augmentations() {
  return CLI::Validator(
      [](std::string& text) {
        for (const std::string& name : examples::split(text, ',')) {
          if (const std::string fault = one_of(augment_names)(std::string(name)); !fault.empty()) return fault;
        }
        return std::string();
      },
      examples::join(augment_names, ','));
}

// What each option may be.
CLI::Validator allowed(const std::string& name) {
  if (const auto validator = examples::allowed_of_adaptation(name)) return *validator;
  if (name == "data") return data_argument();
  if (name == "model") return one_of(model_names);
  if (name == "stem") return one_of(stem_names);
  if (name == "pool") return one_of(pool_names);
  if (name == "positions") return one_of(position_names);
  if (name == "dropout" || name == "drop-path") return number(0, 0.99);
  if (name == "optimizer") return one_of(optimizer_names);
  if (name == "schedule") return one_of(schedule_names);
  if (name == "augment") return augmentations();
  if (name == "lr") return learning_rate();
  if (name == "size") return whole(8, 4096);
  if (name == "batch" || name == "accumulate") return whole(1, many);
  if (name == "validation" || name == "label-smoothing" || name == "warmup") return number(0, 0.9);
  if (name == "head") return one_of({"new"});
  if (name == "prune") return number(0, 0.999);
  if (name == "ema") return number(0, 0.99999);
  if (name == "clip" || name == "weight-decay") return number(0, 1e6);
  return whole(0, examples::most_of(name));
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

// Options that mean nothing beside the data are not passed over.
void check_size(const CLI::App& command, const Options& o) {
  gradus::check(o.data.starts_with("folder:") || command.count("--size") + command.count("--grey") == 0,
                "--size and --grey are for the images of a folder; those of ", gradus::printable(o.data),
                " are as they are");
}

// What makes the model is that of --from; images of a folder are brought to what it knows.
void take_model(const CLI::App& command, Options& o) {
  examples::take_model(
      command, o, [](auto f) { each_model_option(f); }, options_from);
  if (o.from.empty() || !o.resume.empty()) return;
  const std::string file = gradus::train::find_checkpoint(o.from);
  const gradus::Shape image = recipe_from(gradus::load_safetensors(file).metadata, file).image;
  if (command.count("--size") == 0) o.size = image[1];
  if (image[0] == 1) o.grey = true;
}

void add_convert(CLI::App& command, ConvertOptions& o) {
  command.add_option("FILE", o.file, "a state_dict that PyTorch saved (safetensors, torchvision's names)")
      ->required()
      ->check(path());
  command.add_option("--out", o.out, "folder for the checkpoint")->check(path())->capture_default_str();
  each_model_option([&](const char* name, auto member, const char* help) {
    examples::add_option(command, name, o.model.*member, help, allowed(name));
  });
  command.get_option("--model")->required()->default_str("");
  command.add_option("--classes", o.classes, "a file with the classes' names, one a line, or how many they are")
      ->required()
      ->check(path());
  command.add_option("--size", o.size, "height and width of the images")
      ->check(allowed("size"))
      ->capture_default_str();
  for (auto& [name, numbers, low] : {std::tuple{"--mean", &o.mean, 0.0}, std::tuple{"--std", &o.std, 1e-3}})
    command.add_option(name, *numbers, "of each channel in the training images, from 0 to 1, commas between them")
        ->delimiter(',')
        ->allow_extra_args(false)
        ->check(number(low, 1))
        ->capture_default_str();
}

// --data, --batch and --workers of a command that goes through a set's images.
template <class CommandOptions>
void add_images(CLI::App& command, CommandOptions& o) {
  command.add_option("--data", o.data, "other images than those of the training's data")->check(data_argument());
  command.add_option("--batch", o.batch, "images at a time")->check(whole(1, many))->capture_default_str();
  command.add_option("--workers", o.workers, "threads that prepare batches")
      ->check(whole(0, 256))
      ->capture_default_str();
}

int run(int argc, char** argv) {
  Arguments a;
  CLI::App app("Learns to tell images apart. COMMAND --help lists a command's options.");
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);

  CLI::App* train_app = app.add_subcommand("train", "train a model and save it");
  add_train(*train_app, a.train);

  CLI::App* evaluate_app = app.add_subcommand("evaluate", "measure a trained model on test images");
  add_checkpoint(*evaluate_app, a.evaluate.checkpoint);
  add_images(*evaluate_app, a.evaluate);
  evaluate_app->add_option("--out", a.evaluate.out, "folder for confusion.png and wrong.png (without it: none)")
      ->check(path());

  CLI::App* predict_app = app.add_subcommand("predict", "say what is on images (PNG, JPEG, BMP, PGM, PPM)");
  add_checkpoint(*predict_app, a.predict.checkpoint);
  predict_app->add_option("--top", a.predict.top, "classes to list")->check(whole(1, many))->capture_default_str();
  predict_app->add_flag("--invert", a.predict.invert, "turn light and dark round, for ink on paper");
  CLI::Option* attention =
      predict_app->add_option("--attention", a.predict.attention, "draw what the model looks at into this PNG file")
          ->check(path());
  predict_app->add_option("--class", a.predict.of_class, "for which Grad-CAM asks (without it: the predicted one)")
      ->check(path())
      ->needs(attention);
  predict_app->add_option("--layer", a.predict.explain.layer, "whose attention to draw, from 1 (0: the last)")
      ->check(whole(0, many))
      ->needs(attention);
  predict_app->add_option("--head", a.predict.explain.head, "of attention to draw, from 1 (0: the mean of all)")
      ->check(whole(0, many))
      ->needs(attention);
  predict_app->add_option("FILES", a.predict.files, "image files of any size")->required();

  CLI::App* embed_app = app.add_subcommand("embed", "write what the last layer is given of each image, as .npy");
  add_checkpoint(*embed_app, a.embed.checkpoint);
  add_images(*embed_app, a.embed);
  embed_app->add_option("--split", a.embed.split, "which images")
      ->check(one_of({"test", "train"}))
      ->capture_default_str();
  embed_app->add_option("OUT", a.embed.out, "OUT.npy gets the features, OUT_labels.npy the labels")
      ->required()
      ->check(path());

  CLI::App* show_app = app.add_subcommand("show", "draw test images in the terminal, with the model's answers");
  add_checkpoint(*show_app, a.show.checkpoint);
  show_app->add_option("--count", a.show.count, "images")->check(whole(1, 1000))->capture_default_str();

  CLI::App* merge_app = app.add_subcommand("merge", "put what LoRA learnt into a model's weights");
  examples::add_merge(*merge_app, a.merge, a.train.out);

  CLI::App* convert_app = app.add_subcommand("convert", "make a checkpoint of weights that PyTorch saved");
  add_convert(*convert_app, a.convert);

  CLI::App* demo_app = app.add_subcommand("demo", "train on drawn digits for a moment, then show some");
  std::string demo_out = "out/demo";
  demo_app->add_option("--out", demo_out, "folder for the checkpoint and logs, those of an earlier demo replaced")
      ->check(path())
      ->capture_default_str();
  int64_t demo_samples = 0;
  demo_app->add_option("--samples", demo_samples, "digits to draw for training (0: 10000)")
      ->check(whole(0, many))
      ->capture_default_str();
  for (CLI::App* command : {train_app, evaluate_app, predict_app, embed_app, show_app, demo_app}) {
    examples::add_threads(*command, a.threads);
    examples::add_device(*command, a.device);
  }

  const char* commands = "train|evaluate|predict|embed|show|merge|convert|demo";
  if (const auto status = examples::parse(app, argc, argv, commands)) return *status;
  gradus::set_num_threads(a.threads);
  const gradus::Device device = examples::device_of(a.device);
  if (*train_app) {
    examples::restore_options(
        *train_app, a.train, [](auto f) { each_option(f); }, options_from);
    check_size(*train_app, a.train);
    take_model(*train_app, a.train);
    train(a.train, device);
  }
  if (*evaluate_app) evaluate(a.evaluate, device);
  if (*predict_app) predict(a.predict, device);
  if (*embed_app) embed(a.embed, device);
  if (*show_app) show(a.show, device);
  if (*merge_app) merge(a.merge);
  if (*convert_app) convert(a.convert);
  if (*demo_app) {
    std::error_code ignored;  // training says what is wrong with the folder
    std::filesystem::remove(demo_out + "/last.safetensors", ignored);
    Options options;
    options.samples = demo_samples;
    options.epochs = 2;
    options.out = demo_out;
    train(options, device);
    show({.checkpoint = demo_out}, device);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return examples::guarded([&] { return run(argc, argv); });
}
