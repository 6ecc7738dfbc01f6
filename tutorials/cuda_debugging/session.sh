#!/usr/bin/env bash
# Plays session.gdb on the program given and prints what a user would see: the commands and gdb's answers, without what
# differs from machine to machine.
set -e
here=$(cd "$(dirname "$0")" && pwd)
GRADUS_EMU_THREADS=1 DEBUGINFOD_URLS= gdb -nx -q -batch -ex 'set print address off' -ex 'set print frame-arguments none' \
  -ex 'set filename-display basename' -ex 'set width 0' -x "$here/session.gdb" "$1" 2>/dev/null |
  grep -v -e 'libthread_db' -e '^+set trace' -e '^\[Inferior' -e '^$' -e 'New Thread' -e 'warning: ' |
  sed -e 's/^+/(gdb) /' -e 's/ *$//'
