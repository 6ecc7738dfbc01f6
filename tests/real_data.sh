#!/usr/bin/env bash
# Trains on real images: the accuracies to reach, and the same bytes with one thread or two and after a kill.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
data=${GRADUS_DATA:-../shared/data}
classifier=build/release/examples/image_classifier
out=build/real_data
rm -rf "$out" && mkdir -p "$out"

# accuracy NAME SET AT_LEAST
accuracy() {
  local start=$SECONDS reached
  $classifier train --data "$2" --model cnn --epochs 5 --seed 1 --out "$out/$1" | tee "$out/$1.txt"
  reached=$(sed -n 's/^test accuracy: \([0-9.]*\)%$/\1/p' "$out/$1.txt" | tail -1)
  echo "$1: $reached%, at least $3% wanted, $((SECONDS - start)) s for 5 epochs"
  awk -v reached="$reached" -v wanted="$3" 'BEGIN { exit !(reached >= wanted) }'
}

same_bytes() {
  local short=(train --data "mnist:$data/mnist" --samples 4000 --model cnn --epochs 2 --seed 5 --save-every 10)
  $classifier "${short[@]}" --threads 2 --out "$out/two" >/dev/null
  $classifier "${short[@]}" --threads 1 --out "$out/one" >/dev/null
  cmp "$out/one/last.safetensors" "$out/two/last.safetensors"
  echo "1 and 2 threads: the same bytes"
  $classifier "${short[@]}" --out "$out/killed" >/dev/null &
  local process=$!
  until [ -e "$out/killed/last.safetensors" ]; do sleep 0.05; done
  sleep 0.5
  kill -9 "$process"
  wait "$process" 2>/dev/null || true
  cmp -s "$out/killed/last.safetensors" "$out/two/last.safetensors" && { echo "killed too late"; return 1; }
  $classifier train --resume "$out/killed" >/dev/null
  cmp "$out/killed/last.safetensors" "$out/two/last.safetensors"
  echo "killed and resumed: the same bytes"
}

same_bytes
accuracy fashion-mnist "fashion_mnist:$data/fashion-mnist" 92
accuracy mnist "mnist:$data/mnist" 99
