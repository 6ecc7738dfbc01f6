#!/usr/bin/env bash
# Gives readers of files damaged bytes: tests/fuzz/run.sh PROGRAM [READER...], all readers without one. Each runs for
# GRADUS_FUZZ_SECONDS (5), from the seeds of seeds.py: as a test the same inputs each time, as many as fit; but if
# GRADUS_FUZZ_NEW is set others, on from what such runs before have left in PROGRAM.corpus. An input that breaks a
# promise is kept in PROGRAM.found and ends the run with an error.
set -euo pipefail
program=$(realpath "$1")
shift
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
found=$program.found
[ $# -gt 0 ] || mapfile -t readers < <("$program")
[ $# -eq 0 ] || readers=("$@")
status=0
for reader in "${readers[@]}"; do
  # What readers read lies in memory where there is such a place.
  work=$(mktemp -d "$([ -w /dev/shm ] && echo /dev/shm || echo /tmp)/gradus-fuzz-XXXXXX")
  corpus=$work/corpus choice=(-seed=1 -runs=5000)
  [ -z "${GRADUS_FUZZ_NEW:-}" ] || corpus=$program.corpus/$reader choice=()
  mkdir -p "$work/seeds" "$corpus" "$found"
  "${PYTHON:-python3}" "$here/seeds.py" "$reader" "$work/seeds"
  # No input may take 10 s, or more memory than an image (data/image.h).
  if (cd "$work" && GRADUS_FUZZ=$reader "$program" -max_total_time="${GRADUS_FUZZ_SECONDS:-5}" -timeout=10 \
    ${choice[@]+"${choice[@]}"} -rss_limit_mb=2560 -malloc_limit_mb=1100 -max_len=65536 -reload=0 -print_final_stats=1 \
    -artifact_prefix="$found/$reader-" "$corpus" seeds) >"$work/log" 2>&1; then
    echo "$reader: $(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log") inputs, nothing found"
  else
    status=1
    grep -v '^#' "$work/log" | tail -60
    echo "$reader: FOUND SOMETHING, kept in $found"
  fi
  rm -rf "$work"
done
exit $status
