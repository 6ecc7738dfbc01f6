"""Draws chapter 04's figures: three ways down a ravine, and what three optimisers reach at which learning rates."""
import csv
import io

import numpy as np

from figures import palette, plt, program, save


def rows(name):
    return list(csv.DictReader(io.StringIO(program(name, "--csv"))))


def numbers(table, key):
    return [float(row[key]) for row in table]


# The ravine.
walks = rows("ch04/descent")
names = list(dict.fromkeys(row["rule"] for row in walks))
fig, axes = plt.subplots(3, 1, figsize=(6.5, 5.4), sharex=True)
x, y = np.meshgrid(np.linspace(-5, 11, 200), np.linspace(-1.6, 1.6, 100))
for ax, name, color in zip(axes, names, palette):
    walk = [row for row in walks if row["rule"] == name]
    ax.contour(x, y, (x * x + 100 * y * y) / 2, levels=[2, 10, 30, 60, 100], colors="#bbbbbb", linewidths=0.7)
    ax.plot(numbers(walk, "x"), numbers(walk, "y"), "o-", ms=2.5, lw=0.9, color=color)
    ax.plot(0, 0, "+", ms=9, color="black")
    ax.set(ylim=(-1.6, 1.6), ylabel="y")
    ax.set_title(f"{name}, rate {walk[0]['rate']}", loc="left")
axes[-1].set(xlabel="x", xlim=(-5, 11))
fig.tight_layout()
save(fig, "ravine.svg")

# The optimisers.
runs = rows("ch04/mlp")
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4))
for name, color, marker in zip(names, palette, "os^"):
    mine = [row for row in runs if row["optimiser"] == name]
    last = max(int(row["epoch"]) for row in mine)
    final = sorted(((float(r["rate"]), float(r["loss"])) for r in mine if int(r["epoch"]) == last))
    best = min(final, key=lambda pair: pair[1])[0]
    curve = [row for row in mine if float(row["rate"]) == best]
    left.plot(numbers(curve, "epoch"), numbers(curve, "loss"), color=color, label=f"{name}, rate {best:g}")
    right.plot(*zip(*final), marker + "-", ms=4, color=color, label=name)
left.set(yscale="log", xlabel="epoch", ylabel="loss", title="each at its best rate")
right.set(xscale="log", yscale="log", xlabel="learning rate", title="after the last epoch")
left.legend()
fig.tight_layout()
save(fig, "optimisers.svg")
