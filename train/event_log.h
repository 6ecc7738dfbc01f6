// Event files that TensorBoard shows: `tensorboard --logdir FOLDER`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tensor/io/file.h"
#include "tensor/tensor.h"

namespace gradus::train {

// CRC-32C (Castagnoli), as in RFC 3720, section 12.1 and appendix B.4.
uint32_t crc32c(std::string_view bytes);

// Writes a new event file into a folder. Tags group by what stands before a slash: "loss/train". Throws Error
// where writing fails.
class EventLog {
 public:
  // Makes the folder where it is missing. With `resume_at`, what earlier files in it say about that step and
  // later ones no longer counts.
  explicit EventLog(const std::string& folder, std::optional<int64_t> resume_at = {});

  void scalar(const std::string& tag, double value, int64_t step);
  // The distribution of the elements of `x`, in 30 bins of one width; those not finite are left out.
  void histogram(const std::string& tag, const Tensor& x, int64_t step);
  // uint8, (channels, height, width) with 1 or 3 channels, or (height, width).
  void image(const std::string& tag, const Tensor& image, int64_t step);
  void text(const std::string& tag, const std::string& markdown, int64_t step);

 private:
  void value(int64_t step, const std::string& summary_value);
  void event(int64_t step, const std::string& what);

  LogFile file_;
};

}  // namespace gradus::train
