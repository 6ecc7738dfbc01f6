#!/usr/bin/env python3
"""Draws the rungs of the matrix product under the roofline of the machine they were measured on.

    ./run roofline [SIZE [THREADS]]                      (builds, measures and draws)
    tools/roofline.py FOLDER PICTURE.svg

FOLDER has rungs.csv and limits.csv, which `./run ladder cpu_gemm [SIZE [THREADS]] --csv FOLDER` writes. A rung is drawn
twice, at as many operations a second: filled where a byte is one that comes from the second cache, hollow where it is
one that comes from beyond that. The lines are what was measured: sloping ones the bytes a second of each cache and of
memory, level ones the operations a second of the processor.
"""
import csv
import math
import pathlib
import sys

import figures
from figures import palette, plt

FIRST, SECOND = "operations per byte of the second cache", "operations per byte from beyond it"
LINES = {"second cache": "-", "third cache": "--", "memory": ":"}
LEVELS = {"peak": "peak: multiply-adds in vectors", "plain vectors": "vectors of any processor of the kind",
          "one sum": "one sum that waits for itself"}


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def several(threads):
    return "1 thread" if threads == "1" else f"{threads} threads"


def draw(folder):
    """The figure; without measurements only where rungs stand by what they move."""
    rungs, limits = read(folder / "rungs.csv"), read(folder / "limits.csv")
    fig, axes = plt.subplots(figsize=(8, 5))
    what = {row["limit"]: row["value"] for row in limits if not row["threads"]}
    most_threads = max((row["threads"] for row in rungs), key=int, default="1")
    left, right = 0.02, 200
    speeds = [float(row["GFLOP/s"]) for row in rungs]
    roofs = [float(row["value"]) for row in limits if row["limit"] in LEVELS]
    axes.set(xscale="log", yscale="log", xlabel="operations per byte", ylabel="GFLOP/s", xlim=(left, right))
    if rungs:
        axes.set_ylim(min(speeds) / 2, 2 * max(roofs))
    for row in limits:
        if row["threads"] not in ("1", most_threads):
            continue
        colour = "0.35" if row["threads"] == "1" else palette[3]
        name, value = row["limit"], float(row["value"])
        if name in LINES:
            top = max(float(r["value"]) for r in limits if r["limit"] in LEVELS and r["threads"] == row["threads"])
            axes.plot([left, top / value], [left * value, top], LINES[name], color=colour, linewidth=0.9)
            if row["threads"] == "1":
                (x0, y0), (x1, y1) = axes.transData.transform([(1, 1), (10, 10)])
                x = max(0.04, 1.5 * axes.get_ylim()[0] / value)
                above = name == "second cache"
                axes.annotate(f"{name}, {value:.0f} GB/s", (x, x * value), xytext=(0, 2 if above else -2), fontsize=7,
                              textcoords="offset points", rotation=math.degrees(math.atan2(y1 - y0, x1 - x0)),
                              rotation_mode="anchor", color=colour, va="bottom" if above else "top")
        elif row["threads"] == "1" or name == "peak":
            axes.plot([left, right], [value, value], color=colour, linewidth=1.6 if name == "peak" else 0.6)
            axes.annotate(f"{LEVELS[name]}, {several(row['threads'])}: {value:.3g} GFLOP/s", (right, value * 1.04),
                          fontsize=7, ha="right", color=colour)
    names = [row["rung"] for row in rungs if row["threads"] == "1"]
    for row in rungs:
        if not row[FIRST]:  # the library, whose tiles are not counted, stands at the side
            axes.plot([right], [float(row["GFLOP/s"])], ">", color="black", clip_on=False)
            axes.annotate(f"library, {several(row['threads'])}", (right, float(row["GFLOP/s"])), fontsize=8, ha="right",
                          xytext=(-8, -8 if row["threads"] == "1" else 0), textcoords="offset points", va="center")
            continue
        if row["rung"] == "threaded" and row["threads"] == "1" and most_threads != "1":
            continue  # the rung before, again
        colour = palette[names.index(row["rung"]) % len(palette)]
        near, far, speed = float(row[FIRST]), float(row[SECOND]), float(row["GFLOP/s"])
        axes.plot([near, far], [speed, speed], color=colour, linewidth=0.8)
        axes.plot([near], [speed], "o", color=colour)
        axes.plot([far], [speed], "o", color=colour, markerfacecolor="white")
        label = row["rung"] if row["threads"] == "1" else f"{row['rung']}, {several(row['threads'])}"
        below = row["rung"] in ("reordered", "vectorised")  # its neighbour's is above
        axes.annotate(label, (near, speed), xytext=(0, -13 if below else 6), textcoords="offset points", fontsize=8,
                      color=colour, ha="center", bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.8})
    if rungs:
        axes.set_title(f"{what['processor']}, {what['instruction set']}, {what['rows and columns']} rows and columns",
                       fontsize=9)
    else:
        axes.text(0.5, 0.5, "not measured yet", transform=axes.transAxes, ha="center", color="0.5")
    return fig


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    folder, picture = map(pathlib.Path, sys.argv[1:])
    figures.options.folder = picture.parent
    figures.save(draw(folder), picture.name)


if __name__ == "__main__":
    main()
