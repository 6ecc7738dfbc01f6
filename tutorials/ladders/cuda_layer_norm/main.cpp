// cuda_layer_norm [SIZE] [--csv FOLDER]: times every rung on rows of SIZE numbers (4096; 256 where the device is
// emulated, whose times say nothing of a GPU's), and prints how close each comes to a copy; also into
// FOLDER/layer_norm.csv.
#include "tutorials/ladders/cuda_layer_norm/layer_norm.h"
#include "tutorials/ladders/cuda_rows.h"

namespace {

void climb(int64_t n, const std::string& folder) {
  using gradus::cuda_layer_norm_ladder::Rung;
  const gradus::ladder::DeviceNumbers weight(n), bias(n);
  gradus::ladder::climb_rows("layer_norm", gradus::cuda_layer_norm_ladder::rungs, n, folder,
                             [&](const Rung& rung, int64_t rows, int64_t size, const float* x, float* y) {
                               rung.layer_norm(rows, size, x, weight.data(), bias.data(), y);
                             });
}

}  // namespace

int main(int argc, char** argv) { return gradus::ladder::run_rows("cuda_layer_norm", argc, argv, climb); }
