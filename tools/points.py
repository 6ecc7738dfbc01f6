#!/usr/bin/env python3
"""Points of a course, from the files that ./run grade chNN --junit FILE writes, as CSV.

    tools/points.py grades/*/*.xml > points.csv            one line for each student, one column for each chapter
    tools/points.py --tasks grades/*/*.xml > points.csv    one column for each task

Whose a file is says its name: grades/mei/ch03.xml and grades/mei-ch03.xml are both mei's. "points" is the sum, "of"
what the tasks in the student's own files are worth; a chapter without a file is left empty and counts nothing. What
cannot be read, or is there twice, is named, and the exit status is 1.
"""
import argparse
import csv
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree


class Wrong(Exception):
    """What is wrong with a file."""


def student_of(path):
    name = re.sub(r"[-_. ]?ch\d\d$", "", path.stem)
    return name or path.resolve().parent.name


def number_of(case, name, path):
    found = case.find(f"properties/property[@name='{name}']")
    try:
        return int(found.get("value"))
    except (AttributeError, TypeError, ValueError):
        raise Wrong(f"{path}: task {case.get('name')!r} has no number of {name}") from None


def tasks_in(path):
    """(chapter, task, points, of) of each task."""
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise Wrong(f"{path}: {error}") from None
    cases = list(root.iter("testcase"))
    if not cases:
        raise Wrong(f"{path}: no tasks in it")
    for case in cases:
        failed = case.find("failure") is not None or case.find("error") is not None
        points, of = number_of(case, "points", path), number_of(case, "points_possible", path)
        if not 0 <= points <= of or failed and points:
            but = " but failed" if failed else ""
            raise Wrong(f"{path}: task {case.get('name')!r} has {points} of {of} points{but}")
        yield case.get("classname", ""), (case.get("name") or "").split(" ")[0], points, of


def by_number(name):
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+", type=pathlib.Path, metavar="FILE", help="JUnit files")
    parser.add_argument("--tasks", action="store_true", help="a column for each task instead of each chapter")
    args = parser.parse_args()
    students, seen, faults = {}, {}, []
    for path in args.files:
        try:
            student = student_of(path)
            for chapter, task, points, of in list(tasks_in(path)):
                if (student, chapter, task) in seen:
                    raise Wrong(f"{path}: {student}'s task {task} is in {seen[student, chapter, task]}, too")
                seen[student, chapter, task] = path
                columns = students.setdefault(student, {})
                before = columns.get(task if args.tasks else chapter, (0, 0))
                columns[task if args.tasks else chapter] = (before[0] + points, before[1] + of)
        except Wrong as wrong:
            faults.append(str(wrong))
    names = sorted({name for columns in students.values() for name in columns}, key=by_number)
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["student", *names, "points", "of"])
    for student, columns in sorted(students.items()):
        table.writerow([student, *(columns[name][0] if name in columns else "" for name in names),
                        sum(points for points, _ in columns.values()), sum(of for _, of in columns.values())])
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
