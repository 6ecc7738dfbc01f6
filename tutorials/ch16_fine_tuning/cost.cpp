// What a training step costs when parts of a model are frozen: operations, memory and, with --csv, time.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>

#include "nn/lora.h"
#include "nn/transformer.h"
#include "optim/adam.h"
#include "tensor/allocator.h"
#include "tensor/io/file.h"
#include "tensor/kernels/cpu/threads.h"

using namespace gradus;

namespace {

constexpr int64_t width = 240, layers = 4, classes = 4;

struct Model : nn::Module {
  nn::TransformerEncoder body{
      {.d_model = width, .heads = 4, .ffn = 4 * width, .encoder_layers = layers, .dropout = 0, .norm_first = true}};
  nn::Linear head{width, classes};
  // (batch, places, width) to (batch, classes).
  Tensor operator()(const Tensor& x) const {
    nn::Call call(*this);
    return call(head(body(x).mean({1})));
  }
  void visit(nn::Visitor& v) override {
    v("body", body);
    v("head", head);
  }
  const char* type() const override { return "Model"; }
};

struct Way {
  const char* name;
  std::string freeze = "";
  int64_t rank = 0;
};
const std::vector<Way> ways = {{"all of it"},
                               {"last half and head", "body.layers.0,body.layers.1"},
                               {"first half and head", "body.layers.2,body.layers.3"},
                               {"new head alone", "body"},
                               {"LoRA, rank 4", "", 4}};

// A model, its optimiser, and a batch.
struct Run {
  Model model;
  std::unique_ptr<optim::AdamW> optimizer;
  Tensor x = randn({8, 64, width}), answers = randint(0, classes, {8});
  int64_t trained = 0;

  explicit Run(const Way& way) {
    for (const auto& [path, part] : model.named_modules())
      if (nn::path_matches(way.freeze, path)) part->requires_grad_(false);
    if (way.rank > 0) nn::add_lora(model.body, {.rank = way.rank});
    std::vector<Tensor> parameters = model.parameters();
    std::erase_if(parameters, [](const Tensor& p) { return !p.requires_grad(); });
    for (const Tensor& p : parameters) trained += p.numel();
    optimizer = std::make_unique<optim::AdamW>(parameters);
  }
  void step() {
    optimizer->zero_grad();
    cross_entropy(model(x), answers).backward();
    optimizer->step();
  }
};

struct Cost {
  int64_t trained = 0;
  double forward = 0, all = 0;  // million operations of products
  double kept = 0, standing = 0,
         peak = 0;  // MB: by the graph; of gradients and the optimiser; at the most, besides the weights
};

Cost measure(const Way& way) {
  Run run(way);
  const auto used = [start = memory_stats().live](int64_t bytes) { return double(bytes - start) / 1e6; };
  run.step();  // the optimiser makes its state
  run.optimizer->zero_grad();
  reset_peak_memory();
  const int64_t before = flops_counted(), standing = memory_stats().live;
  Cost cost;
  cost.trained = run.trained;
  {
    const Tensor loss = cross_entropy(run.model(run.x), run.answers);
    cost.forward = double(flops_counted() - before) / 1e6;
    cost.kept = double(memory_stats().live - standing) / 1e6;
    loss.backward();
  }
  run.optimizer->step();
  cost.all = double(flops_counted() - before) / 1e6;
  cost.standing = used(memory_stats().live);
  cost.peak = used(memory_stats().peak);
  return cost;
}

// Milliseconds of a step, the quickest of many.
double milliseconds(const Way& way) {
  Run run(way);
  double best = 1e9;
  for (int i = 0; i < 30; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    run.step();
    best =
        std::min(best, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  std::string csv;
  CLI::App app("Counts what a training step costs when parts of a model are frozen.");
  app.add_option("--csv", csv, "measure times as well, into this file");
  CLI11_PARSE(app, argc, argv);
  try {
    set_num_threads(1);
    std::printf("%d layers of %d features; 8 texts of 64 places\n", int(layers), int(width));
    std::printf("%-24s %8s   %20s   %38s\n", "", "weights", "million operations", "MB");
    std::printf("%-24s %8s   %9s %10s   %11s %15s %10s\n", "trained", "trained", "forward", "in all", "for backward",
                "gradients, Adam", "at most");
    std::vector<Cost> costs;
    for (const Way& way : ways) {
      costs.push_back(measure(way));
      const Cost& c = costs.back();
      std::printf("%-24s %8lld   %9.0f %10.0f   %12.1f %15.1f %10.1f\n", way.name, static_cast<long long>(c.trained),
                  c.forward, c.all, c.kept, c.standing, c.peak);
    }
    const Cost &all = costs[0], &last = costs[1], &first = costs[2], &head = costs[3], &lora = costs[4];
    check(all.all > 2.9 * all.forward && head.all < 1.01 * head.forward, "products should be counted");
    check(last.all < first.all && lora.all < 2.1 * lora.forward, "frozen weights should get no gradient");
    check(head.kept < 0.1 && last.kept < 0.6 * all.kept && first.kept > 0.9 * all.kept,
          "below, nothing should be kept");
    check(lora.standing < 0.05 * all.standing && lora.peak < 0.7 * all.peak, "LoRA should need less memory");
    if (!csv.empty()) {
      std::string rows = "trained,ms of a step,against all of it\n";
      char line[200];
      double whole = 0;
      for (const Way& way : ways) {
        const double ms = milliseconds(way);
        if (whole == 0) whole = ms;
        std::snprintf(line, sizeof line, "\"%s\",%.1f,%.2f\n", way.name, ms, ms / whole);
        rows += line;
      }
      write_file(csv, rows);
    }
  } catch (const Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
