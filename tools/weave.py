#!/usr/bin/env python3
"""Fills in what the text of a chapter quotes, or checks that it is up to date.

    tools/weave.py ch03            (./run weave ch03 builds the programs first)
    tools/weave.py --check [ch03]

In tutorials/ch03_NAME/README.md, whatever stands between two such lines is written by this program:

    <!-- snippet: autograd/ops/unary.cpp#tanh -->
    <!-- /snippet -->
        the lines between two lines "//! [tanh]" of that file (in Python, shell and CMake "## [tanh]"), at most 30
    <!-- output: ch03/softmax --steps 5 | from step | to loss | tolerance 0.05 -->
    <!-- /output -->
        what build/release/tutorials/ch03/softmax prints, or a program of examples/, or for a chapter about CUDA
        build/simt/tutorials/ch20/threads, run in an empty folder (arguments
        that are paths of this tree are found all the same): from the first line that contains "step" to the next that
        contains "loss". A check compares words exactly, and numbers to a relative tolerance, 0.001 unless it says.
    <!-- table: timings.csv | where chapter=ch03 | columns program, seconds -->
    <!-- /table -->
        a CSV file beside the text, in tutorials/, or a path from the root

--check also looks for numerals that are neither woven nor explained (tools/numerals.py), and for broken links.
"""
import argparse
import csv
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

import numerals
from presets import preset

OPEN = re.compile(r"<!-- (snippet|output|table): (\S.*?) -->$")
CLOSE = re.compile(r"<!-- /(snippet|output|table) -->$")
LIKE_A_MARKER = re.compile(r"<!--\s*/?\s*(snippet|output|table)\b", re.IGNORECASE)
REGION = re.compile(r"\s*(?://!|##) \[([^\]]+)\]\s*$")
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
LANGUAGES = {".cpp": "cpp", ".h": "cpp", ".inl": "cpp", ".cu": "cpp", ".py": "python", ".sh": "bash", ".cmake": "cmake",
             ".txt": "cmake", ".gdb": "gdb"}
LONGEST_SNIPPET = 30


class Wrong(Exception):
    """What is wrong with a chapter, for whoever writes it."""


class Block:
    """Lines first..last of the text, markers included, counted from 0."""

    def __init__(self, kind, argument, first):
        self.kind, self.argument, self.first, self.last = kind, argument, first, None
        self.parts = [part.strip() for part in argument.split("|")]

    def option(self, name):
        """What stands behind "| name", if anything does."""
        for part in self.parts[1:]:
            if part.startswith(name + " "):
                return part[len(name):].strip()
        return None


class Chapter:
    def __init__(self, folder):
        self.folder, self.name, self.path = folder, folder.name[:4], folder / "README.md"
        self.lines = self.path.read_text(encoding="utf-8").splitlines()
        self.blocks, self.problems = [], []
        block = fence = None
        for i, line in enumerate(self.lines):
            opens, closes = OPEN.match(line), CLOSE.match(line)
            if block:
                if closes and closes[1] == block.kind:
                    block.last = i
                    self.blocks.append(block)
                    block = None
                elif opens:
                    self.problem(block.first, f"no <!-- /{block.kind} --> ends {block.kind}: {block.argument}")
                    block = Block(opens[1], opens[2], i)
            elif line.startswith("```"):
                fence = None if fence and line.startswith(fence) else fence or re.match("`+", line)[0]
            elif fence:
                continue
            elif opens:
                block = Block(opens[1], opens[2], i)
            elif closes:
                self.problem(i, f"{line.strip()} ends nothing")
            elif LIKE_A_MARKER.search(line):
                self.problem(i, f"not quite a marker: {line.strip()}")
        if block:
            self.problem(block.first, f"no <!-- /{block.kind} --> ends {block.kind}: {block.argument}")

    def problem(self, line, what):
        self.problems.append(f"{self.name}: {what} ({self.folder.name}/README.md:{line + 1})")

    def body(self, block):
        return self.lines[block.first + 1:block.last]


