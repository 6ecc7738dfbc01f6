// The program as a user runs it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "autograd/ops.h"
#include "data/image.h"
#include "data/metrics.h"
#include "examples/made_up/digits.h"
#include "tensor/io/file.h"
#include "tensor/io/npy.h"
#include "tensor/io/safetensors.h"
#include "tests/paths.h"

namespace gradus {
namespace {

namespace fs = std::filesystem;
using gradus::testing::Outcome;
using gradus::testing::TempDir;

const std::string& program() {
  static const std::string path = gradus::testing::program("image_classifier");
  return path;
}

Outcome run(const std::string& arguments, const std::string& before = "") {
  return gradus::testing::run_program("image_classifier", arguments, before);
}

std::string last_line(const std::string& text) {
  const size_t end = text.find_last_not_of('\n');
  const size_t start = text.rfind('\n', end);
  return text.substr(start + 1, end - start);
}

// Of "test accuracy: NN.NN%", exactly so; else -1.
double accuracy_in(const std::string& line) {
  const std::string begin = "test accuracy: ";
  if (!line.starts_with(begin) || !line.ends_with("%")) return -1;
  const std::string number = line.substr(begin.size(), line.size() - begin.size() - 1);
  const size_t point = number.find('.');
  const bool ok = point != std::string::npos && number.size() == point + 3 &&
                  number.find_first_not_of("0123456789.") == std::string::npos;
  return ok ? std::atof(number.c_str()) : -1;
}

void expect_error(const Outcome& r, int status, const std::string& says) {
  EXPECT_EQ(r.status, status) << r.output;
  const std::string line = last_line(r.output);
  EXPECT_TRUE(line.starts_with("error: ")) << r.output;
  EXPECT_NE(line.find(says), std::string::npos) << line << "\nshould say: " << says;
}

TEST(ImageClassifier, TrainsEvaluatesAndPredicts) {
  TempDir dir;
  const Outcome trained = run("train --model mlp --samples 3000 --epochs 4 --log tensorboard --out " + (dir / "out"));
  ASSERT_EQ(trained.status, 0) << trained.output;
  EXPECT_GT(accuracy_in(last_line(trained.output)), 85) << trained.output;
  for (const char* part : {"2700 training, 300 validation and 2000 test images of 1x28x28, 10 classes",
                           "mlp: 235146 parameters", "epoch 4/4", "f1-score", "weighted avg"}) {
    EXPECT_NE(trained.output.find(part), std::string::npos) << part;
  }
  EXPECT_TRUE(file_exists(dir / "out/last.safetensors"));
  const std::string log = read_file(dir / "out/log.csv");
  EXPECT_TRUE(log.starts_with("epoch,loss,accuracy,validation_loss,validation_accuracy\n")) << log;
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 5);
  int events = 0;
  for (const auto& entry : fs::directory_iterator(dir / "out")) {
    events += entry.path().filename().string().find("tfevents") != std::string::npos;
  }
  EXPECT_EQ(events, 1);

  for (const char* checkpoint : {"out", "out/last.safetensors"}) {
    const Outcome evaluated = run("evaluate --checkpoint " + (dir / checkpoint));
    EXPECT_EQ(evaluated.status, 0) << evaluated.output;
    EXPECT_EQ(last_line(evaluated.output), last_line(trained.output));
  }

