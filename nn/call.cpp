// Which module is running, and the table that can be made of it.
#include <algorithm>
#include <cstdio>
#include <optional>
#include <unordered_map>

#include "nn/module.h"

namespace gradus::nn {

namespace {

thread_local constinit const Call* innermost = nullptr;

const bool errors_name_the_module = [] {
  error_context = current_path;
  return true;
}();

// The path from one module to another inside it.
std::optional<std::string> path_inside(const Module& outer, const Module* wanted) {
  for (const auto& [path, module] : const_cast<Module&>(outer).named_modules())  // only looked at
    if (module == wanted) return path;
  return {};
}

// What summary() gathers while the model runs.
struct Row {
  const Module* module;  // may be gone by the time the table is made
  const char* type;
  std::string path;
  int64_t outer = -1;  // the row it was called in
  int depth = 0;
  std::optional<Shape> shape = {};
  int64_t bytes = 0;
  int64_t flops_before = 0;  // counted when it began
  int64_t flops = 0;         // its own, those of rows inside it taken off
  int64_t parameters = 0;
};

struct Recorder {
  std::vector<Row> rows;
  // Counted already: an output that is handed on, or a view of one, is no new memory.
  std::vector<std::weak_ptr<Storage>> outputs;
  int64_t current = -1;

  // The new row, or -1 where a module only calls itself on (the model, or an operator() of a base class).
  int64_t enter(const Module& module, std::string path) {
    if (current >= 0 && rows[current].module == &module) return -1;
    rows.push_back({&module, module.type(), std::move(path), current, current < 0 ? 0 : rows[current].depth + 1});
    current = int64_t(rows.size()) - 1;
    rows[current].flops_before = flops_counted();
    return current;
  }
  void leave(int64_t row) {
    int64_t counted = flops_counted() - rows[row].flops_before;
    rows[row].flops += counted;
    current = rows[row].outer;
    if (current >= 0) rows[current].flops -= counted;
  }
  void result(int64_t row, const Tensor& output) {
    if (!output.defined()) return;
    rows[row].shape = output.shape();
    for (const auto& before : outputs)
      if (before.lock() == output.storage()) return;
    outputs.push_back(output.storage());
    rows[row].bytes = output.numel() * int64_t(size_of(output.dtype()));
  }
};

thread_local constinit Recorder* recorder = nullptr;

}  // namespace

Call::Call(const Module& module) : module_(&module), outer_(innermost) {
  innermost = this;
  if (recorder) row_ = recorder->enter(module, current_path());
}

Call::~Call() {
  if (row_ >= 0 && recorder) recorder->leave(row_);
  innermost = outer_;
}

void Call::observe(const Tensor& result) const {
  if (recorder) recorder->result(row_ >= 0 ? row_ : recorder->current, result);
}

std::string current_path() {
  std::vector<const Module*> running;  // innermost first
  for (const Call* call = innermost; call; call = call->outer_) running.push_back(call->module_);
  if (running.empty()) return "";
  std::string path;
  const Module* at = running.back();
  for (auto next = running.rbegin() + 1; next != running.rend(); ++next) {
    if (std::optional<std::string> step = path_inside(*at, *next)) {
      path += (path.empty() || step->empty() ? "" : ".") + *step;
      at = *next;
    }
  }
  return path;
}

// --- summary -------------------------------------------------------------------------------------------------------

namespace {

// Gives each parameter to the row of the innermost module around it that was called, once.
void attribute_parameters(Module& model, std::vector<Row>& rows) {
  std::unordered_map<std::string, int64_t> row_of;
  for (size_t i = 0; i < rows.size(); ++i) row_of.emplace(rows[i].path, i);
  for (const auto& [path, tensor] : model.named_parameters()) {
    std::string owner = path;
    do {
      size_t dot = owner.rfind('.');
      owner.resize(dot == std::string::npos ? 0 : dot);
    } while (!row_of.count(owner));  // ends at the model, whose path is ""
    rows[row_of[owner]].parameters += tensor.numel();
  }
}

std::string with_commas(int64_t n) {
  std::string digits = std::to_string(n);
  for (int64_t at = int64_t(digits.size()) - 3; at > 0; at -= 3) digits.insert(at, ",");
  return digits;
}

// 1234567 to "1.23 M", in steps of `base`.
std::string scaled(int64_t n, double base, const std::vector<const char*>& units) {
  double value = double(n);
  size_t unit = 0;
  for (; value >= base && unit + 1 < units.size(); ++unit) value /= base;
  char text[48];
  std::snprintf(text, sizeof text,
                unit == 0 || value >= 100 ? "%.0f %s"
                : value >= 10             ? "%.1f %s"
                                          : "%.2f %s",
                value, units[unit]);
  return text;
}
std::string bytes_text(int64_t n) { return scaled(n, 1024, {"B", "KiB", "MiB", "GiB", "TiB"}); }
std::string flops_text(int64_t n) { return scaled(n, 1000, {"", "k", "M", "G", "T", "P"}); }

}  // namespace

std::string summary(Module& model, const std::function<void()>& run) {
  Recorder recording;
  {
    std::vector<std::pair<Module*, bool>> modes;
    for (const auto& entry : model.named_modules()) modes.emplace_back(entry.second, entry.second->training());
    struct Restore {  // whatever run() throws
      std::vector<std::pair<Module*, bool>>& modes;
      ~Restore() {
        recorder = nullptr;
        for (auto [module, training] : modes) module->train(training);  // outer ones first
      }
    } restore{modes};
    model.eval();
    NoGrad guard;
    recorder = &recording;
    Call call(model);
    run();
  }
  std::vector<Row>& rows = recording.rows;
  attribute_parameters(model, rows);

  using Cells = std::vector<std::string>;
  std::vector<Cells> table = {{"layer", "type", "output", "parameters", "output bytes", "flops"}};
  int64_t output_bytes = 0, flops = 0, parameter_bytes = 0, trainable = 0;
  for (const Row& row : rows) {
    output_bytes += row.bytes;
    flops += row.flops;
    std::string name = "(model)";
    if (row.outer >= 0) {
      const std::string& outer = rows[row.outer].path;
      name = row.path == outer ? "(not visited)" : row.path.substr(outer.empty() ? 0 : outer.size() + 1);
    }
    table.push_back({std::string(2 * row.depth, ' ') + name, row.type, row.shape ? to_string(*row.shape) : "-",
                     row.parameters ? with_commas(row.parameters) : "-", row.bytes ? bytes_text(row.bytes) : "-",
                     row.flops ? flops_text(row.flops) : "-"});
  }
  for (const Tensor& parameter : model.parameters()) {
    parameter_bytes += parameter.numel() * int64_t(size_of(parameter.dtype()));
    if (parameter.requires_grad()) trainable += parameter.numel();
  }
  table.push_back(
      {"total", "", "", with_commas(model.parameter_count()), bytes_text(output_bytes), flops_text(flops)});

  std::vector<size_t> widths(table[0].size(), 0);
  for (const Cells& cells : table)
    for (size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], cells[i].size());
  std::string line, out;
  for (size_t width : widths) line += std::string(width, '-') + "  ";
  line.erase(line.size() - 2);
  for (size_t r = 0; r < table.size(); ++r) {
    if (r == 1 || r + 1 == table.size()) out += line + "\n";
    std::string text;
    for (size_t i = 0; i < widths.size(); ++i) {
      std::string space(widths[i] - table[r][i].size(), ' ');
      text += (i < 3 ? table[r][i] + space : space + table[r][i]) + "  ";  // words to the left, numbers to the right
    }
    out += text.substr(0, text.find_last_not_of(' ') + 1) + "\n";
  }
  return out + "parameters take " + bytes_text(parameter_bytes) + "; " + with_commas(trainable) + " are trainable\n";
}

}  // namespace gradus::nn
