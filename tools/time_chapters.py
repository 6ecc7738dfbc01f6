#!/usr/bin/env python3
"""Measures how long the programs of chapters run without arguments, into tutorials/timings.csv.

    tools/time_chapters.py ch03 ch04     (./run time-chapters builds them first)

Rows of other chapters stay. Run it on a machine that does nothing else.
"""
import argparse
import csv
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile
import time

from presets import preset

COLUMNS = ["chapter", "program", "seconds", "machine"]


def machine():
    """Model and number of processors."""
    model = platform.processor() or platform.machine()
    try:
        model = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)[1]
    except (OSError, TypeError):
        pass  # not Linux on x86
    return f"{re.sub(r'[(](R|TM)[)]| CPU| Processor|@.*', '', model).strip()}, {os.cpu_count()} cores"


def programs(folder):
    """Those that its CMakeLists.txt names."""
    text = (folder / "CMakeLists.txt").read_text(encoding="utf-8")
    found = re.search(r"chapter\(ch\d\d\s+(?:CUDA\s+)?PROGRAMS\s+([^)]*?)(?:\s+LIBRARIES[^)]*)?\)", text)
    files = [pathlib.Path(word) for word in found[1].split()] if found else []
    return [file.stem for file in files if file.suffix in (".cpp", ".cu")]


def seconds(path):
    with tempfile.TemporaryDirectory() as empty:
        start = time.monotonic()
        done = subprocess.run([path], cwd=empty, stdout=subprocess.DEVNULL)
        if done.returncode != 0:
            sys.exit(f"error: {path} ended with {done.returncode}")
        taken = time.monotonic() - start
    return f"{taken:.2g}" if taken < 9.95 else f"{taken:.0f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    parser.add_argument("chapters", nargs="+", metavar="chNN")
    options = parser.parse_args()
    table = options.root / "tutorials/timings.csv"
    with open(table, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["chapter"] not in options.chapters]
    for name in options.chapters:
        for folder in options.root.glob(f"tutorials/{name}_*"):
            for program in programs(folder):
                taken = seconds(options.root / "build" / preset(name, options.root) / "tutorials" / name / program)
                print(f"{name} {program}: {taken} s", flush=True)
                rows.append({"chapter": name, "program": program, "seconds": taken, "machine": machine()})
    rows.sort(key=lambda row: row["chapter"])  # within a chapter as it names them
    with open(table, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
