// The tools of a training loop. What matters most: a run that was stopped, by whatever means, and resumed
// ends with the same bytes as one that was not.
#include "train/fit.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "data/metrics.h"
#include "nn/activation.h"
#include "nn/container.h"
#include "nn/dropout.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "optim/adam.h"
#include "optim/clip.h"
#include "optim/ema.h"
#include "optim/sgd.h"
#include "tensor/io/file.h"
#include "tensor/kernels/cpu/threads.h"
#include "tests/paths.h"
#include "train/event_log.h"
#include "train/progress.h"

namespace gradus::train {
namespace {

using testing::shell;
using testing::TempDir;

template <class F>
std::string message_of(F run) {
  try {
    run();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    return error.what();
  }
  return "no Error";
}

::testing::AssertionResult contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "'" << part << "' is not in: " << text;
}

// --- a small run: random data with random noise, dropout, batch norm, momentum, accumulation, a schedule -----------

struct Batch {
  Tensor x, y;
};

data::DataLoader<Batch> make_loader(uint64_t seed = 5, int64_t size = 50) {
  return {size,
          {.batch_size = 8, .shuffle = true, .workers = 1, .seed = seed},
          [seed](std::span<const int64_t> samples, int64_t epoch) {
            std::vector<float> x;
            std::vector<int64_t> y;
            for (int64_t i : samples) {
              Generator noise = data::sample_generator(seed, epoch, i);
              for (int j = 0; j < 4; ++j) x.push_back(float((i * (j + 3)) % 7) + float(noise.uniform()));
              y.push_back(i % 7 > 3);
            }
            int64_t n = int64_t(samples.size());
            return Batch{from_vector(x, {n, 4}), from_vector(y, {n})};
          }};
}

struct SmallRun {
  nn::Sequential model;
  optim::Adam optimizer;
  optim::CosineLR schedule;
  optim::EMA average;
  data::DataLoader<Batch> loader = make_loader(), tests = make_loader(6, 20);
  FitOptions options;

