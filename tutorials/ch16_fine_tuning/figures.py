"""The figure of chapter 16, from what its programs print: examples needed, and the old task against the new one."""
import re

from figures import palette, plt, program, save

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")

table = program("ch16/examples").split("\n\n")[1].splitlines()
sizes = [int(word) for word in table[1].split()]
for i, line in enumerate(table[2:]):
    words = line.split()
    n = len(sizes)
    left.plot(sizes, [float(word) for word in words[-n:]], marker="osDv"[i], color=palette[i],
              label=" ".join(words[:-n]))
left.set_xscale("log", base=2)
left.set_xticks(sizes, [str(size) for size in sizes])
left.axhline(0.25, linestyle=":", color="0.4")
left.set(xlabel="labelled sentences", ylabel="accuracy, nouns without a label", ylim=(0, 1.03), title="the new task")
left.legend(fontsize=8)

lines = program("ch16/adapt").splitlines()
before = float(re.search(r"guesses ([\d.]+)", lines[0])[1])
right.axhline(before, linestyle=":", color="0.4")
right.text(0.27, before - 0.012, "before", va="top", fontsize=8)
places = {"from scratch": (8, 4, "left"), "new head alone": (0, 8, "center"), "last block and head": (-14, 10, "right"),
          "all of it": (-8, -4, "right"), "all, and old sentences": (6, -16, "right"), "LoRA, rank 1": (-12, -12, "right")}
for line in lines[4:]:
    name, rest = line[:24].strip(), line[24:].split()
    new, old, lora = float(rest[2]), float(rest[4]), "LoRA" in name
    colour = {"from scratch": 0, "new head alone": 1, "all of it": 2}.get(name, 3 if lora else 4)
    right.plot(new, old, marker="v" if lora else "o", color=palette[colour])
    if name in places:
        x, y, side = places[name]
        right.annotate("LoRA, all ranks" if lora else name, (new, old), (x, y), textcoords="offset points", ha=side,
                       fontsize=8)
right.set(xlabel="new task: accuracy, nouns without a label", ylabel="old task: next words guessed",
          xlim=(0.2, 1.05), ylim=(0, 0.45), title="new against old")
save(fig, "old_and_new.svg")
