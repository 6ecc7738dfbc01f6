// Tests of kernels, each run once for every instruction set that a processor of this kind may have.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "tensor/error.h"
#include "tensor/kernels/cpu/threads.h"
#include "tensor/kernels/table.h"

namespace gradus::testing {

// Puts back the instruction set and the number of threads.
class BackendGuard {
 public:
  BackendGuard() = default;
  ~BackendGuard() {
    set_isa(isa_.c_str());
    set_num_threads(threads_);
  }
  BackendGuard(const BackendGuard&) = delete;
  BackendGuard& operator=(const BackendGuard&) = delete;

 private:
  std::string isa_ = isa();
  int threads_ = num_threads();
};

inline bool has_isa(const char* name) {
  const BackendGuard guard;
  try {
    set_isa(name);
  } catch (const Error&) {
    return false;
  }
  return true;
}

// A test with GRADUS_EACH_ISA(Fixture) runs with each of them, and is skipped where the machine lacks it.
class EachIsa : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!has_isa(GetParam())) GTEST_SKIP() << "this machine has no " << GetParam();
    set_isa(GetParam());
  }
  // What f gives with the reference.
  template <class F>
  auto reference(const F& f) const {
    const BackendGuard guard;
    set_isa("reference");
    return f();
  }

 private:
  const BackendGuard guard_{};
};

#ifdef __aarch64__
#define GRADUS_ISAS "neon"
#else
#define GRADUS_ISAS "avx2", "avx512"
#endif
#define GRADUS_EACH_ISA(fixture)                                          \
  INSTANTIATE_TEST_SUITE_P(Isas, fixture, ::testing::Values(GRADUS_ISAS), \
                           [](const auto& one) { return std::string(one.param); })

}  // namespace gradus::testing
