"""Draws chapter 03's figure: where the linear classifier's classes lie, for heaps of points and for spirals."""
import csv
import io

import numpy as np

from figures import palette, plt, program, save

rows = list(csv.DictReader(io.StringIO(program("ch03/linear_classifier", "--csv"))))
fig, axes = plt.subplots(1, 2, figsize=(8, 4), sharex=True, sharey=True)
for ax, name, title in zip(axes, ["blobs", "spirals"], ["heaps", "spirals"]):
    points = [r for r in rows if r["data"] == name and r["kind"] == "point"]
    grid = [r for r in rows if r["data"] == name and r["kind"] == "grid"]
    side = round(len(grid) ** 0.5)
    x, y, *p = (np.array([float(row[key]) for row in grid]).reshape(side, side) for key in ("x", "y", "p0", "p1", "p2"))
    for c in range(3):
        lead = p[c] - np.maximum(p[c - 1], p[c - 2])  # positive where the class is the most likely one
        ax.contourf(x, y, lead, levels=[0, 2], colors=[palette[c]], alpha=0.22)
        mine = [row for row in points if row["class"] == str(c)]
        ax.plot([float(row["x"]) for row in mine], [float(row["y"]) for row in mine], "o", ms=2.5, color=palette[c])
    ax.contour(x, y, np.max(p, axis=0), levels=[0.6, 0.9], colors="#555555", linewidths=0.8,
               linestyles=["dotted", "dashed"])
    ax.set(title=title, aspect="equal", xlim=(-5, 5), ylim=(-5, 5))
fig.tight_layout()
save(fig, "decision_boundary.svg")
