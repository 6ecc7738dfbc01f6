# What the rungs move for each operation, counted; and where they stand under the roof of the machine that rungs.csv and
# limits.csv come from.
import pathlib
import re

from figures import palette, plt, program, save
from roofline import draw

rows = re.findall(r"^(\w+) +[\d.]+ +[\d.]+ +([\d.]+) +([\d.]+)$", program("ch18/traffic"), re.M)
fig, axes = plt.subplots(figsize=(6, 2.6))
for i, (name, first, second) in enumerate(rows):
    y = len(rows) - i
    axes.plot([float(first), float(second)], [y, y], color=palette[i], linewidth=0.8)
    axes.plot(float(first), y, "o", color=palette[i], label="from the second cache" if i == 0 else None)
    axes.plot(float(second), y, "o", color=palette[i], markerfacecolor="white",
              label="from beyond it" if i == 0 else None)
axes.set(xscale="log", xlabel="operations per byte", yticks=range(len(rows), 0, -1), ylim=(0.5, len(rows) + 0.8))
axes.set_yticklabels([name for name, _, _ in rows])
axes.legend(fontsize=8, loc="lower left")
save(fig, "operations_per_byte.svg")

save(draw(pathlib.Path(__file__).parent), "roofline.svg")
