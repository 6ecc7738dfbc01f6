#!/usr/bin/env python3
"""Makes, of a chapter's exercises.cpp, what its readers begin with, and what its grader is proven with.

    tools/exercises.py student tutorials/ch03_softmax exercises/ch03   (./run exercises ch03)
    tools/exercises.py variants tutorials/ch03_softmax FOLDER          (the build does)

exercises.cpp holds the solution. Between "// BEGIN SOLUTION 3.1" and "// END SOLUTION" stands what a reader will write;
elsewhere it says "throw grading::NotImplemented("3.1");". Behind it stand two mistakes, each a cause and the lines of
the solution that it changes:

    // MISTAKE exp overflows
    // - return (x - largest).exp().sum().log() + largest;
    // + return x.exp().sum().log();

The lines behind "-" are found exactly once in the solution, one after the other, whatever their indentation; those
behind "+", if any, take their place.
"""
import argparse
import json
import pathlib
import re
import sys

BEGIN = re.compile(r"( *)// BEGIN SOLUTION (\d+\.\d+)$")
END = re.compile(r" *// END SOLUTION$")
MISTAKE = re.compile(r" *// MISTAKE (\S.*)$")
CHANGE = re.compile(r" *// ([-+])(?: (.*))?$")
MARKER = re.compile(r"// *(BEGIN|END) SOLUTION|// *MISTAKE", re.IGNORECASE)


class Wrong(Exception):
    """What is wrong with a file, for whoever wrote it."""


class Region:
    """A solution: its task, the lines between the markers, and the number of the first of them."""

    def __init__(self, task, indent, first):
        self.task, self.indent, self.first, self.lines = task, indent, first, []


class Mistake:
    def __init__(self, task, cause, place):
        self.task, self.cause, self.place = task, cause, place
        self.changes = []  # pairs of lists: the lines taken out, those put there


class Source:
    """exercises.cpp: `parts` are lines (number, text) and Regions, in order; `mistakes` are lists by task."""

    def __init__(self, path):
        self.path, self.parts, self.mistakes = path, [], {}
        region = mistake = task = None
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            place = f"{path}:{number}"
            begin, end, cause = BEGIN.match(line), END.match(line), MISTAKE.match(line)
            if MARKER.search(line) and not (begin or end or cause):
                raise Wrong(f"{place}: not quite a marker; see the head of tools/exercises.py: {line.strip()}")
            if region and (begin or cause):
                raise Wrong(f"{place}: within the solution of {region.task}, which no // END SOLUTION has ended")
            if end and not region:
                raise Wrong(f"{place}: // END SOLUTION without // BEGIN SOLUTION before it")
            change = mistake and CHANGE.match(line)
            if not change:
                mistake = None
            if begin:
                task = begin[2]
                region = Region(task, begin[1], number + 1)
                self.parts.append(region)
                self.mistakes.setdefault(task, [])
            elif end:
                region = None
            elif cause:
                if not task:
                    raise Wrong(f"{place}: // MISTAKE before any solution")
                mistake = Mistake(task, cause[1].strip(), place)
                self.mistakes[task].append(mistake)
            elif change:
                self.add_change(mistake, change[1], change[2] or "", place)
            elif region:
                region.lines.append(line)
            else:
                self.parts.append((number, line))
        if region:
            raise Wrong(f"{path}:{region.first - 1}: no // END SOLUTION ends the solution of {region.task}")
        if not self.mistakes:
            raise Wrong(f"{path}: no // BEGIN SOLUTION in it")
        for task, mistakes in self.mistakes.items():
            if len(mistakes) != 2:
                raise Wrong(f"{path}: {task} has {len(mistakes)} of the two // MISTAKE it needs")
            for mistake in mistakes:
                self.check(mistake)

    @staticmethod
    def add_change(mistake, sign, text, place):
        if sign == "-":
            if not mistake.changes or mistake.changes[-1][1]:
                mistake.changes.append(([], []))
            mistake.changes[-1][0].append(text.strip())
        elif not mistake.changes:
            raise Wrong(f"{place}: // + without a // - before it")
        else:
            mistake.changes[-1][1].append(text)

    def check(self, mistake):
        """Each change has one place to be made."""
        if not mistake.changes:
            raise Wrong(f"{mistake.place}: no // - line says what to change")
        for out, _ in mistake.changes:
            times = sum(len(found(out, part.lines)) for part in self.parts
                        if isinstance(part, Region) and part.task == mistake.task)
            if times != 1:
                raise Wrong(f"{mistake.place}: found {times} times in the solution of {mistake.task}, not once: "
                            + " / ".join(out))

    def name(self):
        return "/".join(self.path.parts[-3:])  # in messages of the compiler: tutorials/ch03_softmax/exercises.cpp

    def text(self, of_region):
        """The file, with what of_region(region) says, a list of lines, in place of each solution."""
        lines, expected = [f'#line 1 "{self.name()}"'], 1
        for part in self.parts:
            if isinstance(part, Region):
                lines += of_region(part)
                expected = None
            else:
                number, line = part
                lines += [line] if number == expected else [f"#line {number}", line]
                expected = number + 1
        return lines


