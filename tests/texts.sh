#!/usr/bin/env bash
# Trains on texts: the scores to reach. Sentences that a grammar makes, and Shakespeare where he is at hand.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
data=${GRADUS_DATA:-../shared/data}
programs=build/release/examples
out=build/texts
rm -rf "$out" && mkdir -p "$out"

# judge WHAT REACHED RELATION WANTED
judge() {
  echo "$1: $2, wanted: $3 $4"
  awk -v reached="$2" -v wanted="$4" "BEGIN { exit !(reached $3 wanted) }"
}

grammar() {
  local start=$SECONDS exact
  $programs/translation train --out "$out/grammar"
  echo "trained for $((SECONDS - start)) s"
  exact=$($programs/translation evaluate --checkpoint "$out/grammar" | sed -n 's/^exact match: \([0-9.]*\)%$/\1/p')
  judge "exact match on sentences of the grammar, in per cent" "$exact" ">=" 98
}

# shakespeare NAME AT_MOST OPTIONS...: nanoGPT's setting for a CPU
shakespeare() {
  local loss
  $programs/language_model train --out "$out/$1" "${@:3}"
  loss=$($programs/language_model evaluate --checkpoint "$out/$1" | sed -n 's/^validation loss \([0-9.]*\) .*/\1/p')
  judge "loss over all of the held-out Shakespeare" "$loss" "<=" "$2"
}

grammar
if [ -e "$data/tinyshakespeare/input.txt" ]; then
  shakespeare shakespeare 1.93
  shakespeare faster 1.83 --lr 0.002
else
  echo "no $data/tinyshakespeare/input.txt: Shakespeare is left out"
fi
