// The training loop in one call, for those who do not want to write it. It is made of what an explicit loop is made
// of: a loader, backward, clip_grad_norm_, an optimiser, a schedule, Progress, save_checkpoint, CsvLog, EventLog.
//
//   auto step = [&](data::ImageBatch& b) -> train::BatchResult {
//     Tensor logits = model(b.images);
//     return {cross_entropy(logits, b.labels), b.labels.numel(),
//             {{"accuracy", data::accuracy(logits, b.labels)}}};
//   };
//   train::History history = train::fit(model, optimizer, loader, step, {
//       .epochs = 5, .schedule = &schedule, .out = "out", .monitor = "test_accuracy",
//       .evaluate = [&] { return train::evaluate(model, test_loader, step, "test_"); }});
#pragma once

#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "optim/schedule.h"
#include "train/checkpoint.h"
#include "train/csv_log.h"
#include "train/interrupt.h"

namespace gradus::train {

class EventLog;

// What the model made of one batch.
struct BatchResult {
  Tensor loss;           // of one element: the mean over the batch
  int64_t samples;       // in the batch, its weight in the epoch's means
  Metrics metrics = {};  // means over the batch: {{"accuracy", 0.9}}
};

using History = std::vector<Metrics>;  // for each epoch: "loss", the metrics, then what `evaluate` gave

struct FitOptions {
  int64_t epochs = 1;         // in all, those before a resume counted
  int64_t accumulate = 1;     // batches whose gradients make one update, as one batch would that large
  double clip_grad_norm = 0;  // 0: not clipped
  optim::Schedule* schedule = nullptr;
  bool schedule_each_epoch = false;  // else after each update

  std::function<Metrics()> evaluate = nullptr;  // after each epoch
  // After it is logged, before it is saved.
  std::function<void(int64_t epoch, const Metrics& row)> on_epoch = nullptr;
  std::function<void(int64_t update)> on_update = nullptr;
  // What else the event files get, after each epoch.
  std::function<void(EventLog& events, int64_t update)> log_epoch = nullptr;

  // Folder for last.safetensors, best.safetensors and log.csv, made if missing; "": none. A run that does not resume
  // keeps an earlier one's last.safetensors as earlier-N.safetensors.
  std::string out = "";
  int64_t save_every = 0;    // updates between checkpoints, besides the one after each epoch
  std::string monitor = "";  // the measure by which best.safetensors is chosen; "": no such file
  bool minimize = false;     // whether less of it is better
  std::string resume = "";   // a checkpoint, or a folder with one, to go on from
  Metadata metadata = {};    // goes into the checkpoints, such as what it takes to build the model again
  std::vector<CheckpointPart> also_save = {};  // state of the callbacks' own
  bool tensorboard = false;                    // whether `out` gets event files too

  std::FILE* progress = stdout;  // null: silent
  // What BatchResult::samples adds up to in an epoch, for the bar; 0: as many as the loader has.
  int64_t samples_per_epoch = 0;
};

// Trains until `epochs` are done; the model is left in training mode. The loss becoming NaN or infinite
// throws Error. SIGINT and SIGTERM end it after the update that runs, or the batch of train::evaluate, with a
// checkpoint if there is an `out`, by throwing Interrupted.
template <class Batch>
History fit(nn::Module& model, optim::Optimizer& optimizer, data::DataLoader<Batch>& loader,
            const std::type_identity_t<std::function<BatchResult(Batch&)>>& step, const FitOptions& options = {});

// The means over the loader's samples, without gradients and in evaluation mode: "loss" and the metrics, each
// name after `prefix`. Always goes through epoch 0 of the loader. Throws Interrupted after a signal for which an
// InterruptGuard waits, as fit's does.
template <class Batch>
Metrics evaluate(nn::Module& model, data::DataLoader<Batch>& loader,
                 const std::type_identity_t<std::function<BatchResult(Batch&)>>& step,
                 const std::string& prefix = "");

// --- what the two consist of ---------------------------------------------------------------------------------------
using NextResult = std::function<std::optional<BatchResult>()>;  // none at the end of the epoch
History run_fit(nn::Module& model, optim::Optimizer& optimizer, data::LoaderBase& loader, const NextResult& next,
                const FitOptions& options);
Metrics run_evaluate(nn::Module& model, data::LoaderBase& loader, const NextResult& next, const std::string& prefix);

template <class Batch>
NextResult results(data::DataLoader<Batch>& loader, const std::function<BatchResult(Batch&)>& step) {
  return [&]() -> std::optional<BatchResult> {
    std::optional<Batch> batch = loader.next();
    if (!batch) return {};
    return step(*batch);
  };
}
template <class Batch>
History fit(nn::Module& model, optim::Optimizer& optimizer, data::DataLoader<Batch>& loader,
            const std::type_identity_t<std::function<BatchResult(Batch&)>>& step, const FitOptions& options) {
  return run_fit(model, optimizer, loader, results(loader, step), options);
}
template <class Batch>
Metrics evaluate(nn::Module& model, data::DataLoader<Batch>& loader,
                 const std::type_identity_t<std::function<BatchResult(Batch&)>>& step, const std::string& prefix) {
  return run_evaluate(model, loader, results(loader, step), prefix);
}

}  // namespace gradus::train