def found(wanted, lines):
    """Where these lines stand in those, whatever the indentation."""
    stripped = [line.strip() for line in lines]
    return [i for i in range(len(lines)) if stripped[i:i + len(wanted)] == wanted]


def mistaken(region, mistake):
    lines = list(region.lines)
    for out, put in mistake.changes:
        for i in found(out, lines):
            indent = re.match(" *", lines[i])[0]
            lines[i:i + len(out)] = [indent + line for line in put]
    return lines


def stub(region):
    return [f'{region.indent}throw grading::NotImplemented("{region.task}");']


def with_mistakes(source, which):
    """Each task goes wrong only while it is the one being graded: others may call its functions."""
    def both(region):
        line = f"#line {region.first}"
        return [f'if (grading::mistaken("{region.task}")) {{', line,
                *mistaken(region, source.mistakes[region.task][which]), "} else {", line, *region.lines, "}"]
    return source.text(both)


def variants(source, folder):
    folder.mkdir(parents=True, exist_ok=True)
    solution = source.text(lambda region: [f"#line {region.first}", *region.lines])
    # In JSON a string is written as in C++.
    quoted = {task: ", ".join(json.dumps(mistake.cause, ensure_ascii=False) for mistake in mistakes)
              for task, mistakes in source.mistakes.items()}
    rows = [f'    {{"{task}", {{{causes}}}}},' for task, causes in quoted.items()]
    causes = ["// Made by tools/exercises.py.", '#include "tutorials/grading/grading.h"', "",
              "static const grading::Mistakes mistakes({", *rows, "});"]
    for name, lines in (("solution", solution), ("stub", source.text(stub)), ("mistake_1", with_mistakes(source, 0)),
                        ("mistake_2", with_mistakes(source, 1)), ("causes", causes)):
        (folder / f"{name}.cpp").write_text("\n".join(lines) + "\n", encoding="utf-8")


def student(source, chapter, folder):
    lines = [line for line in source.text(stub) if not line.startswith("#line")]
    folder.mkdir(parents=True, exist_ok=True)
    made = False
    for name, text in (("exercises.cpp", "\n".join(lines) + "\n"),
                       ("exercises.h", (chapter / "exercises.h").read_text(encoding="utf-8"))):
        path = folder / name
        if path.exists():
            print(f"{path} is there already and stays as it is")
        else:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path}")
            made = True
    short = chapter.name[:4]
    tasks = ", ".join(source.mistakes)
    print(f"{'Write' if made else 'Go on writing'} {tasks} in {folder / 'exercises.cpp'}; "
          f"{chapter / 'README.md'} has the text.\nThen: ./run grade {short}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["student", "variants"])
    parser.add_argument("chapter", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    options = parser.parse_args()
    try:
        source = Source(options.chapter / "exercises.cpp")
        if options.what == "student":
            student(source, options.chapter, options.folder)
        else:
            variants(source, options.folder)
    except (Wrong, OSError) as wrong:
        sys.exit(f"error: {wrong}")


if __name__ == "__main__":
    main()
