# What each rung moves, counted; and the bandwidth that was measured on the GPU that h100.csv names.
import pathlib
import re

from bandwidth import draw, read
from figures import palette, plt, program, save

WHAT = ["asked for by threads", "in sectors of 32 bytes", "from beyond the first cache"]

tables = program("ch21/moved").strip().split("\n\n")
fig, panels = plt.subplots(1, 3, figsize=(9, 3))
for axes, table, least in zip(panels, (tables[0], tables[1], tables[3]), (8, 8, 128)):
    attention = table.startswith("attention")
    title, unit = table.splitlines()[0].split(": ")
    rows = re.findall(r"^(\w+) +([\d.]+) +([\d.]+) +([\d.]+)", table, re.M)
    for i, (rung, *values) in enumerate(rows):
        for j, value in enumerate(values):
            x = i + 0.27 * (j - 1)
            axes.bar(x, float(value), 0.25, color=palette[j], label=WHAT[j] if i == 0 else None)
            if not attention:
                axes.text(x, float(value) + 1, f"{float(value):.0f}", ha="center", fontsize=6)
    axes.axhline(least, color="0.35", linewidth=0.9, linestyle="--", label="must move" if axes is panels[0] else None)
    axes.set(title=title, ylabel=unit, xticks=range(len(rows)))
    if attention:
        axes.set(yscale="log", ylim=(30, None))
    axes.set_xticklabels([rung for rung, *_ in rows])
    axes.title.set_fontsize(9)
handles, labels = panels[0].get_legend_handles_labels()
fig.tight_layout(rect=(0, 0, 1, 0.9))
fig.legend(handles, labels, loc="upper center", ncol=4, fontsize=8)
save(fig, "moved.svg")

save(draw(read([pathlib.Path(__file__).parent / "h100.csv"])), "bandwidth.svg")
