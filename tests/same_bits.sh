#!/usr/bin/env bash
# Whether a debug and a release build of the same compiler compute the same bits.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
for preset in release debug; do
  ./run build $preset training_bits >&2
  build/$preset/tests/training_bits >build/$preset/bits.txt
done
cat build/release/bits.txt
if diff build/release/bits.txt build/debug/bits.txt; then
  echo "1 passed, 0 failed, 0 skipped"
else
  echo "0 passed, 1 failed, 0 skipped"
  exit 1
fi
