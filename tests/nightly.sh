#!/usr/bin/env bash
# What is too slow for every change. Each step runs, whatever became of those before; the last line counts them.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
passed=0 failed=0 skipped=0
step() {
  local name=$1 start=$SECONDS
  shift
  echo "=== $name"
  if "$@"; then passed=$((passed + 1)) word=passed; else failed=$((failed + 1)) word=FAILED; fi
  echo "=== $name: $word after $((SECONDS - start)) s"
}
skip() {
  skipped=$((skipped + 1))
  echo "=== $1: skipped, $2"
}

clang_build() {
  CXX=clang++ cmake --preset release -B build/clang && cmake --build build/clang --parallel "$(nproc)" &&
    ctest --test-dir build/clang --output-on-failure --parallel "$(nproc)" --no-tests=error
}

step "release" ./run check release
step "every float through the vector mathematics" build/release/tests/vecmath_test --gtest_also_run_disabled_tests \
  --gtest_filter='*EveryFloat*'
step "debug" ./run check debug
step "the same bits from debug and release" tests/same_bits.sh
if command -v clang++ >/dev/null; then
  step "address and undefined behaviour sanitizers" ./run check asan
  step "readers of files, and programs of ops, a minute each" ./run fuzz
  step "thread sanitizer" ./run check tsan
  step "clang" clang_build
else
  skip "sanitizers, clang" "there is no clang++"
fi
step "CUDA kernels on the emulator" ./run check emu
step "CUDA kernels under the race checker" ./run check simt
for order in "reverse 1" "random 1" "random 2" "random 3"; do
  step "CUDA kernels under the race checker, blocks and threads in order $order" env GRADUS_EMU_ORDER="${order% *}" \
    GRADUS_EMU_SEED="${order#* }" ctest --test-dir build/simt -R '^Cuda[.]' --parallel "$(nproc)" --no-tests=error -Q
done
if [ -n "$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null)" ]; then
  step "CUDA kernels for every architecture" tests/nvcc.sh
else
  skip "CUDA kernels for every architecture" "there is no nvcc"
fi
if [ -n "${GRADUS_SOURCES:-}" ] ||
  git ls-remote --exit-code https://github.com/google/googletest.git HEAD >/dev/null 2>&1; then
  step "pinned dependencies" tests/fetch_dependencies.sh
else
  skip "pinned dependencies" "GRADUS_SOURCES is not set and github.com does not answer"
fi
step "texts" tests/texts.sh
step "the site, in a browser" ./run docs --check
step "what the check of the site finds" build/docs-venv/bin/python tests/site_check.py
if [ -e "${GRADUS_DATA:-../shared/data}/fashion-mnist" ]; then
  step "real data" tests/real_data.sh
else
  skip "real data" "there is none, see ./run data"
fi
printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
