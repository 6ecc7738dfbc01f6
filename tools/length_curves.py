#!/usr/bin/env python3
"""Draws how good translations are by the length of the source, a curve for each model.

    translation evaluate --checkpoint out/a --by-length a.csv
    translation evaluate --checkpoint out/b --by-length b.csv
    pip install matplotlib
    tools/length_curves.py lengths.svg "with attention=a.csv" "without=b.csv"

Lengths of which there are fewer than 20 sentences are left out. The picture is SVG, PNG or PDF, as its name ends.
"""
import argparse
import csv

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

LEAST = 20  # sentences


def read(path):
    with open(path, newline="") as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    return [row for row in rows if row["sentences"] >= LEAST]


def label(row):
    low, high = int(row["low"]), int(row["high"])
    return f"{low}–{high}" if high else f"{low}+"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture")
    parser.add_argument("curves", nargs="+", metavar="NAME=FILE.csv")
    options = parser.parse_args()
    curves = [(name, read(path)) for name, path in (curve.split("=", 1) for curve in options.curves)]
    labels = {row["low"]: label(row) for _, rows in curves for row in rows}
    place = {low: i for i, low in enumerate(sorted(labels))}

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
    for axes, key, scale, title in ((left, "exact", 100, "exact matches, %"), (right, "bleu", 1, "BLEU")):
        for (name, rows), marker in zip(curves, "os^Dv" * len(curves)):
            axes.plot([place[row["low"]] for row in rows], [scale * row[key] for row in rows], marker + "-", label=name)
        axes.set(xticks=list(place.values()), xlabel="words of the source", ylabel=title, ylim=(0, 103))
        axes.set_xticklabels([labels[low] for low in place])
        axes.grid(alpha=0.3)
        axes.legend()
    figure.tight_layout()
    figure.savefig(options.picture)


if __name__ == "__main__":
    main()
