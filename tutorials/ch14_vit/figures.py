"""The figures of chapter 14, from what its programs print."""
import numpy as np

from figures import palette, plt, program, save


def images():
    """Accuracy against the number of pictures, on those that were trained on and on others."""
    lines = program("ch14/images").splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("pictures")) + 1
    rows = []
    for line in lines[first:]:
        if not line.strip():
            break
        rows.append([float(word.rstrip("%")) for word in line.split()])
    count, *shares = np.array(rows).T
    fig, axes = plt.subplots(figsize=(5.6, 3.4), layout="constrained")
    for i, name in enumerate(("chapter 05's network", "Vision Transformer")):
        axes.plot(count, shares[2 * i + 1], marker="os"[i], color=palette[i], label=name)
        axes.plot(count, shares[2 * i], marker="os"[i], markersize=4, linestyle=":", color=palette[i],
                  label=name + ", on its training pictures")
    axes.set(xscale="log", ylim=(50, 102), xlabel="training pictures", ylabel="right, in percent")
    axes.set_xticks(count, [f"{int(n)}" for n in count])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    save(fig, "images.svg")


def maps():
    """A column for each digit: itself, the last layer's attention, and rollout, each map by its own largest value."""
    values = {}
    for line in program("ch14/rollout", "--maps").splitlines():
        name, _, rest = line.partition(" [")
        shape, _, numbers = rest.partition("]")
        values[name] = np.array(numbers.split(), dtype=float).reshape([int(size) for size in shape.split(",")])
    rows = (("the picture", "pictures", "gray"), ("last layer", "last", "inferno"), ("rollout", "rollout", "inferno"))
    fig, axes = plt.subplots(3, len(values["pictures"]), figsize=(8.4, 2.7), layout="constrained")
    for (label, name, colours), row in zip(rows, axes):
        for axis, picture in zip(row, values[name]):
            axis.imshow(picture, cmap=colours, vmin=None if name == "pictures" else 0)
            axis.set(xticks=[], yticks=[])
        row[0].set_ylabel(label)
    save(fig, "rollout.png")


images()
maps()
