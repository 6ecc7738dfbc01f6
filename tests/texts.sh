#!/usr/bin/env bash
# Trains on texts: the scores to reach. Sentences that a grammar makes, and, where they are at hand, Shakespeare and
# judgements of films.
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

# Whether what an encoder learnt without labels helps where labels are few: a tenth of those of rt-polarity. It is
# judged by the nine tenths that were left out, as the difference is no more than what chance makes of 1,066 sentences.
judgements() {
  local way seed score total
  local -A mean
  $programs/masked_lm train --out "$out/encoder"
  for way in "" --from-nothing; do
    total=0
    for seed in 1 2 3; do
      score=$($programs/masked_lm finetune --from "$out/encoder" --labels 0.1 $way --seed $seed \
        --out "$out/judge" | sed -n 's/^accuracy on the .* left out: \([0-9.]*\)%$/\1/p')
      total=$(awk "BEGIN { print $total + $score / 3 }")
    done
    mean[x$way]=$total
  done
  judge "sentences judged right after 853 labels, in per cent; from nothing ${mean[x--from-nothing]}" "${mean[x]}" ">" \
    "${mean[x--from-nothing]}"
}

grammar
if [ -e "$data/rt-polarity" ]; then
  judgements
else
  echo "no $data/rt-polarity: what pre-training is worth is left out"
fi
if [ -e "$data/tinyshakespeare/input.txt" ]; then
  shakespeare shakespeare 1.93
  shakespeare faster 1.83 --lr 0.002
else
  echo "no $data/tinyshakespeare/input.txt: Shakespeare is left out"
fi