  // Ten digits in files of several sizes and kinds.
  std::string files;
  for (int64_t d = 0; d < 10; ++d) {
    const Tensor image = data::resize(examples::draw_digit(d, 77, d), 20 + 13 * d, 28 + 7 * d);
    const std::string path = dir / ("digit" + std::to_string(d) + (d % 2 ? ".png" : ".pgm"));
    if (d % 2) {
      data::write_png(path, d % 3 ? image : data::to_channels(image, 3));
    } else {
      const std::string size = std::to_string(image.size(2)) + " " + std::to_string(image.size(1));
      const uint8_t* pixels = image.data<uint8_t>();
      std::ofstream(path) << "P5 " << size << " 255\n" << std::string(pixels, pixels + image.numel());
    }
    files += " " + path;
  }
  const Outcome predicted = run("predict --top 2 --checkpoint " + (dir / "out") + files);
  ASSERT_EQ(predicted.status, 0) << predicted.output;
  EXPECT_EQ(std::count(predicted.output.begin(), predicted.output.end(), '\n'), 30) << predicted.output;
  int right = 0;
  for (int64_t d = 0; d < 10; ++d) {
    const std::string name = "digit" + std::to_string(d);
    const size_t at = predicted.output.find('\n', predicted.output.find(name)) + 1;
    const std::string first = predicted.output.substr(at, predicted.output.find('\n', at) - at);
    EXPECT_NE(first.find('%'), std::string::npos) << first;
    right += first.ends_with("  " + std::to_string(d));
  }
  EXPECT_GE(right, 6) << predicted.output;

  // The other way round, light and dark are the same picture.
  data::write_png(dir / "ink.png", (255 - examples::draw_digit(3, 77, 3)).to(uint8));
  data::write_png(dir / "chalk.png", examples::draw_digit(3, 77, 3));
  const std::string with = " --checkpoint " + (dir / "out") + " ";
  const std::string ink = run("predict --invert" + with + (dir / "ink.png")).output;
  const std::string chalk = run("predict" + with + (dir / "chalk.png")).output;
  EXPECT_EQ(ink.substr(ink.find('\n')), chalk.substr(chalk.find('\n')));

  const Outcome shown = run("show --count 3" + with, "LC_ALL=C.UTF-8");
  EXPECT_EQ(shown.status, 0) << shown.output;
  EXPECT_NE(shown.output.find("▄"), std::string::npos) << shown.output;
  const Outcome ascii = run("show --count 3" + with, "LC_ALL=C");
  EXPECT_TRUE(std::all_of(ascii.output.begin(), ascii.output.end(), [](char c) { return c > 0; })) << ascii.output;
  EXPECT_NE(ascii.output.find('%'), std::string::npos);
}

TEST(ImageClassifier, Demo) {
  TempDir dir;
  const Outcome r = run("demo --samples 300 --out " + (dir / "demo"), "LC_ALL=C.UTF-8");
  EXPECT_EQ(r.status, 0) << r.output;
  EXPECT_NE(r.output.find("test accuracy: "), std::string::npos) << r.output;
  EXPECT_NE(r.output.find("█"), std::string::npos) << r.output;
  EXPECT_EQ(run("demo --samples 200 --out " + (dir / "demo")).status, 0);
  EXPECT_FALSE(file_exists(dir / "demo/earlier-1.safetensors"));
}

// Every source of randomness in one run: shuffling, weights, dropout, augmentation, mixup; and all that a checkpoint
// has to keep.
const std::string tiny =
    "train --model cnn --samples 200 --epochs 2 --batch 10 --accumulate 2 --augment "
    "resized-crop,rotate,crop,flip,jitter,randaugment,cutout,erase,mixup,cutmix --save-every 2 "
    "--schedule cosine --ema 0.9 --clip 1 --label-smoothing 0.1 --validation 0.2 --test-flip --keep-bfloat16 --seed "
    "5 ";

TEST(ImageClassifier, ThreadsAndWorkersChangeNoBit) {
  TempDir dir;
  const Outcome trained = run(tiny + "--threads 1 --workers 0 --out " + (dir / "a"));
  ASSERT_EQ(trained.status, 0) << trained.output;
  ASSERT_EQ(run(tiny + "--threads 2 --workers 3 --out " + (dir / "b")).status, 0);
  EXPECT_EQ(read_file(dir / "a/last.safetensors"), read_file(dir / "b/last.safetensors"));
  EXPECT_EQ(read_file(dir / "a/log.csv"), read_file(dir / "b/log.csv"));
  // With the averaged weights and mirror images that it was trained for.
  EXPECT_EQ(last_line(run("evaluate --checkpoint " + (dir / "a")).output), last_line(trained.output));
}

// Starts a training, sends it a signal once it has written its third checkpoint, and gives what waitpid says.
int stop_with(int signal, const std::string& training, const std::string& out, const std::string& log) {
  std::vector<std::string> words = {program()};
  std::istringstream text(training + "--out " + out);
  for (std::string word; text >> word;) words.push_back(word);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    const int file = open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(file, 1);
    dup2(file, 2);
    std::signal(SIGINT, SIG_DFL);  // whatever the shell that runs the tests does
    execv(argv[0], argv.data());
    _exit(127);
  }
  // A checkpoint is replaced by renaming: each new one is another file.
  int status = 0, seen = 0;
  ino_t last = 0;
  while (seen < 3 && waitpid(child, &status, WNOHANG) == 0) {
    struct stat info;
    if (stat((out + "/last.safetensors").c_str(), &info) == 0 && info.st_ino != last) {
      ++seen;
      last = info.st_ino;
    }
    usleep(1000);
  }
  if (seen == 3) {
    kill(child, signal);
    waitpid(child, &status, 0);
  }
  return status;
}

