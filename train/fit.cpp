#include "train/fit.h"

#include <algorithm>
#include <cmath>

#include "optim/clip.h"
#include "tensor/io/file.h"
#include "train/event_log.h"
#include "train/progress.h"

namespace gradus::train {

namespace {

// Sums over the samples seen so far.
struct Sums {
  int64_t samples = 0;
  Metrics totals;

  void add(const BatchResult& result, double loss) {
    check(result.samples > 0, "a batch of ", result.samples, " samples");
    size_t i = 0;
    auto add_one = [&](const std::string& name, double mean) {
      if (samples == 0) totals.emplace_back(name, 0.0);
      check(i < totals.size() && totals[i].first == name, "batches must have the same metrics, got '", name,
            "' after others without it");
      totals[i++].second += mean * double(result.samples);
    };
    add_one("loss", loss);
    for (const auto& [name, mean] : result.metrics) add_one(name, mean);
    check(i == totals.size(), "batches must have the same metrics, one lacks '",
          totals[std::min(i, totals.size() - 1)].first, "'");
    samples += result.samples;
  }
  Metrics means(const std::string& prefix = "") const {
    Metrics all;
    for (const auto& [name, total] : totals) all.emplace_back(prefix + name, total / double(samples));
    return all;
  }
};

double checked_loss(const BatchResult& result) {
  check(result.loss.defined() && result.loss.numel() == 1, "a batch's loss must be one number, got ",
        result.loss.defined() ? to_string(result.loss.shape()) : "an undefined tensor");
  return result.loss.item();
}

double measure(const Metrics& row, const std::string& name) {
  std::string known;
  for (const auto& [key, value] : row) {
    if (key == name) return value;
    known += (known.empty() ? "" : ", ") + key;
  }
  fail({"fit: there is no measure '", name, "' to monitor (known: ", known, ")"});
}

// One run: what it consists of, how far it is, and how both are saved.
class Run {
 public:
  Run(nn::Module& model, optim::Optimizer& optimizer, data::LoaderBase& loader, const FitOptions& options)
      : model_(model), optimizer_(optimizer), loader_(loader), options_(options) {
    check(options.epochs >= 0, "fit: epochs must be at least 0, got ", options.epochs);
    check(options.accumulate >= 1, "fit: accumulate must be at least 1, got ", options.accumulate);
    check(options.clip_grad_norm >= 0, "fit: clip_grad_norm must be at least 0, got ", options.clip_grad_norm);
    check(options.save_every >= 0, "fit: save_every must be at least 0, got ", options.save_every);
    check(options.monitor.empty() || !options.out.empty(), "fit: monitor needs `out`, a folder to save into");
    check(loader.batches() > 0, "fit: the loader has no batches");
    parts_ = {part("", model),
              part("optimizer", optimizer),
              random_part(),
              loader_part("loader", loader),
              {"fit", [this] { return state(); }, [this](const nn::StateDict& s) { load(s); }}};
    if (options.schedule) parts_.insert(parts_.begin() + 2, part("schedule", *options.schedule));
    parts_.insert(parts_.end(), options.also_save.begin(), options.also_save.end());
  }

  History operator()(const NextResult& next) {
    InterruptGuard guard;
    begin();
    while (loader_.state().epoch < options_.epochs) {
      epoch(next);
      stop_if_asked();
    }
    return history_;
  }

 private:
  std::string last() const { return options_.out + "/last.safetensors"; }

  void begin() {
    bool resumed = !options_.resume.empty();
    if (resumed) {
      std::string from = find_checkpoint(options_.resume);
      load_checkpoint(from, parts_);
      say("resumed from " + from + ": " + std::to_string(history_.size()) + " epochs and " +
          std::to_string(loader_.state().batch) + " batches done");
    }
    if (options_.out.empty()) return;
    make_folder(options_.out);
    if (!resumed) keep_earlier();
    // Saved before the first update, so that there is something to go on from whenever the run is stopped.
    save(last());
    std::optional<int64_t> epochs_done, updates_done;
    if (resumed) {
      epochs_done = int64_t(history_.size());
      updates_done = updates_ + 1;
    }
    csv_.emplace(options_.out + "/log.csv", "epoch", epochs_done);
    if (options_.tensorboard) events_.emplace(options_.out, updates_done);
  }

