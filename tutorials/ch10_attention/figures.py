"""Draws the figures of chapter 10: exactness by length, and where a trained translator looked."""
import re

from figures import palette, plt, program, save

printed = program("ch10/translate").splitlines()


def lengths():
    rows = []
    for line in printed:
        if re.match(r" *\d+(-\d+|\+) +\d+ ", line):
            words, _, *numbers = line.replace("%", "").split()
            rows.append((words, *map(float, numbers)))
    words, exact_without, exact_with, bleu_without, bleu_with = zip(*rows)
    fig, panels = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained", sharey=True)
    for axes, title, without, with_it in ((panels[0], "sentences exactly right, percent", exact_without, exact_with),
                                          (panels[1], "BLEU", bleu_without, bleu_with)):
        axes.plot(words, with_it, marker="o", color=palette[0], label="with attention")
        axes.plot(words, without, marker="s", color=palette[3], label="one vector for the whole sentence")
        axes.set(title=title, xlabel="words in the source", ylim=(-3, 103))
        axes.grid(alpha=0.3)
    panels[0].legend(loc="center right")
    save(fig, "lengths.svg")


def alignments():
    maps = []
    for i, line in enumerate(printed):
        sentence = re.match(r"(.+) \((?:seen in training|never seen)\)$", line)
        if not sentence:
            continue
        rows = []
        for row in printed[i + 2:]:
            if not row.strip():
                break
            word, *weights = row.split()
            rows.append((word, [float(weight) for weight in weights]))
        maps.append((sentence[1], printed[i + 1].split(), rows))
    fig, panels = plt.subplots(1, len(maps), figsize=(10, 4.3), layout="constrained",
                               width_ratios=[len(source) for _, source, _ in maps])
    for axes, (sentence, source, rows) in zip(panels, maps):
        weights = [row for _, row in rows]
        axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for i, row in enumerate(weights):
            for j, weight in enumerate(row):
                if weight >= 0.01:
                    axes.text(j, i, f"{weight:.2f}", ha="center", va="center", fontsize=8,
                              color="white" if weight > 0.5 else "black")
        axes.set_xticks(range(len(source)), source, rotation=35, ha="right")
        axes.set_yticks(range(len(rows)), [word for word, _ in rows], fontsize=12)
        axes.set_title(sentence)
    save(fig, "alignment.svg")


lengths()
alignments()
