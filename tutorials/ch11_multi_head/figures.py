"""The figures of chapter 11, from what its programs print."""
import numpy as np

from figures import palette, plt, program, save


def score_scale():
    lines = program("ch11/score_scale").splitlines()
    rows = np.array([[float(word) for word in line.split()] for line in lines[2:lines.index("")]])
    d = rows[:, 0]
    fig, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    for i, (label, marker) in enumerate((("q · k", "o"), ("q · k / √d", "s"))):
        axes[0].plot(d, rows[:, 1 + 3 * i] ** 2, marker=marker, color=palette[i], label=label)
        axes[1].plot(d, rows[:, 2 + 3 * i], marker=marker, color=palette[i], label=label)
    axes[0].set(yscale="log", title="variance of a score")
    axes[1].axhline(1 / 64, linestyle=":", color="0.4", label="1/64: all alike")
    axes[1].set(ylim=(0, 1), title="largest of 64 weights, on average")
    for ax in axes:
        ax.set_xscale("log", base=2)
        ax.set_xticks(d, [f"{int(n)}" for n in d])
        ax.set_xlabel("d, features of a query")
        ax.legend()
    save(fig, "score_scale.svg")


def positions():
    table = np.array([[float(word) for word in line.split(",")]
                      for line in program("ch11/position_table").splitlines()])
    fig, axes = plt.subplots(1, 2, figsize=(8.6, 3.4), layout="constrained", width_ratios=[1, 1.25])
    cells = axes[0].pcolormesh(table.T, cmap="RdBu_r", vmin=-1, vmax=1, rasterized=True)
    axes[0].invert_yaxis()
    axes[0].set(xlabel="place", ylabel="feature", title="sinusoidal positions")
    fig.colorbar(cells, ax=axes[0], ticks=[-1, 0, 1])

    lines = program("ch11/neighbours").splitlines()
    distances = [int(word) for word in lines[1].split()[-5:]]
    for i, line in enumerate(lines[2:6]):
        words = line.split()
        axes[1].bar(np.array(distances) + 0.2 * (i - 1.5), [float(word) for word in words[3:]], width=0.2,
                    color=palette[i], label=words[0])
    axes[1].set(xlabel="places from the word to the one it looks at", title="mean weight, after training",
                xticks=distances)
    axes[1].legend(title="positions")
    save(fig, "positions.svg")


score_scale()
positions()