  // A run started anew in the folder of another must not cost that one's result.
  void keep_earlier() {
    if (!file_exists(last())) return;
    std::string kept;
    for (int number = 1; kept.empty() || file_exists(kept); ++number)
      kept = options_.out + "/earlier-" + std::to_string(number) + ".safetensors";
    rename_file(last(), kept);
    say("the last checkpoint of an earlier training is now " + kept);
  }

  void epoch(const NextResult& next) {
    const data::LoaderOptions& order = loader_.options();
    int64_t number = loader_.state().epoch + 1;
    int64_t total = options_.samples_per_epoch > 0 ? options_.samples_per_epoch
                    : order.drop_last              ? loader_.batches() * order.batch_size
                                                   : loader_.size();
    int64_t in_group = 0;
    model_.train();
    optimizer_.zero_grad();
    std::optional<Progress> progress;
    if (options_.progress)
      progress.emplace("epoch " + std::to_string(number) + "/" + std::to_string(options_.epochs), total,
                       sums_.samples, options_.progress);

    while (std::optional<BatchResult> result = next()) {
      int64_t done = loader_.state().batch;
      double loss = checked_loss(*result);
      check(std::isfinite(loss), "fit: the loss is ", loss, " in epoch ", number, ", batch ", done,
            " (a lower learning rate or clip_grad_norm may help)");
      // The batches of one update: fewer than `accumulate` at an epoch's end.
      int64_t group = std::min(options_.accumulate, loader_.batches() - (done - 1 - in_group));
      (group == 1 ? result->loss : result->loss / double(group)).backward();
      sums_.add(*result, loss);
      result.reset();  // the graph's memory serves the update
      if (++in_group == group) {
        in_group = 0;
        update(loss);
      }
      if (progress) progress->update(sums_.samples, to_string(sums_.means()));
      if (in_group > 0) continue;
      bool stop = InterruptGuard::requested() && done < loader_.batches();  // at its end the epoch is finished
      if (!options_.out.empty() && (stop || (options_.save_every && updates_ % options_.save_every == 0)))
        save(last());
      if (stop) {
        progress.reset();
        stop_if_asked();
      }
    }

    Metrics row = sums_.means();
    for (auto& entry : evaluated(number)) row.push_back(std::move(entry));
    finish_epoch(number, std::move(row), progress);
  }

  // Where this is interrupted, the state after the epoch's last update is saved: a resumed run evaluates afresh.
  Metrics evaluated(int64_t epoch_number) {
    if (!options_.evaluate) return {};
    const PhiloxState random = default_generator().state();
    try {
      return options_.evaluate();
    } catch (const Interrupted&) {
      default_generator().set_state(random);
      loader_.restore({epoch_number - 1, loader_.batches()});
      if (!options_.out.empty()) save(last());
      stop_if_asked();
      throw;
    }
  }

  void update(double loss) {
    if (options_.clip_grad_norm > 0) optim::clip_grad_norm_(model_.parameters(), options_.clip_grad_norm);
    optimizer_.step();
    optimizer_.zero_grad();
    ++updates_;
    if (events_) {
      events_->scalar("update/loss", loss, updates_);
      events_->scalar("update/lr", optimizer_.lr(), updates_);
    }
    if (options_.schedule && !options_.schedule_each_epoch) options_.schedule->step();
    if (options_.on_update) options_.on_update(updates_);
  }

  void finish_epoch(int64_t number, Metrics row, std::optional<Progress>& progress) {
    if (progress) progress->finish(to_string(row));
    if (options_.schedule && options_.schedule_each_epoch) options_.schedule->step();
    if (csv_) csv_->row(number, row);
    if (events_)
      for (const auto& [name, value] : row) events_->scalar("epoch/" + name, value, updates_);
    if (events_ && options_.log_epoch) options_.log_epoch(*events_, updates_);
    if (options_.on_epoch) options_.on_epoch(number, row);
    sums_ = {};
    history_.push_back(std::move(row));
    if (options_.out.empty()) return;
    if (!options_.monitor.empty() && last_is_best()) save(options_.out + "/best.safetensors");
    save(last());
  }

