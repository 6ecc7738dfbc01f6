#!/usr/bin/env python3
"""Draws what the rungs reach on your GPU: measured.py RUNGS.txt FIGURE.svg

    ./run ladder cuda_matmul | tee build/rungs.txt
    python3 tutorials/ch20_cuda_ladder/measured.py build/rungs.txt build/fraction_of_peak.svg
"""
import pathlib
import re
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

if len(sys.argv) != 3:
    sys.exit(__doc__)
try:
    text = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")
except OSError as wrong:
    sys.exit(f"error: {wrong}")
head = re.search(r"^(\d+ x \d+ x \d+), (.*), peak: (\d+) GFLOP/s$", text, re.M)
rows = re.findall(r"^(\w+) +([\d.]+) +([\d.]+)%", text, re.M)
if not head or not rows:
    sys.exit(f"error: {sys.argv[1]} is not what ./run ladder cuda_matmul prints")
if "emulated" in head[2]:
    sys.exit("error: this is from the emulator, whose times say nothing about a GPU")

fig, axes = plt.subplots(figsize=(6, 3))
places = range(len(rows), 0, -1)
shares = [float(share) for _, _, share in rows]
axes.barh(places, shares, color="#0072b2")
for y, share, (_, speed, _) in zip(places, shares, rows):
    axes.text(share + max(shares) / 50, y, f"{share:.0f}%, {float(speed) / 1000:.1f} TFLOP/s", va="center", fontsize=8,
              bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
axes.axvline(100, color="#d55e00", linestyle="--", linewidth=1, zorder=0)
axes.set(yticks=list(places), yticklabels=[name for name, _, _ in rows], xlim=(0, max(130, 1.45 * max(shares))),
         xlabel="% of what multiply-adds on registers reach")
axes.set_title(f"{head[1]}, {head[2]}", fontsize=9)
fig.savefig(sys.argv[2], bbox_inches="tight")
print(f"drew {sys.argv[2]}")
