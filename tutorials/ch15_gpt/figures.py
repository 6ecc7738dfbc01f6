"""The figures of chapter 15: the loss and what the model wrote, and what the next token costs."""
import csv
import pathlib
import re

from figures import palette, plt, program, save

HERE = pathlib.Path(__file__).parent


def rows(name):
    with open(HERE / name, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def loss():
    measured = rows("training.csv")
    steps, losses = [int(row["step"]) for row in measured], [float(row["loss"]) for row in measured]
    models = program("ch15/gpt", "--steps", "1")  # of the GPT nothing but the others' losses is taken from here
    lines = {name: float(re.search(rf"^{name}(?: +\d+)? +([\d.]+)", models, re.M)[1])
             for name in ("chance", "LSTM of chapter 07", "the lowest possible")}
    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained", width_ratios=[1.15, 1])
    left.plot(steps, losses, color=palette[0], label="GPT")
    for (name, value), style in zip(lines.items(), (":", "--", "-")):
        left.axhline(value, color="0.35", linestyle=style, linewidth=1, label=name)
    left.set(yscale="log", xlabel="updates", ylabel="loss on sentences drawn anew")
    left.set_yticks([0.25, 0.5, 1, 2, 4], ["0.25", "0.5", "1", "2", "4"])
    left.minorticks_off()
    right.axis("off")
    right.set(xlim=(0, 1), ylim=(0, 1))
    right.text(0, 0.97, "updates", fontsize=8, color="0.35")
    right.text(0.2, 0.97, "it writes", fontsize=8, color="0.35")
    marked = [row for row in measured if row["marked"] == "yes"]
    for i, row in enumerate(marked):
        left.plot(int(row["step"]), float(row["loss"]), "o", color=palette[3], markersize=4)
        y = 0.87 - 0.11 * i
        right.text(0.12, y, row["step"], ha="right", fontsize=8, color=palette[3])
        right.text(0.2, y, row["writes"], fontsize=7.5, family="monospace")
    left.legend(fontsize=8, loc="center right")
    save(fig, "loss.svg")


def cost():
    measured = rows("time_per_token.csv")
    fig, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    before = [int(row["tokens before"]) for row in measured]
    for i, (column, label) in enumerate((("ms without", "all read anew"), ("ms with the cache", "with the cache"))):
        axes[0].plot(before, [float(row[column]) for row in measured], "so"[i] + "-", color=palette[3 - 3 * i],
                     label=label)
    axes[0].set(ylabel="ms for the next token")
    counted = [line.split() for line in program("ch15/cost").split("behind  KB")[1].splitlines()[1:]]
    for i, column in enumerate((4, 3)):
        axes[1].plot([int(row[0]) for row in counted], [float(row[column]) for row in counted], "so"[i] + "-",
                     color=palette[3 - 3 * i], label=("all read anew", "with the cache")[i])
    axes[1].set(ylabel="million operations for the next token")
    for ax in axes:
        ax.set_xscale("log", base=2)
        ax.set(yscale="log", xlabel="tokens before it")
        ax.xaxis.set_major_formatter("{x:.0f}")
        ax.legend(fontsize=8)
    save(fig, "cost.svg")


loss()
cost()
