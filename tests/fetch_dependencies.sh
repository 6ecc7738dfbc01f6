#!/usr/bin/env bash
# Builds with every dependency from its pinned sources instead of installed packages, and runs the tests of what uses
# them. GRADUS_SOURCES may name a folder that holds the sources already (zlib, stb, utf8proc, nlohmann_json, cli11, gtest,
# benchmark); otherwise they are fetched.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
options=()
if [ -n "${GRADUS_SOURCES:-}" ]; then
  for name in zlib stb utf8proc nlohmann_json cli11 gtest benchmark; do
    options+=("-DFETCHCONTENT_SOURCE_DIR_${name^^}=$GRADUS_SOURCES/$name")
  done
fi
cmake --preset release -B build/fetched -DGRADUS_FORCE_FETCH=ON -DGRADUS_BENCH=ON ${options[@]+"${options[@]}"}
cmake --build build/fetched --parallel "$(nproc)"
ctest --test-dir build/fetched --output-on-failure --parallel "$(nproc)" --no-tests=error