TEST(ImageClassifier, KilledOrInterruptedItGoesOnBitForBit) {
  TempDir dir;
  ASSERT_EQ(run(tiny + "--out " + (dir / "whole")).status, 0);
  const std::string whole = read_file(dir / "whole/last.safetensors");
  const int killed = stop_with(SIGKILL, tiny, dir / "killed", dir / "log");
  EXPECT_TRUE(WIFSIGNALED(killed) && WTERMSIG(killed) == SIGKILL) << read_file(dir / "log");
  EXPECT_NE(read_file(dir / "killed/last.safetensors"), whole);
  const Outcome resumed = run("train --resume " + (dir / "killed"));
  EXPECT_EQ(resumed.status, 0) << resumed.output;
  EXPECT_EQ(read_file(dir / "killed/last.safetensors"), whole);
  EXPECT_EQ(read_file(dir / "killed/log.csv"), read_file(dir / "whole/log.csv"));

  const int stopped = stop_with(SIGINT, tiny, dir / "stopped", dir / "log");
  const std::string output = read_file(dir / "log");
  EXPECT_TRUE(WIFEXITED(stopped) && WEXITSTATUS(stopped) == 130) << stopped << output;
  EXPECT_NE(output.find("to go on, resume from"), std::string::npos) << output;
  EXPECT_EQ(output.find("error"), std::string::npos) << output;
  const Outcome again = run("train --threads 2 --resume " + (dir / "stopped/last.safetensors"));
  EXPECT_EQ(again.status, 0) << again.output;
  EXPECT_EQ(read_file(dir / "stopped/last.safetensors"), whole);
}

// 60 images of the digits 0 and 1, 48 of them to train with.
void make_image_folder(const std::string& path) {
  for (int64_t i = 0; i < 60; ++i) {
    const std::string folder = path + (i % 2 ? "/one" : "/zero");
    make_folder(folder);
    data::write_png(folder + "/" + std::to_string(i) + ".png", examples::draw_digit(i % 2, 3, i));
  }
}

