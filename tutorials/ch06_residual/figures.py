"""Draws the figures of chapter 06 from what its programs print: gradients by depth, and where CBAM looks."""

import numpy

from figures import palette, plt, program, save


def gradients():
    """One line for each stack: how much gradient arrives at each block, on its way from the last to the first."""
    names = ("plain, small weights", "plain, He's weights", "plain, He's weights, normalised", "residual, normalised",
             "residual, not normalised")
    colours = (palette[4], palette[1], palette[3], palette[0], palette[5])
    rows = []
    for line in program("ch06/depth", "--all").splitlines():
        words = line.split()
        if words and words[0].isdigit():
            rows.append([float(word) for word in words])
    block, *stacks = zip(*rows)
    fig, axes = plt.subplots(figsize=(6.6, 3.8))
    for norms, name, colour in zip(stacks, names, colours):
        axes.semilogy(block, norms, color=colour, linewidth=2.5 if name == "residual, normalised" else 1.5, label=name)
    axes.set(xlim=(24.5, 0.5), ylim=(1e-11, 1e4), xlabel="block, counted from the pictures; the loss is on the left",
             ylabel="norm of the gradient")
    axes.set_xticks([24, 20, 16, 12, 8, 4, 1])
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    save(fig, "gradients.svg")


def places():
    """One row for each picture: itself, and the weights of places in some blocks, all on one scale."""
    maps = []
    for line in program("ch06/nets", "--maps").splitlines():
        shape, _, numbers = line.partition("[")[2].partition("]")
        maps.append(numpy.array(numbers.split(), dtype=float).reshape([int(size) for size in shape.split(",")]))
    blocks, digits = (1, 2, 4, 5, 7, 8, 14), (0, 1, 4, 7, 8)
    fig, axes = plt.subplots(len(digits), len(blocks) + 1, figsize=(7.6, 4.2), gridspec_kw={"hspace": 0.05})
    for row, digit in zip(axes, digits):
        row[0].imshow(maps[0][digit, 0], cmap="gray")
        for axis, block in zip(row[1:], blocks):
            shown = axis.imshow(maps[block][digit, 0], cmap="inferno", vmin=0, vmax=1)
    for axis in axes.flat:
        axis.axis("off")
    for axis, block in zip(axes[0][1:], blocks):
        axis.set_title(f"block {block}", fontsize=9)
    fig.colorbar(shown, ax=axes, shrink=0.6, label="weight of a place")
    save(fig, "places.png")


gradients()
places()
