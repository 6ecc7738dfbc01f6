"""The figures of chapter 17, from what its programs print."""
import numpy as np

from figures import palette, plt, program, save


def numbers(line, count):
    return [float(word) for word in line.split()[-count:]]


def temperature():
    lines = program("ch17/gumbel").splitlines()
    fig, axes = plt.subplots(1, 2, figsize=(8.2, 3.2), layout="constrained")
    samples = [line for line in lines if line.startswith("softmax, tau")]
    for i, line in enumerate(samples):
        tau = line.split()[2]
        axes[0].bar(np.arange(3) + 0.2 * (i - 1.5), numbers(line, 3), width=0.2, color=palette[i], label=f"τ = {tau}")
    axes[0].set(title="one draw, at four temperatures", xlabel="choice", ylabel="weight", xticks=range(3),
                xticklabels=["first", "second", "third"], ylim=(0, 1))
    axes[0].legend()

    exact = numbers(next(line for line in lines if line.startswith("its gradient")), 3)[2]
    taus = [line for line in lines if line.startswith("tau")]
    tau = [float(line.split()[1]) for line in taus]
    mean, deviation = np.array([numbers(line, 2) for line in taus]).T
    axes[1].axhline(exact, color="0.4", linestyle=":", label="the exact gradient")
    axes[1].plot(tau, mean, marker="o", color=palette[0], label="mean of the estimates")
    axes[1].plot(tau, deviation, marker="s", color=palette[3], label="their standard deviation")
    axes[1].set(xscale="log", title="estimates of one gradient", xlabel="temperature τ", ylim=(0, None))
    axes[1].set_xticks(tau, [f"{t:g}" for t in tau])
    axes[1].minorticks_off()
    axes[1].legend()
    save(fig, "temperature.svg")


def cost():
    lines = program("ch17/cost").splitlines()
    rows = np.array([numbers(line, 7) for line in lines[2:lines.index("")]])
    fig, axes = plt.subplots(1, 2, figsize=(8.2, 3.2), layout="constrained")
    for i, (name, marker) in enumerate((("full", "o"), ("windowed", "s"), ("low-rank", "^"))):
        for ax, column in ((axes[0], 1 + i), (axes[1], 4 + i)):
            ax.plot(rows[:, 0], rows[:, column], marker=marker, color=palette[i], label=name)
    axes[0].set(title="million operations")
    axes[1].set(title="scores")
    for ax in axes:
        ax.set_xscale("log", base=2)
        ax.set(yscale="log", xlabel="n, places")
        ax.set_xticks(rows[:, 0], [f"{int(n)}" for n in rows[:, 0]])
        ax.legend()
    save(fig, "cost.svg")


temperature()
cost()
