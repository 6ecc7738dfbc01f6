#!/bin/sh
# run_program.sh PROGRAM FOLDER FILE: runs it in an empty folder of that name; FILE keeps what it prints if it succeeds.
rm -rf "$2" "$3"
mkdir "$2" && cd "$2" || exit
"$1" >"$3"
status=$?
cat "$3"
[ $status -eq 0 ] || rm "$3"
exit $status
