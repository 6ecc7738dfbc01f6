// Optimisers, schedules, clipping and averaging, against trajectories of PyTorch's (tools/golden_optim.py).
#include "optim/optim.h"

#include <gtest/gtest.h>

#include <algorithm>

#include <cmath>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "autograd/ops.h"
#include "tensor/kernels/cpu/threads.h"
#include "tests/paths.h"

namespace gradus {
namespace {

using Json = nlohmann::json;

const Json& golden() {
  static const Json data = [] {
    std::ifstream file(testing::source_dir() + "/tests/golden/optim.json");
    return Json::parse(file);
  }();
  return data;
}

template <class F>
Tensor filled(const Shape& shape, F f, bool requires_grad = false) {
  std::vector<double> values(size_t(numel(shape)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = f(double(i));
  return from_vector(values, shape, requires_grad);
}

// The regression of tools/golden_optim.py, in double.
struct Problem {
  Tensor x = filled({8, 3}, [](double i) { return std::sin(1 + 2 * i); });
  Tensor y = filled({8, 1}, [](double i) { return std::cos(1 + 3 * i); });
  Tensor w = filled(
      {3, 4}, [](double i) { return 0.5 * std::sin(1 + i); }, true);
  Tensor b = filled(
      {1, 4}, [](double i) { return 0.1 * std::cos(i); }, true);
  Tensor v = filled(
      {4, 1}, [](double i) { return 0.3 * std::cos(1 + i); }, true);

  Tensor loss() const { return square(matmul(tanh(matmul(x, w) + b), v) - y).mean(); }
  std::vector<Tensor> parameters() const { return {w, b, v}; }
  std::vector<double> numbers() const { return flat(parameters()); }
  static std::vector<double> flat(const std::vector<Tensor>& tensors) {
    std::vector<double> all;
    for (const Tensor& t : tensors)
      for (double number : t.to_vector()) all.push_back(number);
    return all;
  }
};

void expect_near(const std::vector<double>& got, const Json& wanted, const std::string& what) {
  ASSERT_EQ(got.size(), wanted.size()) << what;
  for (size_t i = 0; i < got.size(); ++i) {
    double want = wanted[i];
    ASSERT_TRUE(std::abs(got[i] - want) <= 1e-9 * (1 + std::abs(want)))
        << what << " at " << i << ": " << got[i] << " instead of " << want;
  }
}

template <class F = void (*)()>
std::vector<double> train(
    const Problem& problem, optim::Optimizer& optimizer, F before_step = [] {},
    const std::function<void(double)>& after_step = [](double) {}, int steps = 50) {
  std::vector<double> losses;
  for (int i = 0; i < steps; ++i) {
    optimizer.zero_grad();
    Tensor loss = problem.loss();
    loss.backward();
    before_step();
    optimizer.step();
    losses.push_back(loss.item());
    after_step(losses.back());
  }
  return losses;
}

// The options that the row gives; an unknown one is an Error.
template <class Options>
Options options_of(const Json& row) {
  Options options;
  size_t known = 0;
#define READ(name)                          \
  if constexpr (requires { options.name; }) \
    if (row.contains(#name)) row[#name].get_to(options.name), ++known
  READ(lr);
  READ(momentum);
  READ(dampening);
  READ(weight_decay);
  READ(nesterov);
  READ(betas);
  READ(eps);
  READ(alpha);
  READ(centered);
  READ(lr_decay);
  READ(initial_accumulator_value);
  READ(factor);
  READ(patience);
  READ(cooldown);
  READ(min_lr);
#undef READ
  check(known == row.size(), "unknown options in ", row.dump());
  return options;
}

std::unique_ptr<optim::Optimizer> make(const std::vector<Tensor>& parameters, const std::string& type,
                                       const Json& o) {
  if (type == "SGD") return std::make_unique<optim::SGD>(parameters, options_of<optim::SGDOptions>(o));
  if (type == "Adam") return std::make_unique<optim::Adam>(parameters, options_of<optim::AdamOptions>(o));
  if (type == "AdamW") return std::make_unique<optim::AdamW>(parameters, options_of<optim::AdamWOptions>(o));
  if (type == "RMSprop") return std::make_unique<optim::RMSprop>(parameters, options_of<optim::RMSpropOptions>(o));
  check(type == "Adagrad", "unknown optimiser ", type);
  return std::make_unique<optim::Adagrad>(parameters, options_of<optim::AdagradOptions>(o));
}

TEST(Optimizers, FollowPyTorchFor50Steps) {
  ASSERT_EQ(golden()["optimizers"].size(), 22u);
  for (const Json& row : golden()["optimizers"]) {
    Problem problem;
    auto optimizer = make(problem.parameters(), row["optimizer"], row["options"]);
    std::string what = row["optimizer"].get<std::string>() + row["options"].dump();
    expect_near(train(problem, *optimizer), row["losses"], what);
    expect_near(problem.numbers(), row["final"], what);
  }
}

TEST(Optimizers, SweepsTakeEveryElementOnce) {
  const std::vector<int64_t> sizes = {1, 0, 20'000, 17, 16'384, 50'000, 3};
  std::vector<std::vector<int64_t>> expected;
  const int before = num_threads();
  for (int threads : {1, 3}) {
    set_num_threads(threads);
    std::vector<std::vector<int64_t>> chunk_of;
    optim::Sweep sweep;
    for (int64_t size : sizes) chunk_of.emplace_back(size, -1);
    for (std::vector<int64_t>& chunks : chunk_of)
      sweep.add(int64_t(chunks.size()), [&chunks](int64_t begin, int64_t n, int64_t chunk) {
        for (int64_t i = begin; i < begin + n; ++i) chunks[size_t(i)] = chunks[size_t(i)] == -1 ? chunk : -2;
      });
    sweep.run();
    int64_t last = 0;
    for (const auto& chunks : chunk_of) {
      for (int64_t chunk : chunks) {
        EXPECT_TRUE(chunk == last || chunk == last + 1) << chunk << " after " << last;
        last = chunk;
      }
    }
    EXPECT_EQ(last + 1, sweep.chunks());
    if (expected.empty()) expected = chunk_of;
    EXPECT_EQ(chunk_of, expected) << threads;
  }
  set_num_threads(before);
  optim::Sweep().run();  // of nothing
}

// Over more elements than one chunk has.
TEST(Optimizers, AndClippingGiveTheSameBitsForAnyNumberOfThreads) {
  const auto train = [](int threads) {
    set_num_threads(threads);
    manual_seed(7);
    std::vector<Tensor> parameters = {randn({300, 100}).requires_grad_(), randn({7}).requires_grad_(),
                                      randn({90, 400}).requires_grad_()};
    optim::Adam optimizer(parameters, {.lr = 0.1});
    std::vector<double> numbers;
    for (int step = 0; step < 3; ++step) {
      for (const Tensor& p : parameters) p.set_grad(randn(p.shape()));
      numbers.push_back(optim::clip_grad_norm_(parameters, 0.5));
      optimizer.step();
    }
    for (const Tensor& p : parameters)
      for (double x : p.to_vector()) numbers.push_back(x);
    return numbers;
  };
  const int before = num_threads();
  const std::vector<double> one = train(1);
  EXPECT_TRUE(std::abs(one[0] - std::sqrt(66'007.0)) < 3);  // of as many numbers with variance 1
  EXPECT_EQ(train(2), one);
  EXPECT_EQ(train(5), one);
  set_num_threads(before);
}

TEST(Optimizers, GroupsHaveTheirOwnOptions) {
  Problem problem;
  optim::AdamW optimizer({problem.w, problem.v}, {.lr = 0.01, .weight_decay = 0.1});
  optimizer.add_group({problem.b}, {.lr = 0.05, .weight_decay = 0});
  expect_near(train(problem, optimizer), golden()["groups"]["losses"], "losses");
  std::vector<double> final = problem.numbers();
  expect_near(final, golden()["groups"]["final"], "final");
  EXPECT_EQ(optimizer.groups(), 2);
  EXPECT_EQ(optimizer.parameters(1).size(), 1u);
  EXPECT_EQ(optimizer.lr(1), 0.05);
  EXPECT_THROW(optimizer.lr(2), Error);
}

TEST(Optimizers, ResumeExactlyFromTheirState) {
  for (const Json& row : golden()["optimizers"]) {
    Problem straight;
    auto optimizer = make(straight.parameters(), row["optimizer"], row["options"]);
    train(straight, *optimizer);

    Problem first;
    auto before = make(first.parameters(), row["optimizer"], row["options"]);
    train(
        first, *before, [] {}, [](double) {}, 23);
    Problem second;
    for (size_t i = 0; i < 3; ++i) {
      NoGrad guard;
      second.parameters()[i].copy_(first.parameters()[i].detach());
    }
    auto after = make(second.parameters(), row["optimizer"], row["options"]);
    after->set_lr(123);
    after->load_state_dict(before->state_dict());
    train(
        first, *before, [] {}, [](double) {}, 1);  // the loaded state is a copy: this does not touch it
    train(
        second, *after, [] {}, [](double) {}, 27);
    EXPECT_EQ(straight.numbers(), second.numbers()) << row["optimizer"] << row["options"];
  }
}

TEST(Optimizers, StateHasPyTorchsNamesAndMustFit) {
  Problem problem;
  optim::Adam adam(problem.parameters());
  train(
      problem, adam, [] {}, [](double) {}, 2);
  optim::NamedTensors state = adam.state_dict();
  std::vector<std::string> names;
  for (const auto& entry : state) names.push_back(entry.first);
  EXPECT_EQ(names, (std::vector<std::string>{"groups.0.parameters", "groups.0.lr", "groups.0.momentum",
                                             "state.0.step", "state.0.exp_avg", "state.0.exp_avg_sq", "state.1.step",
                                             "state.1.exp_avg", "state.1.exp_avg_sq", "state.2.step",
                                             "state.2.exp_avg", "state.2.exp_avg_sq"}));
  auto message = [&](const optim::NamedTensors& bad) -> std::string {
    try {
      adam.load_state_dict(bad);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  std::vector<double> before = Problem::flat({state[4].second});
  optim::NamedTensors bad = state;
  bad[4].second = zeros({2, 2});
  EXPECT_EQ(message(bad), "Adam: state state.0.exp_avg has shape [2, 2], expected [3, 4]");
  bad = state;
  bad.emplace_back("state.3.exp_avg", zeros({}));
  EXPECT_EQ(message(bad), "Adam: the state to load has an unknown state.3.exp_avg");
  bad = state;
  bad.erase(bad.begin() + 1);
  EXPECT_EQ(message(bad), "Adam: the state to load lacks groups.0.lr");
  EXPECT_EQ(message(optim::Adam({problem.w}).state_dict()), "Adam: group 0 has 3 parameters, in the state to load 1");
  EXPECT_EQ(Problem::flat({adam.state_dict()[4].second}), before);
}

TEST(Optimizers, LeaveGradientsAndUnusedParametersAlone) {
  Problem problem;
  Tensor unused = ones({2}, {.dtype = float64, .requires_grad = true});
  optim::AdamW optimizer({problem.w, unused}, {.lr = 0.1, .weight_decay = 0.5});
  problem.loss().backward();
  std::vector<double> gradient = problem.w.grad().to_vector();
  optimizer.step();
  EXPECT_EQ(problem.w.grad().to_vector(), gradient);
  EXPECT_EQ(unused.to_vector(), (std::vector<double>{1, 1}));
  EXPECT_FALSE(unused.grad().defined());
  optimizer.zero_grad();
  EXPECT_FALSE(problem.w.grad().defined());
}

TEST(Optimizers, AddUpGradientsOfSeveralBackwards) {
  // Two half batches, each counting half, are the whole batch.
  Problem whole, halves;
  optim::SGD one(whole.parameters(), {.lr = 0.1}), two(halves.parameters(), {.lr = 0.1});
  whole.loss().backward();
  one.step();
  for (int64_t start : {0, 4}) {
    Problem part = halves;
    part.x = halves.x.narrow(0, start, 4);
    part.y = halves.y.narrow(0, start, 4);
    (part.loss() * 0.5).backward();
  }
  two.step();
  std::vector<double> expected = whole.numbers(), got = halves.numbers();
  for (size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(std::abs(got[i] - expected[i]) < 1e-14);
}

TEST(Optimizers, UpdateParametersOfAnyStrides) {
  for (const std::string type : {"SGD", "Adam", "AdamW", "RMSprop", "Adagrad"}) {
    Tensor numbers = filled({3, 4}, [](double i) { return std::sin(i); });
    Tensor plain = numbers.clone().requires_grad_();
    Tensor turned = numbers.t().clone().t().requires_grad_();
    ASSERT_FALSE(turned.is_contiguous());
    const Json options = type == "SGD" ? Json{{"momentum", 0.9}} : Json::object();
    auto a = make({plain}, type, options), b = make({turned}, type, options);
    for (int i = 0; i < 3; ++i) {
      plain.set_grad(numbers * 2.0);
      turned.set_grad((numbers * 2.0).t().clone().t());
      a->step();
      b->step();
    }
    EXPECT_EQ(plain.to_vector(), turned.to_vector()) << type;
    EXPECT_NE(plain.to_vector(), numbers.to_vector()) << type;
  }
}

TEST(Optimizers, StepIsAnInPlaceChange) {
  Tensor w = ones({2}, {.requires_grad = true});
  Tensor y = square(w).sum();
  optim::SGD optimizer({w}, {.lr = 0.1});
  w.set_grad(ones({2}));
  optimizer.step();
  EXPECT_THROW(y.backward(), Error);  // w is no longer what y was made from
}

TEST(Optimizers, RefuseWhatTheyCannotUse) {
  Tensor w = ones({2}, {.requires_grad = true});
  EXPECT_THROW(optim::SGD(std::vector<Tensor>{}), Error);
  EXPECT_THROW(optim::SGD({Tensor()}), Error);
  EXPECT_THROW(optim::SGD({w * 2.0}), Error);
  EXPECT_THROW(optim::SGD({w, w}), Error);
  EXPECT_THROW(optim::SGD({zeros({2}, {.dtype = int64})}), Error);
  EXPECT_THROW(optim::SGD({w}, {.lr = -1}), Error);
  EXPECT_THROW(optim::SGD({w}, {.lr = NAN}), Error);
  EXPECT_THROW(optim::SGD({w}, {.nesterov = true}), Error);
  EXPECT_THROW(optim::SGD({w}, {.momentum = 0.9, .dampening = 0.1, .nesterov = true}), Error);
  EXPECT_THROW(optim::Adam({w}, {.betas = {0.9, 1}}), Error);
  EXPECT_THROW(optim::AdamW({w}, {.weight_decay = -1}), Error);
  EXPECT_THROW(optim::RMSprop({w}, {.alpha = 1}), Error);
  EXPECT_THROW(optim::Adagrad({w}, {.lr_decay = -1}), Error);
  optim::SGD sgd({w});
  EXPECT_THROW(sgd.add_group({w}, {}), Error);
  optim::Adagrad adagrad({w});
  EXPECT_FALSE(adagrad.has_momentum());
  EXPECT_THROW(adagrad.momentum(), Error);
}

std::unique_ptr<optim::Schedule> make_schedule(const std::string& name, optim::Optimizer& o) {
  using std::make_unique;
  if (name == "step") return make_unique<optim::StepLR>(o, optim::StepLROptions{.step_size = 7, .gamma = 0.5});
  if (name == "multistep")
    return make_unique<optim::MultiStepLR>(o, optim::MultiStepLROptions{.milestones = {5, 20, 21}, .gamma = 0.3});
  if (name == "linear")
    return make_unique<optim::LinearLR>(o, optim::LinearLROptions{.start_factor = 0.1, .steps = 12});
  if (name == "cosine") return make_unique<optim::CosineLR>(o, optim::CosineLROptions{.steps = 50, .min_lr = 0.002});
  if (name == "warm_cosine")
    return make_unique<optim::CosineLR>(o, optim::CosineLROptions{.steps = 50, .min_lr = 0.001, .warmup = 10});
  if (name == "noam") return make_unique<optim::NoamLR>(o, optim::NoamLROptions{.d_model = 16, .warmup = 10});
  if (name == "one_cycle")
    return make_unique<optim::OneCycleLR>(o, optim::OneCycleLROptions{.max_lr = 0.3, .steps = 51});
  if (name == "one_cycle_adam")
    return make_unique<optim::OneCycleLR>(
        o, optim::OneCycleLROptions{
               .max_lr = 0.05, .steps = 60, .pct_start = 0.2, .div_factor = 10, .final_div_factor = 100});
  check(name == "one_cycle_still", "unknown schedule ", name);
  return make_unique<optim::OneCycleLR>(
      o, optim::OneCycleLROptions{.max_lr = 0.3, .steps = 55, .pct_start = 0.25, .cycle_momentum = false});
}

TEST(Schedules, FollowPyTorchFor50Steps) {
  ASSERT_EQ(golden()["schedules"].size(), 10u);
  for (const Json& row : golden()["schedules"]) {
    std::string name = row["schedule"];
    Problem problem;
    auto optimizer = make(problem.parameters(), row["optimizer"], row["options"]);
    std::unique_ptr<optim::Schedule> schedule;
    std::unique_ptr<optim::ReduceLROnPlateau> plateau;
    if (name == "plateau")
      plateau = std::make_unique<optim::ReduceLROnPlateau>(
          *optimizer,
          optim::PlateauOptions{.factor = 0.5, .patience = 2, .threshold = 0.01, .cooldown = 1, .min_lr = 0.05});
    else
      schedule = make_schedule(name, *optimizer);
    std::vector<double> lrs = {optimizer->lr()}, momenta = {optimizer->momentum()};
    auto losses = train(
        problem, *optimizer, [] {},
        [&](double loss) {
          plateau ? plateau->step(loss) : schedule->step();
          lrs.push_back(optimizer->lr());
          momenta.push_back(optimizer->momentum());
        });
    expect_near(lrs, row["lrs"], name + " lr");
    expect_near(momenta, row["momenta"], name + " momentum");
    expect_near(losses, row["losses"], name + " losses");
    expect_near(problem.numbers(), row["final"], name + " final");
    for (int64_t step = 0; schedule && step <= 50; ++step) EXPECT_EQ(schedule->lr(step), lrs[size_t(step)]) << name;
  }
}

TEST(Schedules, ReduceOnPlateauFollowsPyTorch) {
  for (const Json& row : golden()["plateaus"]) {
    Json given = row["options"];
    const bool maximize = given["mode"] == "max";
    given.erase("mode");
    auto options = options_of<optim::PlateauOptions>(given);
    options.maximize = maximize;
    Problem problem;
    optim::SGD optimizer(problem.parameters(), {.lr = 0.1});
    auto schedule = std::make_unique<optim::ReduceLROnPlateau>(optimizer, options);
    std::vector<double> lrs;
    for (double measure : row["measures"]) {
      schedule->step(measure);
      lrs.push_back(optimizer.lr());
      // A new one that takes over the state goes on in the same way.
      auto next = std::make_unique<optim::ReduceLROnPlateau>(optimizer, options);
      next->load_state_dict(schedule->state_dict());
      schedule = std::move(next);
    }
    expect_near(lrs, row["lrs"], row["options"].dump());
  }
}

TEST(Schedules, EachGroupStartsFromItsOwnRate) {
  Problem problem;
  optim::SGD optimizer({problem.w}, {.lr = 1});
  optimizer.add_group({problem.b}, {.lr = 0.5});
  optim::StepLR schedule(optimizer, {.step_size = 2, .gamma = 0.1});
  for (int i = 0; i < 4; ++i) schedule.step();
  EXPECT_TRUE(std::abs(optimizer.lr(0) - 0.01) < 1e-15);
  EXPECT_TRUE(std::abs(optimizer.lr(1) - 0.005) < 1e-15);
}

TEST(Schedules, ResumeFromTheirState) {
  for (const char* name : {"step", "linear", "cosine", "warm_cosine", "noam", "one_cycle"}) {
    Problem problem;
    optim::Adam first(problem.parameters(), {.lr = 0.3});
    auto before = make_schedule(name, first);
    for (int i = 0; i < 9; ++i) before->step();
    // The resumed optimiser has the rate of the ninth step when the new schedule is made.
    optim::Adam second(problem.parameters(), {.lr = 0.3});
    second.load_state_dict(first.state_dict());
    auto after = make_schedule(name, second);
    after->load_state_dict(before->state_dict());
    for (int i = 0; i < 30; ++i) {
      EXPECT_EQ(first.lr(), second.lr()) << name;
      EXPECT_EQ(first.momentum(), second.momentum()) << name;
      before->step();
      after->step();
    }
    EXPECT_THROW(after->load_state_dict({}), Error);
  }
}

TEST(Schedules, StayAfterTheLastStep) {
  Problem problem;
  optim::SGD optimizer(problem.parameters(), {.lr = 0.1});
  optim::CosineLR cosine(optimizer, {.steps = 10, .min_lr = 0.01});
  EXPECT_EQ(cosine.lr(10), 0.01);
  EXPECT_EQ(cosine.lr(15), 0.01);
  optim::OneCycleLR cycle(optimizer, {.max_lr = 1, .steps = 10});
  EXPECT_EQ(cycle.lr(9), cycle.lr(50));
}

TEST(Schedules, RefuseBadOptions) {
  Problem problem;
  optim::Adagrad optimizer(problem.parameters());
  EXPECT_THROW(optim::StepLR(optimizer, {.step_size = 0}), Error);
  EXPECT_THROW(optim::CosineLR(optimizer, {.steps = 5, .warmup = 5}), Error);
  EXPECT_THROW(optim::NoamLR(optimizer, {.d_model = 0}), Error);
  EXPECT_THROW(optim::OneCycleLR(optimizer, {.max_lr = 0.1, .steps = 1}), Error);
  EXPECT_THROW(optim::ReduceLROnPlateau(optimizer, {.factor = 1}), Error);
  optim::OneCycleLR without_momentum(optimizer, {.max_lr = 0.1, .steps = 10});
  EXPECT_TRUE(std::abs(optimizer.lr() - 0.1 / 25) < 1e-15);
}

TEST(Clip, FollowsPyTorch) {
  for (const Json& row : golden()["clips"]) {
    double p = row["p"].is_string() ? INFINITY : row["p"].get<double>(), limit = row["limit"];
    Problem problem;
    optim::SGD optimizer(problem.parameters(), {.lr = 0.5});
    std::vector<double> norms;
    auto losses = train(problem, optimizer, [&] {
      if (row["kind"] == "norm")
        norms.push_back(optim::clip_grad_norm_(problem.parameters(), limit, {.norm_type = p}));
      else
        optim::clip_grad_value_(problem.parameters(), limit);
    });
    expect_near(losses, row["losses"], row["kind"]);
    expect_near(norms, row["norms"], row["kind"]);
  }
}

TEST(Clip, LeavesSmallGradientsAsTheyAre) {
  Tensor w = zeros({2}, {.dtype = float64, .requires_grad = true}), unused = zeros({2}, {.requires_grad = true});
  w.set_grad(tensor({3, 4}, {.dtype = float64}));
  EXPECT_EQ(optim::clip_grad_norm_({w, unused}, 5.1), 5);
  EXPECT_EQ(w.grad().to_vector(), (std::vector<double>{3, 4}));
  optim::clip_grad_norm_({w, unused}, 1);
  EXPECT_TRUE(std::abs(w.grad().norm().item() - 1) < 1e-6);
  EXPECT_FALSE(unused.grad().defined());
  Tensor seen = w.grad(), before = seen.clone();
  optim::clip_grad_norm_({w}, 0.5);
  EXPECT_EQ(seen.to_vector(), before.to_vector());  // whoever holds a gradient keeps it
  EXPECT_TRUE(std::abs(w.grad().norm().item() - 0.5) < 1e-6);
}

TEST(Clip, WritesInPlaceWhatNobodyElseSees) {
  Tensor w = zeros({3}, {.requires_grad = true});
  w.set_grad(tensor({3, 4, 0}).to(float32));
  const void* numbers = w.grad().storage()->data();
  optim::clip_grad_norm_({w}, 1);
  EXPECT_EQ(w.grad().storage()->data(), numbers);
  EXPECT_TRUE(std::abs(w.grad().norm().item() - 1) < 1e-6);
  optim::clip_grad_norm_({w, w}, 0.5);  // counts twice in the norm, and is scaled once
  EXPECT_TRUE(std::abs(w.grad().norm().item() - std::sqrt(0.125)) < 1e-6);
}

TEST(Clip, FindsNonfiniteGradients) {
  Tensor w = zeros({2}, {.requires_grad = true});
  for (double bad : {double(NAN), double(INFINITY)}) {
    for (double p : {2.0, double(INFINITY)}) {
      w.set_grad(tensor({1, bad}));
      EXPECT_THROW(optim::clip_grad_norm_({w}, 1, {.norm_type = p, .error_if_nonfinite = true}), Error);
      EXPECT_EQ(w.grad().to_vector()[0], 1);
      EXPECT_FALSE(std::isfinite(optim::clip_grad_norm_({w}, 1, {.norm_type = p})));
    }
  }
  EXPECT_THROW(optim::clip_grad_norm_({w}, 0), Error);
  EXPECT_THROW(optim::clip_grad_value_({w}, -1), Error);
}

TEST(EMA, FollowsPyTorch) {
  Problem problem;
  optim::SGD optimizer(problem.parameters(), {.lr = 0.5});
  // PyTorch's starts at the first update.
  std::unique_ptr<optim::EMA> average;
  train(
      problem, optimizer, [] {},
      [&](double) {
        if (average)
          average->update();
        else
          average = std::make_unique<optim::EMA>(problem.parameters(), golden()["average"]["decay"]);
      });
  expect_near(Problem::flat(average->averages()), golden()["average"]["average"], "average");
}

TEST(EMA, SwapsInAndOut) {
  Problem problem;
  optim::SGD optimizer(problem.parameters(), {.lr = 0.5});
  optim::EMA average(problem.parameters(), 0.9);
  train(
      problem, optimizer, [] {}, [&](double) { average.update(); }, 5);
  std::vector<double> weights = problem.numbers(), averages = Problem::flat(average.averages());
  ASSERT_NE(weights, averages);
  {
    optim::EMA::Scope scope(average);
    EXPECT_EQ(problem.numbers(), averages);
    EXPECT_TRUE(problem.w.requires_grad());
  }
  EXPECT_EQ(problem.numbers(), weights);
  EXPECT_EQ(Problem::flat(average.averages()), averages);

  optim::EMA resumed(problem.parameters(), 0.9);
  // By name: other programs that rewrite a file put its tensors in another order.
  optim::NamedTensors state = average.state_dict();
  std::reverse(state.begin(), state.end());
  resumed.load_state_dict(state);
  average.update();
  resumed.update();
  EXPECT_EQ(Problem::flat(resumed.averages()), Problem::flat(average.averages()));
  EXPECT_THROW(resumed.load_state_dict({}), Error);
  EXPECT_THROW(optim::EMA(problem.parameters(), 1), Error);
}

}  // namespace
}  // namespace gradus
