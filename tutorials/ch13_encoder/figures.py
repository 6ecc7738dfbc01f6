"""The figures of chapter 13, from what its programs print."""
import re

import numpy as np

from figures import palette, plt, program, save


def cls():
    reviews = []
    lines = program("ch13/classifier").splitlines()
    for i, line in enumerate(lines):
        if line.startswith("word "):
            end = next(j for j in range(i, len(lines)) if lines[j].startswith("its logit"))
            reviews.append([row.split() for row in lines[i + 1:end]])
    fig, axes = plt.subplots(2, len(reviews), figsize=(9, 4.6), layout="constrained", sharex="col", sharey="row")
    for column, rows in enumerate(reviews):
        words = [row[0] for row in rows]
        numbers = np.array([[float(number) for number in row[1:]] for row in rows])
        place = np.arange(len(words))
        for i, name in enumerate(("one layer", "two layers")):
            at = place + 0.4 * i - 0.2
            axes[0][column].bar(at, numbers[:, 2 * i], width=0.4, color=palette[i], label=name)
            axes[1][column].bar(at, numbers[:, 2 * i + 1], width=0.4, color=palette[i])
        axes[1][column].set_xticks(place, words, rotation=60, ha="right", rotation_mode="anchor")
        axes[1][column].axhline(0, color="0.4", linewidth=0.8)
    axes[0][0].set_ylabel("weight of [CLS] on the word")
    axes[1][0].set_ylabel("change of the logit\nwithout the word")
    axes[0][0].legend()
    save(fig, "cls.svg")


def labels():
    lines = program("ch13/pretrain").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("labels "))
    rows = np.array([[float(number) for number in re.findall(r"[\d.]+", line)] for line in lines[start + 1:]])
    fig, axes = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
    names = ("from nothing", "pre-trained, 15% of all words", "pre-trained, rarer words more")
    for i, (name, marker) in enumerate(zip(names, "os^")):
        mean, deviation = rows[:, 1 + 2 * i], rows[:, 2 + 2 * i]
        axes.errorbar(rows[:, 0] * (0.96 + 0.04 * i), mean, [deviation, np.minimum(deviation, 100 - mean)],
                      marker=marker, capsize=3, color=palette[i], label=name)
    axes.set_xscale("log", base=2)
    axes.set_xticks(rows[:, 0], [f"{int(n)}" for n in rows[:, 0]])
    axes.set(xlabel="labels", ylabel="accuracy in percent", ylim=(50, 102), yticks=range(50, 101, 10))
    axes.legend(loc="lower right")
    save(fig, "labels.svg")


cls()
labels()
