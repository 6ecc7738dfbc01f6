#!/usr/bin/env python3
"""Says with which preset a chapter is built: tools/presets.py ch20 prints "simt".

Chapters about kernels, CUDA in their CMakeLists.txt, run on the emulator of a GPU; all others need nothing special.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def preset(chapter, root=ROOT):
    """Of "ch20", or of a program of it, "ch20/threads"; "release" for what is no chapter."""
    for text in root.glob(f"tutorials/{chapter[:4]}_*/CMakeLists.txt"):
        if re.search(r"chapter\(ch\d\d CUDA\b", text.read_text(encoding="utf-8")):
            return "simt"
    return "release"


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    print(preset(sys.argv[1]))