TEST(ImageClassifier, EveryModelTrainsAndGoesOnBitForBit) {
  TempDir dir;
  make_image_folder(dir / "set");
  const std::string common =
      "train --data folder:" + (dir / "set") + " --size 12 --grey --epochs 2 --batch 6 --save-every 1 --model ";
  for (std::string model : {"lenet", "resnet", "resnet --pre-activation", "se_resnet", "cbam_resnet",
                            "self_attention_cnn", "vit --patch 4 --heads 2 --dropout 0.1 --drop-path 0.2",
                            "conv_vit --patch 4 --pool mean --positions sinusoidal"}) {
    SCOPED_TRACE(model);
    if (model != "lenet") model += " --depth 8 --width 4";
    const std::string name = model.substr(0, model.find(' ')), out = dir / name;
    const Outcome whole = run(common + model + " --threads 1 --out " + out);
    ASSERT_EQ(whole.status, 0) << whole.output;
    EXPECT_NE(whole.output.find(name + ": "), std::string::npos) << whole.output;
    EXPECT_GT(accuracy_in(last_line(whole.output)), 0);
    const std::string stopped = out + "-stopped";
    const int killed = stop_with(SIGKILL, common + model + " ", stopped, dir / "log");
    EXPECT_TRUE(WIFSIGNALED(killed)) << read_file(dir / "log");
    const Outcome resumed = run("train --threads 2 --resume " + stopped);
    EXPECT_EQ(last_line(resumed.output), last_line(whole.output));
    EXPECT_EQ(read_file(stopped + "/last.safetensors"), read_file(out + "/last.safetensors"));
    EXPECT_EQ(last_line(run("evaluate --checkpoint " + out).output), last_line(whole.output));
    fs::remove_all(out);
    fs::remove_all(stopped);
  }
}

TEST(ImageClassifier, ShowsWhatItSees) {
  TempDir dir;
  const std::string train = "train --model cnn --samples 300 --epochs 2 --out ";
  const Outcome trained = run(train + (dir / "out --log tensorboard"));
  ASSERT_EQ(trained.status, 0) << trained.output;
  EXPECT_NE(trained.output.find("rows: what it is; columns: what the model says"), std::string::npos);
  // To be looked at costs nothing.
  ASSERT_EQ(run(train + (dir / "unseen")).status, 0);
  EXPECT_EQ(read_file(dir / "out/last.safetensors"), read_file(dir / "unseen/last.safetensors"));
  const std::string at = " --checkpoint " + (dir / "out") + " ";

  const Outcome evaluated = run("evaluate --out " + (dir / "new/folder") + at);
  ASSERT_EQ(evaluated.status, 0) << evaluated.output;
  for (const char* name : {"/confusion.png", "/wrong.png"}) {
    EXPECT_EQ(read_file(dir / "new/folder" + name), read_file(dir / "out" + name));
    EXPECT_GT(data::read_image(dir / "out" + name).size(2), 400);
  }

  data::write_png(dir / "one.png", examples::draw_digit(1, 77, 1));
  data::write_png(dir / "large.png", data::resize(examples::draw_digit(2, 77, 2), 200, 300));
  const std::string draw = "predict --attention " + (dir / "seen.png") + at;
  const Outcome drawn = run(draw + (dir / "one.png") + " " + (dir / "large.png"));
  ASSERT_EQ(drawn.status, 0) << drawn.output;
  const Tensor two = data::read_image(dir / "seen.png");
  ASSERT_EQ(run(draw + "--class 7 " + (dir / "one.png")).status, 0);
  const Tensor one = data::read_image(dir / "seen.png");
  EXPECT_EQ(one.size(2), two.size(2));
  EXPECT_GT(two.size(1), one.size(1) + 200);
  expect_error(run(draw + "--layer 1 " + (dir / "one.png")), 1, "--layer 1: Cnn has no layers with attention");
  expect_error(run(draw + "--head 2 " + (dir / "one.png")), 1, "--head 2: Cnn has no heads of attention");

  // Features times the head's weights are the model's answers.
  ASSERT_EQ(run("embed --batch 70 " + (dir / "features.npy") + at).status, 0);
  ASSERT_EQ(run("embed --split train " + (dir / "of_training") + at).status, 0);
  const Tensor features = load_npy(dir / "features.npy"), labels = load_npy(dir / "features_labels.npy");
  EXPECT_EQ(features.shape(), Shape({300, 256}));
  EXPECT_EQ(features.dtype(), float32);
  EXPECT_EQ(labels.shape(), Shape({300}));
  EXPECT_EQ(labels.dtype(), int64);
  EXPECT_EQ(load_npy(dir / "of_training.npy").shape(), Shape({300, 256}));
  const TensorFile weights = load_safetensors(dir / "out/last.safetensors");
  const Tensor logits = linear(features, *weights.find("classifier.weight"), *weights.find("classifier.bias"));
  char accuracy[64];
  std::snprintf(accuracy, sizeof(accuracy), "test accuracy: %.2f%%", 100 * data::accuracy(logits, labels));
  EXPECT_EQ(last_line(trained.output), accuracy);
  data::write_png(dir / "first.png", examples::digits(300, 2)->get(0).image);  // of the test images
  char first[64];
  std::snprintf(first, sizeof(first), "%.2f%%", 100 * softmax(logits[0], 0).max().item());
  const Outcome predicted = run("predict --top 1" + at + (dir / "first.png"));
  EXPECT_NE(predicted.output.find(first), std::string::npos) << predicted.output << first;

  std::string output;
  const std::string python = gradus::testing::python("tensorboard");
  if (python.empty()) GTEST_SKIP() << "no Python with tensorboard";
  EXPECT_EQ(gradus::testing::shell(
                python + " " + gradus::testing::source_dir() + "/tests/epoch_events.py " + (dir / "out"), &output),
            0)
      << output;
}