class Weaver:
    def __init__(self, root, build, outputs):
        """`build`: where programs are, or None for what tools/presets.py says of each chapter."""
        self.root, self.build, self.outputs, self.printed = root, build and build.resolve(), outputs, {}

    def fresh(self, block, chapter):
        """The lines that belong into the block."""
        return getattr(self, block.kind)(block, chapter)

    # --- snippets
    def snippet(self, block, chapter):
        path, _, name = block.parts[0].partition("#")
        if not (self.root / path).is_file():
            raise Wrong(f"there is no file {path}")
        lines = (self.root / path).read_text(encoding="utf-8").splitlines()
        marks = [i for i, line in enumerate(lines) if (found := REGION.match(line)) and found[1] == name]
        if len(marks) != 2:
            raise Wrong(f"{path} has {len(marks)} lines with [{name}], not one before and one after")
        region = [line.rstrip() for line in lines[marks[0] + 1:marks[1]] if not REGION.match(line)]
        if len(region) > LONGEST_SNIPPET:
            raise Wrong(f"it has {len(region)} lines, more than {LONGEST_SNIPPET}")
        indent = min((len(line) - len(line.lstrip()) for line in region if line), default=0)
        return fenced(LANGUAGES.get(pathlib.Path(path).suffix, ""), [line[indent:] for line in region])

    # --- output
    def program(self, name, chapter):
        build = self.build or self.root / "build" / preset(chapter.name, self.root)
        for folder in ("tutorials", "examples", "."):
            if (build / folder / name).is_file():
                return build / folder / name
        raise Wrong(f"there is no program {name} in {build}; ./run weave builds it")

    def stdout(self, command, chapter):
        if command not in self.printed:
            name, *arguments = shlex.split(command)
            path = self.program(name, chapter)
            kept = self.outputs / (name.replace("/", ".") + ".txt") if self.outputs and not arguments else None
            if kept and kept.exists() and kept.stat().st_mtime >= path.stat().st_mtime:
                self.printed[command] = kept.read_text(encoding="utf-8")
            else:
                arguments = [str(self.root / a) if "/" in a and (self.root / a).exists() else a for a in arguments]
                with tempfile.TemporaryDirectory() as empty:
                    done = subprocess.run([path, *arguments], cwd=empty, capture_output=True, encoding="utf-8",
                                          timeout=600)
                if done.returncode != 0:
                    raise Wrong(f"the program ended with {done.returncode}: {done.stderr.strip()[-300:]}")
                self.printed[command] = done.stdout
        return [line.rstrip() for line in self.printed[command].splitlines()]

    def output(self, block, chapter):
        lines = self.stdout(block.parts[0], chapter)
        start, end = block.option("from"), block.option("to")
        if start:
            lines = lines[first_with(start, lines, 0):]
        if end:
            lines = lines[:first_with(end, lines, 1 if start else 0) + 1]
        return fenced("text", lines)

    # --- tables
    def table(self, block, chapter):
        places = [folder / block.parts[0] for folder in (chapter.folder, self.root / "tutorials", self.root)]
        path = next((place for place in places if place.is_file()), None)
        if not path:
            raise Wrong(f"there is no file {block.parts[0]}")
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            columns, rows = list(reader.fieldnames or []), list(reader)
        where, wanted = block.option("where"), block.option("columns")
        if where:
            column, _, value = where.partition("=")
            self.expect_columns([column], columns, path)
            rows = [row for row in rows if row[column] == value]
            columns.remove(column)
        if wanted:
            wanted = [name.strip() for name in wanted.split(",")]
            self.expect_columns(wanted, columns, path)
            columns = wanted
        if not rows:
            return ["", "not measured yet", ""]
        numeric = {c: all(NUMBER.fullmatch(row[c] or "") for row in rows) for c in columns}
        cells = [columns, ["---:" if numeric[c] else "---" for c in columns]]
        cells += [[(row[c] or "").replace("|", "\\|") for c in columns] for row in rows]
        return ["", *("| " + " | ".join(line) + " |" for line in cells), ""]

    @staticmethod
    def expect_columns(wanted, columns, path):
        for name in wanted:
            if name not in columns:
                raise Wrong(f"{path.name} has no column {name}, only {', '.join(columns)}")


def first_with(text, lines, begin):
    for i in range(begin, len(lines)):
        if text in lines[i]:
            return i
    raise Wrong(f'no line has "{text}" in it')


def fenced(language, lines):
    while lines and not lines[0]:
        lines = lines[1:]
    while lines and not lines[-1]:
        lines = lines[:-1]
    fence = "````" if any(line.startswith("```") for line in lines) else "```"
    return [fence + language, *lines, fence]


