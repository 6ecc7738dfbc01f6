"""Draws chapter 07's figures: gradients over time, and the wall that clipping is for."""
import csv
import io

from figures import palette, plt, program, save


def rows(name):
    return list(csv.DictReader(io.StringIO(program(name, "--csv"))))


norms = rows("ch07/reach")
names = list(dict.fromkeys(row["cell"] for row in norms))
fig, axes = plt.subplots(figsize=(6.5, 3.8))
for name in names:
    mine = [row for row in norms if row["cell"] == name]
    family = next(i for i, kind in enumerate(("RNN", "GRU", "LSTM")) if name.startswith(kind))
    style = {"RNN 0.5": ":", "RNN 1": "--", "GRU": "--", "LSTM": "--"}.get(name, "-")
    axes.plot([int(row["back"]) for row in mine], [float(row["norm"]) for row in mine], style, color=palette[family],
              label=name)
axes.set(yscale="log", xlabel="steps back from the loss", ylabel="norm of the gradient")
axes.grid(alpha=0.3)
axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
save(fig, "reach.svg")

wall = rows("ch07/clipping")
fig, axes = plt.subplots(figsize=(6.5, 3.2))
for kind, style, label in (("curve", "-", "loss"), ("step", "o-", "descent with clipped gradients")):
    mine = [row for row in wall if row["kind"] == kind]
    axes.plot([float(row["w"]) for row in mine], [float(row["loss"]) for row in mine], style, ms=4,
              lw=1.6 if kind == "curve" else 0.8, color=palette[0 if kind == "curve" else 3], label=label)
axes.set(yscale="log", ylim=(1e-4, 1e5), xlabel="w", ylabel="loss")
axes.grid(alpha=0.3)
axes.legend()
save(fig, "wall.svg")