  explicit SmallRun(const std::string& out)
      : model((manual_seed(1), nn::Sequential(nn::Linear(4, 16), nn::BatchNorm1d(16), nn::ReLU(), nn::Dropout(0.2),
                                              nn::Linear(16, 2)))),
        optimizer(model.parameters(), {.lr = 0.01}),
        schedule(optimizer, {.steps = 12}),
        average(model.parameters(), 0.9) {
    options = {.epochs = 3,
               .accumulate = 2,
               .clip_grad_norm = 1,
               .schedule = &schedule,
               .evaluate = [this] { return evaluate(model, tests, step(), "test_"); },
               .on_update = [this](int64_t) { average.update(); },
               .out = out,
               .save_every = 3,
               .monitor = "test_loss",
               .minimize = true,
               .metadata = {{"model", "{\"layers\":2}"}},
               .also_save = {part("average", average)},
               .progress = nullptr};
  }
  std::function<BatchResult(Batch&)> step() {
    return [this](Batch& b) -> BatchResult {
      Tensor logits = model(b.x);
      return {cross_entropy(logits, b.y), b.y.numel(), {{"accuracy", data::accuracy(logits, b.y)}}};
    };
  }
  History fit() { return train::fit(model, optimizer, loader, step(), options); }
};

struct Uninterrupted {
  TempDir dir;
  History history;
  std::string last, best, csv;
  Uninterrupted() {
    SmallRun run(dir.path());
    history = run.fit();
    last = read_file(dir / "last.safetensors");
    best = read_file(dir / "best.safetensors");
    csv = read_file(dir / "log.csv");
  }
};

TEST(Fit, TrainsAndWritesWhatItSays) {
  Uninterrupted whole;
  ASSERT_EQ(whole.history.size(), 3u);
  std::vector<std::string> names;
  for (const auto& entry : whole.history[0]) names.push_back(entry.first);
  EXPECT_EQ(names, (std::vector<std::string>{"loss", "accuracy", "test_loss", "test_accuracy"}));
  EXPECT_LT(whole.history[2][0].second, whole.history[0][0].second);
  EXPECT_TRUE(whole.csv.starts_with("epoch,loss,accuracy,test_loss,test_accuracy\n1,")) << whole.csv;
  EXPECT_EQ(std::count(whole.csv.begin(), whole.csv.end(), '\n'), 4);

  TensorFile file = load_safetensors(whole.dir / "last.safetensors");
  EXPECT_EQ(file.metadata.at("model"), "{\"layers\":2}");
  for (const char* name : {"0.weight", "1.running_mean", "optimizer/state.0.exp_avg", "schedule/step",
                           "random/philox", "loader/position", "fit/updates", "fit/history/test_loss", "average/0"})
    EXPECT_NE(file.find(name), nullptr) << name;
  EXPECT_EQ(file.find("fit/updates")->to_vector(), std::vector<double>{12});  // 7 batches by 2, 3 times
  nn::Sequential other(nn::Linear(4, 16), nn::BatchNorm1d(16), nn::ReLU(), nn::Dropout(0.2), nn::Linear(16, 2));
  load_weights(file, other);
  EXPECT_TRUE(equal(other.state_dict()[0].second, *file.find("0.weight")));
}

TEST(Fit, EqualsTheExplicitLoop) {
  TempDir dir;
  SmallRun fitted(dir.path()), by_hand(dir.path());
  manual_seed(9);
  fitted.fit();
  manual_seed(9);
  for (int epoch = 0; epoch < 3; ++epoch) {
    by_hand.model.train();
    int64_t batches = 0;
    for (Batch& b : by_hand.loader) {
      int64_t group = batches < 6 ? 2 : 1;  // the seventh batch is alone
      (cross_entropy(by_hand.model(b.x), b.y) / double(group)).backward();
      if (++batches % 2 && batches < 7) continue;
      optim::clip_grad_norm_(by_hand.model.parameters(), 1);
      by_hand.optimizer.step();
      by_hand.optimizer.zero_grad();
      by_hand.schedule.step();
    }
  }
  std::vector<Tensor> a = fitted.model.parameters(), b = by_hand.model.parameters();
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(equal(a[i], b[i])) << i;
}

TEST(Fit, AccumulationEqualsOneLargeBatch) {
  auto train = [](int64_t batch, int64_t accumulate) {
    manual_seed(3);
    nn::Sequential model(nn::Linear(4, 2));
    optim::SGD optimizer(model.parameters(), {.lr = 0.1});
    data::DataLoader<Batch> loader(20, {.batch_size = batch}, [](std::span<const int64_t> samples, int64_t) {
      Tensor x = zeros({int64_t(samples.size()), 4});
      for (size_t i = 0; i < samples.size(); ++i) x.data<float>()[4 * i + size_t(samples[i] % 4)] = 1;
      return Batch{x, zeros({x.size(0)}, {.dtype = int64})};
    });
    train::fit(model, optimizer, loader,
               [&](Batch& b) -> BatchResult {
                 return {cross_entropy(model(b.x), b.y), b.y.numel()};
               },
               {.epochs = 2, .accumulate = accumulate, .progress = nullptr});
    return model.parameters();
  };
  std::vector<Tensor> a = train(4, 5), b = train(20, 1);
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(allclose(a[i], b[i], 1e-5, 1e-6));
}

// --- resume --------------------------------------------------------------------------------------------------------

void expect_same_files(const std::string& out, const Uninterrupted& whole) {
  EXPECT_TRUE(read_file(out + "/last.safetensors") == whole.last);
  EXPECT_TRUE(read_file(out + "/best.safetensors") == whole.best);
  EXPECT_EQ(read_file(out + "/log.csv"), whole.csv);
}

TEST(Resume, AfterAnExceptionAtAnyUpdate) {
  Uninterrupted whole;
  for (int64_t at = 1; at <= 12; ++at) {
    SCOPED_TRACE(at);
    TempDir dir;
    SmallRun first(dir.path());
    first.options.on_update = [&](int64_t update) {
      first.average.update();
      check(update < at, "stop");
    };
    EXPECT_EQ(message_of([&] { first.fit(); }), "stop");
    manual_seed(77);  // what the resumed run must not depend on
    SmallRun second(dir.path());
    manual_seed(78);
    second.options.resume = dir.path();
    EXPECT_EQ(second.fit(), whole.history);
    expect_same_files(dir.path(), whole);
  }
}

TEST(Resume, AfterASignalAtAnyUpdate) {
  Uninterrupted whole;
  for (int64_t at = 1; at <= 12; ++at) {
    SCOPED_TRACE(at);
    TempDir dir;
    SmallRun first(dir.path());
    first.options.save_every = 0;
    first.options.on_update = [&](int64_t update) {
      first.average.update();
      if (update == at) std::raise(at % 2 ? SIGINT : SIGTERM);
    };
    EXPECT_THROW(first.fit(), Interrupted);
    SmallRun second(dir.path());
    second.options.resume = dir / "last.safetensors";
    EXPECT_EQ(second.fit(), whole.history);
    expect_same_files(dir.path(), whole);
  }
}

// Which stops at once: every further batch of the evaluation would throw.
TEST(Resume, AfterASignalWhileEvaluating) {
  Uninterrupted whole;
  for (int64_t at = 1; at <= 9; ++at) {  // of the batches that are evaluated, three in each epoch
    SCOPED_TRACE(at);
    TempDir dir;
    SmallRun first(dir.path());
    first.options.save_every = 0;
    int64_t evaluated = 0;
    auto step = [&](Batch& b) {
      if (++evaluated == at) {
        randn({3});  // which an evaluation from the start draws again
        std::raise(SIGINT);
      }
      check(evaluated <= at, "still evaluating");
      return first.step()(b);
    };
    first.options.evaluate = [&] { return evaluate(first.model, first.tests, step, "test_"); };
    EXPECT_THROW(first.fit(), Interrupted);
    SmallRun second(dir.path());
    second.options.resume = dir.path();
    EXPECT_EQ(second.fit(), whole.history);
  }
}

TEST(Fit, KeepsTheCheckpointOfAnEarlierRun) {
  Uninterrupted whole;
  for (const char* kept : {"earlier-1.safetensors", "earlier-2.safetensors"}) {
    SmallRun other(whole.dir.path());
    other.options.epochs = 0;
    other.fit();
    EXPECT_FALSE(read_file(whole.dir / "last.safetensors") == whole.last);
    EXPECT_TRUE(file_exists(whole.dir / kept));
  }
  EXPECT_TRUE(read_file(whole.dir / "earlier-1.safetensors") == whole.last);
  EXPECT_FALSE(file_exists(whole.dir / "earlier-3.safetensors"));
}

TEST(Resume, AfterKill) {
  if (const char* out = std::getenv("GRADUS_TEST_OUT")) {  // the program that the test itself starts and kills
    SmallRun run(out);
    if (file_exists(std::string(out) + "/last.safetensors")) run.options.resume = out;
    run.options.on_update = [&](int64_t update) {
      run.average.update();
      if (update == std::atoi(std::getenv("GRADUS_TEST_KILL_AT"))) ::kill(::getpid(), SIGKILL);
    };
    run.fit();
    return;
  }
  Uninterrupted whole;
  std::string self = std::filesystem::read_symlink("/proc/self/exe").string() + " --gtest_filter=Resume.AfterKill";
  auto start = [&](const TempDir& dir, int kill_at, const std::string& prefix) {
    return shell("GRADUS_TEST_OUT=" + dir.path() + " GRADUS_TEST_KILL_AT=" + std::to_string(kill_at) + " " + prefix +
                 self + " > " + dir.path() + "/output 2>&1");
  };
  TempDir between, anywhere;
  for (int kill_at : {2, 5, 10}) EXPECT_NE(start(between, kill_at, ""), 0);
  EXPECT_EQ(start(between, 0, ""), 0) << read_file(between / "output");
  expect_same_files(between.path(), whole);
  // At whatever it is just doing, such as saving.
  for (int ms = 100; ms <= 190; ms += 10) {
    start(anywhere, 0, "timeout -s KILL 0." + std::to_string(ms) + " ");
    if (file_exists(anywhere / "last.safetensors")) load_safetensors(anywhere / "last.safetensors");
  }
  EXPECT_EQ(start(anywhere, 0, ""), 0) << read_file(anywhere / "output");
  expect_same_files(anywhere.path(), whole);
}

TEST(Resume, OfAFinishedRunChangesNothingAndMoreEpochsGoOn) {
  TempDir dir;
  SmallRun two(dir.path());
  two.options.epochs = 2;
  two.fit();
  std::string after_two = read_file(dir / "last.safetensors");
  SmallRun again(dir.path());
  again.options.epochs = 2;
  again.options.resume = dir.path();
  again.fit();
  EXPECT_TRUE(read_file(dir / "last.safetensors") == after_two);
  SmallRun three(dir.path());
  three.options.resume = dir.path();
  three.fit();
  EXPECT_TRUE(read_file(dir / "last.safetensors") == Uninterrupted().last);
}

TEST(Resume, ThreadsMakeNoDifference) {
  int before = num_threads();
  set_num_threads(1);
  std::string one = Uninterrupted().last;
  set_num_threads(3);
  EXPECT_TRUE(Uninterrupted().last == one);
  set_num_threads(before);
}

// --- checkpoints that do not fit -----------------------------------------------------------------------------------

std::vector<Tensor> numbers_of(SmallRun& run) {
  std::vector<Tensor> all;
  for (const auto& state : {run.model.state_dict(), run.optimizer.state_dict(), run.schedule.state_dict()})
    for (const auto& entry : state) all.push_back(entry.second.clone());
  return all;
}

TEST(Checkpoint, WhatDoesNotFitIsOneLineAndChangesNothing) {
  TempDir dir;
  SmallRun source(dir.path());
  source.fit();
  std::string path = dir / "last.safetensors", broken = dir / "broken";
  TensorFile good = load_safetensors(path);

  SmallRun target("");
  data::LoaderState stood = target.loader.state();
  auto parts = [&] {
    return std::vector<CheckpointPart>{part("", target.model),
                                       part("optimizer", target.optimizer),
                                       part("schedule", target.schedule),
                                       part("average", target.average),
                                       random_part(),
                                       loader_part("loader", target.loader)};
  };
  std::vector<Tensor> before = numbers_of(target);
  uint64_t random_before = default_generator().state().offset;
  auto expect_refused = [&](const TensorFile& file, const std::string& says) {
    SCOPED_TRACE(says);
    save_safetensors(broken, file);
    std::string message = message_of([&] { load_checkpoint(broken, parts()); });
    EXPECT_TRUE(contains(message, broken));
    EXPECT_TRUE(contains(message, says));
    std::vector<Tensor> after = numbers_of(target);
    ASSERT_EQ(after.size(), before.size());
    for (size_t i = 0; i < after.size(); ++i) EXPECT_TRUE(equal(after[i], before[i])) << i;
    EXPECT_EQ(target.loader.state().epoch, stood.epoch);
    EXPECT_EQ(default_generator().state().offset, random_before);
  };
  auto without_fit = good;
  std::erase_if(without_fit.tensors, [](const auto& entry) { return entry.first.starts_with("fit/"); });
  auto changed = [&](const std::string& name, const Tensor& value) {
    TensorFile file = without_fit;
    for (auto& entry : file.tensors)
      if (entry.first == name) entry.second = value;
    return file;
  };
  auto without = [&](const std::string& start) {
    TensorFile file = without_fit;
    std::erase_if(file.tensors, [&](const auto& entry) { return entry.first.starts_with(start); });
    return file;
  };
  expect_refused(good, "has the state of 'fit'");
  expect_refused({}, "lacks the model's state");
  expect_refused(without("optimizer/"), "lacks the optimizer's state");
  expect_refused(without("0.weight"), "0.weight");
  expect_refused(without("optimizer/groups.0.lr"), "optimizer: ");
  expect_refused(changed("0.weight", zeros({3, 3})), "0.weight");
  expect_refused(changed("optimizer/state.0.exp_avg", zeros({3, 3})), "exp_avg");
  expect_refused(changed("random/philox", zeros({2})), "random: philox is float32");
  expect_refused(changed("loader/position", from_vector<int64_t>({1, 1000}, {2})), "loader: ");
  expect_refused(changed("loader/order", from_vector<int64_t>({5, 50, 16, 1, 0}, {5})), "batch size was 16, now 8");

  std::string bytes = read_file(path);
  for (size_t length : {size_t(0), size_t(7), size_t(100), bytes.size() / 2, bytes.size() - 1}) {
    write_file(broken, bytes.substr(0, length));
    EXPECT_TRUE(contains(message_of([&] { load_checkpoint(broken, parts()); }), broken));
  }
  save_safetensors(broken, without_fit);
  EXPECT_EQ(load_checkpoint(broken, parts()), good.metadata);
  EXPECT_EQ(target.loader.state().epoch, 3);
}

TEST(Checkpoint, FindCheckpoint) {
  TempDir dir;
  EXPECT_TRUE(contains(message_of([&] { find_checkpoint(dir.path()); }), "has no last.safetensors"));
  EXPECT_TRUE(contains(message_of([&] { find_checkpoint(dir / "none"); }), "no such file or folder"));
  write_file(dir / "last.safetensors", "");
  EXPECT_EQ(find_checkpoint(dir.path()), dir / "last.safetensors");
  EXPECT_EQ(find_checkpoint(dir / "last.safetensors"), dir / "last.safetensors");
}

// --- bad input -----------------------------------------------------------------------------------------------------

TEST(Fit, RefusesImpossibleOptions) {
  TempDir dir;
  auto message = [&](auto change) {
    SmallRun run(dir.path());
    change(run.options);
    return message_of([&] { run.fit(); });
  };
  EXPECT_TRUE(contains(message([](FitOptions& o) { o.epochs = -1; }), "epochs must be at least 0, got -1"));
  EXPECT_TRUE(contains(message([](FitOptions& o) { o.accumulate = 0; }), "accumulate must be at least 1"));
  EXPECT_TRUE(contains(message([](FitOptions& o) { o.clip_grad_norm = -1; }), "clip_grad_norm"));
  EXPECT_TRUE(contains(message([](FitOptions& o) { o.clip_grad_norm = NAN; }), "clip_grad_norm"));
  EXPECT_TRUE(contains(message([](FitOptions& o) { o.save_every = -1; }), "save_every"));
  EXPECT_TRUE(contains(message([](FitOptions& o) { o.out = ""; }), "needs `out`"));
  EXPECT_TRUE(contains(message([](FitOptions& o) { o.monitor = "f1"; }), "known: loss, accuracy, test_loss"));
  EXPECT_TRUE(contains(message([](FitOptions& o) { o.out = "/dev/null/out"; }), "/dev/null/out"));
  EXPECT_TRUE(contains(message([](FitOptions& o) { o.resume = "/nowhere"; }), "/nowhere"));
}

TEST(Fit, ALossThatIsNotFiniteEndsItAndHarmsNoCheckpoint) {
  TempDir dir;
  SmallRun run(dir.path());
  run.options.save_every = 1;
  int batches = 0;
  auto bad = [&](Batch& b) -> BatchResult {
    Tensor loss = cross_entropy(run.model(b.x), b.y);
    return {++batches == 6 ? loss * NAN : loss, b.y.numel()};
  };
  std::string message = message_of([&] { train::fit(run.model, run.optimizer, run.loader, bad, run.options); });
  EXPECT_TRUE(contains(message, "the loss is nan in epoch 1, batch 6"));
  for (const auto& [name, tensor] : load_safetensors(dir / "last.safetensors").tensors)
    if (is_floating(tensor.dtype())) {
      EXPECT_TRUE(isfinite(tensor).all().item()) << name;
    }
}

TEST(Fit, MetricsMustStayTheSame) {
  SmallRun run("");
  run.options.monitor = "";
  int batches = 0;
  auto step = [&](Batch& b) -> BatchResult {
    Metrics metrics;
    if (++batches != 3) metrics = {{"accuracy", 1}};
    return {cross_entropy(run.model(b.x), b.y), b.y.numel(), metrics};
  };
  EXPECT_TRUE(contains(message_of([&] { train::fit(run.model, run.optimizer, run.loader, step, run.options); }),
                       "same metrics"));
}

TEST(Evaluate, IsInEvaluationModeWithoutGradientsAndPutsBoth) {
  SmallRun run("");
  run.model.train();
  bool trained = true, recorded = true;
  auto step = [&](Batch& b) -> BatchResult {
    trained = run.model.training();
    recorded = grad_enabled();
    return {full({}, double(b.y.numel())), b.y.numel()};
  };
  Metrics result = evaluate(run.model, run.tests, step, "test_");
  EXPECT_FALSE(trained);
  EXPECT_FALSE(recorded);
  EXPECT_TRUE(run.model.training());
  EXPECT_TRUE(grad_enabled());
  // 20 samples in batches of 8, 8 and 4: the mean over samples, not over batches.
  EXPECT_EQ(result, (Metrics{{"test_loss", (8.0 * 8 + 8 * 8 + 4 * 4) / 20}}));
  EXPECT_EQ(evaluate(run.model, run.tests, step), (Metrics{{"loss", 7.2}}));
}

// --- logs ----------------------------------------------------------------------------------------------------------

TEST(CsvLog, QuotesContinuesAndRefusesOtherColumns) {
  TempDir dir;
  std::string path = dir / "log.csv";
  {
    CsvLog log(path, "epoch");
    log.row(1, {{"a,b", 0.5}, {"say \"x\"", 1e-9}});
    log.row(2, {{"a,b", NAN}, {"say \"x\"", INFINITY}});
    log.row(3, {{"a,b", 3}, {"say \"x\"", 4}});
    EXPECT_TRUE(contains(message_of([&] { log.row(4, {{"c", 1}}); }), path));
  }
  std::string head = "epoch,\"a,b\",\"say \"\"x\"\"\"\n1,0.5,1e-09\n2,nan,inf\n";
  EXPECT_EQ(read_file(path), head + "3,3,4\n");
  write_file(path, read_file(path) + "4,1");  // cut off by a kill
  CsvLog(path, "epoch", 2).row(3, {{"a,b", 5}, {"say \"x\"", 6}});
  EXPECT_EQ(read_file(path), head + "3,5,6\n");
  EXPECT_TRUE(contains(message_of([&] { CsvLog("/dev/full", "epoch").row(1, {}); }), "No space left"));
  EXPECT_TRUE(contains(message_of([&] { CsvLog(dir / "no/log.csv", "epoch"); }), "no/log.csv"));
  CsvLog(dir / "new.csv", "epoch", 7).row(8, {{"x", 1}});
  EXPECT_EQ(read_file(dir / "new.csv"), "epoch,x\n8,1\n");
}

TEST(EventLog, Crc32c) {
  // RFC 3720, appendix B.4.
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
}

TEST(EventLog, TensorBoardReadsIt) {
  TempDir dir;
  {
    EventLog log(dir / "new/folder");
    for (int step = 0; step < 5; ++step) log.scalar("loss/train", 1.0 / (1 << step), step);
    log.histogram("weights", tensor({-1, 0, 1, 1, 3, NAN, INFINITY}), 1);
    log.image("picture", zeros({3, 2, 3}, {.dtype = uint8}), 1);
    log.text("notes", "# naïve ✓", 1);
    EXPECT_NE(message_of([&] { log.image("picture", zeros({3, 2, 3}), 1); }), "no Error");
  }
  {
    EventLog resumed(dir / "new/folder", 3);
    resumed.scalar("loss/train", -3, 3);
    resumed.scalar("loss/train", -4, 4);
    resumed.scalar("loss/test", 0.5, int64_t(1) << 40);
  }
  std::string output, python = testing::python("tensorboard");
  if (python.empty()) GTEST_SKIP() << "no Python with tensorboard";
  EXPECT_EQ(shell(python + " " + testing::source_dir() + "/tests/events.py " + (dir / "new/folder"), &output), 0)
      << output;
}

// --- progress ------------------------------------------------------------------------------------------------------

TEST(Progress, LineFitsItsWidth) {
  ProgressState state = {"epoch 1/2", 50, 200, 10, "loss 0.5000"};
  EXPECT_EQ(progress_line(state, 81),
            "epoch 1/2 [#######-----------------------]  25%  loss 0.5000  10/s  0:15 left");
  for (int width = 0; width < 120; ++width)
    EXPECT_LE(progress_line(state, width).size(), size_t(std::max(width - 1, 0)));
  EXPECT_EQ(progress_line(state, 30), "epoch 1/2  25%  loss 0.5000  ");
  EXPECT_EQ(progress_line(state), "epoch 1/2  25%  loss 0.5000  10/s  0:15 left");
  state = {"x", 0, 0, 0, ""};
  EXPECT_EQ(progress_line(state, 12), "x   0%");
  state = {"x", 1, 100000, 0.5, ""};
  EXPECT_TRUE(contains(progress_line(state, 80), "0.50/s  55:33:18 left"));
}

// What a Progress writes into a file, or into a terminal of 60 columns.
std::string written(bool to_terminal, const std::function<void(std::FILE*)>& run) {
  TempDir dir;
  if (!to_terminal) {
    std::FILE* file = std::fopen((dir / "out").c_str(), "w");
    run(file);
    std::fclose(file);
    return read_file(dir / "out");
  }
  int master = ::posix_openpt(O_RDWR | O_NOCTTY);
  EXPECT_GE(master, 0);
  EXPECT_EQ(::grantpt(master), 0);
  EXPECT_EQ(::unlockpt(master), 0);
  std::FILE* slave = std::fopen(::ptsname(master), "w");
  EXPECT_NE(slave, nullptr);
  winsize size = {};
  size.ws_col = 60;
  size.ws_row = 24;
  EXPECT_EQ(::ioctl(master, TIOCSWINSZ, &size), 0);
  ::setenv("TERM", "xterm", 1);
  run(slave);
  std::fclose(slave);
  std::string text;  // what was written comes in pieces, then an error, since nobody writes any more
  char piece[1000];
  for (ssize_t n; (n = ::read(master, piece, sizeof piece)) > 0;) text.append(piece, size_t(n));
  ::close(master);
  return text;
}

TEST(Progress, PlainLinesWhenPiped) {
  std::string text = written(false, [](std::FILE* out) {
    Progress progress("epoch 1/1", 1000, 0, out);
    for (int i = 1; i <= 1000; ++i) progress.update(i, "loss 1.0000");
    progress.print("a note");
    progress.finish("loss 0.5000");
  });
  EXPECT_TRUE(text.starts_with("a note\nepoch 1/1  loss 0.5000  (")) << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2) << text;
  EXPECT_EQ(text.find_first_of("\r\033"), std::string::npos);
}

TEST(Progress, OneLineOnATerminal) {
  auto began = std::chrono::steady_clock::now();
  std::string text = written(true, [](std::FILE* out) {
    Progress progress("epoch 1/1", 1000, 0, out);
    ::usleep(110000);
    for (int i = 0; i < 500; ++i) progress.update(500, "loss 1.0000");
    progress.print("a note");
    progress.finish("loss 0.5000");
  });
  double tenths = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count() * 10;
  EXPECT_TRUE(text.starts_with("\repoch 1/1 [")) << text;
  EXPECT_TRUE(contains(text, " 50%  loss 1.0000"));
  EXPECT_TRUE(contains(text, "\r\033[Ka note"));  // the bar is taken away first
  EXPECT_TRUE(contains(text, "\r\033[Kepoch 1/1  loss 0.5000  ("));
  EXPECT_LE(text.find("\033[K"), 60u);  // a carriage return and 59 columns
  int64_t drawn = 0;
  for (size_t at = 0; (at = text.find("[#", at)) != std::string::npos; ++at) ++drawn;
  EXPECT_LE(double(drawn), tenths + 1);  // the one more is drawn anew after the note
}

}  // namespace
}  // namespace gradus::train