TEST(ImageClassifier, LearnsFromFolders) {
  TempDir dir;
  make_image_folder(dir / "set");
  const std::string arguments = "train --data folder:" + (dir / "set") +
                                " --size 20 --grey --model linear --epochs 8 --batch 8 --out " + (dir / "out");
  const Outcome r = run(arguments);
  ASSERT_EQ(r.status, 0) << r.output;
  EXPECT_NE(r.output.find("44 training, 4 validation and 12 test images of 1x20x20, 2 classes"), std::string::npos)
      << r.output;
  EXPECT_GT(accuracy_in(last_line(r.output)), 75) << r.output;
  const Outcome anew = run(arguments);
  EXPECT_NE(anew.output.find("earlier training is now " + (dir / "out/earlier-1.safetensors")), std::string::npos)
      << anew.output;
  const Outcome colours =
      run("train --data folder:" + (dir / "set") + " --size 24 --epochs 1 --out " + (dir / "colour"));
  EXPECT_EQ(colours.status, 0) << colours.output;
  EXPECT_NE(colours.output.find("of 3x24x24"), std::string::npos) << colours.output;

  // Other images are of as many classes; that these have other names is said.
  const std::string evaluate = "evaluate --checkpoint " + (dir / "out") + " --data folder:" + (dir / "other");
  fs::copy(dir / "set", dir / "other", fs::copy_options::recursive);
  fs::rename(dir / "other/one", dir / "other/un");
  const Outcome renamed = run(evaluate);
  EXPECT_NE(renamed.output.find("other have other names than the model's"), std::string::npos) << renamed.output;
  fs::rename(dir / "other/un", dir / "other/one");
  EXPECT_EQ(run(evaluate).output, run("evaluate --checkpoint " + (dir / "out")).output);
  fs::remove_all(dir / "other/one");
  expect_error(run(evaluate), 1, "other: 1 classes, the model tells 2 apart");

  // Names that are not printable are those of the checkpoint all the same.
  fs::copy(dir / "set/one", dir / "other/tab\tand\nline", fs::copy_options::recursive);
  ASSERT_EQ(
      run("train --model linear --epochs 1 --data folder:" + (dir / "other") + " --out " + (dir / "odd")).status, 0);
  EXPECT_EQ(run("evaluate --checkpoint " + (dir / "odd")).status, 0);

  // A bad file is named, and the checkpoint of before is not touched.
  const std::string before = read_file(dir / "out/last.safetensors");
  write_file(dir / "set/one/11.png", "damaged");
  expect_error(run(arguments), 1, "set/one/11.png: not a PNG");
  EXPECT_EQ(read_file(dir / "out/last.safetensors"), before);

  // Or it is named and left out, from a folder and from an archive alike; the checkpoint remembers that it is.
  write_file(dir / "set/zero/30.png", "");
  ASSERT_EQ(gradus::testing::shell("tar czf " + (dir / "set.tgz") + " -C " + dir.path() + " set"), 0);
  std::string accuracies[2];
  for (int packed = 0; packed < 2; ++packed) {
    const std::string set = dir / (packed ? "set.tgz" : "set"), out = dir / (packed ? "packed" : "plain");
    const Outcome left_out = run("train --skip-bad --data folder:" + set +
                                 " --grey --model linear --validation 0 --epochs 2 --out " + out);
    ASSERT_EQ(left_out.status, 0) << left_out.output;
    const std::string inside = packed ? set + "/set" : set;
    for (const std::string& says :
         {"skipped " + inside + "/one/11.png: not a PNG", "skipped " + inside + "/zero/30.png: the file is empty",
          std::string("47 training, 0 validation and 11 test images")}) {
      EXPECT_NE(left_out.output.find(says), std::string::npos) << left_out.output << says;
    }
    accuracies[packed] = last_line(left_out.output);
    const Outcome evaluated = run("evaluate --checkpoint " + out);
    EXPECT_EQ(last_line(evaluated.output), accuracies[packed]);
  }
  EXPECT_EQ(accuracies[0], accuracies[1]);
  write_file(dir / "cut.tgz", read_file(dir / "set.tgz").substr(0, 3000));
  expect_error(run("train --data folder:" + (dir / "cut.tgz") + " --out " + (dir / "x")), 1,
               "cut.tgz: truncated gzip");
}

