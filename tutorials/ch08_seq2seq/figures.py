"""Draws the chapter's figures: beam.svg, the search of the worked example, and length.svg, what is right by length."""
from figures import graph, palette, plt, program, save


def beam():
    """What can be written, a step to the right each time; what greedy and the beam go on with is coloured."""
    nodes, inside = [], False
    for line in program("ch08/by_hand").splitlines():
        if line.startswith("written  "):
            inside = True
        elif inside and line.startswith("all "):
            break
        elif inside:
            *words, probability, greedy, wide = line.split()
            nodes.append((tuple(words), probability, greedy == "yes", wide == "yes"))
    dot = ["digraph { bgcolor=white; rankdir=LR; ranksep=0.7; nodesep=0.12;",
           'node [fontname="DejaVu Sans, Noto Sans CJK SC", fontsize=13, shape=box, style="filled,rounded"];',
           'edge [color="#777777"]; "()" [label="begin", fillcolor="#f4f4f4"];']
    for words, probability, greedy, wide in nodes:
        fill = "#bcdcf0" if wide else "#fbe3b0" if greedy else "#f4f4f4"
        colour = palette[3] if greedy else palette[0] if wide else "#999999"
        dot.append(f'"{words}" [label="{words[-1]}\\n{probability}", fillcolor="{fill}", color="{colour}", '
                   f'penwidth={2.5 if greedy or wide else 1}];')
        dot.append(f'"{words[:-1]}" -> "{words}";')
    graph("\n".join(dot + ["}"]), "beam.svg")


def length():
    """Tokens and whole sentences that are right, by the number of English words, for both sizes of the vector."""
    models = {}
    for line in program("ch08/translate").splitlines():
        words = line.replace("%", "").split()
        if line.startswith("a vector of"):
            rows = models[words[3]] = []
        elif line.count("%") == 4:
            rows.append([words[0], *map(float, words[1:])])
    fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
    for (features, rows), colour in zip(models.items(), palette):
        names, _, tokens, even, greedy, _ = zip(*rows)
        left.plot(names, tokens, "o-", color=colour, label=f"{features} features")
        right.plot(names, greedy, "o-", color=colour, label=f"{features} features")
        if colour == palette[0]:
            right.plot(names, even, "--", color="#777777", label=f"{features}, if all tokens were equally hard")
    left.set(title="tokens, given the right ones before", xlabel="English words", ylabel="right (%)", ylim=(0, 102))
    right.set(title="whole sentences, greedy", xlabel="English words", ylim=(0, 102))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    save(fig, "length.svg")


beam()
length()
