# What attention costs against the length of the sequence: operations and memory, as counted; time, from cost.csv.
import csv
import pathlib
import re

from figures import palette, plt, program, save

text = program("ch19/cost")
forward, training = text.split("\n\n")


def numbers(lines):
    return [[float(x) for x in line.split()] for line in lines.splitlines() if re.fullmatch(r"[\d. ]+", line)]


n, operations, naive, rows, online, tiled, library = zip(*numbers(forward))
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2))
left.plot(n, operations, "o-", color="0.35", label="products, of all")
left.set(ylabel="million operations")
right.plot(n, naive, "o-", label="naive: the matrix")
right.plot(n, rows, "o-", label="rows: a row of it")
right.plot(n, tiled, "o-", label="tiled: a tile of it")
right.plot(n, library, "o--", label="library")
right.set(ylabel="KB besides q, k, v and the output")
for axes in (left, right):
    axes.set(xscale="log", yscale="log", xlabel="n", xticks=n)
    axes.set_xticklabels([f"{x:.0f}" for x in n])
    axes.minorticks_off()
    axes.legend(fontsize=8)
fig.tight_layout()
save(fig, "operations_and_memory.svg")

with open(pathlib.Path(__file__).parent / "cost.csv", newline="") as file:
    measured = list(csv.DictReader(file))
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.6))
for i, name in enumerate(dict.fromkeys(row["rung"] for row in measured)):
    points = [row for row in measured if row["rung"] == name]
    for axes, column in ((left, "ms"), (right, "extra KB")):
        some = [p for p in points if float(p[column]) > 0]
        axes.plot([int(p["n"]) for p in some], [float(p[column]) for p in some], "os^Dv<>"[i] + "-", label=name,
                  color=(palette[:6] + ["black"])[i], markersize=4)
for axes, label in ((left, "ms"), (right, "KB besides q, k, v and the output")):
    axes.set(xscale="log", yscale="log", xlabel="n", ylabel=label)
    if measured:
        axes.set_xticks(sorted({int(row["n"]) for row in measured}))
        axes.set_xticklabels(sorted({int(row["n"]) for row in measured}))
        axes.minorticks_off()
    else:
        axes.text(0.5, 0.5, "not measured yet", transform=axes.transAxes, ha="center", color="0.5")
if measured:
    left.legend(fontsize=8)
fig.tight_layout()
save(fig, "time_and_memory.svg")