TEST(ImageClassifier, ReadsHandwrittenDigits) {
  TempDir dir;
  std::string lines;
  for (int i = 0; i < 20; ++i) {
    for (int k = 0; k < 64; ++k) lines += (k / 8 == i % 4 ? "16," : "0,");
    lines += std::to_string(i % 4) + "\n";
  }
  write_file(dir / "optdigits.tra", lines);
  write_file(dir / "optdigits.tes", lines);
  const std::string arguments =
      "train --model linear --validation 0 --epochs 40 --batch 4 --data optdigits:" + dir.path() + " --out " +
      (dir / "out");
  const Outcome r = run(arguments);
  EXPECT_NE(r.output.find("20 training, 0 validation and 20 test images of 1x8x8, 10 classes"), std::string::npos)
      << r.output;
  EXPECT_EQ(last_line(r.output), "test accuracy: 100.00%");
  for (const char* bad : {"17,", "x,", "-1,", "1,,", ""}) {
    write_file(dir / "optdigits.tes", lines + bad + lines.substr(lines.find(',') + 1));
    expect_error(run(arguments), 1, "optdigits.tes: line 21 is not 64 shades");
  }
}

TEST(ImageClassifier, WrongUsageNamesWhatIsAllowed) {
  const struct {
    const char* arguments;
    const char* says;
  } cases[] = {
      {"", "train|evaluate|predict|embed|show|merge|convert|demo"},
      {"fly", "train|evaluate|predict|embed|show|merge|convert|demo"},
      {"train --threads 0", "--threads: '0' is not a whole number from 1 to 1024"},
      {"train --epochs -1", "--epochs: '-1' is not a whole number from 0 to"},
      {"train --epochs 1e99", "--epochs"},
      {"train --epochs 99999999999999999999", "--epochs"},
      {"train --validation 1", "--validation"},
      {"train --ema 1", "--ema"},
      {"train --batch 0", "--batch: '0' is not a whole number from 1 to"},
      {"train --seed x", "--seed: 'x' is not a whole number from 0 to"},
      {"train --lr 0", "--lr: '0' is not a number above 0"},
      {"train --lr nan", "--lr: 'nan' is not a number above 0"},
      {"train --model resnext", "--model: 'resnext' is none of linear|mlp|lenet|cnn|resnet"},
      {"train --depth 1203", "--depth: '1203' is not a whole number from 0 to 1202"},
      {"train --width 5000", "--width: '5000' is not a whole number from 0 to 4096"},
      {"train --stem large", "--stem: 'large' is none of auto|small|imagenet"},
      {"train --optimizer lion", "--optimizer: 'lion' is none of adamw|adam|sgd|rmsprop"},
      {"train --schedule noam", "--schedule: 'noam' is none of onecycle|cosine|step|constant"},
      {"train --augment crop,zoom",
       "--augment: 'zoom' is none of resized-crop|rotate|crop|flip|jitter|randaugment|cutout|erase|mixup|cutmix"},
      {"train --data cifar",
       "'cifar' is none of digits, mnist[:DIR], fashion_mnist[:DIR], cifar10[:DIR], optdigits[:DIR], folder:PATH"},
      {"train --data folder:", "folder:PATH"},
      {"train --data cifar10:", "cifar10[:DIR]"},
      {"train --data digits:x", "digits"},
      {"train --workers 1000", "--workers: '1000' is not a whole number from 0 to 256"},
      {"train --log xml", "--log: 'xml' is none of csv|tensorboard"},
      {"train --no-such-option", "--no-such-option"},
      {"train --out ''", "--out: the path is empty"},
      {"train --resume ''", "--resume: the path is empty"},
      {"train extra", "extra"},
      {"train --model vit --pool max", "--pool: 'max' is none of token|mean"},
      {"train --model", "--model"},
      {"predict", "FILES"},
      {"predict --top 0 x.png", "--top"},
      {"predict --layer 1 x.png", "--layer requires --attention"},
      {"predict --class 3 x.png", "--class requires --attention"},
      {"predict --attention a.png --head -1 x.png", "--head: '-1' is not a whole number from 0"},
      {"predict --attention '' x.png", "--attention: the path is empty"},
      {"evaluate --out ''", "--out: the path is empty"},
      {"embed", "OUT"},
      {"embed --split both x", "--split: 'both' is none of test|train"},
      {"show --count 0", "--count"},
      {"evaluate --threads many", "--threads: 'many' is not a whole number from 1 to 1024"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.arguments);
    const Outcome r = run(c.arguments);
    expect_error(r, 2, c.says);
    EXPECT_EQ(std::count(r.output.begin(), r.output.end(), '\n'), 1) << r.output;
  }
  const Outcome help = run("train --help");
  EXPECT_EQ(help.status, 0);
  for (const char* part :
       {"linear|mlp|lenet|cnn|resnet", "onecycle|cosine|step|constant", "--resume", "fashion_mnist[:DIR]"}) {
    EXPECT_NE(help.output.find(part), std::string::npos) << part;
  }
}

