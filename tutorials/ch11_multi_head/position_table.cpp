// The sinusoidal vectors of 48 places and 32 features, comma-separated, for the figure.
#include <cstdio>

#include "nn/positions.h"

using namespace gradus;

int main() {
  const Tensor table = nn::sinusoidal_positions(48, 32);
  for (int64_t place = 0; place < table.size(0); ++place)
    for (int64_t feature = 0; feature < table.size(1); ++feature)
      std::printf("%.3f%c", table[place][feature].item(), feature + 1 < table.size(1) ? ',' : '\n');
}
