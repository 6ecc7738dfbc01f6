// cuda_softmax [SIZE] [--csv FOLDER]: times every rung on rows of SIZE numbers (4096; 256 where the device is emulated,
// whose times say nothing of a GPU's), and prints how close each comes to a copy; also into FOLDER/softmax.csv.
#include "tutorials/ladders/cuda_rows.h"
#include "tutorials/ladders/cuda_softmax/softmax.h"

namespace {

void climb(int64_t n, const std::string& folder) {
  using gradus::cuda_softmax_ladder::Rung;
  gradus::ladder::climb_rows(
      "softmax", gradus::cuda_softmax_ladder::rungs, n, folder,
      [](const Rung& rung, int64_t rows, int64_t size, const float* x, float* y) { rung.softmax(rows, size, x, y); });
}

}  // namespace

int main(int argc, char** argv) { return gradus::ladder::run_rows("cuda_softmax", argc, argv, climb); }
