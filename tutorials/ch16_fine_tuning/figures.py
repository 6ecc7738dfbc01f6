"""The figure of chapter 16, from what its programs print: examples needed, and the old task against the new one."""
import re

from figures import palette, plt, program, save

fig, (left, right) = plt.subplots(1, 2, figsize=(9.4, 3.9), layout="constrained")

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

lines = program("ch16/adapt").split("\n\nother nouns")[0].splitlines()
before = float(re.search(r"guesses ([\d.]+)", lines[0])[1])
names = []
for i, line in enumerate(lines[4:]):
    rest = line[24:].split()
    names.append(line[:24].strip())
    for j, (share, label) in enumerate(((float(rest[2]), "new task"), (float(rest[4]) / before, "old task"))):
        right.barh(i + 0.19 * (2 * j - 1), share, height=0.36, color=palette[(2, 0)[j]],
                   label=label if i == 0 else None)
right.axvline(1, linestyle=":", color="0.4")
right.set_yticks(range(len(names)), names, fontsize=8)
right.invert_yaxis()
right.set(xlabel="accuracy; of the old task: over what it was before", xlim=(0, 1.05),
          title="what is learned, and what is left")
right.legend(fontsize=8, loc="upper right", bbox_to_anchor=(0.94, 1.0))
save(fig, "old_and_new.svg")
