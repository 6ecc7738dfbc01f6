#!/usr/bin/env python3
"""Draws the bandwidth of kernels over rows, rung by rung, beside that of a copy on the same device.

    ./run ladder cuda_softmax --csv FOLDER       (on a GPU, if there is one)
    ./run ladder cuda_layer_norm --csv FOLDER
    tools/bandwidth.py FOLDER PICTURE.svg

All CSV files of FOLDER are drawn; a line of theirs has the columns device, kernel, rung, GB/s and copy GB/s.
"""
import csv
import pathlib
import sys

import figures
from figures import palette, plt


def read(paths):
    rows = []
    for path in paths:
        with open(path, newline="", encoding="utf-8") as file:
            rows += csv.DictReader(file)
    return rows


def draw(rows):
    """A bar for each row, those of a kernel together, and a line where a copy ends."""
    kernels = list(dict.fromkeys(row["kernel"] for row in rows))
    rungs = list(dict.fromkeys(row["rung"] for row in rows))
    colours = dict(zip(rungs, palette))
    copies = {row["device"]: float(row["copy GB/s"]) for row in rows}
    widest = max(copies.values())
    fig, axes = plt.subplots(figsize=(7, 0.7 + 0.2 * len(rows) + 0.15 * len(kernels)))
    y, ticks = 0.0, []
    for kernel in kernels:
        some = [row for row in rows if row["kernel"] == kernel]
        ticks.append(y - (len(some) - 1) / 2)
        for row in some:
            value = float(row["GB/s"])
            axes.barh(y, value, height=0.8, color=colours[row["rung"]])
            inside = value > 0.15 * widest
            axes.text(value, y, f" {value:.0f} ", va="center", ha="right" if inside else "left", fontsize=7,
                      color="white" if inside else "black")
            y -= 1
        y -= 0.6
    for copy in copies.values():
        axes.axvline(copy, color="0.35", linewidth=0.9)
        axes.text(copy, 0.8, f"a copy, {copy:.0f}", ha="center", fontsize=7, color="0.35")
    axes.set(yticks=ticks, yticklabels=kernels, xlabel=f"GB/s, read and written ({', '.join(copies)})",
             ylim=(y + 1.2, 0.7), xlim=(0, 1.05 * max([widest, *(float(row['GB/s']) for row in rows)])))
    axes.tick_params(axis="y", length=0)
    axes.legend([plt.Rectangle((0, 0), 1, 1, color=colours[rung]) for rung in rungs], rungs, fontsize=8,
                loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return fig


def main():
    if len(sys.argv) != 3 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    files, picture = sorted(pathlib.Path(sys.argv[1]).glob("*.csv")), pathlib.Path(sys.argv[2]).resolve()
    if not files:
        sys.exit(f"error: there is no CSV file in {sys.argv[1]}")
    try:
        fig = draw(read(files))
    except KeyError as missing:
        sys.exit(f"error: a file of {sys.argv[1]} has no column {missing}")
    figures.options.folder = picture.parent
    figures.save(fig, picture.name)


if __name__ == "__main__":
    main()
