// What is measured during training, as a table that any program reads.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tensor/io/file.h"

namespace gradus::train {

using Metrics = std::vector<std::pair<std::string, double>>;  // names and values, in order

// "loss 0.1234  accuracy 0.9012"
std::string to_string(const Metrics& metrics);

// A CSV file (RFC 4180): a row for each call, the first column a number that grows (an epoch, a step).
class CsvLog {
 public:
  // Starts the file afresh, or with `resume_after` goes on in an existing one behind the row of that number: what a
  // run that was killed wrote beyond its last checkpoint is dropped. Throws Error where the file cannot be written.
  CsvLog(const std::string& path, const std::string& counter, std::optional<int64_t> resume_after = {});

  // The names of the first row head the columns; throws Error where a later row has others.
  void row(int64_t number, const Metrics& values);

 private:
  std::string path_, header_;
  const std::string counter_;
  LogFile file_;
};

}  // namespace gradus::train
