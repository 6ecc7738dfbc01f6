"""Draws the figures of chapter 05 from what its program prints: filters with their maps, and the confusion matrix."""

import math

import numpy

from figures import palette, plt, program, save

lines = program("ch05/cnn", "--pictures").splitlines()


def values(name):
    """The numbers behind "name [2, 3]", in that shape."""
    line = next(line for line in lines if line.startswith(name + " ["))
    shape, _, numbers = line[len(name) + 2:].partition("]")
    return numpy.array(numbers.split(), dtype=float).reshape([int(size) for size in shape.split(",")])


def filters():
    """One column for each filter: as it began, as it is, and its map of the digit on the left."""
    rows = [values("untrained")[:, 0], values("filters")[:, 0], values("maps")[0]]
    fig, axes = plt.subplots(3, len(rows[0]) + 1, figsize=(7.6, 2.7))
    for axis in axes.flat:
        axis.axis("off")
    for axis, text in ((axes[0][0], "before"), (axes[1][0], "after")):
        axis.text(0.5, 0.5, text, ha="center", va="center")
    axes[2][0].imshow(values("picture")[0, 0], cmap="gray")
    axes[2][0].set_title("maps of", fontsize=9)
    for row, pictures in enumerate(rows):
        for axis, picture in zip(axes[row][1:], pictures):
            most = abs(picture).max()
            axis.imshow(picture, **({"cmap": "gray"} if row == 2 else {"cmap": "RdBu", "vmin": -most, "vmax": most}))
    save(fig, "filters.png")


def confusion():
    """A cell is as dark as the root of its share of the row; what is right is blue, what is wrong orange."""
    first = next(i for i, line in enumerate(lines) if line.startswith("confusion")) + 2
    counts = numpy.array([[int(word) for word in line.split()[1:]] for line in lines[first:first + 10]])
    fig, axis = plt.subplots(figsize=(4.6, 4.4))
    for label, row in enumerate(counts):
        for answer, count in enumerate(row):
            shade = math.sqrt(count / row.sum())
            axis.add_patch(plt.Rectangle((answer - 0.5, label - 0.5), 1, 1, linewidth=0, alpha=shade,
                                         facecolor=palette[0] if label == answer else palette[3]))
            if count:
                axis.text(answer, label, count, ha="center", va="center", fontsize=8,
                          color="white" if shade > 0.6 else "black")
    axis.set(xlim=(-0.5, 9.5), ylim=(9.5, -0.5), xticks=range(10), yticks=range(10), aspect="equal",
             xlabel="what the network answers", ylabel="what it is")
    axis.tick_params(length=0)
    axis.spines["right"].set_visible(True)
    axis.spines["top"].set_visible(True)
    save(fig, "confusion.svg")


filters()
confusion()