TEST(ImageClassifier, BadInputIsOneLine) {
  TempDir dir;
  ASSERT_EQ(run("train --model linear --samples 50 --epochs 1 --out " + (dir / "out")).status, 0);
  const std::string good = read_file(dir / "out/last.safetensors");
  const std::string at = " --checkpoint " + (dir / "out") + " ";
  write_file(dir / "cut.safetensors", good.substr(0, good.size() - 100));
  write_file(dir / "empty.safetensors", "");
  std::string other = good;
  other.replace(other.find("linear"), 6, "liNear");
  write_file(dir / "other.safetensors", other);
  std::string mismatch = good;
  mismatch.replace(mismatch.find("1,28,28"), 7, "1,28,27");
  write_file(dir / "mismatch.safetensors", mismatch);
  TensorFile deep = load_safetensors(dir / "out/last.safetensors");
  deep.metadata["depth"] = "1000000000";
  save_safetensors(dir / "deep.safetensors", deep);
  TensorFile odd = load_safetensors(dir / "out/last.safetensors");
  odd.metadata["model"] = "vit";
  odd.metadata["heads"] = "5";
  save_safetensors(dir / "odd.safetensors", odd);
  write_file(dir / "text.png", "not an image");
  data::write_png(dir / "good.png", examples::draw_digit(1, 1, 1));
  make_folder(dir / "texts/notes");
  write_file(dir / "texts/notes/1.txt", "no image");
  const struct {
    std::string arguments, says;
  } cases[] = {
      {"evaluate --checkpoint " + (dir / "nowhere"), "nowhere: no such file"},
      {"evaluate --checkpoint " + dir.path(), dir.path() + ": has no last.safetensors"},
      {"evaluate --checkpoint " + (dir / "cut.safetensors"), "cut.safetensors"},
      {"evaluate --checkpoint " + (dir / "empty.safetensors"), "empty.safetensors"},
      {"evaluate --checkpoint " + (dir / "other.safetensors"), "expected one of linear"},
      {"evaluate --checkpoint " + (dir / "mismatch.safetensors"), "mismatch.safetensors"},
      {"evaluate --checkpoint " + (dir / "text.png"), "text.png"},
      {"evaluate --data mnist:" + dir.path() + at, "train-images-idx3-ubyte"},
      {"predict" + at + (dir / "good.png") + " " + (dir / "text.png"), "text.png: not a PNG"},
      {"predict" + at + (dir / "missing.png"), "missing.png"},
      {"predict" + at + dir.path(), dir.path()},
      {"predict --attention " + (dir / "a.png") + at + (dir / "good.png"), "SoftmaxRegression knows no places"},
      {"predict --class ten --attention " + (dir / "a.png") + at + (dir / "good.png"),
       "--class: the model knows no 'ten'; it knows 0,1,2,3"},
      {"evaluate --out " + (dir / "good.png") + at, "good.png"},
      {"embed " + (dir / "nowhere/features.npy") + at, "nowhere/features.npy"},
      {"embed --data mnist:" + dir.path() + " " + (dir / "features.npy") + at, "train-images-idx3-ubyte"},
      {"train --data folder:" + (dir / "nowhere"), "nowhere"},
      {"train --data folder:" + (dir / "texts") + " --out " + (dir / "x"), "notes: no image files"},
      {"train --resume " + (dir / "nowhere"), "nowhere: no such file"},
      {"train --resume " + (dir / "out") + " --seed 9", "seed"},
      {"train --resume " + (dir / "out") + " --model mlp", "last.safetensors: model"},
      {"train --resume " + (dir / "out") + " --batch 7", "batch size was 64, now 7"},
      {"train --model resnet --depth 19", "resnet: depth 19 is none of 18, 34, 50, 101, 152, nor 6n + 2"},
      {"train --model resnet --depth 152 --width 4096", "expected less than 500 million"},
      {"train --model vit --patch 3", "vit: patches of 3 x 3 do not divide images of 28 x 28"},
      {"evaluate --checkpoint " + (dir / "odd.safetensors"), "odd.safetensors: vit: 5 heads do not divide 192"},
      {"evaluate --checkpoint " + (dir / "deep.safetensors"), "deep.safetensors: metadata 'depth' is '1000000000'"},
      {"train --samples 50 --model linear --out " + (dir / "good.png"), "good.png"},
      {"train --samples 50 --model mlp --lr 1000 --optimizer sgd --schedule constant --epochs 50 --out " +
           (dir / "nan"),
       "loss is"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.arguments);
    const Outcome r = run(c.arguments);
    expect_error(r, 1, c.says);
    EXPECT_EQ(read_file(dir / "out/last.safetensors"), good);
  }
  expect_error(run("evaluate" + at + " > /dev/full"), 1, "standard output");
  // A disk that fills up, played by a limit on the size of files.
  expect_error(run("train --resume " + (dir / "out") + " --epochs 3", "ulimit -f 16;"), 1, "last.safetensors");
  EXPECT_EQ(read_file(dir / "out/last.safetensors"), good);
  EXPECT_EQ(run("evaluate" + at).status, 0);
}

}  // namespace
}  // namespace gradus