def same(old, new, tolerance):
    """Whether two lines of output are: spaces may differ in number, numbers by the tolerance."""
    if NUMBER.sub("#", old).split() != NUMBER.sub("#", new).split():
        return False
    pairs = zip(map(float, NUMBER.findall(old)), map(float, NUMBER.findall(new)))
    return all(abs(a - b) <= tolerance * max(abs(a), abs(b)) for a, b in pairs)


def difference(block, old, new):
    """Where the text differs from what belongs there; nothing if it does not."""
    tolerance = float(block.option("tolerance") or 1e-3) if block.kind == "output" else None
    for a, b in zip(old, new):
        if a != b and not (tolerance is not None and same(a, b, tolerance)):
            return f"the text has \"{a.strip()}\" where \"{b.strip()}\" belongs"
    if len(old) != len(new):
        return "it is empty" if not old else f"the text has {len(old)} lines where {len(new)} belong"
    return ""


def weave(chapter, weaver, check, programs):
    lines, end = [], 0
    for block in chapter.blocks:
        lines += chapter.lines[end:block.first + 1]
        end = block.last
        body = chapter.body(block)
        if block.kind != "output" or programs:
            try:
                fresh = weaver.fresh(block, chapter)
                stale = difference(block, body, fresh)
                if check and stale:
                    what = f"stale {block.kind}: {block.argument}: {stale}; ./run weave {chapter.name}"
                    chapter.problem(block.first, what)
                if not check:
                    body = fresh
            except (Wrong, subprocess.TimeoutExpired, ValueError) as wrong:
                chapter.problem(block.first, f"{block.kind}: {block.argument}: {wrong}")
        lines += body
    lines += chapter.lines[end:]
    if not check and lines != chapter.lines:
        chapter.path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"wove {chapter.path}")


def check_text(chapter):
    """Numerals, length and links. Returns warnings."""
    woven = {i for block in chapter.blocks for i in range(block.first, block.last + 1)}
    prose = ["" if i in woven else line for i, line in enumerate(chapter.lines)]
    quoted = "\n".join(line for block in chapter.blocks for line in chapter.body(block))
    problems, warnings = numerals.check("\n".join(prose), quoted, chapter.folder)
    for line, what in problems:
        chapter.problem(line, what)
    return [f"{chapter.name}: {what}" for what in warnings]


def targets(chapter):
    """What must be built for the chapter's outputs."""
    names = {shlex.split(block.parts[0])[0] for block in chapter.blocks if block.kind == "output"}
    return {name.replace("/", "_") if re.match(r"ch\d\d/", name) else name.split("/")[-1] for name in names}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if anything is to be changed")
    parser.add_argument("--no-programs", action="store_true", help="leave out what programs print")
    parser.add_argument("--targets", metavar="PRESET", help="only say what has to be built with this preset")
    parser.add_argument("--build", type=pathlib.Path, help="where programs are (build/release, or build/simt)")
    parser.add_argument("--outputs", type=pathlib.Path, help="what programs printed lately: ch03.softmax.txt")
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    parser.add_argument("chapters", nargs="*", metavar="chNN")
    options = parser.parse_args()
    folders = sorted(path.parent for path in options.root.glob("tutorials/ch[0-9][0-9]_*/README.md"))
    names = [name.rstrip("/").split("/")[-1][:4] for name in options.chapters]
    for name in names:
        if name not in (folder.name[:4] for folder in folders):
            sys.exit(f"error: there is no chapter {name} in {options.root / 'tutorials'}")
    chapters = [Chapter(folder) for folder in folders if not names or folder.name[:4] in names]
    if options.targets:
        chapters = [c for c in chapters if not options.no_programs and preset(c.name, options.root) == options.targets]
        print(" ".join(sorted(set().union(*map(targets, chapters)))))
        return
    weaver = Weaver(options.root, options.build, options.outputs)
    problems = 0
    for chapter in chapters:
        weave(chapter, weaver, options.check, not options.no_programs)
        if options.check:
            for warning in check_text(chapter):
                print(f"warning: {warning}")
        for problem in chapter.problems:
            print(problem)
        problems += len(chapter.problems)
    if problems or options.check:
        print(f"{len(chapters)} chapters, {problems} problems")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
