#!/usr/bin/env python3
"""Keeps the list of chapters in tutorials/README.md, and the map beside it, true to what is there.

    tools/chapters.py           links the chapters that exist, takes their prerequisites over, draws the map
    tools/chapters.py --check   says what is not so, and exits with 1

A chapter is a row of the table: its number, goal, what is built, prerequisites. The number is a link where
tutorials/chNN_*/README.md exists. The prerequisites are then the chapters that this text links to in the paragraph
that begins with "Prerequisites" or "Before this"; before, they are what the table says.
"""
import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROW = re.compile(r"^\| (?:\[(\d\d)\]\([^)]*\)|(\d\d)) \| (.*?) \| (.*?) \| (.*?) \|$")


def chapters_in(tutorials):
    """The folders of chapters by their numbers."""
    found = {}
    for text in sorted(tutorials.glob("ch[0-9][0-9]_*/README.md")):
        number = text.parent.name[2:4]
        if number in found:
            sys.exit(f"error: both {found[number]} and {text.parent.name} are chapter {number}")
        found[number] = text.parent.name
    return found


def prerequisites(text):
    """The numbers of the chapters a chapter builds on, or None where it does not say."""
    paragraph = re.search(r"^(?:\*\*)?(?:Prerequisites|Before this)\b.*?(?=\n\s*\n|\Z)", text, re.MULTILINE | re.DOTALL)
    return sorted(set(re.findall(r"\]\(\.\./ch(\d\d)_", paragraph[0]))) if paragraph else None


def updated(text, tutorials):
    """The list with its links, the goals by number, and the prerequisites by number."""
    folders = chapters_in(tutorials)
    goals, needs = {}, {}

    def link(number):
        return f"[{number}]({folders[number]}/README.md)" if number in folders else number

    def row(line):
        match = ROW.match(line)
        if not match:
            return line
        number = match[1] or match[2]
        said = prerequisites((tutorials / folders[number] / "README.md").read_text(encoding="utf-8")) \
            if number in folders else None
        goals[number] = match[3]
        needs[number] = re.findall(r"(?<![/\d])\b(\d\d)\b(?!_)", match[5]) if said is None else said
        return f"| {link(number)} | {match[3]} | {match[4]} | {', '.join(map(link, needs[number])) or '–'} |"

    text = "\n".join(row(line) for line in text.split("\n"))
    missing = sorted(set(folders) - set(goals))
    if missing:
        sys.exit(f"error: tutorials/README.md does not list {', '.join(folders[number] for number in missing)}")
    return text, goals, needs


def drawing(goals, needs):
    """The map, for Graphviz: an arrow to a chapter from each it builds on, but for what other arrows say already."""
    def behind(number):
        return set().union(*({before} | behind(before) for before in needs.get(number, []) if before < number))

    lines = ['digraph chapters {',
             '  bgcolor=white; ranksep=0.3; nodesep=0.25; edge [color="#5a6675" arrowsize=0.6];',
             '  node [shape=box style="rounded,filled" fillcolor="#eef3f9" color="#1b5e9e" margin="0.1,0.05"];',
             '  node [fontname=Helvetica fontsize=11];']
    for number, goal in goals.items():
        label = "\\n".join(textwrap.wrap(re.split("[:;]", goal)[0], 20))
        lines.append(f'  c{number} [label="{number}\\n{label}"];')
    for number, before in needs.items():
        direct = [b for b in before if b < number and not any(b in behind(other) for other in before)]
        lines += [f"  c{b} -> c{number};" for b in direct]
    return "\n".join(lines + ["}", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="only say what is not so")
    parser.add_argument("--root", type=pathlib.Path, default=ROOT)
    args = parser.parse_args()
    tutorials = args.root / "tutorials"
    page = tutorials / "README.md"
    before = page.read_text(encoding="utf-8")
    text, goals, needs = updated(before, tutorials)
    dot, map_ = drawing(goals, needs), tutorials / "chapters.dot"
    stale = [place.relative_to(args.root).as_posix() for place, wanted in ((page, text), (map_, dot))
             if not place.exists() or place.read_text(encoding="utf-8") != wanted]
    for name in stale:
        print(f"{name} {'is stale: run tools/chapters.py' if args.check else 'written'}")
    if args.check:
        return 1 if stale else 0
    page.write_text(text, encoding="utf-8")
    map_.write_text(dot, encoding="utf-8")
    if not shutil.which("dot"):
        sys.exit("error: chapters.svg was not drawn: Graphviz is missing (./run packages graphviz)")
    svg = subprocess.run(["dot", "-Tsvg:cairo"], input=dot, text=True, capture_output=True, check=True).stdout
    (tutorials / "chapters.svg").write_text(re.sub(r"<!--.*?-->\n?", "", svg, flags=re.DOTALL), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
