#!/usr/bin/env bash
# Compiles every kernel file with nvcc for all architectures we name, warnings being errors, and fails where a kernel
# keeps more in local memory than it may: a few bytes of spilled registers are harmless, more of them are a mistake.
# Without nvcc it is skipped. ARCHITECTURES="90a" takes only these.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
if [ ! -x "$nvcc" ]; then
  echo "no nvcc: skipped"
  printf '\n0 passed, 0 failed, 1 skipped\n'
  exit 0
fi
targets=()
for arch in ${ARCHITECTURES:-75 80 86 89 90a}; do targets+=("-gencode=arch=compute_$arch,code=sm_$arch"); done
allowed=64  # bytes of spill stores, for any kernel
passed=0 failed=0
while IFS= read -r file; do
  if ! log=$("$nvcc" -std=c++20 -x cu --expt-relaxed-constexpr --extended-lambda -fmad=false -O3 -Werror all-warnings \
    --threads 2 -Xptxas -v "${targets[@]}" -I. -c "$file" -o /dev/null 2>&1); then
    printf '%s\n' "$log" | grep -v '^ptxas info' | head -40
    failed=$((failed + 1))
    continue
  fi
  # "ptxas info : Function properties for NAME", then "... N bytes spill stores ..."
  spills=$(awk -v allowed=$allowed '
    /Compiling entry function/ { split($0, quoted, "\047"); name = quoted[2]; arch = quoted[4] }
    /bytes spill stores/ { match($0, /[0-9]+ bytes spill stores/); n = substr($0, RSTART) + 0
                           if (n > 0) print arch, name, n, (n > allowed ? "TOO MANY" : "") }' <<<"$log")
  [ -n "$spills" ] && printf '%s: bytes spilled\n%s\n' "$file" "$spills" | c++filt
  if grep -q 'TOO MANY' <<<"$spills"; then failed=$((failed + 1)); else passed=$((passed + 1)); fi
done < <(ls tensor/kernels/cuda/*.cu)
printf '\n%d passed, %d failed, 0 skipped\n' $passed $failed
[ $failed -eq 0 ]
