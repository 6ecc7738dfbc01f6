"""Draws the chapter's figures: weights.svg (theirs and right) and alignment.svg, from what its programs print."""
import csv
import io
import math

from figures import palette, plt, program, save

THEIRS, RIGHT = palette[3], palette[0]

TITLES = {
    "a0": "A0 4.3: scores 1, 0, 0, 0, 0",
    "a1 diagonal": "A1 4.2: first query, only the diagonal",
    "a1 mask": "A1 4.1: the third key is hidden",
    "a1 scale": r"A1 5.2: no $\sqrt{d}$, heaviest 16 of 64",
    "a2": "A2 3.2: softmax twice",
    "a4": "A4 4.3: shares of the sum",
}


def weights():
    panels = {}
    for row in csv.DictReader(io.StringIO(program("ch09/weights"))):
        panels.setdefault(row["panel"], []).append((int(row["key"]), float(row["article"]), float(row["right"])))
    fig, axes = plt.subplots(2, 3, figsize=(10, 5.2), layout="constrained")
    for ax, (panel, rows) in zip(axes.flat, panels.items()):
        keys = [key for key, _, _ in rows]
        ax.bar([k - 0.2 for k in keys], [0 if math.isnan(t) else t for _, t, _ in rows], 0.4, color=THEIRS)
        ax.bar([k + 0.2 for k in keys], [r for _, _, r in rows], 0.4, color=RIGHT)
        ax.set(title=TITLES[panel], ylim=(0, 1), xlabel="key", xticks=keys if len(keys) < 9 else [1, 4, 8, 12, 16])
        ax.title.set_fontsize(10)
        ax.spines[["top", "right"]].set_visible(False)
    for ax in axes[:, 0]:
        ax.set_ylabel("weight")
    fig.legend(["the article", "right"], loc="outside upper center", ncols=2, frameon=False)
    save(fig, "weights.svg")


def alignment():
    sentences = {}
    for line in program("ch09/alignment").splitlines():
        if not line.startswith(" "):
            rows = sentences[line] = []  # a sentence, then a line for each Chinese word: weights in brackets, the word
        elif "[" in line:
            numbers, word = line.strip(" [").split("]")
            rows.append((word.strip(), [float(number) for number in numbers.split()]))
    fig, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
    for ax, (name, lines) in zip(axes, sentences.items()):
        chinese, rows, english = [word for word, _ in lines], [row for _, row in lines], name.split()
        ax.imshow(rows, cmap="Blues", vmin=0, vmax=1)
        for i, row in enumerate(rows):
            for j, weight in enumerate(row):
                ax.text(j, i, f"{weight:.2f}", ha="center", va="center", color="white" if weight > 0.5 else "black")
            ax.add_patch(plt.Rectangle((i - 0.46, i - 0.46), 0.92, 0.92, fill=False, edgecolor=THEIRS, linewidth=2))
        ax.set_xticks(range(len(english)), english)
        ax.set_yticks(range(len(chinese)), chinese, fontsize=13)
        ax.set_title(name)
    fig.supxlabel("outlined: all that the article's vector holds", color=THEIRS, fontsize=10)
    save(fig, "alignment.svg")


weights()
alignment()
