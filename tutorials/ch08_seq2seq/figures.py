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
    """Tokens and whole sentences that are right, by the number of English words."""
    rows = []
    for line in program("ch08/translate").splitlines():
        if line.count("%") == 4:
            words, _, *shares = line.replace("%", "").split()
            rows.append([words, *map(float, shares)])
    names, tokens, even, greedy, _ = zip(*rows)
    fig, axes = plt.subplots(figsize=(6.4, 3.6))
    axes.plot(names, tokens, "s-", color=palette[2], label="tokens, given the right ones before")
    axes.plot(names, greedy, "o-", color=palette[0], label="whole sentences, greedy")
    axes.plot(names, even, "--", color="#777777", label="whole sentences, if all tokens were equally hard")
    axes.set(xlabel="English words", ylabel="right (%)", ylim=(0, 102))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1))
    save(fig, "length.svg")


beam()
length()
