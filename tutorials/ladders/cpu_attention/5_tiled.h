// The tile of rung 5, which rung 6 shares out.
#pragma once

#include "tutorials/ladders/cpu_attention/attention.h"

namespace gradus::attention_ladder {

constexpr int64_t tile = 64;  // queries, and keys

// The queries [first, first + tile), as far as there are any, of the one head that x has.
void attend_tile(const Problem& x, int64_t first);

}  // namespace gradus::attention_ladder
