#!/usr/bin/env bash
# Copies the headers and static libraries that a build needs from the packages installed here to a folder, for a machine
# that has neither them nor a network: ./run gpu there finds them with CMAKE_PREFIX_PATH=FOLDER.
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: $0 FOLDER" >&2; exit 2; }
mkdir -p "$1/include" "$1/lib"
packages=(zlib1g-dev libstb-dev libutf8proc-dev nlohmann-json3-dev libcli11-dev libgtest-dev)
for package in "${packages[@]}"; do
  while IFS= read -r file; do
    [ -f "$file" ] || continue
    case $file in
      /usr/include/gmock/* | /usr/include/x86_64-linux-gnu/gmock/*) ;;
      /usr/include/x86_64-linux-gnu/*) to=include/${file#/usr/include/x86_64-linux-gnu/} ;;
      /usr/include/*) to=include/${file#/usr/include/} ;;
      /usr/lib/*/libgmock* | /usr/lib/*/cmake/* | /usr/lib/*/pkgconfig/*) continue ;;
      /usr/lib/*.a) to=lib/${file##*/} ;;
      /usr/share/cmake/*) to=lib/cmake/${file#/usr/share/cmake/} ;;
      *) continue ;;
    esac
    mkdir -p "$1/$(dirname "$to")"
    cp -L "$file" "$1/$to"
  done < <(dpkg -L "$package")
done
