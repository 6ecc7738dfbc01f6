// Rungs 5 and 6 for each instruction set: isa.cpp is compiled once for each, with flags of its own.
#pragma once

#include "tutorials/ladders/cpu_gemm/gemm.h"

#define LADDER_DECLARE(isa)             \
  namespace gradus::ladder::isa {       \
  Gemm vectorised, threaded;            \
  double multiply_adds(int64_t rounds); \
  }
LADDER_DECLARE(avx2)
LADDER_DECLARE(avx512)
LADDER_DECLARE(neon)
#undef LADDER_DECLARE
