# Which bank a column of a square is in, and what each rung asks of memory, as the programs count it.
import csv
import pathlib
import re

import numpy as np
from figures import palette, plt, program, save

# --- banks
fig, axes = plt.subplots(1, 2, figsize=(6.4, 2.9), constrained_layout=True)
for axis, pitch in zip(axes, (32, 33)):
    words = np.arange(32)[:, None] * pitch + np.arange(pitch)
    picture = axis.imshow(words % 32, cmap="viridis", interpolation="nearest", vmin=0, vmax=31)
    axis.add_patch(plt.Rectangle((6.5, -0.5), 1, 32, fill=False, edgecolor="white", linewidth=1.5))
    used = len(set(words[:, 7] % 32))
    axis.set(title=f"rows of {pitch} words: a column in {used} bank{'s' if used > 1 else ''}", xlabel="column",
             xticks=(0, 7, 31), yticks=(0, 31), xlim=(-0.5, 32.5))
    axis.title.set_fontsize(9)
    for spine in axis.spines.values():
        spine.set_visible(False)
axes[0].set_ylabel("row")
fig.colorbar(picture, ax=axes, label="bank", ticks=(0, 8, 16, 24, 31), shrink=0.8)
save(fig, "banks.svg")

# --- rungs
text = program("ch20/ladder")
memory = re.findall(r"^(\w+) +\d+ +\d+ +[\d.]+ +([\d.]+) +([\d.]+)$", text, re.M)
share = dict(re.findall(r"^(\w+) +[\d.]+ +[\d.]+ +([\d.]+)%$", text, re.M))
with open(pathlib.Path(__file__).parent / "h100.csv", newline="", encoding="utf-8") as file:
    reached = {row["workload"]: float(row["reached"]) for row in csv.DictReader(file)}
ridge = 1000 * reached["float32 product, PyTorch"] / reached["copy, 64M floats"]  # operations per byte
places = np.arange(len(memory))[::-1]
fig, (left, right) = plt.subplots(1, 2, figsize=(7, 2.7), sharey=True, constrained_layout=True)
for y, (_, asked, block) in zip(places, memory):
    left.plot([float(asked), float(block)], [y, y], color=palette[0], linewidth=0.8)
left.plot([float(asked) for _, asked, _ in memory], places, "o", color=palette[0], markersize=8,
          label="as warps ask for them")
left.plot([float(block) for _, _, block in memory], places, "o", color=palette[0], markerfacecolor="white", markersize=4.5,
          label="each once for a block")
left.axvline(ridge, color=palette[3], linestyle="--", linewidth=1, label="peak over bandwidth, H100")
left.set(xscale="log", xlabel="operations per byte of global memory", yticks=places,
         yticklabels=[name for name, _, _ in memory], ylim=(-0.6, len(memory) + 1.6))
left.legend(fontsize=7.5, loc="upper left")
right.barh(places, [float(share[name]) for name, _, _ in memory], color=palette[2], height=0.6)
for y, (name, _, _) in zip(places, memory):
    right.text(float(share[name]) + 1.5, y, f"{share[name]}%", va="center", fontsize=8)
right.set(xlabel="share of the peak, at most, by instructions\nand load units: counted, not measured", xlim=(0, 115))
save(fig, "rungs.svg")