  bool last_is_best() const {
    double best = NAN;
    bool is_best = false;
    for (const Metrics& row : history_) {
      double value = measure(row, options_.monitor);
      is_best = std::isnan(best) || (options_.minimize ? value < best : value > best);
      if (is_best) best = value;
    }
    return is_best;
  }

  void stop_if_asked() {
    if (!InterruptGuard::requested()) return;
    throw Interrupted("interrupted after " + std::to_string(updates_) + " updates" +
                      (options_.out.empty() ? "" : "; to go on, resume from " + last()));
  }

  void say(const std::string& line) {
    if (!options_.progress) return;
    std::fprintf(options_.progress, "%s\n", line.c_str());
    std::fflush(options_.progress);
  }

  void save(const std::string& path) { save_checkpoint(path, parts_, options_.metadata); }

  // The part "fit": updates done, this epoch's sums so far, each measure of the epochs done.
  nn::StateDict state() const {
    nn::StateDict all = {{"updates", from_vector<int64_t>({updates_}, {1})},
                         {"samples", from_vector<int64_t>({sums_.samples}, {1})}};
    for (const auto& [name, total] : sums_.totals) all.emplace_back("sum/" + name, from_vector<double>({total}, {1}));
    for (size_t i = 0; !history_.empty() && i < history_[0].size(); ++i) {
      std::vector<double> column;
      for (const Metrics& row : history_) {
        check(row.size() == history_[0].size() && row[i].first == history_[0][i].first,
              "fit: every epoch must have the same measures, '", history_[0][i].first, "' is missing in one");
        column.push_back(row[i].second);
      }
      all.emplace_back("history/" + history_[0][i].first, from_vector(column, {int64_t(column.size())}));
    }
    return all;
  }
  void load(const nn::StateDict& state) {
    int64_t updates = -1;
    Sums sums;
    History history;
    for (const auto& [name, value] : state) {
      check(value.dim() == 1, name, " has shape ", value.shape());
      std::vector<double> numbers = value.to_vector<double>();
      if (name.starts_with("history/")) {
        if (history.empty()) history.resize(numbers.size());
        check(numbers.size() == history.size(), name, " has ", numbers.size(), " epochs, others ", history.size());
        for (size_t i = 0; i < numbers.size(); ++i) history[i].emplace_back(name.substr(8), numbers[i]);
        continue;
      }
      check(numbers.size() == 1, name, " has shape ", value.shape());
      if (name == "updates")
        updates = int64_t(numbers[0]);
      else if (name == "samples")
        sums.samples = int64_t(numbers[0]);
      else if (name.starts_with("sum/"))
        sums.totals.emplace_back(name.substr(4), numbers[0]);
      else
        fail({"unknown state '", printable(name), "'"});
    }
    check(updates >= 0, "lacks updates");
    updates_ = updates;
    sums_ = std::move(sums);
    history_ = std::move(history);
  }

  nn::Module& model_;
  optim::Optimizer& optimizer_;
  data::LoaderBase& loader_;
  const FitOptions& options_;
  std::vector<CheckpointPart> parts_;
  int64_t updates_ = 0;
  Sums sums_;
  History history_;
  std::optional<CsvLog> csv_;
  std::optional<EventLog> events_;
};

}  // namespace

History run_fit(nn::Module& model, optim::Optimizer& optimizer, data::LoaderBase& loader, const NextResult& next,
                const FitOptions& options) {
  return Run(model, optimizer, loader, options)(next);
}

Metrics run_evaluate(nn::Module& model, data::LoaderBase& loader, const NextResult& next, const std::string& prefix) {
  struct Evaluating {
    nn::Module& model;
    bool was_training = model.training();
    NoGrad no_grad = {};
    explicit Evaluating(nn::Module& m) : model(m) { m.eval(); }
    ~Evaluating() { model.train(was_training); }
  } scope(model);
  loader.restore({0, 0});
  Sums sums;
  while (std::optional<BatchResult> result = next()) {
    if (InterruptGuard::requested()) throw Interrupted("interrupted while evaluating");
    sums.add(*result, checked_loss(*result));
  }
  check(sums.samples > 0, "evaluate: the loader has no batches");
  return sums.means(prefix);
}

}  // namespace gradus::train
