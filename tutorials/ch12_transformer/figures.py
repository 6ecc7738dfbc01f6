"""Draws the figures of chapter 12: the warm-up, and the maps of a trained translator's heads."""
from figures import palette, plt, program, save


def warmup():
    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.3), layout="constrained")
    steps, *curves = zip(*([float(word) for word in line.split(",")]
                           for line in program("ch12/schedule", "--csv").splitlines()))
    for curve, label, color, style in zip(curves, ("512 features, w = 4000", "512 features, w = 8000",
                                                   "256 features, w = 4000"), palette, ("-", "--", ":")):
        left.plot(steps, curve, color=color, linestyle=style, label=label)
    left.set(xlabel="step", title="learning rate, Vaswani et al. 2017", xlim=(0, None), ylim=(0, None))
    left.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    left.legend()

    lines = program("ch12/norms", "--all").splitlines()
    rows = [[float(word) for word in line.split(",")] for line in lines if line.count(",") == 4]
    steps, *curves = zip(*rows)
    for curve, label, color, style in zip(curves, ("norm after, no warm-up", "norm after, warm-up",
                                                   "norm before, no warm-up", "norm before, warm-up"),
                                          (palette[3], palette[3], palette[0], palette[0]), ("-", "--", "-", "--")):
        right.plot(steps, curve, color=color, linestyle=style, label=label)
    right.set(xlabel="step", title="loss of six layers", xlim=(0, None), ylim=(0, 3.4))
    right.legend(loc="upper right", fontsize=8, ncols=2)
    save(fig, "warmup.svg")


def heads():
    maps = {}
    lines = program("ch12/translate", "--maps").splitlines()
    for i, line in enumerate(lines):
        if not line.startswith("map,"):
            continue
        _, name, head, *keys = line.split(",")
        rows = []
        for row in lines[i + 1:]:
            if row.startswith("map,"):
                break
            query, *weights = row.split(",")
            rows.append((query, [float(weight) for weight in weights]))
        maps.setdefault(name, []).append((keys, rows))
    titles = {"source": "source looks at source", "target": "target looks at target",
              "memory": "target looks at memory"}
    fig, panels = plt.subplots(len(titles), 4, figsize=(10, 7.6), layout="constrained")
    for (name, title), row in zip(titles.items(), panels):
        for head, (axes, (keys, rows)) in enumerate(zip(row, maps[name]), 1):
            axes.imshow([weights for _, weights in rows], cmap="Blues", vmin=0, vmax=1, aspect="auto")
            axes.set_xticks(range(len(keys)), [key.replace("▁", "") for key in keys])
            axes.set_yticks(range(len(rows)), [query.replace("▁", "") for query, _ in rows])
            axes.tick_params(length=0, labelsize=8)
            axes.set_title(f"head {head}", fontsize=9)
            if head == 1:
                axes.set_ylabel(title)
    save(fig, "heads.svg")


warmup()
heads()
